//! AMD GPUs and CPUs through the Linux kernel's hwmon files.
//!
//! Units and names follow the kernel's documentation of the hwmon sysfs interface and of the drivers amdgpu and amd_energy: µJ, µW,
//! m°C and Hz.

use std::path::Path;
use std::time::Instant;

use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::record::counter::Counter;
use wattlaw::record::{Channel, Component, Instrument, Sample};

use crate::found::{Found, SelectionError};
use crate::integral::Integral;
use crate::meter::{Fault, Meter, Now, RESET, StateTimer};
use crate::select::Selection;
use crate::sysfs::{Attribute, describe, folders, text};

/// Update period. No driver states it; 100 ms is the slowest known for GPU sensors.
const UPDATE: Seconds = Seconds::new(0.1);

/// The hwmon meter.
#[derive(Debug)]
struct Hwmon {
    channels: Vec<Channel>,
    sources: Vec<Source>,
    state_timer: StateTimer,
    now: Now,
}

/// The files of one channel.
#[derive(Debug)]
struct Source {
    reading: Reading,
    state: State,
}

#[derive(Debug)]
enum Reading {
    /// `energy1_input`, and the power beside it.
    Energy(Attribute, Counter, Option<Attribute>),
    /// `power1_average` or `power1_input`.
    Power(Attribute, Integral),
}

/// Additional values, if the driver provides them.
#[derive(Debug, Default)]
struct State {
    cap_uw: Option<Attribute>,
    sm_clock_hz: Option<Attribute>,
    memory_clock_hz: Option<Attribute>,
    temperature_mc: Option<Attribute>,
    busy_percent: Option<Attribute>,
}

/// Opens the AMD GPUs below the sysfs mount point, and with `sockets` also the AMD CPU sockets.
///
/// # Errors
/// A selected GPU does not exist.
pub fn open(
    sysfs: &Path,
    selection: Option<&Selection>,
    sockets: bool,
    now: Now,
) -> Result<Found, SelectionError> {
    let root = sysfs.join("class/hwmon");
    let mut found = Found::new("hwmon", &root.display().to_string());
    let mut meter = Hwmon {
        channels: Vec::new(),
        sources: Vec::new(),
        state_timer: StateTimer::default(),
        now,
    };
    let of_driver = |driver: &str| {
        let mut all = folders(&root, "hwmon");
        all.retain(|folder| text(&folder.join("name")).is_some_and(|name| name == driver));
        all
    };
    let gpus = of_driver("amdgpu");
    let names: Vec<String> = gpus.iter().map(|gpu| gpu_name(gpu)).collect();
    let wanted = match selection {
        Some(selection) if !gpus.is_empty() => selection.among(&names).map_err(SelectionError)?,
        _ => (0..gpus.len()).collect(),
    };
    for index in wanted {
        let source = Source::open(&gpus[index], 1);
        meter.add(&mut found, &format!("amdgpu{index}"), Component::Gpu, &names[index], source);
    }
    for folder in of_driver("amd_energy").into_iter().filter(|_| sockets) {
        for (number, label) in
            (1..).map_while(|i| Some((i, text(&folder.join(format!("energy{i}_label")))?)))
        {
            let Some(socket) = label.strip_prefix("Esocket") else { continue };
            let device = format!("{}/energy{number}_input", folder.display());
            meter.add(
                &mut found,
                &format!("cpu{socket}"),
                Component::Cpu,
                &device,
                Source::open(&folder, number),
            );
        }
    }
    if meter.sources.is_empty() {
        found.absence = Some(format!(
            "{} has no readable AMD GPU (amdgpu) or AMD CPU (amd_energy)",
            root.display()
        ));
    } else {
        found.meter = Some(Box::new(meter));
    }
    Ok(found)
}

/// The GPU's unique id, else its folder.
fn gpu_name(folder: &Path) -> String {
    text(&folder.join("device/unique_id"))
        .map_or_else(|| folder.display().to_string(), |id| format!("GPU-{id}"))
}

