//! Alumet's CSV (`plugins/csv`): one measurement per row; the metric's name ends with its unit.
//!
//! Energies are differences to the previous row (`CounterDiff`). The first one of a device covers a time before the log and is
//! excluded. Rows of the whole machine (`local_machine`) repeat those of its packages.

use std::collections::HashMap;

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::{Measured, Part};
use super::number::shortened;
use super::table::{Row, Table};
use super::timestamp::Timestamp;
use super::unit::Scale;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads Alumet's tables.
#[derive(Default)]
pub(super) struct Alumet {
    measured: Vec<Measured>,
}

/// A device's energy.
struct Channel {
    name: String,
    component: Component,
    /// Resource of the channel; several channels may belong to one device.
    resource: String,
    whole_machine: bool,
    joules: f64,
    first: Timestamp,
    last: Timestamp,
}

struct Columns {
    metric: usize,
    timestamp: usize,
    value: usize,
    kind: Option<usize>,
    id: Option<usize>,
    consumer: Option<usize>,
    domain: Option<usize>,
    late: Option<usize>,
}

impl Reader for Alumet {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let columns = Columns {
            metric: table.required(&["metric"], "Alumet writes it first")?,
            timestamp: table.required(&["timestamp"], "Alumet writes it as RFC 3339")?,
            value: table.required(&["value"], "Alumet writes the measurement there")?,
            kind: table.column("resource_kind"),
            id: table.column("resource_id"),
            consumer: table.column("consumer_kind"),
            domain: table.column("domain"),
            late: table.column("__late_attributes"),
        };
        let mut log = Log::default();
        while let Some(row) = table.next()? {
            log.row(file, &columns, &row, findings)?;
        }
        table.end(findings);
        self.measured.push(log.finish(file, findings)?);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

#[derive(Default)]
struct Log {
    channels: Vec<Channel>,
    by_key: HashMap<String, usize>,
}

impl Log {
    fn row(
        &mut self,
        file: &str,
        columns: &Columns,
        row: &Row<'_>,
        findings: &mut Findings,
    ) -> Result<()> {
        let metric = row.text(Some(columns.metric))?.unwrap_or_default();
        let gpu = metric.starts_with("nvml_energy_consumption")
            || metric.starts_with("amd_gpu_energy_consumption");
        let cpu = metric.starts_with("rapl_consumed_energy");
        let grace = metric.starts_with("grace_energy_consumption");
        if !(gpu || cpu || grace) {
            if metric.contains("energy") {
                findings.add(
                    DataIssue::Skipped,
                    file,
                    Some(row.line),
                    format!("{} is not a device counter and was skipped", shortened(metric)),
                );
            }
            return Ok(());
        }
        // energy attributed to a process or a group is part of a device's energy
        if row.text(columns.consumer)?.is_some_and(|kind| kind != "local_machine") {
            findings.add(
                DataIssue::Skipped,
                file,
                Some(row.line),
                "rows of processes or groups are parts of a device's energy and were skipped",
            );
            return Ok(());
        }
        let text = row.text(Some(columns.timestamp))?.unwrap_or_default();
        let at = Timestamp::parse(text).ok_or_else(|| {
            row.error_here(Error::invalid(
                "column `timestamp`",
                format!("`{}`", shortened(text)),
                "it must be an RFC 3339 time",
            ))
        })?;
        let scale = unit(metric).unwrap_or_else(|| {
            findings.add(
                DataIssue::Assumed,
                file,
                Some(row.line),
                format!(
                    "{} has no unit; the plugin's default is assumed (mJ for GPUs, J for CPUs)",
                    shortened(metric)
                ),
            );
            if gpu { Scale::MILLI } else { Scale::ONE }
        });
        let joules = scale.si(row.required(columns.value)?);
        let late = row.text(columns.late)?.unwrap_or_default();
        let of_late = |name: &str| {
            late.split([',', ' ']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let domain = match row.text(columns.domain)? {
            Some(domain) => domain,
            None => of_late("domain").unwrap_or_default(),
        };
        let (kind, id) = (
            row.text(columns.kind)?.unwrap_or_default(),
            row.text(columns.id)?.unwrap_or_default(),
        );
        let component = match domain {
            _ if gpu => Component::Gpu,
            "dram" | "dram_total" => Component::Dram,
            "platform" | "platform_total" => Component::Node,
            _ => Component::Cpu,
        };
        // cores and graphics are included in their package
        if matches!(domain, "pp0" | "pp1" | "pp0_total" | "pp1_total") {
            return Ok(());
        }
        let name =
            [kind, id, domain].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        let key = format!("{metric}\0{name}");
        match self.by_key.get(&key).and_then(|at| self.channels.get_mut(*at)) {
            Some(channel) => {
                if at < channel.last {
                    return Err(row.error_here(Error::Data(format!(
                        "the time of {name} goes back by {} s",
                        channel.last.since(at)
                    ))));
                }
                channel.joules += joules;
                channel.last = at;
            }
            None => {
                self.by_key.insert(key, self.channels.len());
                self.channels.push(Channel {
                    resource: format!("{component} {id}"),
                    name,
                    component,
                    whole_machine: kind == "local_machine",
                    joules: 0.0,
                    first: at,
                    last: at,
                });
            }
        }
        Ok(())
    }

    fn finish(mut self, file: &str, findings: &mut Findings) -> Result<Measured> {
        let single =
            |c: Component| self.channels.iter().any(|o| o.component == c && !o.whole_machine);
        let repeats: Vec<bool> = self
            .channels
            .iter()
            .map(|c| c.whole_machine && single(c.component) && c.component != Component::Gpu)
            .collect();
        if repeats.contains(&true) {
            findings.add(
                DataIssue::DoubleCounted,
                file,
                None,
                "rows of the whole machine repeat those of its packages and were skipped",
            );
        }
        let mut keep = repeats.iter().map(|r| !r);
        self.channels.retain(|_| keep.next().unwrap_or(true));
        if self.channels.is_empty() {
            return Err(no_data(
                file,
                "energy of a device (nvml_energy_consumption, rapl_consumed_energy)",
            ));
        }
        let mut measured = Measured::new(stem(file), file, "alumet");
        measured.instrument = Some(Instrument::Counter);
        let gpus = self.channels.iter().filter(|c| c.component == Component::Gpu).count() as u64;
        measured.gpus = (gpus > 0).then_some(gpus);
        let platform = self.channels.iter().any(|c| c.component == Component::Node);
        if platform {
            findings.add(
                DataIssue::Coverage,
                file,
                None,
                "the platform's counter covers CPU and memory too; it is listed separately and not added",
            );
        }
        let seconds = self.channels.iter().map(|c| c.last.since(c.first)).fold(0.0, f64::max);
        if seconds <= 0.0 {
            return Err(no_data(file, "two measurements of one device"));
        }
        measured.start = self.channels.iter().map(|c| c.first).min();
        let total: f64 =
            self.channels.iter().filter(|c| c.component != Component::Node).map(|c| c.joules).sum();
        measured.set_energy_and_time(total, seconds);
        let only_gpus = self.channels.iter().all(|c| c.component == Component::Gpu);
        measured.scope = if only_gpus { Scope::Gpu } else { Scope::Devices };
        measured.parts = self
            .channels
            .into_iter()
            .map(|c| Part {
                name: if c.name.is_empty() { c.resource } else { c.name },
                component: c.component,
                energy: Joules::new(c.joules),
            })
            .collect();
        Ok(measured)
    }
}

/// The unit at the end of a metric's name.
fn unit(metric: &str) -> Option<Scale> {
    metric.rsplit_once('_').and_then(|(_, unit)| Scale::from_unit(unit))
}
