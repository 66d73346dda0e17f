//! The roofline law as something that can be judged on rows it has not seen.

use std::collections::BTreeMap;

use super::fit::Prior;
use super::machine::{Machine, Observation};
use super::terms::Terms;
use crate::catalog::Catalog;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::law::{FittedLaw, Law};
use crate::units::JOULES_PER_KWH;

/// The column by which a frame's rows find their jobs.
pub const ROW: &str = "row";

/// How much a machine may differ from what all machines together taught, in units of the physical prior.
const DOUBT: f64 = 0.5;

/// A roofline law over the runs of one dataset, before it is fitted.
#[derive(Debug, Clone)]
pub struct RooflineLaw {
    terms: Vec<Option<Terms>>,
    /// Whether energy is explained, or time.
    pub energy: bool,
    /// Whether a discrepancy is learnt.
    pub discrepancy: bool,
    /// Whether all accelerators share one set of parameters.
    pub pooled: bool,
}

impl RooflineLaw {
    /// Counts the cost of every run; runs that cannot be counted have none and are refused later by name.
    pub fn over(data: &Dataset, catalog: &Catalog, energy: bool) -> Self {
        let terms = data
            .runs
            .iter()
            .map(|run| {
                let terms = Terms::of(&run.job(catalog).ok()?);
                Some(Terms { whole_run: !run.one_step, ..terms })
            })
            .collect();
        Self { terms, energy, discrepancy: true, pooled: false }
    }

    fn terms_of(&self, frame: &Frame) -> Result<Vec<&Terms>> {
        frame
            .number(ROW)?
            .iter()
            .map(|row| {
                self.terms.get(*row as usize).and_then(Option::as_ref).ok_or_else(|| {
                    Error::Data(format!(
                        "the cost of run {row} (from 0) cannot be counted; it lacks columns"
                    ))
                })
            })
            .collect()
    }
}

impl Law for RooflineLaw {
    fn name(&self) -> String {
        let target = if self.energy { "energy" } else { "duration" };
        let discrepancy = if self.discrepancy { " with discrepancy" } else { "" };
        format!("roofline law of {target}{discrepancy}")
    }

    fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
        let column = if self.energy { "log_energy_kwh" } else { "log_duration_s" };
        rows.number(column).map(<[f64]>::to_vec)
    }

    fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
        let terms = self.terms_of(train)?;
        let (durations, energies) =
            (train.number("log_duration_s")?, train.number("log_energy_kwh")?);
        let groups = train.groups("config_family")?;
        let runs: Vec<Observation<'_>> = terms
            .iter()
            .zip(durations.iter().zip(energies))
            .zip(groups)
            .filter(|((_, (duration, _)), _)| duration.is_finite())
            .map(|((terms, (duration, kwh)), group)| Observation {
                terms,
                log_duration: *duration,
                log_energy: kwh.is_finite().then(|| kwh + JOULES_PER_KWH.ln()),
                group,
            })
            .collect();
        if self.energy && runs.iter().all(|r| r.log_energy.is_none()) {
            return Err(Error::Data("no run has an energy to fit a law of energy on".into()));
        }
        let gpus = train.label("gpu")?;
        let names: Vec<&str> = gpus
            .iter()
            .zip(durations)
            .filter(|(_, d)| d.is_finite())
            .map(|(gpu, _)| gpu.as_str())
            .collect();
        let mut kinds: Vec<&str> = names.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let pooled = Machine::fit(&runs, &Prior::physical(), self.discrepancy && kinds.len() == 1)?;
        let mut machines = BTreeMap::new();
        if !self.pooled && kinds.len() > 1 {
            let prior = Prior::taught(pooled.fit.logs, DOUBT);
            for kind in kinds {
                let mut own: Vec<Observation<'_>> = runs
                    .iter()
                    .zip(&names)
                    .filter(|(_, n)| **n == kind)
                    .map(|(r, _)| r.clone())
                    .collect();
                dense(&mut own);
                machines.insert(kind.to_owned(), Machine::fit(&own, &prior, self.discrepancy)?);
            }
        }
        Ok(Box::new(FittedRoofline { law: self.clone(), pooled, machines }))
    }
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
    pooled: Machine,
    machines: BTreeMap<String, Machine>,
}

impl FittedRoofline {
    fn each<T>(&self, rows: &Frame, of: impl Fn(&Machine, &Terms) -> Result<T>) -> Result<Vec<T>> {
        let terms = self.law.terms_of(rows)?;
        let gpus = rows.label("gpu")?;
        terms
            .iter()
            .zip(gpus)
            .map(|(terms, gpu)| of(self.machines.get(gpu).unwrap_or(&self.pooled), terms))
            .collect()
    }
}

impl FittedLaw for FittedRoofline {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.each(rows, |machine, terms| {
            let [(time, _), (energy, _)] = machine.predict(terms);
            Ok(if self.law.energy { energy - JOULES_PER_KWH.ln() } else { time })
        })
    }

    fn half_widths(&self, rows: &Frame, level: f64) -> Result<Option<Vec<f64>>> {
        let which = usize::from(self.law.energy);
        self.each(rows, |machine, terms| Ok(machine.half_widths(terms, level)?[which])).map(Some)
    }
}
