//! NVIDIA GPUs through NVIDIA's management library (NVML), which is loaded at run time.

use std::path::Path;

use nvml_wrapper::enum_wrappers::device::{Clock, GpuVirtualizationMode, TemperatureSensor};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use wattlaw::base::units::{Joules, Watts};
use wattlaw::record::counter::Counter;
use wattlaw::record::document::{LeftOut, Sharing};
use wattlaw::record::{Channel, Component, Instrument, Sample};

use crate::found::{Found, SelectionError};
use crate::integral::Integral;
use crate::link::{self, GpuLink};
use crate::meter::{Fault, Meter, Now, RESET, StateTimer};
use crate::select::{Selection, visible};
use crate::sensor::{COUNTER_UPDATE, Sensor, is_module};

/// `NVML_DEVICE_MIG_ENABLE` of nvml.h.
const MIG_ENABLED: u32 = 1;

/// The NVML meter.
#[derive(Debug)]
pub(crate) struct Nvidia {
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
    /// Value of the integral at the last reading of the counter.
    integrated_when_counted: Joules,
}

/// Opens the selected GPUs, else those visible to CUDA, else all.
///
/// # Errors
/// A selected GPU does not exist or cannot be measured.
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
            // the devices borrow NVML, so it must live as long as the process
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
                    "CUDA_VISIBLE_DEVICES hides all GPUs; select GPUs with --gpus, such as --gpus 0,1"
                        .to_owned(),
                );
            }
            if visible.partition {
                let reason = visible.note.clone().unwrap_or_default();
                let name = "the MIG instance".to_owned();
                found.left_out.push(LeftOut { name, component: Component::Gpu, reason });
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
            Ok(Opened { gpu, channel, sharing, notes }) => {
                found.notes.extend(notes);
                found.shared.extend(sharing.map(|sharing| (channel.name.clone(), sharing)));
                meter.gpus.push(gpu);
                meter.channels.push(channel);
            }
            Err(why) if selection.is_some() => {
                return Err(SelectionError(format!("GPU {index}: {why}")));
            }
            Err(why) => found.leave_out(&format!("GPU {index}"), Component::Gpu, why),
        }
    }
    let models: Vec<_> = meter.channels.iter().map(|channel| &channel.model).collect();
    let by_index = selection.is_none() && cuda_visible_devices.is_some_and(|v| !v.contains("GPU-"));
    if by_index && models.windows(2).any(|pair| pair[0] != pair[1]) {
        found.notes.push(
            "the GPU models differ: CUDA orders them by speed unless CUDA_DEVICE_ORDER is PCI_BUS_ID, so select GPUs by UUID"
                .to_owned(),
        );
    }
    if meter.gpus.is_empty() {
        if uuids.is_empty() {
            found.absence = Some("the NVIDIA driver is loaded, but there is no GPU".to_owned());
        }
    } else {
        found.meter = Some(Box::new(meter));
    }
    Ok(found)
}

/// The UUIDs of all GPUs; empty for a GPU that cannot be accessed.
fn uuids(nvml: &Nvml) -> Result<Vec<String>, NvmlError> {
    let count = nvml.device_count()?;
    Ok((0..count)
        .map(|index| {
            nvml.device_by_index(index).and_then(|device| device.uuid()).unwrap_or_default()
        })
        .collect())
}

/// An opened GPU.
struct Opened {
    gpu: Gpu,
    channel: Channel,
    /// Whether its energy includes what others run on it.
    sharing: Option<Sharing>,
    notes: Vec<String>,
}

