//! What is left of a run, from its prediction and the steps that it has done.
//!
//! The prediction is the prior, the measured steps are the data. Of the rest of the run, let θ be the logarithm of its mean step:
//!
//! | | mean | variance |
//! |---|---|---|
//! | prior: how this run differs from the law's estimate | ln of the predicted step | τ², of the prediction's interval |
//! | data: the mean m of n measured steps | ln m | r² / n′ + δ² |
//!
//! r is the scatter of one step relative to the mean, n′ the number of independent steps among n, δ how far the rest of a run drifts from
//! its first steps. Both variances are normal and known, so that the posterior has the sum of their precisions and the mean that they weigh
//! (Gelman et al. 2013, section 2.5). What is left then takes (N − n) · exp(θ), whose own steps scatter by r² / (N − n)′.
//!
//! r² has a scaled inverse-χ² prior of ν₀ = 2 degrees of freedom at 0.05² (assumed), and the interval Student's t with
//! ν₀ + n − 1. n′ = n (1 − ρ) / (1 + ρ), with ρ the correlation of successive steps, 0 for steps that
//! differ by the rounding of their ends alone. δ is assumed: 0.02.

use super::{Interval, Prediction};
use crate::base::error::Result;
use crate::base::words::words;
use crate::stats::inference::Reference;

/// What is left of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Steps that are done.
    pub steps_done: u64,
    /// Those whose time counts: without the first, and without slow ones at the start.
    pub steps_used: u64,
    /// Their mean time in seconds.
    pub measured_step_s: f64,
    /// The predicted time of a step in seconds.
    pub predicted_step_s: Interval,
    /// The time of a step of the rest in seconds.
    pub step_s: Interval,
    /// The time that is left in seconds.
    pub remaining_s: Interval,
    /// The energy that is left in joules, at the prediction's scope; absent without measured power or predicted energy.
    pub remaining_j: Option<Interval>,
    /// On which side the measured steps leave the prediction's interval.
    pub leaves: Option<Side>,
}

/// A side of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Below the lower end.
    Below,
    /// Above the upper end.
    Above,
}

words!(Side, "side": Below = "below", Above = "above");

/// A measured mean power.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasuredPower {
    /// Mean power of everything in the prediction's scope, in watts.
    pub mean_w: f64,
    /// Standard deviation of its logarithm: the systematic error of the meter.
    pub log_sd: f64,
}

/// Systematic error of a meter that states none, as a standard deviation of the logarithm: that of NVIDIA's sensors.
pub const METER_LOG_SD: f64 = 0.05;

/// The fewest steps whose mean is worth more than the prediction's word.
const FEWEST: usize = 4;

/// A step at the start is slow from this multiple of the median on: compilation, the choice of kernels, cold caches. Assumed.
const SLOW: f64 = 1.5;

/// Prior of the scatter of a step: its degrees of freedom and its relative standard deviation. Assumed.
const PRIOR_FREEDOM: f64 = 2.0;
const PRIOR_SCATTER: f64 = 0.05;

/// Standard deviation of ln time, and of ln power, of the rest of a run about those of its first steps. Assumed.
const DRIFT_SD: f64 = 0.02;

/// The largest correlation of successive steps that is believed.
const MAX_CORRELATION: f64 = 0.95;

/// Relative scatter below which steps are equal: that of rounding their ends, whose correlation says nothing. Assumed: a clock's
/// microsecond of a step of a second.
const ROUNDING: f64 = 1e-6;

