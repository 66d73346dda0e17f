//! The design matrix of a formula: centres, levels and columns.
//!
//! Numbers are centred on their mean in training, so that the intercept is the response of an
//! average row and interactions do not disturb main effects. Labels are coded by treatment
//! contrasts against a reference level. If the formula lacks the main effect of a contrast (`gpu:log_C` without
//! `log_C`), every level gets a column, as in R and patsy (Chambers and Hastie, *Statistical Models in S*, 1992,
//! section 2.4.1). A level within which a number does not vary gets no slope of its own: `strategy +
//! strategy:log2_gpus` has no slope for the strategy of single-GPU runs.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::stats::formula::{Formula, Term};
use crate::stats::frame::{Frame, Row};

mod learn;

use learn::{learn_centre, learn_levels};
pub use learn::{response, varying};

/// The centre of a column of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Centre {
    /// The column.
    pub name: String,
    /// Its mean over the training rows, in the column's unit.
    pub mean: f64,
}

/// The levels of a column of labels in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// The column.
    pub name: String,
    /// Its levels: the reference, then the others in sorted order.
    pub levels: Vec<String>,
}

/// Treatment of a label that did not occur in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// Refuse it.
    Refuse,
    /// Treat it as the unweighted average of the known levels, equivalent to one-hot encoding that ignores unknown
    /// values in a minimum-norm regression (scikit-learn).
    Average,
}

#[derive(Debug, Clone, PartialEq)]
enum Factor {
    Number(usize),
    Level { label: usize, level: usize },
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    factors: Vec<Factor>,
}

/// A formula with centres and levels learned from training rows; converts a row to regressors.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    formula: Formula,
    centres: Vec<Centre>,
    levels: Vec<Levels>,
    columns: Vec<Column>,
}

impl Encoding {
    /// Learns centres and levels of the formula's variables from the rows of `frame`.
    ///
    /// # Errors
    /// When there is no row, a column is unknown, a number is not finite, or a column takes only
    /// one value.
    pub fn learn(formula: &Formula, frame: &Frame) -> Result<Self> {
        if frame.is_empty() {
            return Err(Error::Data("there is no row to fit".to_owned()));
        }
        let (mut centres, mut levels) = (Vec::new(), Vec::new());
        for name in formula.variables() {
            if frame.has_label(name) {
                levels.push(learn_levels(name, frame)?);
            } else if frame.has_number(name) {
                centres.push(learn_centre(name, frame.number(name)?)?);
            } else {
                return Err(Error::unknown("column", name, frame.names()));
            }
        }
        let mut encoding = Self::new(formula.clone(), centres, levels)?;
        let learnable = encoding
            .columns
            .iter()
            .map(|column| encoding.has_slope(column, frame))
            .collect::<Result<Vec<bool>>>()?;
        let mut learnable = learnable.into_iter();
        encoding.columns.retain(|_| learnable.next().unwrap_or(true));
        Ok(encoding)
    }

    /// An encoding from its parts.
    ///
    /// # Errors
    /// When a variable of the formula has neither or both a centre and levels, fewer than two
    /// levels or a level twice, or when the formula has no column at all.
    pub fn new(formula: Formula, centres: Vec<Centre>, levels: Vec<Levels>) -> Result<Self> {
        for name in formula.variables() {
            let known = centres.iter().filter(|c| c.name == name).count()
                + levels.iter().filter(|l| l.name == name).count();
            if known != 1 {
                return Err(Error::invalid(
                    format!("`{name}`"),
                    format!("described {known} times"),
                    "a variable of the formula needs either a centre or levels",
                ));
            }
        }
        for Levels { name, levels } in &levels {
            let repeated = levels.iter().enumerate().any(|(i, l)| levels[..i].contains(l));
            if levels.len() < 2 || repeated {
                return Err(Error::invalid(
                    format!("levels of `{name}`"),
                    format!("{levels:?}"),
                    "at least two different ones are needed",
                ));
            }
        }
        if let Some(centre) = centres.iter().find(|c| !c.mean.is_finite()) {
            return Err(not_finite(&format!("mean of `{}`", centre.name), centre.mean));
        }
        let mut encoding = Self { formula, centres, levels, columns: Vec::new() };
        encoding.columns = encoding.lay_out();
        if encoding.columns.is_empty() {
            return Err(Error::Data("the formula has no term and no intercept".to_owned()));
        }
        Ok(encoding)
    }

