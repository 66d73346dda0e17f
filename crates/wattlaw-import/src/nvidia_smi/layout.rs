//! Column layout of a log: from its header, from names given by the user, or guessed from its first line.

use super::super::lines::text;
use super::super::table::check_titles;
use super::super::timestamp::minute;
use wattlaw::base::error::{Error, Result};

/// Power columns in order of preference.
const POWERS: [&str; 5] = [
    "power.draw",
    "power.draw.average",
    "power.draw.instant",
    "module.power.draw.average",
    "module.power.draw.instant",
];

/// Meaning of a cell; the discriminant is its slot.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    Time,
    Power,
    Device,
    Name,
    Limit,
    Mig,
}

/// Positions of the used cells.
pub(super) struct Layout {
    pub(super) delimiter: u8,
    /// Meaning of each cell; `None` for ignored cells.
    pub(super) slots: Vec<Option<Slot>>,
    /// Title of the integrated power, and of unused power columns.
    pub(super) power_name: String,
    pub(super) unused: Vec<String>,
    /// The column that names the device.
    pub(super) device_column: Option<String>,
}

impl Layout {
    /// Reads the header, or guesses the layout of a log without one; returns whether the line was a header.
    pub(super) fn from_first_line(line: &[u8], named: &[String]) -> Result<(Self, bool)> {
        let line = text(line)?;
        let delimiter = if line.contains(';') && !line.contains(',') { b';' } else { b',' };
        let cells: Vec<&str> =
            line.split(char::from(delimiter)).map(|c| c.trim().trim_matches('"').trim()).collect();
        let titled =
            !cells.iter().any(|c| minute(c.as_bytes().get(..16).unwrap_or_default()).is_some());
        if titled {
            let titles: Vec<String> = cells.iter().map(|cell| title(cell).to_owned()).collect();
            return Ok((Self::from_titles(&titles, delimiter)?, true));
        }
        if !named.is_empty() {
            if named.len() != cells.len() {
                return Err(Error::invalid(
                    "--columns",
                    format!("{} names", named.len()),
                    format!("the line has {} cells", cells.len()),
                ));
            }
            return Ok((Self::from_titles(named, delimiter)?, false));
        }
        // without a header the power is the only cell with the unit W
        let watts = |cell: &&str| cell.strip_suffix(" W").is_some();
        let mut titles: Vec<String> = vec![String::new(); cells.len()];
        for (title, cell) in titles.iter_mut().zip(&cells) {
            if minute(cell.as_bytes().get(..16).unwrap_or_default()).is_some() {
                "timestamp".clone_into(title);
            } else if watts(cell) && cells.iter().filter(|c| watts(c)).count() == 1 {
                "power.draw".clone_into(title);
            } else if cell.starts_with("GPU-") {
                "uuid".clone_into(title);
            }
        }
        if !titles.iter().any(|t| t == "power.draw") {
            return Err(Error::missing(
                "a header",
                "give the column names, such as --columns timestamp,index,power.draw",
            ));
        }
        Ok((Self::from_titles(&titles, delimiter)?, false))
    }

    fn from_titles(titles: &[String], delimiter: u8) -> Result<Self> {
        check_titles(titles)?;
        let at = |name: &str| titles.iter().position(|t| t == name);
        let found: Vec<&str> = POWERS.into_iter().filter(|p| at(p).is_some()).collect();
        let Some((power_name, unused)) = found.split_first() else {
            return Err(Error::missing(
                "column `power.draw`",
                "log it with --query-gpu=timestamp,index,power.draw",
            ));
        };
        if at("timestamp").is_none() {
            return Err(Error::missing(
                "column `timestamp`",
                "energy needs times; log it with --query-gpu=timestamp,index,power.draw",
            ));
        }
        let first = |names: &[&str]| names.iter().find_map(|n| at(n));
        let device = first(&[
            "uuid",
            "gpu_uuid",
            "index",
            "pci.bus_id",
            "gpu_bus_id",
            "serial",
            "gpu_serial",
        ]);
        let mut slots = vec![None; titles.len()];
        for (slot, column) in [
            (Slot::Time, at("timestamp")),
            (Slot::Power, at(power_name)),
            (Slot::Device, device),
            (Slot::Name, first(&["name", "gpu_name"])),
            (Slot::Limit, first(&["enforced.power.limit", "power.limit"])),
            (Slot::Mig, at("mig.mode.current")),
        ] {
            if let Some(place) = column.and_then(|at| slots.get_mut(at)) {
                *place = Some(slot);
            }
        }
        Ok(Self {
            delimiter,
            slots,
            power_name: (*power_name).to_owned(),
            unused: unused.iter().map(|s| (*s).to_owned()).collect(),
            device_column: device.and_then(|at| titles.get(at)).cloned(),
        })
    }
}

/// A title without its unit: `power.draw [W]` is `power.draw`.
fn title(cell: &str) -> &str {
    cell.split_once('[').map_or(cell, |(name, _)| name).trim()
}
