//! One split, ready for any law: its rows picked out once, and what a law scores on it.

use super::hold_out::Draw;
use super::interval::Interval;
use super::{IntervalRule, SplitScore};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::law::Law;
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

    pub(super) fn score(&self, law: &dyn Law, given: Option<usize>) -> Result<SplitScore> {
        let (fitted, test, given) = match given {
            None => (law.fit(&self.train)?, self.test.clone(), Vec::new()),
            Some(count) => {
                let (fitted, given) = law.fit_given(&self.train, &self.test, count)?;
                let rest: Vec<usize> =
                    (0..self.test.rows()).filter(|row| !given.contains(row)).collect();
                let names = self.test.label("run_id")?;
                let given = given.iter().map(|row| names[*row].clone()).collect();
                (fitted, self.test.select(&rest)?, given)
            }
        };
        let test = &test;
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
        let covered =
            self.interval.as_ref().map(|i| i.judge(law, fitted.as_ref(), test, &truth, &predicted));
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
            given,
            n_test: test.rows(),
            n_test_groups: self.test_groups,
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
