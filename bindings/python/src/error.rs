//! Errors of the library as Python exceptions with the same sentences.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wattlaw_cli::Failure;

create_exception!(
    wattlaw,
    Error,
    PyValueError,
    "What is wrong, where, and what would be accepted."
);
create_exception!(
    wattlaw,
    UnknownError,
    Error,
    "A name that is in no catalogue and no list of words."
);
create_exception!(wattlaw, InvalidError, Error, "A value that is not accepted.");
create_exception!(wattlaw, MissingError, Error, "A required value that is absent.");
create_exception!(
    wattlaw,
    SyntaxError,
    Error,
    "Text with a syntax error (JSON, TOML, CSV, a formula)."
);
create_exception!(wattlaw, DataError, Error, "Data that do not suffice for the request.");
create_exception!(wattlaw, FileError, Error, "A file that cannot be read or written.");

/// The exception of an error of the library.
pub fn raised(error: wattlaw::Error) -> PyErr {
    let sentence = error.to_string();
    let mut inner = error;
    while let wattlaw::Error::At { source, .. } = inner {
        inner = *source;
    }
    match inner {
        wattlaw::Error::Unknown { .. } => UnknownError::new_err(sentence),
        wattlaw::Error::Invalid { .. } => InvalidError::new_err(sentence),
        wattlaw::Error::Missing { .. } => MissingError::new_err(sentence),
        wattlaw::Error::Syntax { .. } => SyntaxError::new_err(sentence),
        wattlaw::Error::Data(_) | wattlaw::Error::At { .. } => DataError::new_err(sentence),
    }
}

/// The exception of a file that cannot be read or written.
pub fn file_error(failure: Failure) -> PyErr {
    FileError::new_err(failure.to_string())
}