impl Hwmon {
    fn add(
        &mut self,
        found: &mut Found,
        name: &str,
        component: Component,
        device: &str,
        source: Result<Source, String>,
    ) {
        match source {
            Ok(source) => {
                self.channels.push(Channel {
                    name: name.to_owned(),
                    component,
                    device: device.to_owned(),
                    model: None,
                    instrument: match source.reading {
                        Reading::Energy(..) => Instrument::Counter,
                        Reading::Power(..) => Instrument::Power,
                    },
                    update: UPDATE,
                    averaging: Seconds::ZERO,
                    // no error is published
                    systematic: None,
                });
                self.sources.push(source);
            }
            Err(why) => found.leave_out(name, component, why),
        }
    }
}

impl Source {
    /// Opens `energyN_input` and the power beside it, else `powerN_average` or `powerN_input`.
    fn open(folder: &Path, number: u32) -> Result<Self, String> {
        let file = |name: &str| {
            let path = folder.join(name);
            Attribute::open(&path).map_err(|e| match e.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    format!("{0}: permission denied; `sudo chmod a+r {0}` allows reading until the next reboot", path.display())
                }
                _ => format!("{}: {}", path.display(), describe(&e)),
            })
        };
        let power = match file(&format!("power{number}_average"))? {
            // if the average exists but cannot be read, use the instantaneous power
            Some(average) if average.read().is_ok() => Some(average),
            _ => file(&format!("power{number}_input"))?,
        };
        let reading = match (file(&format!("energy{number}_input"))?, power) {
            (Some(energy), power) => Reading::Energy(energy, Counter::new(None), power),
            (None, Some(power)) => Reading::Power(power, Integral::default()),
            (None, None) => {
                return Err(format!(
                    "{} has neither energy nor power; on an MI250 one of the two dies reports the values of both",
                    folder.display()
                ));
            }
        };
        let state = |name: &str| Attribute::open(&folder.join(name)).ok().flatten();
        let state = State {
            cap_uw: state("power1_cap"),
            sm_clock_hz: state("freq1_input"),
            memory_clock_hz: state("freq2_input"),
            temperature_mc: state("temp1_input"),
            busy_percent: state("device/gpu_busy_percent"),
        };
        Ok(Self { reading, state })
    }

    fn read(&mut self, now: Instant) -> Result<Sample, String> {
        let watts = |microwatts: u64| Watts::new(microwatts as f64 / 1e6);
        let (energy, power) = match &mut self.reading {
            Reading::Energy(energy, counter, power) => {
                let raw = Joules::new(energy.read()? as f64 / 1e6);
                let step = counter.advance(raw, None, None);
                if step.reset {
                    return Err(RESET.to_owned());
                }
                (step.total, power.as_ref().and_then(|power| power.read().ok()).map(watts))
            }
            Reading::Power(power, integral) => {
                let power = watts(power.read()?);
                (integral.advance(now, power), Some(power))
            }
        };
        Ok(Sample { energy: Some(energy), power, ..Sample::default() })
    }
}

impl State {
    fn add_to(&self, sample: Sample) -> Sample {
        let scaled = |attribute: &Option<Attribute>, unit: f64| {
            attribute.as_ref().and_then(|a| a.read().ok()).map(|value| value as f64 / unit)
        };
        Sample {
            power_limit: scaled(&self.cap_uw, 1e6).map(Watts::new),
            sm_clock_mhz: scaled(&self.sm_clock_hz, 1e6),
            memory_clock_mhz: scaled(&self.memory_clock_hz, 1e6),
            temperature_c: scaled(&self.temperature_mc, 1e3),
            utilization: scaled(&self.busy_percent, 100.0),
            ..sample
        }
    }
}

impl Meter for Hwmon {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let now = (self.now)();
        let read_state = self.state_timer.is_due(now);
        let read = self.sources.iter_mut().zip(&self.channels).map(|(source, channel)| {
            let sample = source
                .read(now)
                .map_err(|reason| Fault { channel: channel.name.clone(), reason })?;
            Ok(if read_state { source.state.add_to(sample) } else { sample })
        });
        read.collect()
    }
}
