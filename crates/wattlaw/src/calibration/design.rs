//! Sensitivities of a law to candidate runs before any is measured, from which runs are chosen (`stats/optimal.rs`).

use nalgebra::{DMatrix, DVector};

use super::{Calibration, Laws, ScalingLaws};
use crate::base::error::{Error, Result};
use crate::data::dataset::ProxyColumns;
use crate::data::features::Features;
use crate::job::Job;
use crate::law::linear::Uncertainty;
use crate::law::roofline::terms::Terms;
use crate::law::roofline::{DesignJob, Groups, RooflineFit};
use crate::law::setting::Setting;
use crate::stats::design::{Encoding, Unseen, varying};
use crate::stats::formula::Formula;
use crate::stats::frame::{Frame, Row};
use crate::stats::optimal::Design;

/// Residual standard deviation of ln E under the scaling law where no calibration states it: 0.133, that of the laws
/// with measured η in the built-in `bert-2026` and `gpt-2026` (`after_run` of `calibrations/*.json`).
const RESIDUAL_SD: f64 = 0.133;

/// Prior standard deviation of the scaling law's coefficients without a calibration. Assumed: elasticities are of order
/// one, and the energy of an average run is unknown within a factor e¹⁰.
const PRIOR_SD: f64 = 10.0;

/// Ridge added to a covariance, as a share of its mean variance, so that a covariance of fewer clusters than
/// coefficients has an inverse. Assumed.
const RIDGE: f64 = 1e-9;

impl Calibration {
    /// The roofline law.
    ///
    /// # Errors
    /// [`Error::Data`] for another law; `what` completes the sentence "only a roofline law can …".
    pub fn roofline(&self, what: &str) -> Result<&RooflineFit> {
        match &self.law {
            Laws::Roofline(law) => Ok(law),
            Laws::Scaling(_) => Err(Error::Data(format!(
                "calibration {} holds a {} law; only a roofline law can {what}",
                self.name,
                self.law.kind()
            ))),
        }
    }

    /// The experimental design of `candidates` for predictions of `targets`, under the calibration's law.
    ///
    /// # Errors
    /// [`Error::Data`] for a job outside a scaling law's columns.
    pub fn design(&self, candidates: &[&Job], targets: &[&Job]) -> Result<Design> {
        match &self.law {
            Laws::Roofline(law) => Ok(roofline_design(law, candidates, targets)),
            Laws::Scaling(laws) => self.scaling_design(laws, candidates, targets),
        }
    }

    /// Uses the covariance of the law with measured η where there is one, as if it had been fitted on the planned
    /// machines; otherwise the terms of the law before the run with a wide prior on their coefficients.
    fn scaling_design(
        &self,
        laws: &ScalingLaws,
        candidates: &[&Job],
        targets: &[&Job],
    ) -> Result<Design> {
        let fitted = laws.energy.as_ref().or(laws.duration.as_ref()).ok_or_else(|| {
            Error::missing(
                "energy and duration",
                "a calibration needs a law for at least one of them",
            )
        })?;
        let after = laws.after_run.as_ref().map(|fit| &fit.predictor);
        let known = after.and_then(|law| Some((law.encoding(), law.uncertainty()?)));
        let encoding = known.map_or_else(|| fitted.law.law.encoding(), |(encoding, _)| encoding);
        let rows = |jobs: &[&Job]| {
            matrix(encoding.names().len(), jobs, |job| {
                let (features, _) = self.features(job, laws.columns);
                fitted.law.regressors(&features, encoding).map_err(|error| {
                    Error::Data(format!("calibration {} cannot predict a job: {error}", self.name))
                })
            })
        };
        let (whitening, noise) = match known {
            Some((_, uncertainty)) => {
                (whitening(uncertainty)?, uncertainty.residual_variance.sqrt())
            }
            None => (wide(encoding.names().len()), RESIDUAL_SD),
        };
        Ok(design(&whitening, rows(candidates)? / noise, rows(targets)?))
    }
}

