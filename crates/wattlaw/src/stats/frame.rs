//! A table of named columns of numbers and labels, and its rows.
//!
//! A fitted law predicts from a [`Row`], so a job can be predicted without building a table.

use std::collections::BTreeSet;

use crate::base::error::{Error, Result};

/// Named values of one observation.
pub trait Row {
    /// The number called `name`, if there is one.
    fn number(&self, name: &str) -> Option<f64>;
    /// The label called `name`, if there is one.
    fn label(&self, name: &str) -> Option<&str>;
}

impl<R: Row + ?Sized> Row for &R {
    fn number(&self, name: &str) -> Option<f64> {
        (**self).number(name)
    }

    fn label(&self, name: &str) -> Option<&str> {
        (**self).label(name)
    }
}

/// Columns of equal length, each of numbers or of labels.
///
/// ```
/// use wattlaw::stats::frame::Frame;
///
/// let frame = Frame::new(2)
///     .with_number("log_C", vec![30.1, 32.4])?
///     .with_label("strategy", vec!["baseline", "fsdp"])?;
/// assert_eq!(frame.number("log_C")?, [30.1, 32.4]);
/// assert_eq!(frame.label("strategy")?[1], "fsdp");
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// Position of each row in the original frame, before any selection.
    origins: Vec<usize>,
    numbers: Vec<(String, Vec<f64>)>,
    labels: Vec<(String, Vec<String>)>,
}

impl Frame {
    /// A frame of `rows` rows without columns.
    pub fn new(rows: usize) -> Self {
        Self { origins: (0..rows).collect(), ..Self::default() }
    }

    /// Adds a column of numbers.
    ///
    /// # Errors
    /// When the name is taken or the number of values is not the number of rows.
    pub fn with_number(mut self, name: impl Into<String>, values: Vec<f64>) -> Result<Self> {
        let name = self.admit(name.into(), values.len())?;
        self.numbers.push((name, values));
        Ok(self)
    }

    /// Adds a column of labels.
    ///
    /// # Errors
    /// When the name is taken or the number of values is not the number of rows.
    pub fn with_label<S: Into<String>>(
        mut self,
        name: impl Into<String>,
        values: Vec<S>,
    ) -> Result<Self> {
        let name = self.admit(name.into(), values.len())?;
        self.labels.push((name, values.into_iter().map(Into::into).collect()));
        Ok(self)
    }

    /// Replaces the values of a column of numbers.
    ///
    /// # Errors
    /// When there is no such column of numbers or the number of values is not the number of rows.
    pub(crate) fn replacing_number(mut self, name: &str, values: Vec<f64>) -> Result<Self> {
        self.number(name)?;
        self.numbers.retain(|(n, _)| n != name);
        self.with_number(name, values)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.origins.len()
    }

    /// For each row its position (from zero) in the original frame, also after [`select`](Self::select); in a dataset's
    /// frame, the position of the run.
    pub(crate) fn origins(&self) -> &[usize] {
        &self.origins
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Whether there is a column of numbers called `name`.
    pub fn has_number(&self, name: &str) -> bool {
        self.numbers.iter().any(|(n, _)| n == name)
    }

    /// Whether there is a column of labels called `name`.
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|(n, _)| n == name)
    }

    /// The column of numbers called `name`, one value a row.
    ///
    /// # Errors
    /// When there is no such column, or it holds labels.
    pub fn number(&self, name: &str) -> Result<&[f64]> {
        match self.numbers.iter().find(|(n, _)| n == name) {
            Some((_, values)) => Ok(values),
            None => Err(self.absent("column of numbers", name, self.has_label(name))),
        }
    }

    /// The column of labels called `name`, one value a row.
    ///
    /// # Errors
    /// When there is no such column, or it holds numbers.
    pub fn label(&self, name: &str) -> Result<&[String]> {
        match self.labels.iter().find(|(n, _)| n == name) {
            Some((_, values)) => Ok(values),
            None => Err(self.absent("column of labels", name, self.has_number(name))),
        }
    }

    /// The names of all columns, numbers before labels, each in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter().map(|(n, _)| n.as_str());
        self.numbers.iter().map(|(n, _)| n.as_str()).chain(labels)
    }

    /// The distinct values of a column of labels, in sorted order.
    ///
    /// # Errors
    /// When there is no such column of labels.
    pub fn levels(&self, name: &str) -> Result<Vec<&str>> {
        let distinct: BTreeSet<&str> = self.label(name)?.iter().map(String::as_str).collect();
        Ok(distinct.into_iter().collect())
    }

    /// For each row the position of its label among the column's sorted [`levels`](Self::levels).
    ///
    /// # Errors
    /// When there is no such column of labels.
    pub fn groups(&self, name: &str) -> Result<Vec<usize>> {
        let labels = self.as_labels(name)?;
        let mut levels: Vec<&String> = labels.iter().collect();
        levels.sort_unstable();
        levels.dedup();
        Ok(labels.iter().map(|label| levels.partition_point(|level| *level < label)).collect())
    }

    /// A column as labels; numbers are printed.
    ///
    /// # Errors
    /// When the column is absent.
    pub(crate) fn as_labels(&self, name: &str) -> Result<Vec<String>> {
        if self.has_number(name) {
            return Ok(self.number(name)?.iter().map(f64::to_string).collect());
        }
        self.label(name).map(<[String]>::to_vec)
    }

    /// The rows at the positions given (from zero), in that order; one may come twice.
    ///
    /// # Errors
    /// When a position is beyond the last row.
    pub fn select(&self, positions: &[usize]) -> Result<Self> {
        if let Some(beyond) = positions.iter().find(|p| **p >= self.rows()) {
            return Err(self.no_such_row(*beyond));
        }
        let numbers = self.numbers.iter();
        let labels = self.labels.iter();
        Ok(Self {
            origins: pick(&self.origins, positions),
            numbers: numbers.map(|(n, v)| (n.clone(), pick(v, positions))).collect(),
            labels: labels.map(|(n, v)| (n.clone(), pick(v, positions))).collect(),
        })
    }

    /// The row at `position`, counted from zero.
    ///
    /// # Errors
    /// When the position is beyond the last row.
    pub fn row(&self, position: usize) -> Result<FrameRow<'_>> {
        if position < self.rows() {
            Ok(FrameRow { frame: self, position })
        } else {
            Err(self.no_such_row(position))
        }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = FrameRow<'_>> {
        (0..self.rows()).map(|position| FrameRow { frame: self, position })
    }

    fn admit(&self, name: String, found: usize) -> Result<String> {
        if self.names().any(|n| n == name) {
            return Err(Error::Data(format!("column `{name}` is given twice")));
        }
        if found != self.rows() {
            return Err(Error::Data(format!(
                "column `{name}` has {found} values, but the table has {} rows",
                self.rows()
            )));
        }
        Ok(name)
    }

    fn absent(&self, what: &'static str, name: &str, is_other_kind: bool) -> Error {
        if is_other_kind {
            let other = if what.ends_with("numbers") { "labels" } else { "numbers" };
            return Error::Data(format!("`{name}` is a column of {other}, but a {what} is needed"));
        }
        let known: Vec<&str> = if what.ends_with("numbers") {
            self.numbers.iter().map(|(n, _)| n.as_str()).collect()
        } else {
            self.labels.iter().map(|(n, _)| n.as_str()).collect()
        };
        Error::unknown(what, name, known)
    }

    fn no_such_row(&self, position: usize) -> Error {
        Error::Data(format!(
            "row {} does not exist; the table has {} rows",
            position + 1,
            self.rows()
        ))
    }
}

