//! Energy at the wall of whole nodes, which no law is fitted on, by the built-in law and the catalogue's host power.

use std::collections::BTreeMap;

use super::figure::{Figure, Measure, Target, at_most};
use super::held_out::{Group, HeldOutEvaluation, LEVEL, Over};
use super::outcome::{Outcome, Predicted};
use super::published::{Comparison, NODE_RUN, Published};
use super::rows::SourceRow;
use crate::base::error::{Error, Result};
use crate::calibration::built_in;
use crate::predict::{Interval, predict};

/// The name of this case.
pub const NAME: &str = "node-energy";

/// The source with its runs.
pub const SOURCE: &str = "mlperf-node-power";

/// The benchmark that the figure is of; the other, BERT, ran with CUDA graphs and without padding, which no job says.
const BENCHMARK: &str = "llama-2-70b";

const FIGURES: &[(Over, Figure)] =
    &[(Over::All, at_most(Target::Energy, Measure::MeanOfMedians, 0.12, 0.06))];

/// Predicts the runs of the source, and compares those and the published runs with the figure.
///
/// # Errors
/// [`Error::Data`] where the built-in law predicts no energy of a run in its scope.
pub fn evaluate(rows: &[SourceRow], published: &[Published]) -> Result<HeldOutEvaluation> {
    let calibration = built_in()?;
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut add = |model: &str, predicted| {
        let group = groups.entry(model.to_owned()).or_insert_with(|| Group {
            counts: model == BENCHMARK,
            // the chip has runs in the law, the submitters' program has none
            seen: false,
            predicted: Vec::new(),
        });
        group.predicted.push(predicted);
    };
    for row in rows.iter().filter(|row| row.source == SOURCE) {
        let run = &row.observation;
        let prediction = predict(&row.job, &calibration, "built-in", Some(run.scope), LEVEL)?;
        let (Some(energy), Some(duration), Some(time), Some(power)) =
            (prediction.energy_j, prediction.duration_s, run.log_time, run.log_power)
        else {
            return Err(Error::Data(format!(
                "{}: the law predicts no energy or no time",
                row.source
            )));
        };
        let measured = (time + power).exp() * run.terms.gpus;
        let [base_time, _, base_energy] = row.baseline();
        let outcomes = [
            Some(outcome(&duration, time.exp(), base_time - time)),
            None,
            Some(outcome(&energy, measured, base_energy - time - power)),
        ];
        add(&row.model, Predicted { source: row.source.clone(), outcomes, log_expected: None });
    }
    for run in published.iter().filter(|run| run.run == NODE_RUN) {
        let of = |c: &Comparison, baseline: &Comparison| {
            c.interval.map(|[lower, upper]| {
                let interval = Interval { estimate: c.predicted, lower, upper };
                outcome(&interval, c.measured, baseline.error.ln_1p())
            })
        };
        let outcomes = [
            of(&run.duration_h, &run.six_nd_duration_h),
            None,
            of(&run.energy_kwh, &run.six_nd_energy_kwh),
        ];
        add(
            BENCHMARK,
            Predicted { source: super::published::NAME.to_owned(), outcomes, log_expected: None },
        );
    }
    Ok(HeldOutEvaluation::new(
        NAME,
        "8 × H100 nodes at the wall (MLPerf's Llama-2-70B LoRA): no law is fitted on them",
        groups,
        Vec::new(),
        FIGURES,
        vec!["the host's power is the catalogue's, with its source".to_owned()],
    ))
}

fn outcome(predicted: &Interval, measured: f64, baseline: f64) -> Outcome {
    Outcome {
        log_error: (predicted.estimate / measured).ln(),
        half_width: (predicted.upper / predicted.estimate).ln(),
        baseline,
    }
}
