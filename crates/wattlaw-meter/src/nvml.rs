//! NVIDIA GPUs through NVIDIA's management library (NVML), which is loaded when it is asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use nvml_wrapper::enum_wrappers::device::{Clock, GpuVirtualizationMode, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use wattlaw::record::counter::Counter;
use wattlaw::record::{Channel, Component, Instrument, Sample};
use wattlaw::units::{Joules, Watts};

use crate::found::{Found, Refused};
use crate::integral::Integral;
use crate::meter::{Fault, Meter, Now};
use crate::select::{Selection, visible};
use crate::sensor::{COUNTER_UPDATE, Sensor, is_module};

/// How long clocks, limits, temperature and utilisation are not asked for again: each question costs the driver time, and none
/// of them says more when it is asked more often.
const STATE_PERIOD: Duration = Duration::from_secs(1);

/// The GPUs that are measured.
#[derive(Debug)]
pub struct Nvidia {
    channels: Vec<Channel>,
    gpus: Vec<Gpu>,
    state_asked: Option<Instant>,
    now: Now,
}

#[derive(Debug)]
struct Gpu {
    device: Device<'static>,
    counter: Option<Counter>,
    integral: Integral,
}

/// Opens the GPUs that are meant: those selected, else those that CUDA sees, else all.
///
/// # Errors
/// A selected GPU that is not there or cannot be measured.
pub fn open(
    library: Option<&Path>,
    selection: Option<&Selection>,
    cuda_visible_devices: Option<&str>,
    now: Now,
) -> Result<Found, Refused> {
    let looked_for =
        library.map_or_else(|| "libnvidia-ml.so.1".to_owned(), |path| path.display().to_string());
    let mut found = Found::nothing("nvml", &looked_for);
    let mut builder = Nvml::builder();
    if let Some(path) = library {
        builder.lib_path(path.as_os_str());
    }
    let (nvml, uuids) =
        match builder.init().and_then(|nvml| uuids(&nvml).map(|uuids| (nvml, uuids))) {
            // NVML stays loaded for as long as the process lives, so that its devices do
            Ok((nvml, uuids)) => (&*Box::leak(Box::new(nvml)), uuids),
            Err(error) => {
                found.fails(absence(&error, &looked_for));
                return Ok(found);
            }
        };
    let wanted = match (selection, cuda_visible_devices) {
        (Some(selection), _) => selection.among(&uuids).map_err(Refused)?,
        (None, Some(value)) => {
            let visible = visible(value, &uuids);
            found.notes.extend(visible.note);
            if visible.gpus.is_empty() && !uuids.is_empty() {
                found.notes.push(
                    "CUDA_VISIBLE_DEVICES hides all GPUs; --gpus 0,1 names those to measure"
                        .to_owned(),
                );
            }
            visible.gpus
        }
        (None, None) => (0..uuids.len()).collect(),
    };
    let mut meter = Nvidia { channels: Vec::new(), gpus: Vec::new(), state_asked: None, now };
    for index in wanted {
        match gpu(nvml, index) {
            Ok((gpu, channel, notes)) => {
                found.notes.extend(notes);
                meter.gpus.push(gpu);
                meter.channels.push(channel);
            }
            Err(why) if selection.is_some() => return Err(Refused(format!("GPU {index}: {why}"))),
            Err(why) => found.notes.push(format!("GPU {index} is not measured: {why}")),
        }
    }
    let models: Vec<_> = meter.channels.iter().map(|channel| &channel.model).collect();
    let by_index = selection.is_none() && cuda_visible_devices.is_some_and(|v| !v.contains("GPU-"));
    if by_index && models.windows(2).any(|pair| pair[0] != pair[1]) {
        found.notes.push(
            "the GPUs differ, and CUDA counts the fastest first where CUDA_DEVICE_ORDER is not PCI_BUS_ID: name GPUs by UUID"
                .to_owned(),
        );
    }
    if meter.gpus.is_empty() {
        if uuids.is_empty() {
            found.fails("the driver is there, but no GPU".to_owned());
        }
    } else {
        found.meter = Some(Box::new(meter));
    }
    Ok(found)
}

/// The UUIDs of all GPUs; nothing for one that may not be asked.
fn uuids(nvml: &Nvml) -> Result<Vec<String>, NvmlError> {
    let count = nvml.device_count()?;
    Ok((0..count)
        .map(|index| {
            nvml.device_by_index(index).and_then(|device| device.uuid()).unwrap_or_default()
        })
        .collect())
}

