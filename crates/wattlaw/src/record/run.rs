//! The run of a record: energy by scope, training window, tokens and job.

use super::document::{End, Measured, Part, Record, Total, Window};
use super::total::{components, totals};
use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::Joules;
use crate::job::JobSpec;
use crate::job::catalog::Catalog;
use crate::job::workload::WorkloadSpec;
use crate::record::Component;

/// Name of the window in which a program trains: after warm-up, before it saves.
pub const TRAIN: &str = "train";

/// The source of a run's token count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tokens {
    /// The program counted them while it ran, or its steps.
    Counted(f64),
    /// Stated by the job, and the command succeeded.
    Stated(f64),
}

impl Tokens {
    /// The number of tokens.
    pub const fn value(self) -> f64 {
        match self {
            Self::Counted(n) | Self::Stated(n) => n,
        }
    }
}

impl Record {
    /// The energy of a scope; of the narrowest if `scope` is `None`.
    ///
    /// # Errors
    /// [`Error::Data`] for a record that is not closed or has no such energy.
    pub fn total(&self, scope: Option<Scope>) -> Result<&Total> {
        self.total_of(&self.energies, scope)
    }

    pub(crate) fn total_of<'a>(
        &self,
        totals: &'a [Total],
        scope: Option<Scope>,
    ) -> Result<&'a Total> {
        self.closed()?;
        let found = match scope {
            None => totals.first(),
            Some(scope) => totals.iter().find(|t| t.scope == scope),
        };
        if found.is_some_and(|t| t.energy == Joules::ZERO) {
            return Err(Error::Data(format!(
                "record {} is too short for its meters, which counted 0 J",
                self.id
            )));
        }
        found.ok_or_else(|| {
            let of = scope.map(|s| format!(" of scope {s}")).unwrap_or_default();
            let why = self
                .held_by
                .as_ref()
                .map(|other| format!(": record {other} measured this machine at the same time"));
            Error::Data(format!("record {} has no energy{of}{}", self.id, why.unwrap_or_default()))
        })
    }

    /// Why the record has no energy; `None` if it has some.
    pub fn energy_error(&self) -> Option<Error> {
        self.total(None).err()
    }

    /// The energy of the widest scope that was measured; of the narrowest if part of each is assumed.
    pub fn widest(&self) -> Option<&Total> {
        let mut widest = self.energies.iter().rev();
        widest.find(|total| self.is_measured(total.scope)).or(self.energies.first())
    }

    /// Whether the energy of a scope was measured as a whole: a platform's counter may leave out its accelerators, and then
    /// has less energy than they.
    pub(crate) fn is_measured(&self, scope: Scope) -> bool {
        let Some(total) = self.energies.iter().find(|t| t.scope == scope) else { return false };
        let mut narrower = self.energies.iter().take_while(|t| t.scope != scope);
        total.energy > Joules::ZERO
            && total.assumed == Joules::ZERO
            && narrower.all(|t| t.energy - t.assumed <= total.energy)
    }

    /// The channels of a scope whose energy counts in another record for some of the time.
    pub fn held(&self, scope: Scope) -> impl Iterator<Item = &Measured> {
        self.channels.iter().filter(move |measured| {
            measured.held_by.is_some() && components(scope).contains(&measured.channel.component)
        })
    }

    /// The training window: the closed outermost window named [`TRAIN`], if there is one.
    pub fn train(&self) -> Option<&Window> {
        let mut named = self.windows.iter().filter(|w| w.name == TRAIN && w.inside.is_empty());
        named.next().filter(|window| window.closed && named.next().is_none())
    }

    /// The energy of the run at the narrowest scope: of the window [`TRAIN`], or else of the command.
    pub fn energy_of_run(&self) -> Option<Total> {
        self.totals_of_run().into_iter().next()
    }

    pub(crate) fn totals_of_run(&self) -> Vec<Total> {
        match self.train() {
            Some(window) => totals(&self.within(window)),
            None => self.energies.clone(),
        }
    }

    /// The channels restricted to a window.
    fn within(&self, window: &Window) -> Vec<Measured> {
        let share = |measured: &Measured| {
            let is_its =
                |part: &&Part| part.host == measured.host && part.channel == measured.channel.name;
            let counts = measured.held_by.is_none()
                || measured.counted_from.is_some_and(|from| from <= window.from);
            let part = window.energies.iter().find(is_its).filter(|_| counts);
            Measured {
                energy: part.map(|p| p.energy),
                systematic_sd: part
                    .zip(measured.channel.systematic)
                    .map(|(p, relative)| p.energy * relative),
                random_sd: part.map_or(Joules::ZERO, |p| p.quantisation_sd),
                covered: part.map_or(0.0, |p| p.covered),
                ..measured.clone()
            }
        };
        self.channels.iter().map(share).collect()
    }

    /// Checks that the record is closed.
    ///
    /// # Errors
    /// [`Error::Data`] for a record that is being written, or whose writer died.
    pub fn closed(&self) -> Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        Err(Error::Data(format!(
            "record {} is not closed: it is being written, or `wattlaw recover` closes it",
            self.id
        )))
    }

    /// Trained tokens.
    pub fn tokens_done(&self, catalog: &Catalog) -> Option<Tokens> {
        if let Some(counted) = self.tokens {
            return Some(Tokens::Counted(counted));
        }
        let mut job = self.described_job(catalog);
        if let Some(steps) = self.steps {
            // counted steps times the job's tokens per step
            job.workload = WorkloadSpec {
                tokens: None,
                epochs: None,
                examples: None,
                steps: Some(Count::new(steps)),
                ..job.workload
            };
            return job.resolve(catalog).ok().map(|job| Tokens::Counted(job.tokens()));
        }
        let job = job.resolve(catalog).ok()?;
        self.ended_well().then(|| Tokens::Stated(job.tokens()))
    }

    /// Steps or tokens that the program reported, and those that the job planned, if fewer were done; of the window
    /// [`TRAIN`], or else of the command.
    pub fn unfinished(&self) -> Option<(f64, f64)> {
        let planned = &self.job.as_ref()?.workload;
        let (steps, tokens) = match self.train() {
            Some(window) => (Some(window.steps), Some(window.tokens).filter(|n| *n > 0.0)),
            None => (self.steps, self.tokens),
        };
        let done = match (planned.steps, planned.tokens) {
            (Some(planned), _) => (steps? as f64, planned.get() as f64),
            (None, Some(planned)) => (tokens?, planned.get() as f64),
            (None, None) => return None,
        };
        (done.0 < done.1).then_some(done)
    }

    /// The job, with the measured accelerators where it names none or the driver states another model.
    pub(crate) fn described_job(&self, catalog: &Catalog) -> JobSpec {
        let mut job = self.job.clone().unwrap_or_default();
        let gpus: Vec<&Measured> =
            self.channels.iter().filter(|c| c.channel.component == Component::Gpu).collect();
        let unnamed = job.system.name.is_none();
        if let Some(model) = self.gpu_mismatch(catalog).and_then(|mismatch| mismatch.model) {
            job.system.gpu = Some(model.measured);
        }
        if job.system.gpu.is_none() && unnamed {
            let known = |m: &&Measured| m.channel.model.clone();
            job.system.gpu = gpus
                .iter()
                .find_map(known)
                .map(|model| catalog.accelerator(&model).map_or(model.clone(), |a| a.name.clone()));
        }
        if job.system.gpus.is_none() && job.system.nodes.is_none() && !gpus.is_empty() {
            job.system.gpus = Some(gpus.len() as u64);
            let hosts = self.nodes.len().max(1) as u64;
            if job.system.gpus_per_node.is_none() && unnamed && hosts > 1 {
                job.system.gpus_per_node = Some(gpus.len() as u64 / hosts).filter(|n| *n > 0);
            }
        }
        job
    }

    /// The meter of a scope's energy: `gpu:counter cpu:assumed`.
    pub fn meter(&self, scope: Scope) -> String {
        let mut found: Vec<String> = Vec::new();
        for measured in &self.channels {
            let inside =
                components(scope).contains(&measured.channel.component) && !measured.is_held();
            let word = format!("{}:{}", measured.channel.component, measured.channel.instrument);
            if inside && !found.contains(&word) {
                found.push(word);
            }
        }
        found.join(" ")
    }

    /// Whether the command succeeded.
    pub fn ended_well(&self) -> bool {
        self.end.is_some_and(End::well)
    }

    pub(crate) fn outcome(&self) -> String {
        match self.end {
            None => "running".to_owned(),
            Some(End::Exit { code }) => format!("exit {code}"),
            Some(End::Signal { signal }) => format!("signal {signal}"),
            Some(End::Unseen) => "unseen".to_owned(),
        }
    }
}
