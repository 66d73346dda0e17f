//! EnergiBridge's CSV: one time per row, `Delta` and `Time` in ms, counters in J, powers in W except NVIDIA's in mW
//! (`src/gpu/nvidia.rs` writes NVML's number as it is).

use super::data_issue::{DataIssue, Findings};
use super::lines::Source;
use super::measured::{Measured, Part};
use super::series::{Counter, Series, Step};
use super::table::Table;
use super::timestamp::Timestamp;
use super::unit::Scale;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Reads EnergiBridge's tables.
#[derive(Default)]
pub(super) struct Energibridge {
    measured: Vec<Measured>,
}

struct Channel {
    at: usize,
    name: String,
    component: Component,
    scale: Scale,
    counts: bool,
    power: Series,
    counter: Counter,
}

impl Channel {
    fn joules(&self) -> f64 {
        if self.counts { self.counter.total() } else { self.power.joules() }
    }
}

impl Reader for Energibridge {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let time = table.required(&["Time"], "EnergiBridge writes it in ms since 1970")?;
        let mut channels: Vec<Channel> = table
            .header()
            .iter()
            .enumerate()
            .filter_map(|(at, title)| channel(at, title))
            .collect();
        // of two values for the same device, prefer the counter and the package
        let packages = channels.iter().any(|c| c.name == "PACKAGE_ENERGY");
        let counted = channels.iter().any(|c| c.counts && c.component == Component::Cpu);
        channels
            .retain(|c| !(packages && c.name == "CPU_ENERGY" || counted && c.name == "CPU_POWER"));
        if channels.is_empty() {
            return Err(no_data(file, "columns of energy or power"));
        }
        let mut times: Option<(Timestamp, Timestamp)> = None;
        while let Some(row) = table.next()? {
            let ms = row.required(time)?;
            let at = Timestamp::from_epoch_ms(ms).ok_or_else(|| {
                row.error_here(Error::invalid("column `Time`", ms, "it must be ms since 1970"))
            })?;
            if let Some((_, last)) = times
                && at < last
            {
                return Err(row.error_here(Error::Data(format!(
                    "the time goes back by {} s",
                    last.since(at)
                ))));
            }
            times = Some((times.map_or(at, |(first, _)| first), at));
            for channel in &mut channels {
                let Some(value) = row.amount(Some(channel.at))? else { continue };
                if channel.counts {
                    if channel.counter.push(channel.scale.si(value)) {
                        let text = format!(
                            "{} overflowed; the step across the overflow is excluded",
                            channel.name
                        );
                        findings.add(DataIssue::Restart, file, Some(row.line), text);
                    }
                } else if let Step::Gap(seconds) =
                    channel.power.push(at.nanos(), channel.scale.si(value))
                {
                    let text = format!(
                        "no reading for {seconds:.0} s before this line; this gap is excluded"
                    );
                    findings.add(DataIssue::Gap, file, Some(row.line), text);
                }
            }
        }
        table.end(findings);
        let Some((first, last)) = times.filter(|(first, last)| last > first) else {
            return Err(no_data(file, "two rows of different times"));
        };
        self.measured.push(measured(file, &channels, (first, last), findings));
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

fn measured(
    file: &str,
    channels: &[Channel],
    (first, last): (Timestamp, Timestamp),
    findings: &mut Findings,
) -> Measured {
    let mut measured = Measured::new(stem(file), file, "energibridge");
    measured.start = Some(first);
    let has = |component| channels.iter().any(|c| c.component == component);
    let gpus = channels.iter().filter(|c| c.component == Component::Gpu).count() as u64;
    measured.gpus = (gpus > 0).then_some(gpus);
    // the system's value includes its parts, so it is used only without parts
    let by_parts = has(Component::Gpu) || has(Component::Cpu) || has(Component::Dram);
    if by_parts && has(Component::Node) {
        let text = "SYSTEM_POWER covers CPU and memory too; it is listed separately and not added";
        findings.add(DataIssue::Coverage, file, None, text);
    }
    let added = channels.iter().filter(|c| !by_parts || c.component != Component::Node);
    measured.set_energy_and_time(added.map(Channel::joules).sum(), last.since(first));
    measured.scope = match (by_parts, has(Component::Cpu) || has(Component::Dram)) {
        (true, false) => Scope::Gpu,
        (true, true) => Scope::Devices,
        (false, _) => Scope::Unstated,
    };
    if channels
        .iter()
        .any(|c| c.component == Component::Gpu && !c.counts && c.scale == Scale::MILLI)
    {
        let text = "GPU powers are NVML's milliwatts, which EnergiBridge writes without a unit";
        findings.add(DataIssue::Coverage, file, None, text);
    }
    if gpus == 0 {
        findings.add(DataIssue::Coverage, file, None, "no GPU was read (EnergiBridge needs --gpu)");
    }
    let counts = channels.iter().all(|c| c.counts);
    let polls = channels.iter().all(|c| !c.counts);
    measured.instrument = match (counts, polls) {
        (true, _) => Some(Instrument::Counter),
        (_, true) => Some(Instrument::Power),
        _ => None,
    };
    measured.parts = channels
        .iter()
        .map(|c| Part {
            name: c.name.clone(),
            component: c.component,
            energy: Joules::new(c.joules()),
        })
        .collect();
    measured
}

/// The channel of a column; `None` if it is not energy or power.
fn channel(at: usize, title: &str) -> Option<Channel> {
    let (name, unit) = match title.split_once(" (") {
        Some((name, unit)) => (name, unit.trim_end_matches(')')),
        None => (title, ""),
    };
    let nvidia =
        name.strip_prefix("GPU").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    let (component, counts) = if nvidia && name.ends_with("_POWER") {
        (Component::Gpu, false)
    } else if nvidia && name.ends_with("_ENERGY") || name == "GPU_ENERGY" {
        (Component::Gpu, true)
    } else {
        match name {
            "CPU_ENERGY" | "PACKAGE_ENERGY" => (Component::Cpu, true),
            "DRAM_ENERGY" => (Component::Dram, true),
            "CPU_POWER" => (Component::Cpu, false),
            "SYSTEM_POWER" => (Component::Node, false),
            _ => return None,
        }
    };
    let scale = match unit {
        "" if nvidia && !counts => Scale::MILLI,
        "" => Scale::ONE,
        unit => Scale::from_unit(unit)?,
    };
    let (power, counter) = (Series::default(), Counter::default());
    Some(Channel { at, name: name.to_owned(), component, scale, counts, power, counter })
}
