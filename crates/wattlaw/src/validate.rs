//! Cross-validation of any law on any table.
//!
//! A [`HoldOut`] and a [`Scheme`] hold out rows; the law is fitted on the others and scored on the held-out ones. A
//! part of the training groups calibrates the width of intervals. Several laws are evaluated on the same splits, so
//! their scores are comparable.

mod hold_out;
mod interval;
mod prepared;
mod report;
pub mod suite;

pub use hold_out::{HoldOut, Scheme, Skipped};
pub use interval::{Covered, IntervalRule, LEVELS};
pub use report::{SplitScore, Validation};

use std::collections::BTreeSet;

use crate::base::error::{Error, Result};
use crate::law::Law;
use crate::stats::frame::Frame;
use crate::stats::split::Groups;
use hold_out::Draw;
use prepared::PreparedDraw;

/// The settings of a cross-validation.
///
/// ```
/// use wattlaw::stats::frame::Frame;
/// use wattlaw::law::scaling::ScalingLaw;
/// use wattlaw::validate::{HoldOut, CrossValidator};
///
/// let log_c: Vec<f64> = (0..40).map(f64::from).collect();
/// let runs = Frame::new(40)
///     .with_number("log_energy_kwh", log_c.iter().map(|c| 0.9 * c - 4.0).collect())?
///     .with_number("log_C", log_c)?
///     .with_label("config_family", (0..40).map(|i| format!("family {}", i / 2)).collect())?;
/// let law = ScalingLaw::new("log_C".parse()?, "log_energy_kwh");
/// let found = CrossValidator::new(HoldOut::from("family"), 0).validate(&law, &runs)?;
/// assert!(found.r2.median > 0.999);
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidator {
    /// What is held out together.
    pub hold_out: HoldOut,
    /// How it is held out.
    pub scheme: Scheme,
    /// Label columns whose levels must all occur in training, besides those of the laws.
    pub seen: Vec<String>,
    /// How intervals are made and evaluated; `None` for no intervals.
    pub intervals: Option<IntervalRule>,
    /// Number of few-shot runs: held-out runs that the law chooses and is fitted on before it predicts the rest.
    pub few_shot: Option<usize>,
}

impl CrossValidator {
    /// Holds out by `hold_out` in its [usual scheme](HoldOut::default_scheme), with intervals at 95
    /// %.
    pub fn new(hold_out: HoldOut, seed: u32) -> Self {
        let scheme = hold_out.default_scheme(seed);
        Self {
            hold_out,
            scheme,
            seen: Vec::new(),
            intervals: Some(IntervalRule::default()),
            few_shot: None,
        }
    }

    /// Cross-validates one law on the rows of `frame`.
    ///
    /// # Errors
    /// As [`validate_all`](Self::validate_all).
    pub fn validate(&self, law: &dyn Law, frame: &Frame) -> Result<Validation> {
        let (groups, draws, skipped) = self.draw(&[law], frame)?;
        self.validate_on(law, &[], frame, &groups, &draws, &skipped).map(|scores| scores.0)
    }

    /// Cross-validates a law, and the laws of other responses from the same fits ([`Law::other_responses`]), in their
    /// order.
    ///
    /// The others only have intervals of their own, since split-conformal intervals would need another fit.
    ///
    /// # Errors
    /// As [`validate_all`](Self::validate_all).
    pub fn validate_with_other_responses(
        &self,
        law: &dyn Law,
        frame: &Frame,
    ) -> Result<(Validation, Vec<Validation>)> {
        let others = law.other_responses();
        let (groups, draws, skipped) = self.draw(&[law], frame)?;
        self.validate_on(law, &others, frame, &groups, &draws, &skipped)
    }

