//! What every answer rests on: the built-in law and the catalogue, read once.

use std::sync::OnceLock;

use wattlaw::base::error::Result;
use wattlaw::calibration::{Calibration, built_in};
use wattlaw::job::catalog::Catalog;

/// The built-in law and the catalogue.
#[derive(Debug)]
pub struct World {
    /// The built-in law.
    pub law: Calibration,
    /// The built-in catalogue.
    pub catalog: Catalog,
}

impl World {
    /// The one that is read at the first question.
    ///
    /// # Errors
    /// Those of a law or catalogue that cannot be read, which tests of the library rule out.
    pub fn get() -> Result<&'static Self> {
        static WORLD: OnceLock<Result<World>> = OnceLock::new();
        let read = || Ok(Self { law: built_in()?, catalog: Catalog::built_in()? });
        WORLD.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}
