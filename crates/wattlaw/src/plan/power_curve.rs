//! Time and energy of a job under different power limits.

use serde::Serialize;

use crate::base::error::Result;
use crate::base::scope::Scope;
use crate::base::units::Watts;
use crate::calibration::Calibration;
use crate::job::Job;
use crate::predict::{Interval, predict};

/// A job under one power limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerPoint {
    /// Power limit of an accelerator in watts.
    pub limit_w: f64,
    /// Time in seconds.
    pub duration_s: Interval,
    /// Energy in joules, at the scope that was asked for.
    pub energy_j: Interval,
}

/// Power limits of a curve, as shares of the TDP.
const SHARES: [f64; 13] = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// A job under power limits from four tenths of the TDP to all of it, by rising limit. Limits below the job's power at the lowest
/// clock are left out.
///
/// # Errors
/// As [`predict`], for the job under its own limit.
pub fn power_curve(
    job: &Job,
    calibration: &Calibration,
    scope: Scope,
    level: f64,
) -> Result<Vec<PowerPoint>> {
    // what is wrong with the job itself is an error; under another limit it is the limit that cannot be met
    predict(job, calibration, "", Some(scope), level)?;
    let tdp_w = job.system.tdp.value();
    let points = SHARES.into_iter().filter_map(|share| {
        let mut limited = job.clone();
        limited.system.power_limit = Watts::new(share * tdp_w);
        let found = predict(&limited, calibration, "", Some(scope), level).ok()?;
        let (duration_s, energy_j) = found.duration_s.zip(found.energy_j)?;
        Some(PowerPoint { limit_w: share * tdp_w, duration_s, energy_j })
    });
    Ok(points.collect())
}