    /// Cross-validates every law on the same splits of the rows of `frame`; for laws that differ by a term this is an
    /// ablation.
    ///
    /// # Errors
    /// When a column that is needed is absent, when the scheme cannot split these groups, or when a law can be fitted
    /// on none of the splits; the error then has the reason of the first.
    pub fn validate_all(&self, laws: &[&dyn Law], frame: &Frame) -> Result<Vec<Validation>> {
        let (groups, draws, skipped) = self.draw(laws, frame)?;
        let evaluate =
            |law: &&dyn Law| self.validate_on(*law, &[], frame, &groups, &draws, &skipped);
        laws.iter().map(|law| evaluate(law).map(|scores| scores.0)).collect()
    }

    fn draw(
        &self,
        laws: &[&dyn Law],
        frame: &Frame,
    ) -> Result<(Groups, Vec<PreparedDraw>, Vec<Skipped>)> {
        let named = laws.iter().flat_map(|law| law.labels(frame));
        let seen: BTreeSet<String> = named.chain(self.seen.iter().cloned()).collect();
        let seen: Vec<String> = seen.into_iter().collect();
        let groups = self.hold_out.groups(frame)?;
        let (draws, skipped) = self.scheme.draw(frame, &groups, &seen)?;
        let prepare = |draw: Draw| PreparedDraw::new(draw, frame, &groups, &seen, self.intervals);
        let draws = draws.into_iter().map(prepare).collect::<Result<_>>()?;
        Ok((groups, draws, skipped))
    }

    /// Cross-validates a law and laws of other responses from its fits: none or all of [`Law::other_responses`].
    fn validate_on(
        &self,
        law: &dyn Law,
        others: &[Box<dyn Law>],
        frame: &Frame,
        groups: &Groups,
        draws: &[PreparedDraw],
        skipped: &[Skipped],
    ) -> Result<(Validation, Vec<Validation>)> {
        let mut splits = Vec::with_capacity(draws.len());
        let mut of_others = vec![Vec::with_capacity(draws.len()); others.len()];
        let mut skipped = skipped.to_vec();
        let mut first_failure = None;
        for draw in draws {
            match draw.score(law, others, self.few_shot) {
                Ok((score, scores)) => {
                    splits.push(score);
                    of_others.iter_mut().zip(scores).for_each(|(all, score)| all.push(score));
                }
                Err(error) => {
                    skipped.push(Skipped {
                        held_out: draw.held_out().to_owned(),
                        reason: error.to_string(),
                    });
                    first_failure.get_or_insert(error);
                }
            }
        }
        if splits.is_empty() {
            return Err(first_failure.unwrap_or_else(|| no_split(&skipped)));
        }
        let level = self.intervals.map(|rule| rule.level);
        let validation = |law: &dyn Law, splits| {
            let skipped = skipped.clone();
            let (rows, groups) = (frame.rows(), groups.count());
            Validation::new(law.name(), &self.hold_out, rows, groups, level, splits, skipped)
        };
        let others =
            others.iter().zip(of_others).map(|(law, splits)| validation(law.as_ref(), splits));
        let others = others.collect();
        Ok((validation(law, splits), others))
    }
}

