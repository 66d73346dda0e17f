//! How far an estimate is supported by measured runs, in a word and a sentence.

use serde::Serialize;

use super::law_estimate::Support;
use super::warnings::plain;
use crate::base::words::words;
use crate::calibration::{Calibration, LawKind, Outside};
use crate::job::Job;
use crate::job::workload::Framework;
use crate::law::roofline::{Groups, Level};

/// How far an estimate is supported by measured runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfidenceLabel {
    /// Runs near the job were measured, on its chip under its software.
    MeasuredNear,
    /// The law was fitted on runs like it.
    Fitted,
    /// The chip, the software or a variable lies outside the fitted runs.
    Extrapolated,
    /// Assumptions replace the law.
    Assumed,
}

words!(ConfidenceLabel, "confidence": MeasuredNear = "measured-near", Fitted = "fitted",
    Extrapolated = "extrapolated", Assumed = "assumed");

/// The support of an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confidence {
    /// A word that scripts can match.
    pub label: ConfidenceLabel,
    /// The reason in a sentence.
    pub text: String,
}

/// Nearness from which runs count as near: they explain more than half of what the law misses there.
const NEAR: f64 = 0.5;

/// Factor outside the fitted range from which a job counts as extrapolated.
const FAR: f64 = 2.0;

impl Confidence {
    pub(super) fn assumed() -> Self {
        Self {
            label: ConfidenceLabel::Assumed,
            text: "the law's estimate is impossible; assumptions replace it".to_owned(),
        }
    }

    pub(super) fn new(
        job: &Job,
        calibration: &Calibration,
        support: &Support,
        outside: &[Outside],
    ) -> Self {
        let groups = Groups::for_job(job);
        let stated = job.workload.framework.framework != Framework::Unknown;
        let mut reasons: Vec<String> = support
            .unseen
            .iter()
            .filter_map(|level| match level {
                Level::Chip => Some(format!("no run on {} was fitted", groups.chip)),
                Level::Framework if stated => {
                    Some(format!("no run under {} was fitted", groups.framework))
                }
                // an unstated framework has no run, and a program's framework has said it already
                Level::Framework | Level::Program | Level::Network | Level::Source => None,
            })
            .collect();
        reasons.extend(outside.iter().filter(|o| o.factor > FAR).map(|o| {
            format!("{} is outside the fitted range by a factor {}", o.variable, plain(o.factor))
        }));
        if !reasons.is_empty() {
            return Self { label: ConfidenceLabel::Extrapolated, text: reasons.join("; ") };
        }
        if calibration.law.kind() == LawKind::Scaling {
            return Self {
                label: ConfidenceLabel::Fitted,
                text: format!("{} was fitted on {} runs", calibration.name, calibration.data.rows),
            };
        }
        if support.nearness > NEAR {
            return Self {
                label: ConfidenceLabel::MeasuredNear,
                text: format!(
                    "runs near it were measured on {} under {}",
                    groups.chip, groups.program
                ),
            };
        }
        let text = if stated {
            format!(
                "runs on {} and under {} were fitted, none near it",
                groups.chip, groups.framework
            )
        } else {
            format!(
                "runs on {} were fitted; the software is not stated, and the interval covers the differences (state it with \
                 --framework)",
                groups.chip
            )
        };
        Self { label: ConfidenceLabel::Fitted, text }
    }
}
