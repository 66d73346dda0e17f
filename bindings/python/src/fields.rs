//! Fields of a job from Python's keyword arguments.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use wattlaw::base::error::Error;
use wattlaw::job::JobSpec;
use wattlaw::job::fields::fields;

use crate::error::raised;

/// The job that keyword arguments describe; each is named after its column, and `None` leaves it open.
///
/// # Errors
/// A name of no column, and those of the column's value.
pub fn job_spec(arguments: &Bound<'_, PyDict>) -> PyResult<JobSpec> {
    for name in arguments.keys() {
        let name: String = name.extract()?;
        if !fields().any(|field| field.column == name) {
            let columns = fields().map(|field| field.column);
            return Err(raised(Error::unknown("field", &name, columns)));
        }
    }
    let mut spec = JobSpec::default();
    for field in fields() {
        let Some(value) = arguments.get_item(field.column)? else { continue };
        if let Some(text) = text(field.column, &value)? {
            (field.set)(&mut spec, &text).map_err(raised)?;
        }
    }
    Ok(spec)
}

/// The text of a value, as a job file has it.
///
/// # Errors
/// A value of another type than text, number, truth, path or a list of text.
pub fn text(column: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if value.is_none() {
        return Ok(None);
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Some(truth.is_true().to_string()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return match text.to_str()? {
            "" => Err(raised(Error::invalid(
                column,
                "empty",
                "give a value, or None to leave it open",
            ))),
            text => Ok(Some(text.to_owned())),
        };
    }
    if value.cast::<PyInt>().is_ok() {
        return Ok(Some(value.str()?.to_str()?.to_owned()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(number.value().to_string()));
    }
    if value.cast::<PyList>().is_ok() || value.cast::<PyTuple>().is_ok() {
        let mut words = Vec::new();
        for word in value.try_iter()? {
            words.extend(text(column, &word?)?);
        }
        return Ok(Some(words.join(",")));
    }
    // numbers of NumPy, and paths
    for method in ["item", "__fspath__"] {
        if value.hasattr(method)? {
            let plain = value.call_method0(method)?;
            if !plain.is(value) && !plain.hasattr("item")? {
                return text(column, &plain);
            }
        }
    }
    Err(raised(Error::invalid(
        column,
        format!("of type {}", value.get_type().name()?),
        "it must be text, a number, True, False or a list of words",
    )))
}
