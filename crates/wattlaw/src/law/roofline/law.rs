//! The roofline law as an implementation of [`Law`].

use std::collections::BTreeMap;

use super::discrepancy::MAX_POINTS;
use super::fit::{Fit, Prior};
use super::laws::RooflineLaws;
use super::machine::Machine;
use super::observation::Observation;
use super::terms::Terms;
use super::transfer::{PRIOR_SD_SCALE, Transfer, choose};
use crate::base::error::{Error, Result};
use crate::base::scope::Covers;
use crate::base::units::JOULES_PER_KWH;
use crate::data::dataset::Dataset;
use crate::job::catalog::Catalog;
use crate::law::{FittedLaw, Law};
use crate::stats::frame::Frame;

/// Fewest runs for a discrepancy when a calibration is adapted; fewer do not separate parameters and discrepancy.
const MIN_DISCREPANCY_RUNS: usize = 40;

/// The response of a roofline law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// ln(energy / kWh).
    Energy,
    /// ln(duration / s).
    Duration,
    /// ln(energy / kWh) as the accelerators' thermal design power times the time predicted by the law.
    RatedEnergy,
}

/// A roofline law on the runs of one dataset, before it is fitted.
#[derive(Debug, Clone)]
pub struct RooflineLaw {
    terms: Vec<Option<Terms>>,
    /// The response.
    pub predicts: Response,
    /// Other responses that a fit predicts.
    pub other_responses: Vec<Response>,
    /// Maximum number of inducing points of the discrepancy; `None` for no discrepancy.
    pub discrepancy: Option<usize>,
    /// Whether all accelerators share one set of parameters.
    pub pooled: bool,
    /// The column whose groups are held out for the intervals.
    pub interval_groups: String,
}

/// The default of [`RooflineLaw::interval_groups`].
pub(crate) const DEFAULT_GROUPS: &str = "config_family";

impl RooflineLaw {
    /// Counts the cost of every run; a fit refuses runs whose cost cannot be counted.
    pub fn new(data: &Dataset, catalog: &Catalog, energy: bool) -> Self {
        let terms = data
            .runs
            .iter()
            .map(|run| {
                let terms = Terms::for_job(&run.resolve(catalog).ok()?);
                Some(Terms { whole_run: run.covers == Covers::Run, ..terms })
            })
            .collect();
        Self {
            terms,
            predicts: if energy { Response::Energy } else { Response::Duration },
            other_responses: Vec::new(),
            discrepancy: Some(MAX_POINTS),
            pooled: false,
            interval_groups: DEFAULT_GROUPS.to_owned(),
        }
    }

    fn terms_of(&self, frame: &Frame) -> Result<Vec<&Terms>> {
        frame
            .origins()
            .iter()
            .map(|row| {
                self.terms.get(*row).and_then(Option::as_ref).ok_or_else(|| {
                    Error::Data(format!(
                        "the cost of run {row} (from 0) cannot be counted; columns are missing"
                    ))
                })
            })
            .collect()
    }
}

