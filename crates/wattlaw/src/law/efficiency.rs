//! The scaling law before the run: η is unknown, so it is predicted from the configuration.
//!
//! A first regression maps the configuration to ln η. The second, the scaling law, is fitted on predictions of the
//! first for held-out configuration families (cross-fitting), since predicted ln η has the same error for a new job.
//! Fitted on measured η, the law would give η too much weight (arXiv 2606.23546; Chernozhukov et al., 2018, for
//! cross-fitting).

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::law::linear::LinearPredictor;
use crate::law::scaling::{ScalingFit, ScalingLaw};
use crate::law::setting::Setting;
use crate::stats::design::{Encoding, Unseen, response, varying};
use crate::stats::formula::Formula;
use crate::stats::frame::{Frame, Row};
use crate::stats::ols;
use crate::stats::split::group_k_fold;

/// The column of ln η.
const LOG_ETA: &str = "log_eta";

/// Maximum number of folds of the cross-fitting; fewer with fewer groups.
const MAX_FOLDS: usize = 5;

/// A scaling law whose ln η comes from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeforeRunLaw {
    /// The law of energy or duration, with `log_eta` among its variables.
    pub law: ScalingLaw,
    /// The terms that predict `log_eta`; all known before the run.
    pub efficiency: Formula,
    /// The column of labels whose groups are kept together in cross-fitting.
    pub groups: String,
}

/// A fitted [`BeforeRunLaw`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeforeRunFit {
    /// Predicts `log_eta` from the configuration; absent where the law does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efficiency: Option<LinearPredictor>,
    /// Predicts the law's response from the configuration and the predicted `log_eta`.
    pub law: LinearPredictor,
    /// What was left out of either regression, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The formula, without `log_eta` if no row of the frame has a measured one, and a note on it.
///
/// # Errors
/// When the frame has no column `log_eta`.
pub fn measurable(formula: Formula, frame: &Frame) -> Result<(Formula, Option<String>)> {
    let measured = frame.number(LOG_ETA)?.iter().any(|x| x.is_finite());
    if measured || !formula.variables().contains(&LOG_ETA) {
        return Ok((formula, None));
    }
    let note = format!("`{LOG_ETA}` is left out: no run has a single-GPU baseline");
    Ok((formula.without(&[LOG_ETA]), Some(note)))
}

/// The inputs of the second regression.
struct Prepared {
    efficiency: Option<LinearPredictor>,
    law: ScalingLaw,
    frame: Frame,
    notes: Vec<String>,
}

impl BeforeRunLaw {
    /// The study's law for a setting and a response (`log_energy_kwh` or `log_duration_s`), cross-
    /// fitted over the column `config_family`.
    ///
    /// # Errors
    /// Never in practice: the formulas are the study's own.
    pub fn for_setting(setting: Setting, response: &str) -> Result<Self> {
        Ok(Self {
            law: ScalingLaw::new(setting.formula()?, response),
            efficiency: setting.efficiency_formula()?,
            groups: "config_family".to_owned(),
        })
    }

    /// A law of `response` on other terms than the setting's. η is predicted from the setting's configuration terms,
    /// and from the accelerator if it is a term of the law.
    ///
    /// # Errors
    /// Never in practice: the added terms are constants.
    pub fn from_terms(setting: Setting, formula: Formula, response: &str) -> Result<Self> {
        let terms = setting.efficiency_formula()?;
        let by_gpu = formula.variables().contains(&"gpu");
        Ok(Self {
            efficiency: if by_gpu { format!("{terms} + gpu").parse()? } else { terms },
            law: ScalingLaw::new(formula, response),
            groups: "config_family".to_owned(),
        })
    }

    /// Fits both regressions without covariances.
    ///
    /// Variables with a single value in `frame` are left out of both. `log_eta` is left out where its prediction is a
    /// combination of the law's other terms. The notes of the fit list both.
    ///
    /// # Errors
    /// When a column is unknown or not finite, there are fewer than two groups, or the law's
    /// columns determine each other.
    pub fn fit(&self, frame: &Frame) -> Result<BeforeRunFit> {
        let Prepared { efficiency, law, frame, notes } = self.prepare(frame)?;
        Ok(BeforeRunFit { efficiency, law: law.fit_estimates(&frame)?, notes })
    }

    /// Fits both regressions, the second with its whole table; `clusters` as for
    /// [`ScalingLaw::fit`]. The covariances treat the predicted `log_eta` as exact.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit) and [`ScalingLaw::fit`].
    pub fn fit_with_table(
        &self,
        frame: &Frame,
        clusters: Option<&str>,
    ) -> Result<(BeforeRunFit, ScalingFit)> {
        let Prepared { efficiency, law, frame, notes } = self.prepare(frame)?;
        let table = law.fit(&frame, clusters)?;
        Ok((BeforeRunFit { efficiency, law: table.predictor.clone(), notes }, table))
    }

