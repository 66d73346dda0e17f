//! CPUs and memory through the Linux kernel's powercap files (RAPL of Intel and AMD).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::record::counter::Counter;
use wattlaw::record::{Channel, Component, Instrument, Sample};

use crate::found::Found;
use crate::meter::{Fault, Meter, Now, RESET};
use crate::sysfs::{Attribute, describe, folders, text};

/// Update period of the counters: about 1 ms (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3,
/// "RAPL Interfaces").
const UPDATE: Seconds = Seconds::new(1e-3);

/// Microjoules in a joule.
const MICRO: f64 = 1e6;

/// The most power that a zone can draw; a counter that implies more was reset. No CPU package with its memory draws 2 kW:
/// the largest thermal design power is 500 W (AMD EPYC 9965, Intel Xeon 6980P), and boosts at most double it for moments.
/// A platform has several, and accelerators.
const MAX_PACKAGE_POWER: Watts = Watts::new(2e3);
const MAX_PLATFORM_POWER: Watts = Watts::new(20e3);

/// Shortest time for which a zone's largest energy is counted, since a reading may be late.
const SHORTEST_STEP: Duration = Duration::from_secs(1);

/// The powercap meter.
#[derive(Debug)]
struct Powercap {
    channels: Vec<Channel>,
    zones: Vec<Zone>,
    now: Now,
}

#[derive(Debug)]
struct Zone {
    energy: Attribute,
    counter: Counter,
    most: Watts,
    last: Option<Instant>,
}

impl Zone {
    /// The energy since the first reading, at time `now`.
    ///
    /// # Errors
    /// The counter cannot be read, or it was reset since the last reading.
    fn read(&mut self, now: Instant) -> Result<Joules, String> {
        let raw = Joules::new(self.energy.read()? as f64 / MICRO);
        let time = self.last.replace(now).map(|last| now.saturating_duration_since(last));
        let most = time.map(|time| self.most * Seconds::new(time.max(SHORTEST_STEP).as_secs_f64()));
        let step = self.counter.advance(raw, None, most);
        match step.reset {
            false => Ok(step.total),
            true => Err(RESET.to_owned()),
        }
    }
}

/// Opens the counters of packages, memory and platform below the sysfs mount point.
pub fn open(sysfs: &Path, now: Now) -> Found {
    let root = sysfs.join("class/powercap");
    let mut found = Found::new("powercap", &root.display().to_string());
    let mut meter = Powercap { channels: Vec::new(), zones: Vec::new(), now };
    let mut denied = false;
    // intel-rapl-mmio repeats the same packages, so it is skipped
    let zones = folders(&root, "intel-rapl:");
    // procfs is assumed next to sysfs, so that tests can fake both
    let model = text(&sysfs.join("../proc/cpuinfo")).and_then(|info| cpu_model(&info));
    for zone in &zones {
        let Some((name, component)) = channel_of(zone) else { continue };
        let energy = match Attribute::open(&zone.join("energy_uj")) {
            Ok(Some(energy)) => energy,
            Ok(None) => continue,
            Err(error) => {
                denied |= error.kind() == std::io::ErrorKind::PermissionDenied;
                let why = format!("{}: {}", zone.display(), describe(&error));
                found.leave_out(&name, component, why);
                continue;
            }
        };
        let range =
            text(&zone.join("max_energy_range_uj")).and_then(|text| text.parse::<u64>().ok());
        let range = range.map(|microjoules| Joules::new(microjoules as f64 / MICRO));
        if let Err(why) = energy.read() {
            found.leave_out(&name, component, format!("{}: {why}", zone.display()));
            continue;
        }
        let most =
            if component == Component::Node { MAX_PLATFORM_POWER } else { MAX_PACKAGE_POWER };
        meter.zones.push(Zone { energy, counter: Counter::new(range), most, last: None });
        meter.channels.push(Channel {
            name,
            component,
            device: zone.display().to_string(),
            model: model.clone(),
            instrument: Instrument::Counter,
            update: UPDATE,
            averaging: Seconds::ZERO,
            // RAPL follows the power at the plug closely (K. N. Khan et al., "RAPL in Action", ACM TOMPECS 3(2), 2018), often with a
            // constant offset (S. Desrochers et al., MEMSYS 2016): no relative error for a CPU model is published
            systematic: None,
        });
    }
    if denied {
        found.notes.push(
            "since Linux 5.10 only root may read RAPL counters: `sudo chmod a+r \
             /sys/class/powercap/*/energy_uj` allows all users until the next reboot, a udev rule permanently"
                .to_owned(),
        );
    }
    if meter.channels.iter().any(|channel| channel.component == Component::Node) {
        found.notes.push(
            "psys counts the whole platform including CPUs and memory, so their energies are never added to it"
                .to_owned(),
        );
    }
    if zones.is_empty() {
        found.absence = Some(format!(
            "{} has no RAPL: virtual machines and most containers hide it; on other machines try `sudo modprobe intel_rapl_msr`",
            root.display()
        ));
    } else if meter.zones.is_empty() {
        found.absence = Some(format!("none of the counters in {} can be read", root.display()));
    } else {
        found.meter = Some(Box::new(meter));
    }
    found
}

/// Name and component of a zone's channel; `None` for a zone inside another one.
fn channel_of(zone: &Path) -> Option<(String, Component)> {
    let name = text(&zone.join("name"))?;
    if let Some(package) = name.strip_prefix("package-") {
        // a package with several dies has zones such as `package-0-die-1`
        return Some((format!("cpu{}", package.replace("-die-", ".")), Component::Cpu));
    }
    match name.as_str() {
        "psys" => Some(("psys".to_owned(), Component::Node)),
        "dram" => {
            let package = text(&parent(zone)?.join("name"))?;
            let package = package.strip_prefix("package-")?.replace("-die-", ".");
            Some((format!("dram{package}"), Component::Dram))
        }
        // cores and integrated graphics are inside the package
        _ => None,
    }
}

/// The parent zone, such as `intel-rapl:0` of `intel-rapl:0:1`.
fn parent(zone: &Path) -> Option<PathBuf> {
    let name = zone.file_name()?.to_str()?;
    Some(zone.with_file_name(name.rsplit_once(':')?.0))
}

fn cpu_model(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Meter for Powercap {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let now = (self.now)();
        let read = self.zones.iter_mut().zip(&self.channels).map(|(zone, channel)| {
            let energy =
                zone.read(now).map_err(|reason| Fault { channel: channel.name.clone(), reason })?;
            Ok(Sample { energy: Some(energy), ..Sample::default() })
        });
        read.collect()
    }
}