fn pick<T: Clone>(values: &[T], positions: &[usize]) -> Vec<T> {
    positions.iter().filter_map(|p| values.get(*p)).cloned().collect()
}

/// One row of a [`Frame`].
#[derive(Debug, Clone, Copy)]
pub struct FrameRow<'a> {
    frame: &'a Frame,
    position: usize,
}

impl Row for FrameRow<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        let (_, values) = self.frame.numbers.iter().find(|(n, _)| n == name)?;
        values.get(self.position).copied()
    }

    fn label(&self, name: &str) -> Option<&str> {
        let (_, values) = self.frame.labels.iter().find(|(n, _)| n == name)?;
        values.get(self.position).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(3)
            .with_number("x", vec![1.0, 2.0, 3.0])
            .unwrap()
            .with_label("gpu", vec!["t4", "a100", "t4"])
            .unwrap()
    }

    #[test]
    fn lengths_and_names_are_checked() {
        let error = frame().with_number("y", vec![1.0]).unwrap_err();
        assert_eq!(error.to_string(), "column `y` has 1 values, but the table has 3 rows");
        let error = frame().with_number("gpu", vec![1.0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "column `gpu` is given twice");
        let error = frame().number("gpu").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`gpu` is a column of labels, but a column of numbers is needed"
        );
        let error = frame().number("z").unwrap_err();
        assert_eq!(error.to_string(), "unknown column of numbers `z`; accepted: `x`");
    }

    #[test]
    fn groups_are_dense_in_sorted_order() {
        assert_eq!(frame().groups("gpu").unwrap(), [1, 0, 1]);
        assert_eq!(frame().levels("gpu").unwrap(), ["a100", "t4"]);
    }

    #[test]
    fn selected_rows_keep_the_requested_order() {
        let picked = frame().select(&[2, 0, 2]).unwrap();
        assert_eq!(picked.number("x").unwrap(), [3.0, 1.0, 3.0]);
        assert_eq!(picked.label("gpu").unwrap(), ["t4", "t4", "t4"]);
        assert_eq!(picked.origins(), [2, 0, 2]);
        assert_eq!(picked.select(&[1]).unwrap().origins(), [0]);
        let error = frame().select(&[3]).unwrap_err();
        assert_eq!(error.to_string(), "row 4 does not exist; the table has 3 rows");
    }

    #[test]
    fn a_row_is_read_by_name() {
        let frame = frame();
        let row = frame.row(1).unwrap();
        assert_eq!(row.number("x"), Some(2.0));
        assert_eq!(row.label("gpu"), Some("a100"));
        assert_eq!(row.number("gpu"), None);
        assert!(frame.row(3).is_err());
    }

    #[test]
    fn a_column_is_replaced_by_name() {
        let frame = frame().replacing_number("x", vec![0.0; 3]).unwrap();
        assert_eq!(frame.number("x").unwrap(), [0.0; 3]);
        assert!(frame.replacing_number("gpu", vec![0.0; 3]).is_err());
    }
}
