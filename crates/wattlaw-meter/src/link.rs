//! How the NVIDIA GPUs of this machine reach one another.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{P2pCapabilitiesIndex, P2pStatus};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON;

/// `NVML_NVLINK_MAX_LINKS` of nvml.h.
const MAX_LINKS: u32 = 18;

/// The slowest link between the GPUs of a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GpuLink {
    /// All GPUs reach one another over NVLink.
    NvLink {
        /// Rate of a GPU's active links in GB/s, both directions together, as the driver states it: with the bits of the coding.
        gb_per_s: f64,
    },
    /// Some reach one another over PCI Express alone.
    Pcie {
        /// The generation that GPU and slot reach.
        generation: u32,
        /// The lanes that GPU and slot have.
        lanes: u32,
    },
}

/// The slowest link between GPUs; `None` for fewer than two, or where the driver does not say.
pub(crate) fn between(gpus: &[&Device<'_>]) -> Option<GpuLink> {
    if gpus.len() < 2 {
        return None;
    }
    let rates: Option<Vec<f64>> = gpus.iter().map(|gpu| nvlink_gb_per_s(gpu)).collect();
    if let Some(rates) = rates
        && is_connected(gpus.len(), |a, b| has_nvlink(gpus, a, b))
    {
        let gb_per_s = rates.into_iter().reduce(f64::min)?;
        return Some(GpuLink::NvLink { gb_per_s });
    }
    let of =
        |gpu: &&Device<'_>| Some((gpu.max_pcie_link_gen().ok()?, gpu.max_pcie_link_width().ok()?));
    let slots: Option<Vec<(u32, u32)>> = gpus.iter().map(of).collect();
    // a generation doubles the rate of a lane
    let (generation, lanes) =
        slots?.into_iter().min_by_key(|(generation, lanes)| lanes << generation)?;
    Some(GpuLink::Pcie { generation, lanes })
}

/// Rate of a GPU's active NVLinks, GB/s, both directions together; `None` without one.
fn nvlink_gb_per_s(gpu: &Device<'_>) -> Option<f64> {
    let is_active = |link: &u32| gpu.link_wrapper_for(*link).is_active().unwrap_or(false);
    let active = (0..MAX_LINKS).filter(is_active).count();
    if active == 0 {
        return None;
    }
    let speed = gpu.field_values_for(&[FieldId(NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON)]).ok()?;
    let mb_per_s = match speed.into_iter().next()?.ok()?.value.ok()? {
        SampleValue::U32(speed) => f64::from(speed),
        SampleValue::U64(speed) => speed as f64,
        SampleValue::F64(speed) => speed,
        SampleValue::I64(speed) => speed as f64,
    };
    (mb_per_s > 0.0).then_some(2.0 * active as f64 * mb_per_s / 1e3)
}

/// Whether two GPUs reach one another over NVLink, with switches or without; taken as given where the driver does not say.
fn has_nvlink(gpus: &[&Device<'_>], a: usize, b: usize) -> bool {
    let (Some(a), Some(b)) = (gpus.get(a), gpus.get(b)) else { return false };
    a.p2p_status(b, P2pCapabilitiesIndex::NvLink).map_or(true, |status| status == P2pStatus::Ok)
}

/// Whether links between pairs lead from the first of `n` to all others.
fn is_connected(n: usize, linked: impl Fn(usize, usize) -> bool) -> bool {
    let (mut reached, mut open) = (vec![false; n], vec![0]);
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        open.extend((0..n).filter(|next| !reached[*next] && linked(at, *next)));
    }
    reached.iter().all(|reached| *reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_connected_and_pairs_are_not() {
        assert!(is_connected(4, |a, b| (a + 1) % 4 == b || (b + 1) % 4 == a));
        assert!(!is_connected(4, |a, b| a / 2 == b / 2));
        assert!(is_connected(1, |_, _| false));
    }
}