    fn prepare(&self, frame: &Frame) -> Result<Prepared> {
        let (mut formula, mut notes) = varying(&self.law.formula, frame)?;
        let mut prepared = None;
        if formula.variables().contains(&LOG_ETA) {
            let (efficiency, more) = varying(&self.efficiency, frame)?;
            notes.extend(more.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
            let (predictor, aliased) = fit_efficiency(&efficiency, frame)?;
            if adds_to(&formula, &predictor, &aliased, frame)? {
                let predicted = self.cross_fitted(frame)?;
                prepared = Some((predictor, frame.clone().replacing_number(LOG_ETA, predicted)?));
            } else {
                formula = formula.without(&[LOG_ETA]);
                notes.push(format!(
                    "`{LOG_ETA}` is left out: its prediction from the configuration adds nothing to the law's other \
                     terms hold already"
                ));
            }
        }
        let law = ScalingLaw::new(formula, self.law.response.as_str());
        Ok(match prepared {
            Some((predictor, frame)) => Prepared { efficiency: Some(predictor), law, frame, notes },
            None => Prepared { efficiency: None, law, frame: frame.clone(), notes },
        })
    }

    /// `log_eta` of each row as predicted by a regression on the other folds' rows.
    fn cross_fitted(&self, frame: &Frame) -> Result<Vec<f64>> {
        let groups = frame.groups(&self.groups)?;
        let distinct = groups.iter().max().map_or(0, |largest| largest + 1);
        if distinct < 2 {
            return Err(Error::Data(format!(
                "column `{}` holds {distinct} group, but predicting {LOG_ETA} before the run needs \
                 two or more to hold some out",
                self.groups
            )));
        }
        let mut predicted = vec![f64::NAN; frame.rows()];
        for test in group_k_fold(&groups, distinct.min(MAX_FOLDS)) {
            let train: Vec<usize> =
                (0..frame.rows()).filter(|i| test.binary_search(i).is_err()).collect();
            let train = frame.select(&train)?;
            let (formula, _) = varying(&self.efficiency, &train)?;
            let (predictor, _) = fit_efficiency(&formula, &train)?;
            for i in test {
                // A fold may lack a level that its test rows have: see `Unseen::Average`.
                predicted[i] = predictor.predict_row_with(&frame.row(i)?, Unseen::Average)?;
            }
        }
        Ok(predicted)
    }
}

impl BeforeRunFit {
    /// The predicted ln η of one row; `None` where the law does not use it.
    ///
    /// # Errors
    /// As for [`LinearPredictor::predict_row`].
    pub fn predict_log_eta(&self, row: &impl Row) -> Result<Option<f64>> {
        self.efficiency.as_ref().map(|efficiency| efficiency.predict_row(row)).transpose()
    }

    /// The prediction for one row, without allocating unless there is an error; `log_eta` of the row is ignored.
    ///
    /// # Errors
    /// As for [`LinearPredictor::predict_row`].
    pub fn predict_row(&self, row: &impl Row) -> Result<f64> {
        match self.predict_log_eta(row)? {
            Some(log_eta) => self.law.predict_row(&WithLogEta { row, log_eta }),
            None => self.law.predict_row(row),
        }
    }

    /// The predictions for all rows of a frame.
    ///
    /// # Errors
    /// As for [`LinearPredictor::predict_row`].
    pub fn predict(&self, frame: &Frame) -> Result<Vec<f64>> {
        frame.iter().map(|row| self.predict_row(&row)).collect()
    }

    /// The columns of one row under an encoding, with the predicted ln η.
    ///
    /// # Errors
    /// As for [`LinearPredictor::predict_row`].
    pub fn regressors(&self, row: &impl Row, encoding: &Encoding) -> Result<Vec<f64>> {
        let columns = 0..encoding.names().len();
        match self.predict_log_eta(row)? {
            Some(log_eta) => {
                let row = WithLogEta { row, log_eta };
                columns.map(|j| encoding.entry(j, &row, Unseen::Refuse)).collect()
            }
            None => columns.map(|j| encoding.entry(j, row, Unseen::Refuse)).collect(),
        }
    }
}

/// A row with a replaced `log_eta`.
struct WithLogEta<'a, R> {
    row: &'a R,
    log_eta: f64,
}

