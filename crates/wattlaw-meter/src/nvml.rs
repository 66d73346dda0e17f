//! NVIDIA GPUs through NVIDIA's management library (NVML), which is loaded when it is asked for.

use std::path::Path;

use nvml_wrapper::enum_wrappers::device::{Clock, GpuVirtualizationMode, TemperatureSensor};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use wattlaw::base::units::{Joules, Watts};
use wattlaw::record::counter::Counter;
use wattlaw::record::{Channel, Component, Instrument, Sample};

use crate::found::{Found, SelectionError};
use crate::integral::Integral;
use crate::meter::{Fault, Meter, Now, StateTimer};
use crate::select::{Selection, visible};
use crate::sensor::{COUNTER_UPDATE, Sensor, is_module};

/// `NVML_DEVICE_MIG_ENABLE` of nvml.h.
const MIG_ENABLED: u32 = 1;

/// The GPUs that are measured.
#[derive(Debug)]
pub struct Nvidia {
    channels: Vec<Channel>,
    gpus: Vec<Gpu>,
    state_timer: StateTimer,
    now: Now,
}

#[derive(Debug)]
struct Gpu {
    device: Device<'static>,
    counter: Option<Counter>,
    module: bool,
    integral: Integral,
    /// What the integral was when the counter was last read.
    integrated_when_counted: Joules,
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
) -> Result<Found, SelectionError> {
    let looked_for =
        library.map_or_else(|| "libnvidia-ml.so.1".to_owned(), |path| path.display().to_string());
    let mut found = Found::new("nvml", &looked_for);
    let mut builder = Nvml::builder();
    if let Some(path) = library {
        builder.lib_path(path.as_os_str());
    }
    let (nvml, uuids) =
        match builder.init().and_then(|nvml| uuids(&nvml).map(|uuids| (nvml, uuids))) {
            // NVML stays loaded for as long as the process lives, so that its devices do
            Ok((nvml, uuids)) => (&*Box::leak(Box::new(nvml)), uuids),
            Err(error) => {
                found.absence = Some(absence(&error, &looked_for));
                return Ok(found);
            }
        };
    let wanted = match (selection, cuda_visible_devices) {
        (Some(selection), _) => selection.among(&uuids).map_err(SelectionError)?,
        (None, Some(value)) => {
            let visible = visible(value, &uuids);
            if visible.gpus.is_empty() && visible.note.is_none() && !uuids.is_empty() {
                found.notes.push(
                    "CUDA_VISIBLE_DEVICES hides all GPUs; --gpus 0,1 names those to measure"
                        .to_owned(),
                );
            }
            found.notes.extend(visible.note);
            visible.gpus
        }
        (None, None) => (0..uuids.len()).collect(),
    };
    let mut meter =
        Nvidia { channels: Vec::new(), gpus: Vec::new(), state_timer: StateTimer::default(), now };
    for index in wanted {
        match gpu(nvml, index) {
            Ok((gpu, channel, notes)) => {
                found.notes.extend(notes);
                meter.gpus.push(gpu);
                meter.channels.push(channel);
            }
            Err(why) if selection.is_some() => {
                return Err(SelectionError(format!("GPU {index}: {why}")));
            }
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
            found.absence = Some("the driver is there, but no GPU".to_owned());
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
            "GPU {index} is a {name}: its counter is that of the module, GPU and CPU together"
        ));
    }
    // a GPU without a counter says so, or, as a share of one, counts nothing while it draws power
    let power = device.power_usage();
    let counts = match (&device.total_energy_consumption(), &power) {
        (Ok(0) | Err(_), Ok(_)) => false,
        (Ok(1..), _) => true,
        (Ok(0), Err(error)) | (Err(error), Err(_)) => return Err(clause(error)),
    };
    // one that is newer than this program has no name here
    let architecture = device.architecture().unwrap_or(DeviceArchitecture::Unknown);
    let sensor = Sensor::for_model(name, &architecture);
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
    Ok((
        Gpu {
            device,
            counter,
            module,
            integral: Integral::default(),
            integrated_when_counted: Joules::ZERO,
        },
        channel,
        notes,
    ))
}

impl Meter for Nvidia {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let now = (self.now)();
        let ask = self.state_timer.is_due(now);
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
            // beside a counter of the module the power of its GPU would be taken for the module's
            Some(_) => power.ok().filter(|_| !self.module),
        };
        let power = power.map(|milliwatts| Watts::new(f64::from(milliwatts) / 1e3));
        let integrated = power.map(|power| self.integral.advance(now(), power));
        let energy = match &mut self.counter {
            None => integrated,
            Some(counter) => {
                let raw = Joules::new(self.device.total_energy_consumption()? as f64 / 1e3);
                let meanwhile =
                    integrated.map(|integrated| integrated - self.integrated_when_counted);
                self.integrated_when_counted = integrated.unwrap_or(self.integrated_when_counted);
                Some(counter.advance(raw, meanwhile))
            }
        };
        Ok(Sample { energy, power, ..Sample::default() })
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
