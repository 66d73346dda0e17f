//! Intervals of a law on held-out rows: its own, or split-conformal ones from calibration groups.

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::law::{FittedLaw, Law};
use crate::stats::conformal::Conformal;
use crate::stats::frame::Frame;
use crate::stats::score;
use crate::stats::split::{GroupShuffleSplit, Groups, Split, unseen_level};

/// Levels whose coverage is always reported.
pub const LEVELS: [f64; 4] = [0.5, 0.8, 0.95, 0.99];

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntervalRule {
    /// Level of the intervals, between 0 and 1.
    pub level: f64,
    /// Share of the training groups used for calibration, not for the fit; at least two groups.
    pub calibration_share: f64,
    /// Ranks rows whatever their group, and uses the largest residual if there are too few for the level, as in the study.
    pub clamped: bool,
}

impl Default for IntervalRule {
    /// Level 95 %, a fifth of the training groups.
    fn default() -> Self {
        Self { level: 0.95, calibration_share: 0.2, clamped: false }
    }
}

impl IntervalRule {
    /// The share of `groups` training groups to calibrate on: that of two groups at least, since a single one gives no
    /// finite interval; as stated for the study's rule, and where fewer than two groups would be left to fit on.
    fn calibration_share_of(&self, groups: usize) -> f64 {
        if self.clamped || groups < 4 {
            return self.calibration_share;
        }
        // a split takes the next whole number of groups above the share, here two
        self.calibration_share.max(1.5 / groups as f64)
    }
}

/// The calibration rows of one split's training part, or the reason why there are none.
pub(super) struct Interval {
    rule: IntervalRule,
    parts: Result<Parts>,
}

/// The training rows of a split in two parts.
struct Parts {
    /// The rows of the fit.
    proper: Frame,
    calibration: Frame,
    /// The group of each calibration row.
    groups: Groups,
}

/// Width and coverage of intervals of one level on one split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Covered {
    /// Level of the intervals.
    pub level: f64,
    /// Share of truths inside the intervals.
    pub coverage: f64,
    /// Half-width as a factor on the prediction, the median over test rows; may be infinite.
    pub half_width_factor: f64,
}

impl Covered {
    fn at_level(level: f64, truth: &[f64], predicted: &[f64], widths: &[f64]) -> Self {
        Self {
            level,
            coverage: score::coverage(truth, predicted, widths),
            half_width_factor: score::median(widths).exp(),
        }
    }
}

impl Interval {
    /// Draws calibration groups, and redraws with the next seed if a level would be unseen, as in the study.
    pub(super) fn draw(
        rule: IntervalRule,
        seed: u32,
        train: &Frame,
        test: &Frame,
        groups: &Groups,
        seen: &[String],
    ) -> Result<Self> {
        const MAX_DRAWS: u32 = 50;
        let share = rule.calibration_share_of(groups.count());
        let mut unseen = String::new();
        for attempt in 0..MAX_DRAWS {
            let seed = seed.wrapping_add(attempt);
            let drawn = match GroupShuffleSplit::new(1, share, seed)?.split(groups) {
                Ok(drawn) => drawn,
                Err(too_few) => return Ok(Self { rule, parts: Err(too_few) }),
            };
            for split in drawn {
                match first_unseen(train, test, &split, seen)? {
                    Some(column) => unseen = column,
                    None => {
                        let parts = Parts {
                            proper: train.select(&split.train)?,
                            calibration: train.select(&split.test)?,
                            groups: groups.subset(&split.test),
                        };
                        return Ok(Self { rule, parts: Ok(parts) });
                    }
                }
            }
        }
        let reason = format!(
            "no calibration groups were found in {MAX_DRAWS} draws that leave \
             every level of `{unseen}` to fit on"
        );
        Ok(Self { rule, parts: Err(Error::Data(reason)) })
    }

    /// Evaluates the intervals of `fitted` if it has its own, or else split-conformal ones from a fit of `law` without
    /// the calibration rows, at the rule's level and then at [`LEVELS`].
    pub(super) fn evaluate(
        &self,
        law: Option<&dyn Law>,
        fitted: &dyn FittedLaw,
        test: &Frame,
        truth: &[f64],
        predicted: &[f64],
    ) -> Result<Vec<Covered>> {
        let levels = || std::iter::once(self.rule.level).chain(LEVELS);
        if fitted.half_widths(test, self.rule.level)?.is_some() {
            return levels()
                .map(|level| {
                    let widths = fitted.half_widths(test, level)?.unwrap_or_default();
                    Ok(Covered::at_level(level, truth, predicted, &widths))
                })
                .collect();
        }
        let law = law.ok_or_else(|| {
            Error::Data(
                "a law of another response from the same fit has no intervals of its own".into(),
            )
        })?;
        let Parts { proper, calibration, groups } = self.parts.as_ref().map_err(Clone::clone)?;
        let fitted = law.fit(proper)?;
        let residuals = law.response(calibration)?;
        let residuals = residuals.iter().zip(fitted.predict(calibration)?).map(|(y, p)| y - p);
        let conformal = Conformal::from_groups(groups.ids().iter().copied().zip(residuals))?;
        let predicted = fitted.predict(test)?;
        levels()
            .map(|level| {
                let half_width = if self.rule.clamped {
                    conformal.clamped_half_width(level)?
                } else {
                    conformal.half_width(level)?
                };
                Ok(Covered::at_level(level, truth, &predicted, &vec![half_width; test.rows()]))
            })
            .collect()
    }
}

/// The first column of `seen` with a level in the calibration or test rows that the other training rows lack.
fn first_unseen(
    train: &Frame,
    test: &Frame,
    split: &Split,
    seen: &[String],
) -> Result<Option<String>> {
    for column in seen {
        let labels = train.label(column)?;
        let in_test = test.label(column)?;
        let fitted = |level: &String| split.train.iter().any(|&row| labels[row] == *level);
        if unseen_level(labels, split).is_some() || !in_test.iter().all(fitted) {
            return Ok(Some(column.clone()));
        }
    }
    Ok(None)
}