/// Opens a GPU.
///
/// # Errors
/// Why it cannot be measured.
fn gpu(nvml: &'static Nvml, index: usize) -> Result<Opened, String> {
    let device = u32::try_from(index)
        .map_err(|_| NvmlError::InvalidArg)
        .and_then(|index| nvml.device_by_index(index))
        .map_err(|e| clause(&e))?;
    let model = device.name().ok();
    let name = model.as_deref().unwrap_or_default();
    let mut notes = Vec::new();
    let mut sharing = None;
    match device.virtualization_mode() {
        Ok(GpuVirtualizationMode::Vgpu) => {
            return Err("it is a virtual GPU (vGPU), whose energy cannot be measured separately; measure on the host".to_owned());
        }
        Ok(GpuVirtualizationMode::HostVgpu | GpuVirtualizationMode::HostVsga) => {
            sharing = Some(Sharing::Vgpu);
            notes.push(format!(
                "GPU {index} is shared by virtual machines (vGPU): its energy includes all of them"
            ));
        }
        _ => {}
    }
    if device.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED) {
        sharing = Some(Sharing::Mig);
        notes
            .push(format!("GPU {index} is partitioned (MIG): its energy is that of the whole GPU"));
    }
    let module = is_module(name);
    if module {
        notes.push(format!("GPU {index} is a {name}: its counter covers the module, GPU and CPU"));
    }
    // a GPU without a counter returns an error, or a vGPU returns 0 while it draws power
    let power = device.power_usage();
    let counts = match (&device.total_energy_consumption(), &power) {
        (Ok(0) | Err(_), Ok(_)) => false,
        (Ok(1..), _) => true,
        (Ok(0), Err(error)) | (Err(error), Err(_)) => return Err(clause(error)),
    };
    // an architecture newer than the bindings is unknown
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
    let gpu = Gpu {
        device,
        counter,
        module,
        integral: Integral::default(),
        integrated_when_counted: Joules::ZERO,
    };
    Ok(Opened { gpu, channel, sharing, notes })
}

impl Meter for Nvidia {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self) -> Vec<Result<Sample, Fault>> {
        let now = (self.now)();
        let read_state = self.state_timer.is_due(now);
        let read = self.gpus.iter_mut().zip(&self.channels).map(|(gpu, channel)| {
            let energy = gpu
                .energy(self.now)
                .map_err(|reason| Fault { channel: channel.name.clone(), reason })?;
            Ok(if read_state { gpu.state(energy) } else { energy })
        });
        read.collect()
    }

    fn link(&self) -> Option<GpuLink> {
        let devices: Vec<_> = self.gpus.iter().map(|gpu| &gpu.device).collect();
        link::between(&devices)
    }
}

impl Gpu {
    /// Reads energy and power.
    ///
    /// # Errors
    /// The GPU cannot be read, or its counter was reset and no power tells what was lost.
    fn energy(&mut self, now: Now) -> Result<Sample, String> {
        let power = self.device.power_usage();
        let power = match self.counter {
            None => Some(power.map_err(|e| clause(&e))?),
            // the counter covers the module but the power only its GPU, so the power is dropped
            Some(_) => power.ok().filter(|_| !self.module),
        };
        let power = power.map(|milliwatts| Watts::new(f64::from(milliwatts) / 1e3));
        let integrated = power.map(|power| self.integral.advance(now(), power));
        let energy = match &mut self.counter {
            None => integrated,
            Some(counter) => {
                let read = self.device.total_energy_consumption().map_err(|e| clause(&e))?;
                let raw = Joules::new(read as f64 / 1e3);
                let meanwhile =
                    integrated.map(|integrated| integrated - self.integrated_when_counted);
                self.integrated_when_counted = integrated.unwrap_or(self.integrated_when_counted);
                let step = counter.advance(raw, meanwhile, None);
                if step.reset && meanwhile.is_none() {
                    return Err(RESET.to_owned());
                }
                Some(step.total)
            }
        };
        Ok(Sample { energy, power, ..Sample::default() })
    }

    /// Adds clocks, limit, temperature and utilisation to a sample.
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

/// Why NVML is not available, and what to do.
fn absence(error: &NvmlError, looked_for: &str) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => format!(
            "{looked_for} cannot be loaded: install NVIDIA's driver, or start the container with NVIDIA's runtime \
             (docker run --gpus all)"
        ),
        NvmlError::DriverNotLoaded => {
            "NVIDIA's driver is installed but not loaded; `nvidia-smi` shows details".to_owned()
        }
        NvmlError::LibRmVersionMismatch => {
            "NVIDIA's driver and library have different versions, as after an update: reboot the machine".to_owned()
        }
        NvmlError::NoPermission => {
            "permission denied by NVIDIA's driver: this user needs read and write access to /dev/nvidia*".to_owned()
        }
        error => format!("NVML cannot be initialized: {error}"),
    }
}

/// Describes an NVML error in a clause.
fn clause(error: &NvmlError) -> String {
    match error {
        NvmlError::GpuLost => "the GPU is lost: it fell off the bus or is being reset".to_owned(),
        NvmlError::NoPermission => "permission denied (see /dev/nvidia*)".to_owned(),
        NvmlError::NotSupported => "it reports neither energy nor power".to_owned(),
        error => error.to_string(),
    }
}