impl RooflineLaw {
    /// The rows of `train` that have a duration, with the accelerator of each.
    fn observations<'a>(
        &'a self,
        train: &'a Frame,
        hold_out: &str,
    ) -> Result<(Vec<Observation<'a>>, Vec<&'a str>)> {
        let terms = self.terms_of(train)?;
        let (durations, energies) =
            (train.number("log_duration_s")?, train.number("log_energy_kwh")?);
        let (groups, gpus) = (train.groups(hold_out)?, train.label("gpu")?);
        let mut runs = Vec::new();
        let mut names = Vec::new();
        for (i, terms) in terms.iter().enumerate().filter(|(i, _)| durations[*i].is_finite()) {
            names.push(gpus[i].as_str());
            runs.push(Observation {
                terms,
                log_duration: durations[i],
                log_energy: energies[i].is_finite().then(|| energies[i] + JOULES_PER_KWH.ln()),
                group: groups[i],
            });
        }
        Ok((runs, names))
    }

    /// Adapts `parent`: fits the accelerators of the rows of `train` with the parent's posterior as the prior, and
    /// keeps the parent's other accelerators.
    ///
    /// # Errors
    /// As [`fit_machines`](Self::fit_machines).
    pub fn adjust(&self, train: &Frame, parent: &RooflineLaws) -> Result<RooflineLaws> {
        let (runs, names) = self.observations(train, DEFAULT_GROUPS)?;
        if runs.is_empty() {
            return Err(Error::Data(
                "the roofline law needs at least one run with a duration".into(),
            ));
        }
        let kinds = distinct(&names);
        let mut machines = parent.machines.clone();
        for kind in kinds {
            let own = runs_on(kind, &runs, &names);
            let prior = parent.prior(kind);
            let machine = match &parent.transfer {
                Some(transfer)
                    if own.len() < MIN_DISCREPANCY_RUNS && transfer.spreads[0].is_some() =>
                {
                    Machine::adjusted(&own, transfer, &prior)?
                }
                _ => {
                    let discrepancy =
                        self.discrepancy.filter(|_| own.len() >= MIN_DISCREPANCY_RUNS);
                    Machine::fit(&own, &prior, discrepancy)?
                }
            };
            machines.insert(kind.to_owned(), machine);
        }
        Ok(RooflineLaws { machines, ..parent.clone() })
    }

    /// Fits every accelerator's parameters on the rows of `train` that have a duration; intervals come from holding out
    /// whole groups of the label `hold_out`, and whole accelerators for the pooled law.
    ///
    /// # Errors
    /// [`Error::Data`] where a run cannot be counted, none has a duration, or a fit does not converge.
    pub fn fit_machines(&self, train: &Frame, hold_out: &str) -> Result<RooflineLaws> {
        let (runs, names) = self.observations(train, hold_out)?;
        let kinds = distinct(&names);
        let mut together = runs.clone();
        if kinds.len() > 1 {
            // the pooled law predicts machines that are not in the table, so whole machines are held out
            for (run, name) in together.iter_mut().zip(&names) {
                run.group = kinds.binary_search(name).unwrap_or(0);
            }
        }
        dense(&mut together);
        let accelerators = kinds.len();
        let alone = accelerators == 1;
        let pooled = Machine::fit(
            &together,
            &Prior::physical(),
            self.discrepancy.filter(|_| alone || self.pooled),
        )?;
        let mut machines = BTreeMap::new();
        let by_kind: Vec<Vec<Observation<'_>>> =
            kinds.iter().map(|kind| runs_on(kind, &runs, &names)).collect();
        if let ([only], false) = (kinds.as_slice(), self.pooled) {
            machines.insert((*only).to_owned(), pooled.clone());
        } else if !self.pooled {
            let prior = Prior::centred_at(pooled.fit.logs, PRIOR_SD_SCALE);
            for (kind, own) in kinds.into_iter().zip(&by_kind) {
                machines.insert(kind.to_owned(), Machine::fit(own, &prior, self.discrepancy)?);
            }
        }
        let transfer = if machines.is_empty() {
            None
        } else {
            let own: Vec<&Fit> = machines.values().map(|m| &m.fit).collect();
            Some(Transfer::learn(&by_kind, &pooled.fit, &own, self.discrepancy)?)
        };
        Ok(RooflineLaws { accelerators, pooled, transfer, machines })
    }
}

impl Law for RooflineLaw {
    fn name(&self) -> String {
        let discrepancy = if self.discrepancy.is_some() { " with discrepancy" } else { "" };
        match self.predicts {
            Response::Energy => format!("roofline law of energy{discrepancy}"),
            Response::Duration => format!("roofline law of duration{discrepancy}"),
            Response::RatedEnergy => format!("TDP × duration by the roofline law{discrepancy}"),
        }
    }

    fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
        let column = match self.predicts {
            Response::Energy | Response::RatedEnergy => "log_energy_kwh",
            Response::Duration => "log_duration_s",
        };
        rows.number(column).map(<[f64]>::to_vec)
    }

    fn other_responses(&self) -> Vec<Box<dyn Law>> {
        let other = |response: &Response| -> Box<dyn Law> {
            Box::new(Self { predicts: *response, other_responses: Vec::new(), ..self.clone() })
        };
        self.other_responses.iter().map(other).collect()
    }

    fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
        if self.predicts == Response::Energy
            && train.number("log_energy_kwh")?.iter().all(|kwh| kwh.is_nan())
        {
            return Err(Error::Data("no run has an energy to fit a law of energy on".into()));
        }
        let laws = self.fit_machines(train, &self.interval_groups)?;
        Ok(Box::new(FittedRoofline { law: self.clone(), laws }))
    }

    fn fit_few_shot(
        &self,
        train: &Frame,
        unseen: &Frame,
        count: usize,
    ) -> Result<(Box<dyn FittedLaw>, Vec<usize>)> {
        let kinds = unseen.levels("gpu")?;
        let [kind] = kinds.as_slice() else {
            return Err(Error::Data(format!(
                "{} accelerators are held out together; few-shot runs need a single accelerator",
                kinds.len()
            )));
        };
        let parent = self.fit_machines(train, "config_family")?;
        let jobs = self.terms_of(unseen)?;
        if jobs.len() <= count {
            return Err(Error::Data(format!(
                "{kind} has {} runs; too few to fit on {count} and predict the rest",
                jobs.len()
            )));
        }
        let few_shot = choose(&parent.prior(kind), &jobs, count);
        let laws = if few_shot.is_empty() {
            parent
        } else {
            self.adjust(&unseen.select(&few_shot)?, &parent)?
        };
        Ok((Box::new(FittedRoofline { law: self.clone(), laws }), few_shot))
    }
}

/// The accelerators among the names, sorted.
fn distinct<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut kinds = names.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The runs on one accelerator, their groups numbered without gaps.
fn runs_on<'a>(kind: &str, runs: &[Observation<'a>], names: &[&str]) -> Vec<Observation<'a>> {
    let named = runs.iter().zip(names).filter(|(_, name)| **name == kind);
    let mut own: Vec<Observation<'a>> = named.map(|(run, _)| run.clone()).collect();
    dense(&mut own);
    own
}

/// Renumbers groups without gaps.
fn dense(runs: &mut [Observation<'_>]) {
    let mut seen: Vec<usize> = runs.iter().map(|r| r.group).collect();
    seen.sort_unstable();
    seen.dedup();
    for run in runs {
        run.group = seen.binary_search(&run.group).unwrap_or(0);
    }
}

struct FittedRoofline {
    law: RooflineLaw,
    laws: RooflineLaws,
}

impl FittedRoofline {
    const fn read(&self, predicts: Response) -> Reading<'_> {
        Reading { fitted: self, predicts }
    }
}

impl FittedLaw for FittedRoofline {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.read(self.law.predicts).predict(rows)
    }

    fn half_widths(&self, rows: &Frame, level: f64) -> Result<Option<Vec<f64>>> {
        self.read(self.law.predicts).half_widths(rows, level)
    }

    fn other_responses(&self) -> Vec<Box<dyn FittedLaw + '_>> {
        let read =
            |response: &Response| -> Box<dyn FittedLaw + '_> { Box::new(self.read(*response)) };
        self.law.other_responses.iter().map(read).collect()
    }
}

/// A fitted law with one selected response.
struct Reading<'a> {
    fitted: &'a FittedRoofline,
    predicts: Response,
}

impl Reading<'_> {
    fn each<T>(&self, rows: &Frame, of: impl Fn(&Machine, &Terms) -> Result<T>) -> Result<Vec<T>> {
        let FittedRoofline { law, laws } = self.fitted;
        let terms = law.terms_of(rows)?;
        let gpus = rows.label("gpu")?;
        terms.iter().zip(gpus).map(|(terms, gpu)| of(laws.machine(gpu).0, terms)).collect()
    }
}

impl FittedLaw for Reading<'_> {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.each(rows, |machine, terms| {
            let [(log_time, _), (log_energy, _)] = machine.predict(terms);
            Ok(match self.predicts {
                Response::Energy => log_energy - JOULES_PER_KWH.ln(),
                Response::Duration => log_time,
                Response::RatedEnergy => {
                    log_time + (terms.gpus * terms.tdp).ln() - JOULES_PER_KWH.ln()
                }
            })
        })
    }

    fn half_widths(&self, rows: &Frame, level: f64) -> Result<Option<Vec<f64>>> {
        let which = match self.predicts {
            Response::Duration => 0,
            Response::Energy => 1,
            // a baseline has no intervals
            Response::RatedEnergy => return Ok(None),
        };
        self.each(rows, |machine, terms| Ok(machine.half_widths(terms, level)?[which])).map(Some)
    }
}
