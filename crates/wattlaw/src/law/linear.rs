//! A fitted linear law, small enough to keep in a file and fast enough to evaluate per candidate.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::stats::design::{Centre, Encoding, Levels, Unseen, response};
use crate::stats::formula::Formula;
use crate::stats::frame::{Frame, Row};
use crate::stats::ols;

/// A linear predictor: estimates on the columns of an [`Encoding`].
///
/// It serialises with everything a prediction needs, and predicts the same bits when read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct LinearPredictor {
    response: String,
    encoding: Encoding,
    estimates: Vec<f64>,
    uncertainty: Option<Uncertainty>,
}

/// The uncertainty of the estimates of a [`LinearPredictor`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncertainty {
    /// The kind of covariance: `classical`, `hc0` … `hc3`, `cluster`.
    pub kind: String,
    /// The covariance of the estimates, k × k, in the order of the terms.
    pub covariance: Vec<Vec<f64>>,
    /// Σe² / (n − k) of the training rows, in the response's unit squared.
    pub residual_variance: f64,
}

/// One column of a [`LinearPredictor`] in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermEstimate {
    term: String,
    estimate: f64,
}

/// The file format of a [`LinearPredictor`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    response: String,
    formula: Formula,
    centres: Vec<Centre>,
    levels: Vec<Levels>,
    terms: Vec<TermEstimate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncertainty: Option<Uncertainty>,
}

impl LinearPredictor {
    /// Fits the estimates alone, for loops that fit many times.
    ///
    /// # Errors
    /// When a column is unknown, constant, not finite or determined by others, or there are fewer
    /// rows than columns.
    pub fn fit(formula: &Formula, response_name: &str, frame: &Frame) -> Result<Self> {
        let encoding = Encoding::learn(formula, frame)?;
        let names: Vec<String> = encoding.names().map(str::to_owned).collect();
        let y = response(frame, response_name)?;
        let estimates = ols::estimate(&encoding.matrix(frame)?, y, &names)?;
        Self::new(response_name, encoding, estimates, None)
    }

    /// A predictor from its parts.
    ///
    /// # Errors
    /// When there is not one finite estimate a column, or the covariance has another shape.
    pub fn new(
        response: &str,
        encoding: Encoding,
        estimates: Vec<f64>,
        uncertainty: Option<Uncertainty>,
    ) -> Result<Self> {
        let k = encoding.names().len();
        if estimates.len() != k || estimates.iter().any(|b| !b.is_finite()) {
            return Err(Error::invalid(
                format!("estimates for `{response}`"),
                format!("{estimates:?}"),
                format!("{k} finite numbers are needed"),
            ));
        }
        if let Some(Uncertainty { covariance, .. }) = &uncertainty
            && (covariance.len() != k || covariance.iter().any(|row| row.len() != k))
        {
            return Err(Error::invalid(
                format!("covariance for `{response}`"),
                format!("of {} rows", covariance.len()),
                format!("it must have {k} rows of {k} numbers"),
            ));
        }
        Ok(Self { response: response.to_owned(), encoding, estimates, uncertainty })
    }

    /// The predicted column; predictions have its unit.
    pub fn response(&self) -> &str {
        &self.response
    }

    /// The encoding of rows.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// One estimate a column, in the order of the encoding's names.
    pub fn estimates(&self) -> &[f64] {
        &self.estimates
    }

    /// The uncertainty of the estimates, where it was computed.
    pub fn uncertainty(&self) -> Option<&Uncertainty> {
        self.uncertainty.as_ref()
    }

    /// The estimate of the column called `term`, if there is one.
    pub fn estimate(&self, term: &str) -> Option<f64> {
        let position = self.encoding.names().position(|name| name == term)?;
        self.estimates.get(position).copied()
    }

    /// The prediction for one row, without allocating unless there is an error.
    ///
    /// # Errors
    /// When the row lacks a variable, has a number that is not finite, or a label that did not
    /// occur in training.
    pub fn predict_row(&self, row: &impl Row) -> Result<f64> {
        self.predict_row_with(row, Unseen::Refuse)
    }

    /// The prediction for one row; `unseen` says how to treat a label that did not occur in training.
    ///
    /// # Errors
    /// As for [`predict_row`](Self::predict_row), except for labels that `unseen` accepts.
    pub(crate) fn predict_row_with(&self, row: &impl Row, unseen: Unseen) -> Result<f64> {
        let mut sum = 0.0;
        for (j, estimate) in self.estimates.iter().enumerate() {
            sum += estimate * self.encoding.entry(j, row, unseen)?;
        }
        Ok(sum)
    }