impl<R: Row> Row for WithLogEta<'_, R> {
    fn number(&self, name: &str) -> Option<f64> {
        if name == LOG_ETA { Some(self.log_eta) } else { self.row.number(name) }
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.row.label(name)
    }
}

/// Fits ln η on the configuration, and returns the columns that others determine. Those get the coefficient zero, so
/// that a sweep in which, say, only FSDP runs use four GPUs can be fitted.
fn fit_efficiency(formula: &Formula, frame: &Frame) -> Result<(LinearPredictor, Vec<usize>)> {
    let encoding = Encoding::learn(formula, frame)?;
    let solution = ols::solve(&encoding.matrix(frame)?, response(frame, LOG_ETA)?)?;
    let predictor = LinearPredictor::new(LOG_ETA, encoding, solution.estimates, None)?;
    Ok((predictor, solution.aliased))
}

/// Whether the efficiency regression has a column outside the span of the law's columns.
fn adds_to(
    law: &Formula,
    efficiency: &LinearPredictor,
    aliased: &[usize],
    frame: &Frame,
) -> Result<bool> {
    let law = Encoding::learn(law, frame)?;
    let own = |(j, name): (usize, &str)| !aliased.contains(&j) && law.names().all(|n| n != name);
    Ok(efficiency.encoding().names().enumerate().any(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six configurations on one and two GPUs and, with FSDP, on four.
    fn frame() -> Frame {
        let (mut compute, mut memory, mut gpus, mut eta, mut energy) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut strategy, mut family) = (Vec::new(), Vec::new());
        for c in 0..6 {
            for n in [1.0, 2.0, 4.0_f64] {
                let (log_c, log_m) = (f64::from(c), f64::from(c * c % 5));
                compute.push(log_c);
                memory.push(log_m);
                gpus.push(n);
                strategy.push(if n > 1.0 { "fsdp" } else { "baseline" });
                family.push(format!("c{c}"));
                eta.push(0.02 * log_c * (n - 1.0) - 0.3 * n.ln());
                energy.push(0.5 * log_c + 0.2 * log_m + 0.1 * n);
            }
        }
        Frame::new(18)
            .with_number("log_C", compute)
            .unwrap()
            .with_number("log_M", memory)
            .unwrap()
            .with_number("gpus", gpus)
            .unwrap()
            .with_number("log_eta", eta)
            .unwrap()
            .with_number("log_energy_kwh", energy)
            .unwrap()
            .with_label("strategy", strategy)
            .unwrap()
            .with_label("config_family", family)
            .unwrap()
    }

    fn law() -> BeforeRunLaw {
        BeforeRunLaw::for_setting(Setting::Gpt, "log_energy_kwh").unwrap()
    }

    #[test]
    fn measured_efficiency_is_ignored_in_prediction() {
        let fit = law().fit(&frame()).unwrap();
        let blind = frame().replacing_number("log_eta", vec![f64::NAN; 18]).unwrap();
        assert_eq!(fit.predict(&blind).unwrap(), fit.predict(&frame()).unwrap());
    }

    #[test]
    fn it_is_read_back_and_predicts_the_same_bits() {
        let (fit, table) = law().fit_with_table(&frame(), Some("config_family")).unwrap();
        assert_eq!(table.n, 18);
        let json = serde_json::to_string(&fit).unwrap();
        let read: BeforeRunFit = serde_json::from_str(&json).unwrap();
        assert_eq!(read.predict(&frame()).unwrap(), fit.predict(&frame()).unwrap());
        let light = law().fit(&frame()).unwrap();
        assert_eq!(light.law.estimates(), fit.law.estimates());
    }

    #[test]
    fn efficiency_without_its_own_columns_is_left_out() {
        let two: Vec<usize> = (0..18).filter(|i| i % 3 < 2).collect();
        let fit = law().fit(&frame().select(&two).unwrap()).unwrap();
        assert_eq!(fit.efficiency, None);
        assert_eq!(fit.notes.len(), 1);
        assert!(fit.notes[0].starts_with("`log_eta` is left out"), "{}", fit.notes[0]);
        let single: Vec<usize> = (0..18).step_by(3).collect();
        let fit = law().fit(&frame().select(&single).unwrap()).unwrap();
        assert_eq!(fit.law.encoding().formula().to_string(), "log_C + log_M");
        assert_eq!(fit.notes.len(), 2);
    }

    #[test]
    fn one_group_cannot_be_cross_fitted() {
        let mut law = law();
        law.groups = "all".to_owned();
        let frame = frame().with_label("all", vec!["x"; 18]).unwrap();
        assert!(law.fit(&frame).unwrap_err().to_string().contains("holds 1 group"));
    }
}