    /// The encoding with only the columns called `names`, which must be in its order.
    ///
    /// # Errors
    /// When a name is not a column, or they are in another order.
    pub(crate) fn restricted_to(mut self, names: &[&str]) -> Result<Self> {
        let all: Vec<String> = self.names().map(str::to_owned).collect();
        self.columns.retain(|column| names.contains(&column.name.as_str()));
        if self.names().eq(names.iter().copied()) {
            return Ok(self);
        }
        Err(Error::invalid(
            "terms",
            names.join(", "),
            format!("the formula and levels give {}", all.join(", ")),
        ))
    }

    /// The formula.
    pub fn formula(&self) -> &Formula {
        &self.formula
    }

    /// The numbers among its variables, with their training means.
    pub fn centres(&self) -> &[Centre] {
        &self.centres
    }

    /// The labels among its variables, with their training levels.
    pub fn levels(&self) -> &[Levels] {
        &self.levels
    }

    /// The names of the columns: `Intercept`, `strategy[fsdp]`, `log_C`, `strategy[fsdp]:log_C`.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    /// The positions of columns that are made of numbers alone.
    pub(crate) fn numeric_columns(&self) -> Vec<usize> {
        let numeric = |c: &Column| {
            !c.factors.is_empty() && c.factors.iter().all(|f| matches!(f, Factor::Number(_)))
        };
        (0..self.columns.len()).filter(|i| numeric(&self.columns[*i])).collect()
    }

    /// The design matrix of `frame`, one row per row of `frame`, one column per name.
    ///
    /// # Errors
    /// When a column is missing, a number is not finite or a label did not occur in training;
    /// the error names the row, counted from one.
    pub fn matrix(&self, frame: &Frame) -> Result<DMatrix<f64>> {
        let mut matrix = DMatrix::zeros(frame.rows(), self.columns.len());
        for (i, row) in frame.iter().enumerate() {
            for j in 0..self.columns.len() {
                matrix[(i, j)] = self.entry(j, &row, Unseen::Refuse).map_err(|e| in_row(e, i))?;
            }
        }
        Ok(matrix)
    }

    /// The value of column `j` for a row, without allocating unless there is an error.
    ///
    /// # Errors
    /// When there is no column `j`, or the row lacks a variable of the column, has a number that
    /// is not finite, or a label that did not occur in training and `unseen` refuses it.
    pub fn entry(&self, j: usize, row: &impl Row, unseen: Unseen) -> Result<f64> {
        let column = self.columns.get(j).ok_or_else(|| {
            Error::Data(format!("column {j} does not exist; there are {}", self.columns.len()))
        })?;
        self.product(&column.factors, row, unseen)
    }

    fn product(&self, factors: &[Factor], row: &impl Row, unseen: Unseen) -> Result<f64> {
        let mut product = 1.0;
        for factor in factors {
            product *= match factor {
                Factor::Number(i) => self.centred(*i, row)?,
                Factor::Level { label, level } => self.indicator(*label, *level, row, unseen)?,
            };
        }
        Ok(product)
    }

    fn centred(&self, i: usize, row: &impl Row) -> Result<f64> {
        let Centre { name, mean } = &self.centres[i];
        match row.number(name) {
            Some(value) if value.is_finite() => Ok(value - mean),
            Some(value) => Err(not_finite(&format!("`{name}`"), value)),
            None => Err(Error::missing(format!("`{name}`"), "the law needs this number")),
        }
    }

