//! Fits the built-in law on the measured tables of `calibrations/sources.toml`, which are not part of the project.
//!
//! Usage: `cargo run --release -p wattlaw --example fit_built_in -- ../shared/data OUT.json`

use std::io::Error as IoError;
use std::path::{Path, PathBuf};

use wattlaw::calibration::{BUILT_IN, Calibration};
use wattlaw::data::sources::{Purpose, Sources};
use wattlaw::job::catalog::Catalog;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1).map(PathBuf::from);
    let (Some(tables), Some(out)) = (paths.next(), paths.next()) else {
        return Err("usage: fit_built_in FOLDER OUT.json".into());
    };
    let catalog = Catalog::built_in()?;
    let mut sources = Vec::new();
    for source in Sources::built_in()?.sources.iter().filter(|s| s.purpose == Purpose::Fit) {
        let table = read(&tables.join(&source.table))?;
        sources.push(source.read(&table, source.built_in_map()?, &catalog)?);
    }
    let law = Calibration::fit_sources(BUILT_IN, &sources, &catalog)?;
    std::fs::write(&out, law.to_json()?)?;
    println!("fitted {} runs of {} sources: {}", law.data.rows, sources.len(), out.display());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, IoError> {
    std::fs::read(path).map_err(|e| IoError::other(format!("{}: {e}", path.display())))
}