    /// The predictions for all rows of a frame.
    ///
    /// # Errors
    /// As for [`predict_row`](Self::predict_row).
    pub fn predict(&self, frame: &Frame) -> Result<Vec<f64>> {
        frame.iter().map(|row| self.predict_row(&row)).collect()
    }

    /// The standard error of the prediction's mean, √(xᵀ V x), in the response's unit; `None` if no covariance was
    /// computed.
    ///
    /// # Errors
    /// As for [`predict_row`](Self::predict_row).
    pub fn mean_standard_error(&self, row: &impl Row) -> Result<Option<f64>> {
        let Some(Uncertainty { covariance, .. }) = &self.uncertainty else {
            return Ok(None);
        };
        let x = (0..self.estimates.len())
            .map(|j| self.encoding.entry(j, row, Unseen::Refuse))
            .collect::<Result<Vec<f64>>>()?;
        let product = |row: &Vec<f64>| row.iter().zip(&x).map(|(v, x)| v * x).sum::<f64>();
        let variance: f64 = covariance.iter().zip(&x).map(|(row, x)| x * product(row)).sum();
        Ok(Some(variance.max(0.0).sqrt()))
    }
}

impl From<LinearPredictor> for Stored {
    fn from(predictor: LinearPredictor) -> Self {
        let names = predictor.encoding.names();
        let terms = names
            .zip(&predictor.estimates)
            .map(|(term, estimate)| TermEstimate { term: term.to_owned(), estimate: *estimate })
            .collect();
        Self {
            terms,
            formula: predictor.encoding.formula().clone(),
            centres: predictor.encoding.centres().to_vec(),
            levels: predictor.encoding.levels().to_vec(),
            response: predictor.response,
            uncertainty: predictor.uncertainty,
        }
    }
}

impl TryFrom<Stored> for LinearPredictor {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let encoding = Encoding::new(stored.formula, stored.centres, stored.levels)?;
        let terms: Vec<&str> = stored.terms.iter().map(|t| t.term.as_str()).collect();
        let encoding = encoding.restricted_to(&terms)?;
        let estimates = stored.terms.iter().map(|t| t.estimate).collect();
        Self::new(&stored.response, encoding, estimates, stored.uncertainty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let x = vec![1.0, 2.0, 3.0, 4.5, 5.0, 7.0];
        let strategy = vec!["fsdp", "baseline", "fsdp", "baseline", "fsdp", "baseline"];
        let y = vec![1.1, 2.3, 2.9, 4.7, 5.2, 7.7];
        Frame::new(6)
            .with_number("x", x)
            .unwrap()
            .with_label("strategy", strategy)
            .unwrap()
            .with_number("y", y)
            .unwrap()
    }

    #[test]
    fn it_predicts_the_same_bits_when_read_back() {
        let fitted = LinearPredictor::fit(&"strategy*x".parse().unwrap(), "y", &frame()).unwrap();
        let json = serde_json::to_string(&fitted).unwrap();
        let read: LinearPredictor = serde_json::from_str(&json).unwrap();
        assert_eq!(read, fitted);
        assert_eq!(read.predict(&frame()).unwrap(), fitted.predict(&frame()).unwrap());
    }

    #[test]
    fn the_file_has_stable_fields() {
        let centre = Centre { name: "x".to_owned(), mean: 2.0 };
        let encoding = Encoding::new("x - 1".parse().unwrap(), vec![centre], vec![]).unwrap();
        let fitted = LinearPredictor::new("y", encoding, vec![2.0], None).unwrap();
        assert_eq!(
            serde_json::to_string(&fitted).unwrap(),
            r#"{"response":"y","formula":"x - 1","centres":[{"name":"x","mean":2.0}],"levels":[],"terms":[{"term":"x","estimate":2.0}]}"#
        );
    }

    #[test]
    fn a_file_whose_terms_disagree_with_its_formula_is_refused() {
        let text = r#"{"response":"y","formula":"x","centres":[{"name":"x","mean":2.0}],
            "levels":[],"terms":[{"term":"z","estimate":2.0}]}"#;
        let error = serde_json::from_str::<LinearPredictor>(text).unwrap_err().to_string();
        assert!(error.starts_with("terms is z, but the formula and levels give Intercept, x"));
    }

    #[test]
    fn a_row_that_lacks_a_variable_is_refused_by_name() {
        let fitted = LinearPredictor::fit(&"strategy + x".parse().unwrap(), "y", &frame()).unwrap();
        let bare = Frame::new(1).with_label("strategy", vec!["fsdp"]).unwrap();
        let error = fitted.predict(&bare).unwrap_err();
        assert_eq!(error.to_string(), "`x` is missing; the law needs this number");
    }
}