    fn indicator(&self, i: usize, level: usize, row: &impl Row, unseen: Unseen) -> Result<f64> {
        let Levels { name, levels } = &self.levels[i];
        let Some(label) = row.label(name) else {
            return Err(Error::missing(format!("`{name}`"), "the law needs this label"));
        };
        match (levels.iter().position(|l| l == label), unseen) {
            (Some(found), _) => Ok(f64::from(u8::from(found == level))),
            (None, Unseen::Average) => Ok(1.0 / levels.len() as f64),
            (None, Unseen::Refuse) => Err(Error::Data(format!(
                "{name} `{label}` did not occur in the training rows, which had {}",
                quoted(levels)
            ))),
        }
    }

    /// False for the slope of a number that is constant within a level, if the level's main effect absorbs the
    /// constant.
    fn has_slope(&self, column: &Column, frame: &Frame) -> Result<bool> {
        let (mut labels, mut levels, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for factor in &column.factors {
            match factor {
                Factor::Number(_) => numbers.push(factor.clone()),
                Factor::Level { label, .. } => {
                    labels.push(self.levels[*label].name.as_str());
                    levels.push(factor.clone());
                }
            }
        }
        if numbers.is_empty() || levels.is_empty() || !self.formula.contains(&labels) {
            return Ok(true);
        }
        let mut values = Vec::new();
        for row in frame.iter() {
            if self.product(&levels, &row, Unseen::Refuse)? != 0.0 {
                values.push(self.product(&numbers, &row, Unseen::Refuse)?);
            }
        }
        Ok(values.is_empty() || !is_constant(&values))
    }

    /// Columns in the order of the study's tables: intercept, indicators, numbers, interactions.
    fn lay_out(&self) -> Vec<Column> {
        let mut terms: Vec<&Term> = self.formula.terms().iter().collect();
        terms.sort_by_key(|term| {
            let numeric = term.variables().iter().any(|name| self.label_position(name).is_none());
            (term.variables().len(), numeric)
        });
        let intercept = Column { name: "Intercept".to_owned(), factors: Vec::new() };
        let mut columns = Vec::new();
        columns.extend(self.formula.has_intercept().then_some(intercept));
        for term in terms {
            columns.extend(self.columns_of(term));
        }
        columns
    }

    fn columns_of(&self, term: &Term) -> Vec<Column> {
        let mut columns = vec![Column { name: String::new(), factors: Vec::new() }];
        for name in term.variables() {
            let choices: Vec<(String, Factor)> = match self.label_position(name) {
                None => {
                    let number = self.centres.iter().position(|c| c.name == *name);
                    number.map(|i| (name.clone(), Factor::Number(i))).into_iter().collect()
                }
                Some(label) => {
                    let others: Vec<&str> = term
                        .variables()
                        .iter()
                        .map(String::as_str)
                        .filter(|other| other != name)
                        .collect();
                    let contrasts = self.formula.contains(&others);
                    let levels = self.levels[label].levels.iter().enumerate();
                    levels
                        .skip(usize::from(contrasts))
                        .map(|(level, l)| (format!("{name}[{l}]"), Factor::Level { label, level }))
                        .collect()
                }
            };
            columns = columns
                .iter()
                .flat_map(|column| choices.iter().map(|(name, factor)| column.times(name, factor)))
                .collect();
        }
        columns
    }

    fn label_position(&self, name: &str) -> Option<usize> {
        self.levels.iter().position(|l| l.name == name)
    }
}

impl Column {
    fn times(&self, name: &str, factor: &Factor) -> Self {
        let separator = if self.name.is_empty() { "" } else { ":" };
        let mut factors = self.factors.clone();
        factors.push(factor.clone());
        Self { name: format!("{}{separator}{name}", self.name), factors }
    }
}

fn is_constant(values: &[f64]) -> bool {
    values.iter().all(|v| values.first() == Some(v))
}

fn not_finite(what: &str, value: f64) -> Error {
    Error::invalid(what, value, "it must be a finite number")
}

fn in_row(error: Error, i: usize) -> Error {
    match error {
        Error::Invalid { field, found, expected } => {
            Error::Invalid { field: format!("{field} in row {}", i + 1), found, expected }
        }
        other => Error::Data(format!("row {}: {other}", i + 1)),
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(4)
            .with_number("x", vec![1.0, 2.0, 3.0, 6.0])
            .unwrap()
            .with_number("z", vec![5.0; 4])
            .unwrap()
            .with_label("strategy", vec!["tp", "fsdp", "baseline", "fsdp"])
            .unwrap()
            .with_label("gpu", vec!["t4", "a100", "t4", "t4"])
            .unwrap()
    }

    fn names(formula: &str) -> Vec<String> {
        let encoding = Encoding::learn(&formula.parse().unwrap(), &frame()).unwrap();
        encoding.names().map(str::to_owned).collect()
    }

    #[test]
    fn columns_come_as_intercept_indicators_numbers_interactions() {
        assert_eq!(
            names("x + gpu:x + strategy + gpu"),
            ["Intercept", "strategy[fsdp]", "strategy[tp]", "gpu[t4]", "x", "gpu[t4]:x",]
        );
    }

    #[test]
    fn every_level_has_its_column_where_no_main_effect_carries_the_reference() {
        assert_eq!(names("gpu:x"), ["Intercept", "gpu[a100]:x", "gpu[t4]:x"]);
        assert_eq!(names("gpu - 1"), ["gpu[a100]", "gpu[t4]"]);
    }

    #[test]
    fn a_level_without_variation_has_no_slope() {
        let frame = frame().with_number("gpus", vec![2.0, 4.0, 1.0, 8.0]).unwrap();
        let frame = frame.select(&[0, 1, 2, 3, 2]).unwrap();
        let formula = "strategy + strategy:gpus".parse().unwrap();
        let encoding = Encoding::learn(&formula, &frame).unwrap();
        let expected = ["Intercept", "strategy[fsdp]", "strategy[tp]", "strategy[fsdp]:gpus"];
        assert!(encoding.names().eq(expected));
        let whole = Encoding::new(formula, encoding.centres().to_vec(), encoding.levels().to_vec());
        assert_eq!(whole.unwrap().restricted_to(&expected).unwrap(), encoding);
    }

    #[test]
    fn numbers_are_centred_and_interactions_use_centred_values() {
        let encoding = Encoding::learn(&"gpu*x".parse().unwrap(), &frame()).unwrap();
        let matrix = encoding.matrix(&frame()).unwrap();
        let expected = DMatrix::from_row_slice(
            4,
            4,
            &[
                1.0, 1.0, -2.0, -2.0, //
                1.0, 0.0, -1.0, 0.0, //
                1.0, 1.0, 0.0, 0.0, //
                1.0, 1.0, 3.0, 3.0,
            ],
        );
        assert_eq!(matrix, expected);
    }

    #[test]
    fn invalid_columns_are_refused_by_name() {
        let learn = |formula: &str, frame: &Frame| {
            Encoding::learn(&formula.parse().unwrap(), frame).unwrap_err().to_string()
        };
        let constant = "is 5 in every row, so no effect of it can be estimated; leave it out or \
                        add rows where it differs";
        assert_eq!(learn("z", &frame()), format!("column `z` {constant}"));
        let one = frame().select(&[0, 2]).unwrap();
        assert!(learn("gpu", &one).starts_with("column `gpu` is `t4` in every row"));
        assert!(learn("y", &frame()).starts_with("unknown column `y`"));
        let holed = frame().replacing_number("x", vec![1.0, f64::NAN, 3.0, 6.0]).unwrap();
        assert_eq!(learn("x", &holed), "`x` in row 2 is NaN, but it must be a finite number");
    }

    #[test]
    fn an_unseen_level_is_refused_or_averaged() {
        let encoding = Encoding::learn(&"strategy".parse().unwrap(), &frame()).unwrap();
        let other = Frame::new(1).with_label("strategy", vec!["pp"]).unwrap();
        assert_eq!(
            encoding.matrix(&other).unwrap_err().to_string(),
            "row 1: strategy `pp` did not occur in the training rows, which had `baseline`, \
             `fsdp`, `tp`"
        );
        let row = other.row(0).unwrap();
        assert_eq!(encoding.entry(1, &row, Unseen::Average).unwrap(), 1.0 / 3.0);
    }
}
