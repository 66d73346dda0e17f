//! The traits of laws that are evaluated on held-out rows.

use crate::base::error::{Error, Result};
use crate::law::efficiency::{BeforeRunFit, BeforeRunLaw};
use crate::law::linear::LinearPredictor;
use crate::law::scaling::ScalingLaw;
use crate::stats::design::varying;
use crate::stats::formula::Formula;
use crate::stats::frame::Frame;

/// A law before it is fitted.
pub trait Law: Sync {
    /// Gives the name under which results are reported.
    fn name(&self) -> String;

    /// Gives ln of the measured response, one a row.
    ///
    /// # Errors
    /// When a column is absent.
    fn response(&self, rows: &Frame) -> Result<Vec<f64>>;

    /// Fits the law on the rows of `train`, without covariances that predictions do not need.
    ///
    /// # Errors
    /// When a column is absent or the rows do not determine the law.
    fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>>;

    /// Few-shot fit: on the rows of `train` and on `count` rows of `unseen` that the law chooses from what is known
    /// before a run; returns the fit and their positions.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit); for a law that cannot choose runs; and where `unseen` has at most `count` rows.
    fn fit_few_shot(
        &self,
        _train: &Frame,
        _unseen: &Frame,
        _count: usize,
    ) -> Result<(Box<dyn FittedLaw>, Vec<usize>)> {
        Err(Error::Data(format!("the {} cannot choose few-shot runs", self.name())))
    }

    /// Names the label columns of `rows` whose levels must occur in training.
    fn labels(&self, _rows: &Frame) -> Vec<String> {
        Vec::new()
    }

    /// Gives the laws of other responses that a fit of this law also predicts, such as time besides energy.
    fn other_responses(&self) -> Vec<Box<dyn Law>> {
        Vec::new()
    }
}

/// A fitted law.
pub trait FittedLaw {
    /// Predicts ln of the response, one a row.
    ///
    /// # Errors
    /// When a column is absent or a label was not seen in training.
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>>;

    /// Gives the half-width of the law's own interval at `level` in ln of the response, one a row;
    /// `None` where the law has no intervals of its own.
    ///
    /// # Errors
    /// When a column is absent or `level` does not lie strictly between 0 and 1.
    fn half_widths(&self, _rows: &Frame, _level: f64) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// Gives this fit as each law of [`Law::other_responses`], in their order.
    fn other_responses(&self) -> Vec<Box<dyn FittedLaw + '_>> {
        Vec::new()
    }
}

/// Predicts with measured values of the run, including η.
///
/// Its response column must hold a logarithm. Variables with a single value in the training rows are left out, since
/// holding out a group may make one constant.
impl Law for ScalingLaw {
    fn name(&self) -> String {
        format!("{} ~ {}", self.response, self.formula)
    }

    fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
        rows.number(&self.response).map(<[f64]>::to_vec)
    }

    fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
        let (formula, _) = varying(&self.formula, train)?;
        Ok(Box::new(LinearPredictor::fit(&formula, &self.response, train)?))
    }

    fn labels(&self, rows: &Frame) -> Vec<String> {
        labels_of(&self.formula, rows)
    }
}

impl FittedLaw for LinearPredictor {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.predict(rows)
    }
}

/// Predicts with the configuration alone.
impl Law for BeforeRunLaw {
    fn name(&self) -> String {
        format!("{}, log_eta ~ {}", Law::name(&self.law), self.efficiency)
    }

    fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.law.response(rows)
    }

    fn fit(&self, train: &Frame) -> Result<Box<dyn FittedLaw>> {
        Ok(Box::new(self.fit(train)?))
    }

    fn labels(&self, rows: &Frame) -> Vec<String> {
        [labels_of(&self.law.formula, rows), labels_of(&self.efficiency, rows)].concat()
    }
}

impl FittedLaw for BeforeRunFit {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        self.predict(rows)
    }
}

fn labels_of(formula: &Formula, rows: &Frame) -> Vec<String> {
    let names = formula.variables().into_iter();
    names.filter(|name| rows.has_label(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(strategy: [&str; 4]) -> Frame {
        Frame::new(4)
            .with_number("log_C", vec![1.0, 2.0, 3.0, 5.0])
            .unwrap()
            .with_number("log_energy", vec![2.0, 4.0, 6.0, 10.0])
            .unwrap()
            .with_label("strategy", strategy.to_vec())
            .unwrap()
    }

    #[test]
    fn a_label_that_is_constant_in_training_is_left_out() {
        let law = ScalingLaw::new("strategy + log_C".parse().unwrap(), "log_energy");
        let train = frame(["fsdp"; 4]);
        let law: &dyn Law = &law;
        assert_eq!(law.labels(&train), ["strategy"]);
        assert_eq!(law.name(), "log_energy ~ strategy + log_C");
        let fitted = law.fit(&train).unwrap();
        let predicted = fitted.predict(&train).unwrap();
        for (p, y) in predicted.iter().zip(law.response(&train).unwrap()) {
            approx::assert_relative_eq!(*p, y, max_relative = 1e-12);
        }
        assert_eq!(fitted.half_widths(&train, 0.95).unwrap(), None);
    }
}
