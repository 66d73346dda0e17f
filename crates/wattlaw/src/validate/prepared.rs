//! One split with its selected rows, and the scores of laws on it.

use super::hold_out::Draw;
use super::interval::Interval;
use super::{IntervalRule, SplitScore};
use crate::base::error::{Error, Result};
use crate::law::{FittedLaw, Law};
use crate::stats::frame::Frame;
use crate::stats::score;
use crate::stats::split::Groups;

/// A split with its rows selected once for all laws.
pub(super) struct PreparedDraw {
    draw: Draw,
    train: Frame,
    test: Frame,
    test_groups: usize,
    interval: Option<Interval>,
}

/// The evaluated test rows, and the few-shot runs of the law.
struct TestRows {
    rows: Frame,
    /// Their positions among the test rows.
    positions: Vec<usize>,
    /// Names of the few-shot runs.
    few_shot: Vec<String>,
}

impl TestRows {
    fn all(test: &Frame) -> Self {
        Self { rows: test.clone(), positions: (0..test.rows()).collect(), few_shot: Vec::new() }
    }

    fn rest(test: &Frame, few_shot: &[usize]) -> Result<Self> {
        let positions: Vec<usize> =
            (0..test.rows()).filter(|row| !few_shot.contains(row)).collect();
        let names = test.label("run_id")?;
        Ok(Self {
            rows: test.select(&positions)?,
            positions,
            few_shot: few_shot.iter().map(|row| names[*row].clone()).collect(),
        })
    }
}

impl PreparedDraw {
    pub(super) fn new(
        draw: Draw,
        frame: &Frame,
        groups: &Groups,
        seen: &[String],
        rule: Option<IntervalRule>,
    ) -> Result<Self> {
        let train = frame.select(&draw.split.train)?;
        let test = frame.select(&draw.split.test)?;
        let interval = rule
            .map(|rule| {
                Interval::draw(
                    rule,
                    draw.seed,
                    &train,
                    &test,
                    &groups.subset(&draw.split.train),
                    seen,
                )
            })
            .transpose()?;
        let test_groups = groups.subset(&draw.split.test).count();
        Ok(Self { draw, train, test, test_groups, interval })
    }

    /// What it holds out, as in [`SplitScore::held_out`].
    pub(super) fn held_out(&self) -> &str {
        &self.draw.held_out
    }

    /// Scores of a law, and of the laws of other responses from its fit; with few-shot runs, on the remaining test
    /// rows.
    pub(super) fn score(
        &self,
        law: &dyn Law,
        others: &[Box<dyn Law>],
        few_shot: Option<usize>,
    ) -> Result<(SplitScore, Vec<SplitScore>)> {
        let (fitted, tested) = match few_shot {
            None => (law.fit(&self.train)?, TestRows::all(&self.test)),
            Some(count) => {
                let (fitted, few_shot) = law.fit_few_shot(&self.train, &self.test, count)?;
                (fitted, TestRows::rest(&self.test, &few_shot)?)
            }
        };
        let score = self.score_of(law, fitted.as_ref(), &tested, true)?;
        let readings = others.iter().zip(fitted.other_responses());
        let scores =
            readings.map(|(law, read)| self.score_of(law.as_ref(), read.as_ref(), &tested, false));
        Ok((score, scores.collect::<Result<_>>()?))
    }

    /// Scores a fit. Without intervals of its own, a law gets split-conformal intervals only if `refit` allows another
    /// fit without the calibration rows.
    fn score_of(
        &self,
        law: &dyn Law,
        fitted: &dyn FittedLaw,
        tested: &TestRows,
        refit: bool,
    ) -> Result<SplitScore> {
        let test = &tested.rows;
        let truth = law.response(test)?;
        let predicted = fitted.predict(test)?;
        if let Some(row) = predicted.iter().position(|p| !p.is_finite()) {
            return Err(Error::Data(format!(
                "the law predicts {} for test row {row}",
                predicted[row]
            )));
        }
        let relative = score::absolute_percentage_errors(&truth, &predicted);
        let line = score::calibration_line(&truth, &predicted);
        let covered = self
            .interval
            .as_ref()
            .map(|i| i.evaluate(refit.then_some(law), fitted, test, &truth, &predicted));
        let (intervals, no_interval) = match covered {
            Some(Ok(covered)) => (covered, None),
            Some(Err(error)) => (Vec::new(), Some(error.to_string())),
            None => (Vec::new(), None),
        };
        let mut levels = intervals.into_iter();
        let requested = levels.next();
        Ok(SplitScore {
            held_out: self.held_out().to_owned(),
            n_train: self.train.rows(),
            few_shot_runs: tested.few_shot.clone(),
            n_test: test.rows(),
            n_test_groups: self.test_groups,
            test_rows: tested.positions.iter().map(|at| self.draw.split.test[*at]).collect(),
            r2: score::r2(&truth, &predicted),
            rmse: score::rmse(&truth, &predicted),
            median_ape: score::median(&relative),
            mape: score::mean(&relative),
            calibration_slope: line.slope,
            calibration_intercept: line.intercept,
            coverage: requested.map(|i| i.coverage),
            half_width_factor: requested.map(|i| i.half_width_factor),
            levels: levels.collect(),
            no_interval,
        })
    }
}
