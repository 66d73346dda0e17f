//! How far an estimate is supported by measured runs, in a word and a sentence.

use serde::Serialize;

use super::law_estimate::Support;
use super::unmeasured::Unmeasured;
use super::warnings::{FAR, plain};
use crate::base::words::words;
use crate::calibration::{Calibration, Laws, Outside};
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
        let (chip, program) = (&groups.chip, &groups.program);
        let stated = job.workload.framework.framework != Framework::Unknown;
        let mut reasons: Vec<String> = support
            .unseen
            .iter()
            .filter_map(|level| match level {
                Level::Chip => Some(format!("no run on this chip ({chip})")),
                Level::Framework if stated => Some(format!("no run under {}", groups.framework)),
                // an unstated framework has no run, and a program's framework has said it already
                Level::Framework | Level::Program | Level::Network | Level::Source => None,
            })
            .collect();
        reasons.extend(
            outside
                .iter()
                .filter(|o| o.factor > FAR)
                .map(|o| format!("{} ×{} outside the fitted runs", o.variable, plain(o.factor))),
        );
        let is_roofline = matches!(calibration.law, Laws::Roofline(_));
        let unmeasured = Unmeasured::of(job).into_iter().filter(|_| is_roofline);
        reasons.extend(unmeasured.map(|method| format!("no run with {}", method.name())));
        if !reasons.is_empty() {
            return Self { label: ConfidenceLabel::Extrapolated, text: reasons.join(", ") };
        }
        let law = match &calibration.law {
            Laws::Scaling(_) => {
                return Self {
                    label: ConfidenceLabel::Fitted,
                    text: format!("{} runs of {}", calibration.data.rows, calibration.name),
                };
            }
            Laws::Roofline(law) => law,
        };
        let runs = |of_program: bool| -> usize {
            law.cells()
                .filter(|(of, under, _)| of == chip && (!of_program || under == program))
                .map(|(.., runs)| runs)
                .sum()
        };
        let (label, mut text) = if support.nearness > NEAR {
            let under = if stated { format!(" under {program}") } else { String::new() };
            let text = format!("like some of the {} runs on this chip ({chip}){under}", runs(true));
            (ConfidenceLabel::MeasuredNear, text)
        } else if stated {
            let text = format!(
                "{} runs on this chip ({chip}), and runs under {}",
                runs(false),
                groups.framework
            );
            (ConfidenceLabel::Fitted, text)
        } else {
            let text = format!(
                "{} runs on this chip ({chip}); --framework narrows the intervals",
                runs(false)
            );
            (ConfidenceLabel::Fitted, text)
        };
        if !law.posterior.knows_power(chip) {
            text += "; no power was measured on it";
        }
        Self { label, text }
    }
}