/// The experimental design of jobs under the roofline law.
fn roofline_design(law: &RooflineFit, candidates: &[&Job], targets: &[&Job]) -> Design {
    let prepared = |jobs: &[&Job]| -> Vec<(Terms, Groups)> {
        jobs.iter().map(|job| (Terms::for_job(job), Groups::for_job(job))).collect()
    };
    let (candidates, targets) = (prepared(candidates), prepared(targets));
    law.design(&design_jobs(&candidates), &design_jobs(&targets))
}

fn design_jobs(prepared: &[(Terms, Groups)]) -> Vec<DesignJob<'_>> {
    prepared.iter().map(|(terms, groups)| DesignJob { terms, groups }).collect()
}

/// The experimental design of the study's law before the run, without a calibration: the terms of η replace η, and
/// terms that no candidate or target varies are left out.
///
/// # Errors
/// [`Error::Data`] where nothing varies.
pub fn study_design(candidates: &[&Job], targets: &[&Job]) -> Result<Design> {
    let features = |jobs: &[&Job]| -> Vec<Features> {
        jobs.iter().map(|job| Features::for_job(job, ProxyColumns::default())).collect()
    };
    let (candidates, targets) = (features(candidates), features(targets));
    // ln η is linear in the terms of the efficiency law, which are those of the energy law and the GPU count
    let formula = Setting::Pooled.efficiency_formula()?;
    let all: Vec<&Features> = candidates.iter().chain(&targets).collect();
    let frame = frame(&formula, &all)?;
    let encoding = Encoding::learn(&varying(&formula, &frame)?.0, &frame)?;
    let width = encoding.names().len();
    let rows = |rows: &[Features]| {
        matrix(width, rows, |row| {
            (0..width).map(|j| encoding.entry(j, row, Unseen::Refuse)).collect()
        })
    };
    Ok(design(&wide(width), rows(&candidates)? / RESIDUAL_SD, rows(&targets)?))
}

fn frame(formula: &Formula, rows: &[&Features]) -> Result<Frame> {
    let mut frame = Frame::new(rows.len());
    for name in formula.variables() {
        let numbers: Option<Vec<f64>> = rows.iter().map(|row| row.number(name)).collect();
        frame = match numbers {
            Some(numbers) => frame.with_number(name, numbers)?,
            None => {
                frame.with_label(name, rows.iter().filter_map(|row| row.label(name)).collect())?
            }
        };
    }
    Ok(frame)
}

/// One column of regressors for each row.
fn matrix<T>(
    width: usize,
    rows: &[T],
    regressors: impl Fn(&T) -> Result<Vec<f64>>,
) -> Result<DMatrix<f64>> {
    let mut matrix = DMatrix::zeros(width, rows.len());
    for (i, row) in rows.iter().enumerate() {
        matrix.set_column(i, &DVector::from_vec(regressors(row)?));
    }
    Ok(matrix)
}

/// A design of one response with equal costs for all candidates.
fn design(whitening: &DMatrix<f64>, candidates: DMatrix<f64>, targets: DMatrix<f64>) -> Design {
    let costs = vec![1.0; candidates.ncols()];
    Design::new(whitening, candidates, 1, targets, costs)
}

fn wide(width: usize) -> DMatrix<f64> {
    DMatrix::identity(width, width) / PRIOR_SD
}

/// The upper-triangular W with WᵀW = Σ⁻¹.
fn whitening(uncertainty: &Uncertainty) -> Result<DMatrix<f64>> {
    let rows = &uncertainty.covariance;
    let size = rows.len();
    let covariance = DMatrix::from_fn(size, size, |i, j| (rows[i][j] + rows[j][i]) / 2.0);
    let ridge = RIDGE * covariance.trace() / size as f64;
    (covariance + DMatrix::identity(size, size) * ridge)
        .cholesky()
        .and_then(|sigma| sigma.inverse().cholesky())
        .map(|inverse| inverse.l().transpose())
        .ok_or_else(|| {
            Error::Data("the calibration's covariance matrix is not positive definite".into())
        })
}