fn no_split(skipped: &[Skipped]) -> Error {
    let reason = skipped.first().map_or("there was none", |s| s.reason.as_str());
    Error::Data(format!("no split can be evaluated: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::FittedLaw;
    use crate::stats::score;

    /// Predicts the mean of the training rows, with its own interval if it has one.
    struct Mean {
        own_half_width: Option<f64>,
    }

    struct FittedMean(f64, Option<f64>);

    impl Law for Mean {
        fn name(&self) -> String {
            "mean".to_owned()
        }

        fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
            rows.number("y").map(<[f64]>::to_vec)
        }

        fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
            if train.rows() < 2 {
                return Err(Error::Data("two rows are needed".to_owned()));
            }
            Ok(Box::new(FittedMean(score::mean(train.number("y")?), self.own_half_width)))
        }
    }

    impl FittedLaw for FittedMean {
        fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
            Ok(vec![self.0; rows.rows()])
        }

        fn half_widths(&self, rows: &Frame, _: f64) -> Result<Option<Vec<f64>>> {
            Ok(self.1.map(|width| vec![width; rows.rows()]))
        }
    }

    /// A law whose fits also predict as [`Mean`].
    struct Twin {
        other_half_width: Option<f64>,
    }

    struct FittedTwin(FittedMean, FittedMean);

    impl Law for Twin {
        fn name(&self) -> String {
            "twin".to_owned()
        }

        fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
            LAW.response(rows)
        }

        fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
            let mean = score::mean(train.number("y")?);
            let other = FittedMean(mean, self.other_half_width);
            Ok(Box::new(FittedTwin(FittedMean(mean + 1.0, None), other)))
        }

        fn other_responses(&self) -> Vec<Box<dyn Law>> {
            vec![Box::new(Mean { own_half_width: self.other_half_width })]
        }
    }

    impl FittedLaw for FittedTwin {
        fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
            self.0.predict(rows)
        }

        fn other_responses(&self) -> Vec<Box<dyn FittedLaw + '_>> {
            vec![Box::new(FittedMean(self.1.0, self.1.1))]
        }
    }

    /// Sixty rows of twelve families on three GPUs; one family runs on `t4` alone and all else
    /// elsewhere.
    fn frame() -> Frame {
        let family = |row: usize| row % 12;
        let gpu = |row: usize| if family(row) == 5 { "t4" } else { ["a100", "v100"][row % 2] };
        Frame::new(60)
            .with_number("y", (0..60).map(|row| (row * 7 % 11) as f64).collect())
            .unwrap()
            .with_number("log_C", (0..60).map(|row| family(row) as f64).collect())
            .unwrap()
            .with_label("config_family", (0..60).map(|row| format!("f{}", family(row))).collect())
            .unwrap()
            .with_label("gpu", (0..60).map(gpu).collect())
            .unwrap()
    }

    const LAW: Mean = Mean { own_half_width: None };

    #[test]
    fn a_split_with_an_unseen_level_is_reported_or_redrawn() {
        let mut validator = CrossValidator::new("family".into(), 1);
        validator.seen = vec!["gpu".to_owned()];
        let found = validator.validate(&LAW, &frame()).unwrap();
        assert_eq!(found.splits.len() + found.skipped.len(), 20);
        assert_eq!(
            found.skipped[0].reason,
            "no training row has `t4` in column `gpu`, but test rows have"
        );
        validator.scheme = Scheme::Redrawn { n_splits: 20, test_size: 0.3, seed: 1 };
        let found = validator.validate(&LAW, &frame()).unwrap();
        assert_eq!((found.splits.len(), found.skipped.len()), (20, 0));
    }

    #[test]
    fn every_group_is_left_out_once_and_named() {
        let found = CrossValidator::new("gpu".into(), 1).validate(&LAW, &frame()).unwrap();
        let held_out: Vec<&str> = found.splits.iter().map(|s| s.held_out.as_str()).collect();
        assert_eq!(held_out, ["a100", "t4", "v100"]);
        assert_eq!(found.splits.iter().map(|s| s.n_test).sum::<usize>(), 60);
        assert_eq!(found.n_groups, 3);
    }

    #[test]
    fn a_law_without_any_fit_gives_the_reason() {
        let validator = CrossValidator::new("gpu".into(), 1);
        let two_rows = frame().select(&[0, 1]).unwrap();
        let error = validator.validate(&LAW, &two_rows).unwrap_err();
        assert_eq!(error.to_string(), "two rows are needed");
    }

    #[test]
    fn own_intervals_precede_conformal_ones() {
        let validator = CrossValidator::new(HoldOut::Row, 1);
        let own = validator.validate(&Mean { own_half_width: Some(100.0) }, &frame()).unwrap();
        assert_eq!(own.coverage.unwrap().median, 1.0);
        assert_eq!(own.half_width_factor.unwrap().median, 100.0_f64.exp());
        // 42 training rows leave 9 to calibrate: too few for 95 % without an assumption, enough for 80 %.
        for level in [0.8, 0.95] {
            let rule = IntervalRule { level, ..IntervalRule::default() };
            let validator = CrossValidator { intervals: Some(rule), ..validator.clone() };
            let conformal = validator.validate(&LAW, &frame()).unwrap();
            assert!(conformal.half_width_factor.unwrap().median.is_finite());
            assert!(conformal.coverage.unwrap().median > level - 0.1);
        }
    }

    #[test]
    fn other_responses_of_a_fit_score_as_separate_fits() {
        let validator = CrossValidator::new(HoldOut::Row, 1);
        let twin = Twin { other_half_width: Some(100.0) };
        let (own, others) = validator.validate_with_other_responses(&twin, &frame()).unwrap();
        // as written, since the slope on a constant prediction is no number and equals nothing
        let written = |v: &Validation| serde_json::to_string(v).unwrap();
        assert_eq!(written(&own), written(&validator.validate(&twin, &frame()).unwrap()));
        let alone = validator.validate(&Mean { own_half_width: Some(100.0) }, &frame()).unwrap();
        assert_eq!(others.iter().map(written).collect::<Vec<_>>(), [written(&alone)]);
        // an interval that needs another fit is left out, with a reason
        let (own, others) = validator
            .validate_with_other_responses(&Twin { other_half_width: None }, &frame())
            .unwrap();
        assert!(own.half_width_factor.is_some() && others[0].half_width_factor.is_none());
        assert!(others[0].splits[0].no_interval.as_deref().unwrap().contains("of another"));
    }

    #[test]
    fn the_mean_error_over_all_rows_weighs_splits_by_their_rows() {
        let mut found = CrossValidator::new("gpu".into(), 1).validate(&LAW, &frame()).unwrap();
        found.splits.truncate(2);
        (found.splits[0].n_test, found.splits[0].mape) = (10, 0.1);
        (found.splits[1].n_test, found.splits[1].mape) = (30, 0.3);
        approx::assert_relative_eq!(found.pooled_mape(), 0.25);
    }

    #[test]
    fn too_few_groups_for_intervals_leave_the_scores() {
        let frame = frame();
        let rows: Vec<usize> = (0..60).filter(|row| row % 12 != 5).collect();
        let found = CrossValidator::new("gpu".into(), 1)
            .validate(&LAW, &frame.select(&rows).unwrap())
            .unwrap();
        assert_eq!(found.coverage, None);
        let reason = found.splits[0].no_interval.as_deref().unwrap();
        assert!(reason.starts_with("1 group with test_size 0.2 leave none"), "{reason}");
    }

    #[test]
    fn the_same_seed_writes_the_same_report() {
        let write = |seed| {
            let found =
                CrossValidator::new("family".into(), seed).validate(&LAW, &frame()).unwrap();
            serde_json::to_string(&found).unwrap()
        };
        assert_eq!(write(4), write(4));
        assert_ne!(write(4), write(5));
    }

    #[test]
    fn folds_and_scale_shifts_are_schemes_too() {
        let frame = frame();
        let mut validator = CrossValidator::new("family".into(), 1);
        for (scheme, n) in [
            (Scheme::KFold { k: 4, seed: 0 }, 4),
            (Scheme::ScaleShift { by: "log_C".to_owned(), seed: 0 }, 2),
        ] {
            validator.scheme = scheme;
            assert_eq!(validator.validate(&LAW, &frame).unwrap().splits.len(), n);
        }
        validator.scheme = Scheme::KFold { k: 13, seed: 0 };
        let error = validator.validate(&LAW, &frame).unwrap_err().to_string();
        assert_eq!(error, "k is 13, but it must lie between 2 and the 12 groups");
        let rows = CrossValidator {
            hold_out: HoldOut::Row,
            scheme: Scheme::KFold { k: 7, seed: 0 },
            ..validator
        };
        assert_eq!(rows.validate(&LAW, &frame).unwrap().splits.len(), 7);
    }
}
