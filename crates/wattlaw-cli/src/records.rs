//! Records of the paths on a command line: folders of records, sweeps with nested ones, globs.

use std::path::{Path, PathBuf};

use wattlaw::record::document::Record;
use wattlaw_meter::folder;

use crate::failure::{Done, Failure};
use crate::render;

/// Maximum number of paths that are said to be left out; the rest is counted.
const MAX_SAID: usize = 10;

/// Records, and what was left out.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The records, in the order of the paths.
    pub records: Vec<Record>,
    /// Paths that hold no readable record, each with the reason.
    pub left_out: Vec<String>,
}

/// Whether a path can only hold records: a folder, or a `run.json`.
pub fn is_place(path: &Path) -> bool {
    path.is_dir() || path.file_name().is_some_and(|name| name == folder::RUN)
}

/// Reads the records of paths: of a folder also those in the folders below it.
///
/// # Errors
/// A path that does not exist; where no path holds a record, why the first does not.
pub fn gather(paths: &[PathBuf]) -> Done<Gathered> {
    read(&places(paths)?)
}

/// Reads the records at their places.
///
/// # Errors
/// Where no place holds a record, why the first does not.
pub fn read(places: &[PathBuf]) -> Done<Gathered> {
    let mut gathered = Gathered::default();
    for place in places {
        match folder::read(place) {
            Ok(record) => gathered.records.push(record),
            Err(error) => gathered.left_out.push(error.to_string()),
        }
    }
    match gathered.left_out.first() {
        Some(first) if gathered.records.is_empty() => Err(Failure::Failed(first.clone())),
        _ => Ok(gathered),
    }
}

/// The places of the records of paths; a path itself where it holds none, so that reading it says why.
///
/// # Errors
/// A path that does not exist, or a folder that cannot be read.
pub fn places(paths: &[PathBuf]) -> Done<Vec<PathBuf>> {
    Ok(paths.iter().map(|path| places_of(path)).collect::<Done<Vec<_>>>()?.concat())
}

/// The places of the records of one path.
///
/// # Errors
/// As [`places`].
pub fn places_of(path: &Path) -> Done<Vec<PathBuf>> {
    if path.is_dir() {
        let found = folder::below(path).map_err(Failure::failed)?;
        return Ok(if found.is_empty() { vec![path.to_owned()] } else { found });
    }
    if !path.exists() {
        return Err(Failure::Failed(format!("{}: no such file or directory", path.display())));
    }
    Ok(vec![path.to_owned()])
}

impl Gathered {
    /// Notes what was left out.
    pub fn note_left_out(&self) {
        for reason in self.left_out.iter().take(MAX_SAID) {
            render::note("note", &format!("left out: {reason}"));
        }
        let more = self.left_out.len().saturating_sub(MAX_SAID);
        if more > 0 {
            render::note("note", &format!("left out: {more} more paths that hold no record"));
        }
    }
}
