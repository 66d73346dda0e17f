//! The roofline law as an implementation of [`Law`].

use super::conditional::Workspace;
use super::discrepancy::MAX_POINTS;
use super::fitted::RooflineFit;
use super::groups::Groups;
use super::observation::Observation;
use crate::base::error::{Error, Result};
use crate::base::units::JOULES_PER_KWH;
use crate::data::dataset::Dataset;
use crate::job::catalog::Catalog;
use crate::law::{FittedLaw, Law};
use crate::stats::frame::Frame;
use crate::stats::inference::Reference;

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
    runs: Vec<Option<Observation>>,
    /// The response.
    pub predicts: Response,
    /// Other responses that a fit predicts.
    pub other_responses: Vec<Response>,
    /// Maximum number of inducing points of a discrepancy; `None` for no discrepancy.
    pub discrepancy: Option<usize>,
}

impl RooflineLaw {
    /// Counts the cost of every run; a fit refuses runs whose cost cannot be counted.
    ///
    /// The runs are one source: jobs of their chips and programs belong to it.
    pub fn new(data: &Dataset, catalog: &Catalog, energy: bool) -> Self {
        Self {
            runs: observations(data, catalog).into_iter().map(Result::ok).collect(),
            predicts: if energy { Response::Energy } else { Response::Duration },
            other_responses: Vec::new(),
            discrepancy: Some(MAX_POINTS),
        }
    }

    fn runs_of(&self, frame: &Frame) -> Result<Vec<&Observation>> {
        frame
            .origins()
            .iter()
            .map(|row| {
                self.runs.get(*row).and_then(Option::as_ref).ok_or_else(|| {
                    Error::Data(format!(
                        "the cost of run {row} (from 0) cannot be counted; columns are missing"
                    ))
                })
            })
            .collect()
    }
}

/// The name of a table as a source: that of its file, without folder and ending, so that a law does not depend on where
/// its table lay.
pub(crate) fn source_name(table: &str) -> String {
    let stem = std::path::Path::new(table).file_stem();
    stem.map_or_else(|| table.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The observations of a dataset as one source of its own, in order.
pub fn observations(data: &Dataset, catalog: &Catalog) -> Vec<Result<Observation>> {
    let source = source_name(&data.name);
    let own = |run: &crate::data::measurement::Measurement| {
        let observation = Observation::new(run, &source, catalog)?;
        let groups = Groups { source: source.clone(), ..observation.groups };
        Ok(Observation { groups, ..observation })
    };
    data.runs.iter().map(own).collect()
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
        let fit = RooflineFit::fit(&self.runs_of(train)?, self.discrepancy)?;
        Ok(Box::new(FittedRoofline { law: self.clone(), fit }))
    }

    fn fit_few_shot(
        &self,
        train: &Frame,
        unseen: &Frame,
        count: usize,
    ) -> Result<(Box<dyn FittedLaw>, Vec<usize>)> {
        let parent = RooflineFit::fit(&self.runs_of(train)?, self.discrepancy)?;
        let candidates = self.runs_of(unseen)?;
        if candidates.len() <= count {
            return Err(Error::Data(format!(
                "{} runs are held out; too few to fit on {count} and predict the rest",
                candidates.len()
            )));
        }
        let few_shot = parent.choose(&candidates, count);
        let fit = if few_shot.is_empty() {
            parent
        } else {
            let chosen: Vec<&Observation> = few_shot.iter().map(|at| candidates[*at]).collect();
            parent.updated(&chosen, FEW_SHOT, self.discrepancy)?
        };
        Ok((Box::new(FittedRoofline { law: self.clone(), fit }), few_shot))
    }
}

/// Name of the source of few-shot runs.
const FEW_SHOT: &str = "few-shot runs";

struct FittedRoofline {
    law: RooflineLaw,
    fit: RooflineFit,
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
    /// Runs of one table follow each other by group, so a law of the last group is kept.
    fn each<T>(
        &self,
        rows: &Frame,
        mut of: impl FnMut(&super::fitted::Answer<'_>, &Observation) -> T,
    ) -> Result<Vec<T>> {
        let runs = self.fitted.law.runs_of(rows)?;
        let mut answers = std::collections::BTreeMap::new();
        Ok(runs
            .into_iter()
            .map(|run| {
                // a run is asked for as a job is: its source follows from its chip and program
                let groups = Groups { source: String::new(), ..run.groups.clone() };
                let answer = answers
                    .entry(groups.clone())
                    .or_insert_with(|| self.fitted.fit.answer(&groups));
                of(answer, run)
            })
            .collect())
    }
}

impl FittedLaw for Reading<'_> {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.each(rows, |answer, run| {
            let [log_time, log_power] = answer.logs(&run.terms, run.scope);
            let gpus = run.terms.gpus;
            match self.predicts {
                Response::Energy => log_time + log_power + gpus.ln() - JOULES_PER_KWH.ln(),
                Response::Duration => log_time,
                Response::RatedEnergy => {
                    log_time + (gpus * run.terms.tdp).ln() - JOULES_PER_KWH.ln()
                }
            }
        })
    }

    fn half_widths(&self, rows: &Frame, level: f64) -> Result<Option<Vec<f64>>> {
        // a baseline has no intervals
        if self.predicts == Response::RatedEnergy {
            return Ok(None);
        }
        let quantile = Reference::Normal.half_width(level)?;
        let mut workspace = Workspace::default();
        self.each(rows, |answer, run| {
            let estimate = answer.estimate(&run.terms, run.scope, &mut workspace).estimate;
            quantile
                * match self.predicts {
                    Response::Energy | Response::RatedEnergy => estimate.energy_sd(),
                    Response::Duration => estimate.variance_time.sqrt(),
                }
        })
        .map(Some)
    }
}
