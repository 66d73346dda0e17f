//! Learns centres and levels of variables from training rows.

use super::{Centre, Levels, in_row, is_constant, not_finite};
use crate::base::error::{Error, Result};
use crate::stats::formula::Formula;
use crate::stats::frame::Frame;

/// Reference levels of strategy contrasts, if they occur.
const REFERENCE_STRATEGIES: [&str; 2] = ["baseline", "single"];

/// The formula without the variables that have a single value in `frame`, and a note on each.
///
/// # Errors
/// When a column is unknown.
pub fn varying(formula: &Formula, frame: &Frame) -> Result<(Formula, Vec<String>)> {
    let (mut constant, mut notes) = (Vec::new(), Vec::new());
    for name in formula.variables() {
        let value = if frame.has_label(name) {
            let levels = frame.levels(name)?;
            levels.first().filter(|_| levels.len() == 1).map(|l| format!("`{l}`"))
        } else if frame.has_number(name) {
            let values = frame.number(name)?;
            values.first().filter(|_| is_constant(values)).map(f64::to_string)
        } else {
            return Err(Error::unknown("column", name, frame.names()));
        };
        if let Some(value) = value {
            notes.push(format!(
                "`{name}` is {value} in every row, so the law has no term for it and predicts nothing \
                 about other values"
            ));
            constant.push(name);
        }
    }
    Ok((formula.without(&constant), notes))
}

/// The values of a response column.
///
/// # Errors
/// When there is no such column of numbers or a value is not finite; the error names the row,
/// counted from one.
pub fn response<'a>(frame: &'a Frame, name: &str) -> Result<&'a [f64]> {
    let values = frame.number(name)?;
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(in_row(not_finite(&format!("`{name}`"), values[i]), i)),
        None => Ok(values),
    }
}

pub(super) fn learn_centre(name: &str, values: &[f64]) -> Result<Centre> {
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        return Err(in_row(not_finite(&format!("`{name}`"), values[i]), i));
    }
    if is_constant(values) {
        return Err(Error::Data(format!(
            "column `{name}` is {} in every row, so no effect of it can be estimated; leave it out \
             or add rows where it differs",
            values[0]
        )));
    }
    Ok(Centre { name: name.to_owned(), mean: values.iter().sum::<f64>() / values.len() as f64 })
}

pub(super) fn learn_levels(name: &str, frame: &Frame) -> Result<Levels> {
    let mut levels: Vec<String> = frame.levels(name)?.into_iter().map(str::to_owned).collect();
    if let [only] = levels.as_slice() {
        return Err(Error::Data(format!(
            "column `{name}` is `{only}` in every row, so no effect of it can be estimated; leave \
             it out or add rows where it differs"
        )));
    }
    let reference = REFERENCE_STRATEGIES
        .iter()
        .filter(|_| name == "strategy")
        .find_map(|reference| levels.iter().position(|l| l == reference));
    if let Some(position) = reference {
        levels[..=position].rotate_right(1);
    }
    Ok(Levels { name: name.to_owned(), levels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_gpu_is_the_reference_of_strategies() {
        let strategies = vec!["ddp", "single", "tp", "fsdp"];
        let frame = Frame::new(4)
            .with_label("strategy", strategies.clone())
            .unwrap()
            .with_label("other", strategies)
            .unwrap();
        let levels = learn_levels("strategy", &frame).unwrap().levels;
        assert_eq!(levels, ["single", "ddp", "fsdp", "tp"]);
        assert_eq!(learn_levels("other", &frame).unwrap().levels[0], "ddp");
    }

    #[test]
    fn constant_variables_are_dropped_with_a_note() {
        let frame = Frame::new(2)
            .with_number("x", vec![1.0, 2.0])
            .unwrap()
            .with_number("z", vec![5.0; 2])
            .unwrap()
            .with_label("strategy", vec!["tp", "single"])
            .unwrap();
        let (formula, notes) = varying(&"strategy*z + x".parse().unwrap(), &frame).unwrap();
        assert_eq!(formula.to_string(), "strategy + x");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("`z` is 5 in every row"), "{}", notes[0]);
    }
}
