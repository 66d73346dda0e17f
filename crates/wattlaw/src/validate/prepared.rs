//! One split, ready for any law: its rows picked out once, and what a law scores on it.

use super::hold_out::Draw;
use super::interval::Interval;
use super::{IntervalRule, SplitScore};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::law::{FittedLaw, Law};
use crate::split::Groups;
use crate::stats::score;

/// A split with its rows picked out once for all laws.
pub(super) struct PreparedDraw {
    draw: Draw,
    train: Frame,
    test: Frame,
    test_groups: usize,
    interval: Option<Interval>,
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

    /// What a law scores, and what the others score that its fit answers for.
    pub(super) fn score(
        &self,
        law: &dyn Law,
        others: &[Box<dyn Law>],
    ) -> Result<(SplitScore, Vec<SplitScore>)> {
        let fitted = law.fit(&self.train)?;
        let score = self.score_of(law, fitted.as_ref(), true)?;
        let readings = others.iter().zip(fitted.also());
        let scores = readings.map(|(law, read)| self.score_of(law.as_ref(), read.as_ref(), false));
        Ok((score, scores.collect::<Result<_>>()?))
    }

    /// Scores a fit; only where it may be repeated without the calibration rows are there intervals of a law that has
    /// none of its own.
    fn score_of(&self, law: &dyn Law, fitted: &dyn FittedLaw, refit: bool) -> Result<SplitScore> {
        let truth = law.response(&self.test)?;
        let predicted = fitted.predict(&self.test)?;
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
            .map(|i| i.judge(refit.then_some(law), fitted, &self.test, &truth, &predicted));
        let (intervals, no_interval) = match covered {
            Some(Ok(covered)) => (covered, None),
            Some(Err(error)) => (Vec::new(), Some(error.to_string())),
            None => (Vec::new(), None),
        };
        let mut levels = intervals.into_iter();
        let asked = levels.next();
        Ok(SplitScore {
            held_out: self.held_out().to_owned(),
            n_train: self.train.rows(),
            n_test: self.test.rows(),
            n_test_groups: self.test_groups,
            test_rows: self.draw.split.test.clone(),
            r2: score::r2(&truth, &predicted),
            rmse: score::rmse(&truth, &predicted),
            median_ape: score::median(&relative),
            mape: score::mean(&relative),
            calibration_slope: line.slope,
            calibration_intercept: line.intercept,
            coverage: asked.map(|i| i.coverage),
            half_width_factor: asked.map(|i| i.half_width_factor),
            levels: levels.collect(),
            no_interval,
        })
    }
}
