//! eco2AI's `emission.csv` (`eco2ai/emission_track.py`): a row a run, or a row an epoch, each with its own energy.
//!
//! GPUs are polled through NVML; CPUs are their TDP times their load, and memory is computed from its size.

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
        // the unit was misspelt before 0.3
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
                    "rows of epochs hold an epoch each, and were added up by run"
                } else {
                    "several rows have one id; eco2AI begins each with an energy of 0, and they were added up"
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
            return Err(no_data(file, "rows below its header"));
        }
        findings.add(
            DataIssue::Modelled,
            file,
            None,
            "CPU and memory are computed from TDP, load and size, in one figure with the GPUs; the scope is left open",
        );
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}
