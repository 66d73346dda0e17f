//! eco2AI's `emission.csv` (`eco2ai/emission_track.py`): one row per run or per epoch, each with its own energy.
//!
//! GPUs are polled through NVML; CPU energy is modelled as TDP times load, memory energy from its size.

use std::collections::HashMap;

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::Measured;
use super::table::Table;
use super::timestamp::Timestamp;
use super::{Reader, no_data, stem};
use wattlaw::base::error::Result;
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;

/// Reads eco2AI's tables.
#[derive(Default)]
pub(super) struct Eco2ai {
    measured: Vec<Measured>,
}

impl Reader for Eco2ai {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        // the unit was misspelt before version 0.3
        let energies = ["power_consumption(kWh)", "power_consumption(kWTh)"];
        let energy = table.required(&energies, "eco2AI writes the energy there")?;
        let time = table.required(&["duration(s)"], "eco2AI writes seconds there")?;
        let (id, start, gpu) =
            (table.column("id"), table.column("start_time"), table.column("GPU_name"));
        let epoch = table.column("epoch");
        let before = self.measured.len();
        let mut by_id: HashMap<String, usize> = HashMap::new();
        while let Some(row) = table.next()? {
            let joules = Joules::from_kwh(row.required(energy)?).value();
            let seconds = row.required(time)?;
            let name = match row.text(id)? {
                Some(id) => id.to_owned(),
                None => format!("{}:{}", stem(file), row.line),
            };
            let epochs = row.text(epoch)?.is_some_and(|e| e.starts_with("epoch"));
            if let Some(known) = by_id.get(&name).and_then(|at| self.measured.get_mut(*at)) {
                let sum = |known: Option<f64>, more: f64| known.unwrap_or(0.0) + more;
                known.set_energy_and_time(
                    sum(known.energy.map(Joules::value), joules),
                    sum(known.duration.map(wattlaw::base::units::Seconds::value), seconds),
                );
                let text = if epochs {
                    "each row covers one epoch; the rows of a run were added"
                } else {
                    "several rows have the same id; eco2AI starts each at 0, so they were added"
                };
                findings.add(DataIssue::CumulativeRows, file, Some(row.line), text);
                continue;
            }
            let mut measured = Measured::new(&name, file, "eco2ai");
            measured.line = Some(row.line);
            measured.start = row.text(start)?.and_then(Timestamp::parse);
            // `NVIDIA A100-SXM4-40GB 2 device(s)`
            if let Some((model, count)) = row
                .text(gpu)?
                .and_then(|g| g.strip_suffix(" device(s)"))
                .and_then(|g| g.rsplit_once(' '))
            {
                let model = model.trim().trim_end_matches([',', '/']);
                measured.gpus = count.parse().ok().filter(|n| *n > 0);
                measured.gpu =
                    (!model.is_empty() && measured.gpus.is_some()).then(|| model.to_owned());
            }
            measured.scope = Scope::Unstated;
            measured.set_energy_and_time(joules, seconds);
            by_id.insert(name, self.measured.len());
            self.measured.push(measured);
        }
        table.end(findings);
        if self.measured.len() == before {
            return Err(no_data(file, "data rows"));
        }
        findings.add(
            DataIssue::Modelled,
            file,
            None,
            "CPU and memory are modelled from TDP, load and size and included with the GPUs; the scope is unstated",
        );
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}