impl Outlook {
    /// What is left, from the times in seconds at which each step ended, in order, and the power while they ran. `None` with too few
    /// steps, without a predicted time, and once all steps are done.
    ///
    /// # Errors
    /// None: the level of a prediction lies between 0 and 1.
    pub fn new(
        prediction: &Prediction,
        step_ends_s: &[f64],
        power: Option<MeasuredPower>,
    ) -> Result<Option<Self>> {
        let Some(predicted) = prediction.step_s else { return Ok(None) };
        let durations: Vec<f64> = step_ends_s.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let used = without_slow_start(&durations);
        let left = prediction.steps - step_ends_s.len() as f64;
        if used.len() < FEWEST || left < 0.5 {
            return Ok(None);
        }
        let steps = Steps::new(used);
        if steps.mean <= 0.0 {
            return Ok(None);
        }
        let normal = Reference::Normal.half_width(prediction.level)?;
        let half = Reference::StudentsT { degrees: steps.freedom }.half_width(prediction.level)?;
        let prior = LogPrior::new(predicted, normal);
        let (log_step, variance) = prior.updated(
            steps.mean.ln(),
            steps.scatter / steps.independent(steps.count) + DRIFT_SD.powi(2),
        );
        let of_rest = variance + steps.scatter / steps.independent(left);
        let remaining_s = Interval::from_log(log_step + left.ln(), half * of_rest.sqrt());
        let remaining_j = power.zip(prediction.mean_power_w).map(|(measured, predicted)| {
            let drift = measured.log_sd.powi(2) + DRIFT_SD.powi(2);
            let (log_power, variance) =
                LogPrior::new(predicted, normal).updated(measured.mean_w.ln(), drift);
            let log = log_step + left.ln() + log_power;
            Interval::from_log(log, half * (of_rest + variance).sqrt())
        });
        Ok(Some(Self {
            steps_done: step_ends_s.len() as u64,
            steps_used: used.len() as u64,
            measured_step_s: steps.mean,
            predicted_step_s: predicted,
            step_s: Interval::from_log(log_step, half * variance.sqrt()),
            remaining_s,
            remaining_j,
            leaves: if steps.mean < predicted.lower {
                Some(Side::Below)
            } else if steps.mean > predicted.upper {
                Some(Side::Above)
            } else {
                None
            },
        }))
    }
}

/// A prior of a logarithm.
struct LogPrior {
    mean: f64,
    /// 1 / variance; 0 for an interval without an end.
    precision: f64,
}

impl LogPrior {
    /// The prior of an interval that is `half_width` standard deviations wide on each side.
    fn new(of: Interval, half_width: f64) -> Self {
        let sd = (of.upper / of.estimate).ln() / half_width;
        Self { mean: of.estimate.ln(), precision: if sd.is_finite() { sd.powi(-2) } else { 0.0 } }
    }

    /// Mean and variance with a measured value of this variance.
    fn updated(&self, measured: f64, variance: f64) -> (f64, f64) {
        // an interval without width is certain
        if self.precision.is_infinite() {
            return (self.mean, 0.0);
        }
        let precision = self.precision + 1.0 / variance;
        ((self.precision * self.mean + measured / variance) / precision, 1.0 / precision)
    }
}

/// The durations without slow ones at the start.
fn without_slow_start(durations: &[f64]) -> &[f64] {
    let mut sorted = durations.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return durations;
    }
    let (_, median, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
    let slow = durations.iter().take_while(|time| **time > SLOW * *median).count();
    &durations[slow..]
}

/// The measured steps.
struct Steps {
    count: f64,
    /// Seconds.
    mean: f64,
    /// Variance of a step over the square of the mean, with its prior.
    scatter: f64,
    freedom: f64,
    /// Of successive steps.
    correlation: f64,
}

impl Steps {
    fn new(durations: &[f64]) -> Self {
        let count = durations.len() as f64;
        let mean = durations.iter().sum::<f64>() / count;
        let relative = |time: &f64| time / mean - 1.0;
        let squares: f64 = durations.iter().map(|time| relative(time).powi(2)).sum();
        let products: f64 =
            durations.windows(2).map(|pair| relative(&pair[0]) * relative(&pair[1])).sum();
        let freedom = PRIOR_FREEDOM + count - 1.0;
        let scattered = squares > count * ROUNDING.powi(2);
        let correlation = if scattered { products / squares } else { 0.0 };
        Self {
            count,
            mean,
            scatter: (PRIOR_FREEDOM * PRIOR_SCATTER.powi(2) + squares) / freedom,
            freedom,
            correlation: correlation.clamp(0.0, MAX_CORRELATION),
        }
    }

