//! Any table with one run per row, read through a column map.

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::Measured;
use super::number::MAX_VALUE;
use super::table::{Row, Table};
use super::{Options, Reader, no_data, stem};
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::units::Joules;
use wattlaw::data::dataset::ColumnMap;

/// Columns of a map that a measurement uses.
const READ: [&str; 8] =
    ["run_id", "energy_j", "energy_kwh", "duration_s", "gpu", "gpus", "scope", "meter"];

/// Reads tables through a column map.
pub(super) struct Columns {
    map: ColumnMap,
    measured: Vec<Measured>,
}

impl Columns {
    pub(super) fn new(options: Options) -> Self {
        Self { map: options.map.unwrap_or_default(), measured: Vec::new() }
    }

    /// Position of a column, under the map's name or its own.
    fn column(&self, table: &Table<'_>, name: &str, file: &str) -> Result<Option<usize>> {
        match self.map.columns.get(name) {
            None => Ok(table.column(name)),
            Some(theirs) => match table.column(theirs) {
                Some(at) => Ok(Some(at)),
                None => {
                    let known = table.header().iter().map(String::as_str);
                    Err(Error::unknown("column", theirs, known).at(Location::line(file, 1)))
                }
            },
        }
    }

    /// A constant of the map for all rows.
    fn constant(&self, name: &str) -> Option<String> {
        let value = self.map.constants.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

impl Reader for Columns {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let at = |name: &str| self.column(&table, name, file);
        let (energy_j, energy_kwh) = (at("energy_j")?, at("energy_kwh")?);
        let (duration, gpus) = (at("duration_s")?, at("gpus")?);
        let (run_id, gpu, scope, meter) = (at("run_id")?, at("gpu")?, at("scope")?, at("meter")?);
        if energy_j.or(energy_kwh).is_none() {
            return Err(Error::missing(
                "column `energy_j`",
                "map it or energy_kwh to a column of the table with --map",
            )
            .at(Location::line(file, 1)));
        }
        let named = self.map.columns.keys().chain(self.map.constants.keys());
        let unread: Vec<&str> = named.map(String::as_str).filter(|n| !READ.contains(n)).collect();
        if !unread.is_empty() {
            let text = format!(
                "the map's {} is not part of a measurement and was ignored",
                unread.join(", ")
            );
            findings.add(DataIssue::Skipped, file, None, text);
        }
        let mut found = Vec::new();
        while let Some(row) = table.next()? {
            let text = |column: Option<usize>, name: &str| -> Result<Option<String>> {
                Ok(row.text(column)?.map(str::to_owned).or_else(|| self.constant(name)))
            };
            let name =
                text(run_id, "run_id")?.unwrap_or_else(|| format!("{}:{}", stem(file), row.line));
            let meter = text(meter, "meter")?.unwrap_or_else(|| stem(file).to_owned());
            let mut measured = Measured::new(name, file, meter);
            measured.line = Some(row.line);
            let joules = match row.amount(energy_j)? {
                Some(joules) => Some(joules),
                None => row.amount(energy_kwh)?.map(|kwh| Joules::from_kwh(kwh).value()),
            };
            measured.energy = joules.map(Joules::new);
            let seconds = self.amount(&row, duration, "duration_s")?;
            if let (Some(joules), Some(seconds)) = (joules, seconds) {
                measured.set_energy_and_time(joules, seconds);
            }
            measured.gpus = self.amount(&row, gpus, "gpus")?.map(|n| n as u64).filter(|n| *n > 0);
            measured.gpu = text(gpu, "gpu")?;
            if let Some(scope) = text(scope, "scope")? {
                measured.scope = scope.parse().map_err(|e| row.error_here(e))?;
            }
            found.push(measured);
        }
        table.end(findings);
        if found.is_empty() {
            return Err(no_data(file, "data rows"));
        }
        self.measured.extend(found);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

impl Columns {
    /// The number in a cell, else the map's constant.
    fn amount(&self, row: &Row<'_>, column: Option<usize>, name: &str) -> Result<Option<f64>> {
        match (row.amount(column)?, self.constant(name)) {
            (Some(x), _) => Ok(Some(x)),
            (None, Some(text)) => match super::number::number(&text, name)? {
                x if (0.0..=MAX_VALUE).contains(&x) => Ok(Some(x)),
                x => Err(Error::invalid(
                    format!("{name} of the map"),
                    x,
                    "it must be a number from 0",
                )),
            },
            (None, None) => Ok(None),
        }
    }
}