/// A GPU that can be measured, its channel, and what is to be said of it.
fn gpu(nvml: &'static Nvml, index: usize) -> Result<(Gpu, Channel, Vec<String>), String> {
    let device = u32::try_from(index)
        .map_err(|_| NvmlError::InvalidArg)
        .and_then(|index| nvml.device_by_index(index))
        .map_err(|e| clause(&e))?;
    let model = device.name().ok();
    let name = model.as_deref().unwrap_or_default();
    let mut notes = Vec::new();
    match device.virtualization_mode() {
        Ok(GpuVirtualizationMode::Vgpu) => {
            return Err("it is a share of a GPU (vGPU), whose energy no meter tells apart; measure on the host".to_owned());
        }
        Ok(GpuVirtualizationMode::HostVgpu | GpuVirtualizationMode::HostVsga) => notes.push(format!(
            "GPU {index} is shared out to virtual machines (vGPU): its energy is that of all of them"
        )),
        _ => {}
    }
    if device.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED) {
        notes.push(format!(
            "GPU {index} is cut into instances (MIG): its energy is that of the whole GPU, whoever uses it"
        ));
    }
    let module = is_module(name);
    if module {
        notes.push(format!(
            "GPU {index} is a {name}: its energy is that of the module, GPU and CPU together"
        ));
    }
    // a GPU without a counter says so, or, as a share of one, counts nothing while it draws power
    let power = device.power_usage();
    let counts = match (device.total_energy_consumption(), &power) {
        (Ok(0), Ok(1..)) | (Err(_), Ok(_)) => false,
        (Ok(_), _) => true,
        (Err(error), Err(_)) => return Err(clause(&error)),
    };
    let architecture = device.architecture().map_err(|e| clause(&e))?;
    let sensor = Sensor::of(name, &architecture);
    let channel = Channel {
        name: format!("gpu{index}"),
        component: if module { Component::Module } else { Component::Gpu },
        device: device.uuid().map_err(|e| clause(&e))?,
        instrument: if counts { Instrument::Counter } else { Instrument::Power },
        update: if counts { COUNTER_UPDATE } else { sensor.power_update },
        averaging: sensor.averaging,
        systematic: Some(sensor.systematic),
        model,
    };
    let counter = counts.then(|| Counter::new(None));
    Ok((Gpu { device, counter, integral: Integral::default() }, channel, notes))
}

/// `NVML_DEVICE_MIG_ENABLE` of nvml.h.
const MIG_ENABLED: u32 = 1;

impl Meter for Nvidia {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let now = (self.now)();
        let ask = self
            .state_asked
            .is_none_or(|asked| now.saturating_duration_since(asked) >= STATE_PERIOD);
        if ask {
            self.state_asked = Some(now);
        }
        let read = self.gpus.iter_mut().zip(&self.channels).map(|(gpu, channel)| {
            let energy = gpu
                .energy(self.now)
                .map_err(|error| Fault { channel: channel.name.clone(), reason: clause(&error) })?;
            Ok(if ask { gpu.state(energy) } else { energy })
        });
        read.collect()
    }
}

impl Gpu {
    /// Energy and power.
    fn energy(&mut self, now: Now) -> Result<Sample, NvmlError> {
        let power = self.device.power_usage();
        let power = match self.counter {
            None => Some(power?),
            Some(_) => power.ok(),
        };
        let power = power.map(|milliwatts| Watts::new(f64::from(milliwatts) / 1e3));
        let meanwhile = power.map(|power| self.integral.advance(now(), power));
        let energy = match &mut self.counter {
            None => self.integral.total(),
            Some(counter) => {
                let millijoules = self.device.total_energy_consumption()?;
                counter.advance(Joules::new(millijoules as f64 / 1e3), meanwhile)
            }
        };
        Ok(Sample { energy: Some(energy), power, ..Sample::default() })
    }

    /// The sample with what the GPU says of its state beside.
    fn state(&self, sample: Sample) -> Sample {
        let device = &self.device;
        let mhz = |clock| device.clock_info(clock).ok().map(f64::from);
        Sample {
            power_limit: device
                .enforced_power_limit()
                .ok()
                .map(|limit| Watts::new(f64::from(limit) / 1e3)),
            sm_clock_mhz: mhz(Clock::SM),
            memory_clock_mhz: mhz(Clock::Memory),
            temperature_c: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            utilization: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
            throttle_reasons: device.current_throttle_reasons().ok().map(|reasons| reasons.bits()),
            ..sample
        }
    }
}

/// Why there is no NVML, and what to do.
fn absence(error: &NvmlError, looked_for: &str) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => format!(
            "{looked_for} cannot be loaded: install NVIDIA's driver, or start the container with NVIDIA's runtime \
             (docker run --gpus all)"
        ),
        NvmlError::DriverNotLoaded => {
            "NVIDIA's driver is installed but not loaded; `nvidia-smi` says more".to_owned()
        }
        NvmlError::LibRmVersionMismatch => {
            "NVIDIA's driver and its library differ in version, as after an update: restart the machine".to_owned()
        }
        NvmlError::NoPermission => {
            "permission denied by NVIDIA's driver: this user needs read and write access to /dev/nvidia*".to_owned()
        }
        error => format!("NVIDIA's management library does not start: {error}"),
    }
}

/// What NVML's error means, as a clause.
fn clause(error: &NvmlError) -> String {
    match error {
        NvmlError::GpuLost => "the GPU is lost: it fell off the bus or is being reset".to_owned(),
        NvmlError::NoPermission => {
            "permission denied: this user may not read it (see /dev/nvidia*)".to_owned()
        }
        NvmlError::NotSupported => "it tells neither its energy nor its power".to_owned(),
        error => error.to_string(),
    }
}