    /// Independent steps among so many, at least one.
    fn independent(&self, steps: f64) -> f64 {
        (steps * (1.0 - self.correlation) / (1.0 + self.correlation)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use rand_mt::Mt;
    use statrs::function::erf::erfc_inv;

    use super::*;
    use crate::calibration::built_in;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;
    use crate::predict::predict;

    /// Steps of the run.
    const STEPS: f64 = 500.0;

    fn prediction() -> Prediction {
        let spec = JobSpec::from_toml(
            "model.name = 'gpt2-xl'
             workload = { steps = 500, seq_len = 1024, micro_batch = 4 }
             system = { gpu = 'a100-sxm4-80gb' }",
        );
        let job = spec.unwrap().resolve(&Catalog::built_in().unwrap()).unwrap();
        predict(&job, &built_in().unwrap(), "", None, 0.95).unwrap()
    }

    /// A source of normal numbers.
    struct Normal(Mt);

    impl Normal {
        fn draw(&mut self) -> f64 {
            let uniform = (f64::from(self.0.next_u32()) + 0.5) / f64::from(1_u32 << 31);
            std::f64::consts::SQRT_2 * erfc_inv(uniform)
        }
    }

    /// Ends of steps of equal durations, after a start.
    fn ends(durations: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut at = 30.0;
        std::iter::once(30.0)
            .chain(durations.into_iter().map(|time| {
                at += time;
                at
            }))
            .collect()
    }

    #[test]
    fn the_estimate_lies_between_prediction_and_steps_and_nearer_to_the_steps() {
        let prediction = prediction();
        let predicted = prediction.step_s.unwrap();
        let measured = predicted.estimate * 1.2;
        let few = Outlook::new(&prediction, &ends([measured; 4]), None).unwrap().unwrap();
        let many = Outlook::new(&prediction, &ends([measured; 100]), None).unwrap().unwrap();
        for of in [few, many] {
            assert!(of.step_s.estimate > predicted.estimate && of.step_s.estimate < measured);
            assert_eq!(of.leaves, None);
        }
        assert!((many.step_s.estimate / measured).ln().abs() < 0.01);
        let width = |of: Interval| (of.upper / of.lower).ln();
        assert!(width(many.step_s) < width(few.step_s) && width(few.step_s) < width(predicted));
        // 101 of 500 steps are done
        assert_relative_eq!(
            many.remaining_s.estimate,
            399.0 * many.step_s.estimate,
            max_relative = 1e-12
        );
    }

    /// Equal steps leave the scatter of the prior: 2 · 0.05² over 2 + 10 − 1 degrees of freedom.
    #[test]
    fn the_update_is_that_of_the_formula() {
        let prediction = prediction();
        let predicted = prediction.step_s.unwrap();
        let measured = 2.0 * predicted.estimate;
        let of = Outlook::new(&prediction, &ends([measured; 10]), None).unwrap().unwrap();
        let prior = ((predicted.upper / predicted.estimate).ln() / 1.959_963_984_540_054).powi(-2);
        let data = 1.0 / (2.0 * 0.05 * 0.05 / 11.0 / 10.0 + 0.02 * 0.02);
        let log = (prior * predicted.estimate.ln() + data * measured.ln()) / (prior + data);
        assert_relative_eq!(of.step_s.estimate, log.exp(), max_relative = 1e-12);
        // Student's t with 11 degrees of freedom
        let half = 2.200_985_160_082_949 / (prior + data).sqrt();
        assert_relative_eq!(of.step_s.upper, (log + half).exp(), max_relative = 1e-9);
    }

    /// The sums of equal durations are rounded, each to its own side.
    #[test]
    fn equal_steps_are_independent_wherever_their_ends_are_rounded() {
        let prediction = prediction();
        let expected = Steps::new(&[0.25; 10]);
        for of in 1..200 {
            let time = 0.3 + 0.001_7 * f64::from(of);
            let ends = ends([time; 10]);
            let durations: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let steps = Steps::new(&durations);
            assert!(steps.correlation.abs() < f64::EPSILON, "{time}: {}", steps.correlation);
            assert_relative_eq!(steps.scatter, expected.scatter, max_relative = 1e-12);
            assert!(Outlook::new(&prediction, &ends, None).unwrap().is_some());
        }
    }

    #[test]
    fn a_run_outside_the_interval_says_on_which_side() {
        let prediction = prediction();
        let predicted = prediction.step_s.unwrap();
        let side =
            |time: f64| Outlook::new(&prediction, &ends([time; 8]), None).unwrap().unwrap().leaves;
        assert_eq!(side(1.01 * predicted.upper), Some(Side::Above));
        assert_eq!(side(0.99 * predicted.lower), Some(Side::Below));
        assert_eq!(side(predicted.estimate), None);
    }

    #[test]
    fn slow_steps_at_the_start_do_not_count_and_later_ones_do() {
        let prediction = prediction();
        let time = prediction.step_s.unwrap().estimate;
        let used = |durations: Vec<f64>| {
            let of = Outlook::new(&prediction, &ends(durations), None).unwrap().unwrap();
            (of.steps_used, of.measured_step_s / time)
        };
        let slow_first = [vec![9.0 * time, 3.0 * time], vec![time; 8]].concat();
        assert_eq!(used(slow_first).0, 8);
        let slow_later = [vec![time; 9], vec![11.0 * time]].concat();
        let (count, mean) = used(slow_later);
        assert_eq!(count, 10);
        assert_relative_eq!(mean, 2.0, max_relative = 1e-9);
    }

    #[test]
    fn nothing_is_said_of_too_few_steps_or_a_run_that_is_done() {
        let prediction = prediction();
        let of = |count: usize| Outlook::new(&prediction, &ends(vec![1.0; count]), None).unwrap();
        assert_eq!(of(0), None);
        assert_eq!(of(3), None);
        assert!(of(4).is_some());
        assert_eq!(of(499), None);
        assert!(Outlook::new(&prediction, &[], None).unwrap().is_none());
    }

    #[test]
    fn energy_is_power_times_time() {
        let prediction = prediction();
        let watts = prediction.mean_power_w.unwrap().estimate;
        let power = Some(MeasuredPower { mean_w: watts, log_sd: 0.05 });
        let time = prediction.step_s.unwrap().estimate;
        let of = Outlook::new(&prediction, &ends([time; 20]), power).unwrap().unwrap();
        let energy = of.remaining_j.unwrap();
        assert_relative_eq!(energy.estimate, watts * of.remaining_s.estimate, max_relative = 1e-9);
        assert!((energy.upper / energy.lower) > (of.remaining_s.upper / of.remaining_s.lower));
    }

    /// Runs are drawn as the model says: a run's own factor from the prediction's interval, a drift, and correlated steps. The time that
    /// is left lies in the interval in 95 % of them, within the error of 2,000 draws and what Student's t adds for few steps.
    #[test]
    fn what_is_left_lies_in_the_interval_as_often_as_it_says() {
        let prediction = prediction();
        let predicted = prediction.step_s.unwrap();
        let sd = (predicted.upper / predicted.estimate).ln() / 1.96;
        let mut normal = Normal(Mt::new(7));
        for (first, scatter, correlation) in
            [(6, 0.05, 0.0), (30, 0.03, 0.0), (200, 0.15, 0.0), (200, 0.1, 0.5)]
        {
            let draws = 2000;
            let mut within = 0;
            for _ in 0..draws {
                let step = predicted.estimate * (sd * normal.draw()).exp();
                let drift = (0.02 * normal.draw()).exp();
                let mut noise = 0.0;
                let mut time = |at: usize| {
                    let fresh: f64 = (1.0_f64 - correlation * correlation).sqrt();
                    noise = correlation * noise + fresh * normal.draw();
                    let drift = if at < first { 1.0 } else { drift };
                    step * drift * (1.0 + scatter * noise)
                };
                let durations: Vec<f64> = (0..STEPS as usize - 1).map(&mut time).collect();
                let of = Outlook::new(&prediction, &ends(durations[..first].to_vec()), None);
                let left = of.unwrap().unwrap().remaining_s;
                let rest: f64 = durations[first..].iter().sum();
                within += usize::from((left.lower..=left.upper).contains(&rest));
            }
            let share = within as f64 / draws as f64;
            assert!((0.935..=0.985).contains(&share), "{first} {scatter} {correlation}: {share}");
        }
    }
}
