//! The GPUs of this machine as a job's system, for `--gpu auto`.

use wattlaw::job::catalog::Catalog;
use wattlaw::job::system::{Accelerator, LinkKind, SystemSpec, pcie_gb_per_s};
use wattlaw::record::{Channel, Component};
use wattlaw_meter::link::GpuLink;
use wattlaw_meter::machine::{self, Options};

use crate::failure::{Done, Failure};

/// The word that stands for the GPUs of this machine.
pub const AUTO: &str = "auto";

/// The GPUs of this machine: their name, number, link and power limit. Those that `CUDA_VISIBLE_DEVICES` hides are left out.
///
/// # Errors
/// No GPU that is read, GPUs of several models, or a model that is not in the catalogue.
pub fn this_machine(catalog: &Catalog) -> Done<SystemSpec> {
    let found = machine::detect(&Options::from_env()).map_err(Failure::failed)?;
    let is_gpu =
        |channel: &Channel| matches!(channel.component, Component::Gpu | Component::Module);
    let mut gpus = Vec::new();
    let mut absences = Vec::new();
    let mut link = None;
    for family in found {
        absences.extend(family.absence);
        let Some(mut meter) = family.meter else { continue };
        let channels = meter.channels().to_vec();
        link = link.or_else(|| meter.link());
        for (channel, sample) in channels.into_iter().zip(meter.read()) {
            if is_gpu(&channel) {
                let limit = sample.ok().and_then(|sample| sample.power_limit);
                gpus.push((channel.model.unwrap_or_default(), limit));
            }
        }
    }
    let Some((model, limit)) = gpus.first().cloned() else {
        return Err(Failure::Failed(format!(
            "--gpu auto found no GPU on this machine: {}; give --gpu NAME (see `wattlaw catalog gpus`)",
            absences.join("; ")
        )));
    };
    if let Some((other, _)) = gpus.iter().find(|(other, _)| *other != model) {
        return Err(Failure::Failed(format!(
            "--gpu auto found GPUs of several models, `{model}` and `{other}`; choose some with CUDA_VISIBLE_DEVICES, or give \
             --gpu NAME"
        )));
    }
    let Ok(known) = catalog.accelerator(&model) else {
        return Err(Failure::Failed(format!(
            "--gpu auto found `{model}`, which is no GPU of the catalogue; give --gpu NAME, or its figures with --catalog FILE"
        )));
    };
    let (link, link_gb_per_s) = link.map_or((None, None), |link| described(link, known));
    let same_limit = gpus.iter().all(|(_, other)| *other == limit);
    Ok(SystemSpec {
        gpu: Some(known.name.clone()),
        gpus: Some(gpus.len() as u64),
        gpus_per_node: Some(gpus.len() as u64),
        link,
        link_gb_per_s,
        power_limit_w: limit.filter(|_| same_limit).map(|limit| limit.value()),
        ..SystemSpec::default()
    })
}

/// Kind and rate of a link of this machine, GB/s, both directions together; no rate where it is the accelerator's own.
fn described(link: GpuLink, accelerator: &Accelerator) -> (Option<LinkKind>, Option<f64>) {
    let kind = match link {
        GpuLink::NvLink { .. } => LinkKind::NvLink,
        GpuLink::Pcie { .. } => LinkKind::Pcie,
    };
    let rate = match link {
        GpuLink::NvLink { gb_per_s } => {
            // the driver's rate has the bits of the coding: 26.6 GB/s a link of an H100, where the vendor states 25
            let own = accelerator.link_gb_per_s.filter(|_| accelerator.link == kind);
            (own.is_none_or(|own| gb_per_s < own)).then_some(gb_per_s)
        }
        GpuLink::Pcie { generation, lanes } => {
            let own = (accelerator.pcie_generation, accelerator.pcie_lanes);
            ((generation, lanes) != own).then(|| pcie_gb_per_s(generation, lanes))
        }
    };
    (Some(kind), rate)
}
