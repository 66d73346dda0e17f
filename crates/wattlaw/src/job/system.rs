//! The hardware a job runs on: accelerators, nodes, the links between them, and what energy costs there.

mod link;
mod network;

pub use link::LinkKind;
pub use network::NetworkKind;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::units::{Bytes, BytesPerSecond, FlopsPerSecond, Watts};
use crate::base::words::overlay;
use crate::job::model::count;
use crate::job::workload::Precision;

/// An accelerator of the catalogue; rates are the vendor's dense peaks, powers are per device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Name in the catalogue.
    pub name: String,
    /// Other names, as tools print and users type them.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Maker.
    pub vendor: String,
    /// Microarchitecture.
    pub architecture: String,
    /// The chip (die), such as `GA100`: accelerators of one chip share the fitted deviations of a law.
    pub chip: Option<String>,
    /// Year of release.
    pub year: u32,
    /// Rate of 32-bit products without tensor cores, TFLOP/s, where it is public.
    pub fp32_tflops: Option<f64>,
    /// Rate of TF32 products, where the hardware has them.
    pub tf32_tflops: Option<f64>,
    /// Rate of FP16 products accumulated in FP32.
    pub fp16_tflops: Option<f64>,
    /// Rate of BF16 products.
    pub bf16_tflops: Option<f64>,
    /// Rate of FP8 products.
    pub fp8_tflops: Option<f64>,
    /// Memory in GiB.
    pub hbm_gib: f64,
    /// Whether the memory stores error-correcting codes in a sixteenth of its capacity (GDDR6 of data-centre GPUs).
    #[serde(default)]
    pub inline_ecc: bool,
    /// Memory bandwidth in GB/s.
    pub hbm_gb_per_s: f64,
    /// Fastest link to other accelerators of the node.
    pub link: LinkKind,
    /// Rate of that link in GB/s, both directions together as vendors state it; for PCIe it follows from the lanes.
    pub link_gb_per_s: Option<f64>,
    /// Accelerators that the link joins, where it is no node's: a TPU's pod. A node then means a slice of it.
    pub pod_size: Option<u64>,
    /// PCI Express generation.
    pub pcie_generation: u32,
    /// PCI Express lanes.
    pub pcie_lanes: u32,
    /// Thermal design power, the default power limit, where it is public; a job on others states what an accelerator may draw.
    pub tdp_w: Option<f64>,
    /// Power at idle, where a source measured it.
    pub idle_w: Option<f64>,
    /// Where the figures are from.
    pub source: String,
    /// What is unverified or disputed.
    #[serde(default)]
    pub notes: String,
}

impl Accelerator {
    /// Peak rate of matrix products in a precision, or `None` if the hardware lacks it.
    pub fn peak(&self, precision: Precision) -> Option<FlopsPerSecond> {
        let tflops = match precision {
            Precision::Fp32 => self.fp32_tflops,
            Precision::Tf32 => self.tf32_tflops,
            Precision::Fp16 => self.fp16_tflops,
            Precision::Bf16 => self.bf16_tflops,
            Precision::Fp8 => self.fp8_tflops,
        };
        tflops.map(FlopsPerSecond::from_tflops)
    }

    /// Rate between it and the host's memory, in one direction.
    pub(crate) fn host_link(&self) -> BytesPerSecond {
        pcie_rate(self.pcie_generation, self.pcie_lanes)
    }

    /// Peak rate of matrix products in 16 bits: BF16 where the hardware has it, else FP16.
    pub(crate) fn half_peak(&self) -> FlopsPerSecond {
        // check() sees to it that there is one
        FlopsPerSecond::from_tflops(self.bf16_tflops.or(self.fp16_tflops).unwrap_or(f64::NAN))
    }

    /// The default half precision: BF16 where the hardware has it, else FP16.
    pub(crate) const fn half_precision(&self) -> Precision {
        if self.bf16_tflops.is_some() { Precision::Bf16 } else { Precision::Fp16 }
    }

    /// Memory.
    pub(crate) const fn hbm(&self) -> Bytes {
        Bytes::from_gib(self.hbm_gib)
    }

    /// Memory bandwidth.
    pub(crate) const fn hbm_bandwidth(&self) -> BytesPerSecond {
        BytesPerSecond::from_gb_per_s(self.hbm_gb_per_s)
    }

    /// Checks that every figure is a positive, finite number, and that there is a rate in 16 bits.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field; [`Error::Missing`] without such a rate.
    pub fn check(&self) -> Result<()> {
        if self.bf16_tflops.or(self.fp16_tflops).is_none() {
            return Err(Error::missing("bf16_tflops", "give it, or fp16_tflops"));
        }
        let needed = [
            ("fp32_tflops", self.fp32_tflops),
            ("tf32_tflops", self.tf32_tflops),
            ("fp16_tflops", self.fp16_tflops),
            ("bf16_tflops", self.bf16_tflops),
            ("fp8_tflops", self.fp8_tflops),
            ("hbm_gib", Some(self.hbm_gib)),
            ("hbm_gb_per_s", Some(self.hbm_gb_per_s)),
            ("link_gb_per_s", self.link_gb_per_s),
            ("tdp_w", self.tdp_w),
            ("idle_w", self.idle_w),
        ];
        for (field, value) in needed {
            positive(field, value)?;
        }
        if let Some(size) = self.pod_size {
            count("pod_size", Some(size), None, 1 << 16)?;
        }
        self.link_rate().map(|_| ())
    }

    /// Rate of its own link inside a node, one direction.
    fn link_rate(&self) -> Result<BytesPerSecond> {
        match (self.link, self.link_gb_per_s) {
            (_, Some(both)) => Ok(BytesPerSecond::from_gb_per_s(both / 2.0)),
            (LinkKind::Pcie, None) => self.pcie_link_rate(),
            (_, None) => Err(Error::missing(
                "link_gb_per_s",
                "give the link's rate in GB/s, both directions together",
            )),
        }
    }

    /// Rate of its lanes, one direction.
    fn pcie_link_rate(&self) -> Result<BytesPerSecond> {
        count("pcie_generation", Some(u64::from(self.pcie_generation)), None, 7)?;
        count("pcie_lanes", Some(u64::from(self.pcie_lanes)), None, 64)?;
        Ok(pcie_rate(self.pcie_generation, self.pcie_lanes))
    }
}

/// Rate of a PCI Express link in GB/s, both directions together.
pub fn pcie_gb_per_s(generation: u32, lanes: u32) -> f64 {
    2.0 * pcie_rate(generation, lanes).gb_per_s()
}

/// One direction of a PCI Express link: 0.985 GB/s a lane in generation 3, twice that in each later one.
///
/// Source: PCI-SIG, 8 GT/s with 128b/130b coding in generation 3.
fn pcie_rate(generation: u32, lanes: u32) -> BytesPerSecond {
    let lane_gb_per_s = 8.0 * (128.0 / 130.0) / 8.0 * 2f64.powi(generation as i32 - 3);
    BytesPerSecond::from_gb_per_s(lane_gb_per_s * f64::from(lanes))
}

/// The link between the GPUs of a node, as seen by one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// Its kind.
    #[serde(rename = "name")]
    pub kind: LinkKind,
    /// Bandwidth of a GPU in one direction, in bytes per second.
    pub bandwidth: BytesPerSecond,
}

/// The network between nodes, as seen by one GPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Bandwidth of a GPU in one direction, in bytes per second.
    pub bandwidth: BytesPerSecond,
}

/// Accelerators, nodes and links, checked by [`SystemSpec::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct System {
    /// The accelerator, all of one kind.
    pub accelerator: Accelerator,
    /// Accelerators in all.
    pub gpus: u64,
    /// Accelerators in one node.
    pub gpus_per_node: u64,
    /// The link inside a node.
    pub link: Link,
    /// The network between nodes.
    pub network: Network,
    /// The kind of that network, from its name.
    pub network_kind: NetworkKind,
    /// Thermal design power of one accelerator; the power limit where it is not public.
    pub tdp: Watts,
    /// Network adapters of a node, where stated.
    pub network_adapters: Option<u64>,
    /// Power limit of one accelerator, its TDP where none is set.
    pub power_limit: Watts,
    /// Mean power of a node besides its accelerators while they train, behind its power supplies, where stated.
    pub host_power: Option<Watts>,
    /// Power usage effectiveness (facility energy over IT energy), where given.
    pub pue: Option<f64>,
    /// Carbon intensity in grams of CO₂ equivalent per kWh, where given.
    pub carbon_g_per_kwh: Option<f64>,
    /// Price of a kWh, in the user's currency.
    pub price_per_kwh: Option<f64>,
    /// Price of an accelerator for an hour, in the user's currency.
    pub price_per_gpu_hour: Option<f64>,
    /// The currency of the prices, where stated.
    pub currency: Option<String>,
}

impl System {
    /// The description that resolves to this system, with every field that is known stated. A preset's name is not kept: its
    /// figures are.
    pub fn spec(&self) -> SystemSpec {
        SystemSpec {
            name: None,
            gpu: Some(self.accelerator.name.clone()),
            gpus: Some(self.gpus),
            gpus_per_node: Some(self.gpus_per_node),
            nodes: Some(self.nodes()),
            link: Some(self.link.kind),
            link_gb_per_s: Some(2.0 * gb_per_s(self.link.bandwidth)),
            network: Some(self.network.name.clone()),
            network_gb_per_s: Some(gb_per_s(self.network.bandwidth)),
            network_adapters: self.network_adapters,
            // it follows from the rate of a GPU
            adapter_gb_per_s: None,
            power_limit_w: Some(self.power_limit.value()),
            host_power_w: self.host_power.map(Watts::value),
            pue: self.pue,
            carbon_g_per_kwh: self.carbon_g_per_kwh,
            price_per_kwh: self.price_per_kwh,
            price_per_gpu_hour: self.price_per_gpu_hour,
            currency: self.currency.clone(),
        }
    }

    /// Nodes in use.
    pub const fn nodes(&self) -> u64 {
        self.gpus.div_ceil(self.gpus_per_node)
    }
}

/// A system as a job file or flags describe it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemSpec {
    /// A preset of the catalogue (`dgx-a100-80gb`).
    pub name: Option<String>,
    /// The accelerator's name.
    pub gpu: Option<String>,
    /// Accelerators in all; the product of the degrees when absent.
    pub gpus: Option<u64>,
    /// Accelerators in one node; all of them up to eight when absent.
    pub gpus_per_node: Option<u64>,
    /// Nodes; follows from the accelerators when absent.
    pub nodes: Option<u64>,
    /// Kind of the link inside a node; the accelerator's own when absent.
    pub link: Option<LinkKind>,
    /// Link inside a node, GB/s, both directions together; the accelerator's own when absent.
    pub link_gb_per_s: Option<f64>,
    /// Network between nodes: its kind, or a name with the kind in it ([`NetworkKind::of_name`]).
    pub network: Option<String>,
    /// Network between nodes, GB/s a GPU in one direction; that of the adapters when absent, else 25 (200 Gb/s InfiniBand).
    pub network_gb_per_s: Option<f64>,
    /// Network adapters of a node, shared evenly by its accelerators.
    pub network_adapters: Option<u64>,
    /// Rate of one of them, GB/s in one direction.
    pub adapter_gb_per_s: Option<f64>,
    /// Power limit of one accelerator in watts.
    pub power_limit_w: Option<f64>,
    /// Mean power of a node besides its accelerators while they train, behind its power supplies, in watts; a share of
    /// their TDP is assumed when absent.
    pub host_power_w: Option<f64>,
    /// Power usage effectiveness, 1 or more.
    pub pue: Option<f64>,
    /// Carbon intensity in g CO₂e a kWh.
    pub carbon_g_per_kwh: Option<f64>,
    /// Price of a kWh.
    pub price_per_kwh: Option<f64>,
    /// Price of an accelerator for an hour.
    pub price_per_gpu_hour: Option<f64>,
    /// Currency of the prices: a label such as `EUR`.
    pub currency: Option<String>,
}

impl SystemSpec {
    /// The description with absent fields taken from `base`. A rate of `base` that is that of another link, or of other adapters,
    /// is not taken.
    #[must_use]
    pub fn with_fallback(self, mut base: Self) -> Self {
        if self.link.is_some_and(|link| base.link != Some(link)) {
            base.link_gb_per_s = None;
        }
        if self.network_gb_per_s.is_some() {
            (base.network_adapters, base.adapter_gb_per_s) = (None, None);
        } else if self.network_adapters.is_some() || self.adapter_gb_per_s.is_some() {
            base.network_gb_per_s = None;
        }
        overlay!(SystemSpec, self over base: name, gpu, gpus, gpus_per_node, nodes, link, link_gb_per_s, network,
            network_gb_per_s, network_adapters, adapter_gb_per_s, power_limit_w, host_power_w, pue, carbon_g_per_kwh, price_per_kwh,
            price_per_gpu_hour, currency)
    }

    /// Checks the description; `implied_gpus` is the product of the parallel degrees.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are not positive and finite, a PUE below 1, a power limit above twice the
    /// TDP, or nodes that do not hold the accelerators.
    pub fn resolve(&self, accelerator: &Accelerator, implied_gpus: u64) -> Result<System> {
        let of_nodes = match (self.nodes, self.gpus_per_node) {
            (Some(nodes), Some(per_node)) => Some(nodes.saturating_mul(per_node)),
            (Some(1), None) => None,
            (Some(nodes), None) => Some(nodes.saturating_mul(8)),
            _ => None,
        };
        let gpus = count("gpus", self.gpus.or(of_nodes), Some(implied_gpus), 1 << 24)?;
        let spread = self.nodes.filter(|n| *n > 0 && gpus % n == 0).map(|n| gpus / n);
        let per_node = count(
            "gpus_per_node",
            self.gpus_per_node,
            Some(spread.unwrap_or_else(|| match accelerator.pod_size {
                Some(size) => equal_slices(gpus, size),
                None => equal_nodes(gpus),
            })),
            1 << 16,
        )?;
        let per_node = per_node.min(gpus);
        if let Some(nodes) = self.nodes
            && (nodes == 0 || gpus.div_ceil(per_node) != nodes)
        {
            return Err(Error::invalid(
                "nodes",
                nodes,
                format!("{gpus} GPUs at {per_node} a node fill {} nodes", gpus.div_ceil(per_node)),
            ));
        }
        if gpus % per_node != 0 {
            return Err(Error::invalid(
                "gpus_per_node",
                per_node,
                match equal_nodes(gpus) {
                    fitting if gpus % fitting == 0 => format!(
                        "it must divide the {gpus} GPUs, as {fitting} does: {} equal nodes",
                        gpus / fitting
                    ),
                    _ => format!("it must divide the {gpus} GPUs"),
                },
            ));
        }
        let link = self.resolve_link(accelerator)?;
        let network = self.network_rate(self.gpus_per_node.unwrap_or(per_node))?;
        let limit = positive("power_limit_w", self.power_limit_w)?;
        let Some(tdp) = accelerator.tdp_w.or(limit) else {
            return Err(Error::missing(
                "power_limit_w",
                format!("the power of {} is not public; state what one may draw", accelerator.name),
            ));
        };
        let limit = limit.unwrap_or(tdp);
        if limit > 2.0 * tdp {
            return Err(Error::invalid(
                "power_limit_w",
                limit,
                format!("the TDP of {} is {tdp} W", accelerator.name),
            ));
        }
        if let Some(pue) = self.pue
            && !(pue.is_finite() && (1.0..=10.0).contains(&pue))
        {
            return Err(Error::invalid("pue", pue, "it must be from 1 to 10"));
        }
        if let Some(currency) = &self.currency
            && (!(1..=8).contains(&currency.chars().count())
                || currency.chars().any(|c| c.is_whitespace() || c.is_control() || c == ','))
        {
            return Err(Error::invalid(
                "currency",
                format!("`{currency}`"),
                "it must be 1 to 8 letters or signs, such as EUR",
            ));
        }
        let network_kind =
            self.network.as_deref().map_or(NetworkKind::Unknown, NetworkKind::of_name);
        let name = self.network.clone().unwrap_or_else(|| "network".to_owned());
        Ok(System {
            accelerator: accelerator.clone(),
            gpus,
            gpus_per_node: per_node,
            link,
            network_kind,
            network_adapters: self.network_adapters,
            network: Network { name, bandwidth: BytesPerSecond::from_gb_per_s(network) },
            tdp: Watts::new(tdp),
            power_limit: Watts::new(limit),
            host_power: positive("host_power_w", self.host_power_w)?.map(Watts::new),
            pue: self.pue,
            carbon_g_per_kwh: not_negative("carbon_g_per_kwh", self.carbon_g_per_kwh)?,
            price_per_kwh: not_negative("price_per_kwh", self.price_per_kwh)?,
            price_per_gpu_hour: not_negative("price_per_gpu_hour", self.price_per_gpu_hour)?,
            currency: self.currency.clone(),
        })
    }

    /// The link inside a node.
    ///
    /// # Errors
    /// [`Error::Missing`] for the rate of a link that the accelerator itself does not have.
    fn resolve_link(&self, accelerator: &Accelerator) -> Result<Link> {
        let kind = self.link.unwrap_or(accelerator.link);
        let stated = positive("link_gb_per_s", self.link_gb_per_s)?;
        let bandwidth = match (stated, kind) {
            (Some(both), _) => BytesPerSecond::from_gb_per_s(both / 2.0),
            (None, kind) if kind == accelerator.link => accelerator.link_rate()?,
            (None, LinkKind::Pcie) => accelerator.pcie_link_rate()?,
            (None, _) => {
                let own = accelerator.link;
                return Err(Error::missing(
                    "link_gb_per_s",
                    format!(
                        "give the rate of {kind} in GB/s, both directions together; the link of {} is {own}",
                        accelerator.name
                    ),
                ));
            }
        };
        Ok(Link { kind, bandwidth })
    }

    /// Rate of the network of one accelerator in one direction, GB/s: as stated, or its share of the node's adapters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a rate that is not that of the adapters, [`Error::Missing`] for adapters without their rate.
    pub(crate) fn network_rate(&self, gpus_per_node: u64) -> Result<f64> {
        // NVIDIA ConnectX-6 HDR InfiniBand, one adapter a GPU as in DGX A100: 200 Gb/s
        const ASSUMED: f64 = 25.0;
        let stated = positive("network_gb_per_s", self.network_gb_per_s)?;
        let rate = positive("adapter_gb_per_s", self.adapter_gb_per_s)?;
        let adapters = match self.network_adapters {
            Some(adapters) => Some(count("network_adapters", Some(adapters), None, 1 << 16)?),
            None => None,
        };
        let (adapters, rate) = match (adapters, rate) {
            (Some(adapters), Some(rate)) => (adapters, rate),
            (Some(_), None) if stated.is_none() => {
                return Err(Error::missing(
                    "adapter_gb_per_s",
                    "give the rate of one of the network_adapters in GB/s, such as 25 for 200 Gb/s",
                ));
            }
            (None, Some(_)) => {
                return Err(Error::missing(
                    "network_adapters",
                    "give the number of adapters of a node, each of adapter_gb_per_s",
                ));
            }
            _ => return Ok(stated.unwrap_or(ASSUMED)),
        };
        let shared = adapters as f64 * rate / gpus_per_node.max(1) as f64;
        match stated {
            Some(stated) if (stated - shared).abs() > 1e-6 * shared => Err(Error::invalid(
                "network_gb_per_s",
                stated,
                format!(
                    "{adapters} adapters of {rate} GB/s give each of {gpus_per_node} GPUs {shared} GB/s"
                ),
            )),
            _ => Ok(shared),
        }
    }
}

/// Accelerators of a slice when not given: the most up to a pod that fill equal slices.
fn equal_slices(gpus: u64, pod_size: u64) -> u64 {
    (1..=pod_size.min(gpus)).rev().find(|size| gpus.is_multiple_of(*size)).unwrap_or(1)
}

/// GPUs of a node where nothing states them: the most, from 8 down to 4, that fill equal nodes; 8 where none do.
fn equal_nodes(gpus: u64) -> u64 {
    (4..=8).rev().find(|per_node| gpus.is_multiple_of(*per_node)).unwrap_or(8).min(gpus)
}

/// The number of GB/s that is read back as exactly this rate. Division by 10⁹ alone may miss it by a rounding.
fn gb_per_s(rate: BytesPerSecond) -> f64 {
    let near = rate.gb_per_s();
    let candidates = [near, near.next_up(), near.next_down()];
    candidates.into_iter().find(|x| BytesPerSecond::from_gb_per_s(*x) == rate).unwrap_or(near)
}

/// Range of rates and powers; a value outside has a wrong unit and would give zero or infinite times.
const MIN: f64 = 1e-6;
const MAX: f64 = 1e15;

fn positive(field: &str, value: Option<f64>) -> Result<Option<f64>> {
    match value {
        Some(x) if !(MIN..=MAX).contains(&x) => {
            Err(Error::invalid(field, x, "it must be a positive number, from 1e-6 to 1e15"))
        }
        other => Ok(other),
    }
}

fn not_negative(field: &str, value: Option<f64>) -> Result<Option<f64>> {
    match value {
        Some(x) if !(0.0..=MAX).contains(&x) => {
            Err(Error::invalid(field, x, "it must be a number from 0"))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t4() -> Accelerator {
        Accelerator {
            pod_size: None,
            name: "t4".into(),
            aliases: vec![],
            vendor: "nvidia".into(),
            architecture: "Turing".into(),
            chip: Some("TU104".into()),
            year: 2018,
            fp32_tflops: Some(8.141),
            tf32_tflops: None,
            fp16_tflops: Some(65.13),
            bf16_tflops: None,
            fp8_tflops: None,
            hbm_gib: 16.0,
            inline_ecc: false,
            hbm_gb_per_s: 320.0,
            link: LinkKind::Pcie,
            link_gb_per_s: None,
            pcie_generation: 3,
            pcie_lanes: 16,
            tdp_w: Some(70.0),
            idle_w: None,
            source: "test".into(),
            notes: String::new(),
        }
    }

    #[test]
    fn a_pod_is_one_node_and_unknown_power_is_asked_for() {
        let pod = Accelerator { pod_size: Some(256), tdp_w: None, ..t4() };
        let spec = SystemSpec { power_limit_w: Some(150.0), ..SystemSpec::default() };
        for (gpus, of_slice) in [(8, 8), (256, 256), (512, 256), (384, 192)] {
            let system = spec.resolve(&pod, gpus).unwrap();
            assert_eq!((system.gpus_per_node, system.tdp), (of_slice, Watts::new(150.0)), "{gpus}");
        }
        let error = SystemSpec::default().resolve(&pod, 8).unwrap_err().to_string();
        assert_eq!(
            error,
            "power_limit_w is missing; the power of t4 is not public; state what one may draw"
        );
        let rateless = Accelerator { fp16_tflops: None, bf16_tflops: None, ..t4() };
        assert!(rateless.check().unwrap_err().to_string().starts_with("bf16_tflops is missing"));
    }

    #[test]
    fn gpus_that_do_not_fill_nodes_of_eight_fill_smaller_equal_ones() {
        let nodes = |gpus: u64| {
            let system = SystemSpec { gpus: Some(gpus), ..SystemSpec::default() };
            system.resolve(&t4(), 1).map(|system| (system.nodes(), system.gpus_per_node))
        };
        for (gpus, expected) in
            [(3, (1, 3)), (7, (1, 7)), (8, (1, 8)), (12, (2, 6)), (20, (4, 5)), (24, (3, 8))]
        {
            assert_eq!(nodes(gpus).unwrap(), expected, "{gpus}");
        }
        assert!(nodes(13).unwrap_err().to_string().ends_with("it must divide the 13 GPUs"));
        let stated = SystemSpec { gpus: Some(12), gpus_per_node: Some(8), ..SystemSpec::default() };
        assert_eq!(
            stated.resolve(&t4(), 1).unwrap_err().to_string(),
            "gpus_per_node is 8, but it must divide the 12 GPUs, as 6 does: 2 equal nodes"
        );
    }

    #[test]
    fn a_pcie_rate_follows_from_the_lanes() {
        let system = SystemSpec::default().resolve(&t4(), 4).unwrap();
        // 16 lanes of generation 3: 15.75 GB/s a direction
        assert!((system.link.bandwidth.gb_per_s() - 15.753_846).abs() < 1e-6);
        assert_eq!((system.gpus, system.gpus_per_node, system.nodes()), (4, 4, 1));
        assert_eq!(t4().half_precision(), Precision::Fp16);
    }

    #[test]
    fn the_networks_name_is_kept_and_gives_its_kind() {
        let of = |network: Option<&str>| {
            let spec = SystemSpec { network: network.map(str::to_owned), ..Default::default() };
            spec.resolve(&t4(), 4).unwrap()
        };
        let system = of(Some("HDR InfiniBand"));
        assert_eq!(system.network.name, "HDR InfiniBand");
        assert_eq!(system.network_kind, NetworkKind::Infiniband);
        assert_eq!(system.spec().resolve(&t4(), 4).unwrap(), system);
        assert_eq!(of(None).network_kind, NetworkKind::Unknown);
    }

    /// Two GPUs share eight adapters of 25 GB/s; a preset's rate goes where other adapters are stated.
    #[test]
    fn a_rate_follows_from_the_adapters_of_a_node() {
        let spec = |adapters, rate, stated| SystemSpec {
            gpus: Some(16),
            gpus_per_node: Some(8),
            network_adapters: adapters,
            adapter_gb_per_s: rate,
            network_gb_per_s: stated,
            ..SystemSpec::default()
        };
        let rate = |spec: &SystemSpec| {
            spec.resolve(&t4(), 1).map(|system| system.network.bandwidth.gb_per_s())
        };
        assert_eq!(rate(&spec(Some(4), Some(25.0), None)).unwrap(), 12.5);
        assert_eq!(rate(&spec(Some(4), Some(25.0), Some(12.5))).unwrap(), 12.5);
        assert_eq!(rate(&spec(Some(4), None, Some(50.0))).unwrap(), 50.0);
        assert_eq!(rate(&spec(None, None, None)).unwrap(), 25.0);
        let fails = |spec: &SystemSpec| rate(spec).unwrap_err().to_string();
        assert_eq!(
            fails(&spec(Some(4), Some(25.0), Some(25.0))),
            "network_gb_per_s is 25, but 4 adapters of 25 GB/s give each of 8 GPUs 12.5 GB/s"
        );
        assert!(fails(&spec(Some(4), None, None)).starts_with("adapter_gb_per_s is missing"));
        assert!(fails(&spec(None, Some(25.0), None)).starts_with("network_adapters is missing"));
        assert!(fails(&spec(Some(0), Some(25.0), None)).starts_with("network_adapters is 0"));
        let system = spec(Some(4), Some(25.0), None).resolve(&t4(), 1).unwrap();
        assert_eq!(system.spec().resolve(&t4(), 1).unwrap(), system);
        let preset = spec(Some(8), None, Some(25.0));
        let own = SystemSpec { network_gb_per_s: Some(3.0), ..SystemSpec::default() };
        assert_eq!(rate(&own.with_fallback(preset.clone())).unwrap(), 3.0);
        let own = SystemSpec {
            network_adapters: Some(2),
            adapter_gb_per_s: Some(50.0),
            ..SystemSpec::default()
        };
        assert_eq!(rate(&own.with_fallback(preset)).unwrap(), 12.5);
    }

    /// An accelerator with NVLink in a node without it, and a bridge between cards that have none by themselves.
    #[test]
    fn a_link_may_be_another_than_the_accelerators_own() {
        let linked = Accelerator { link: LinkKind::NvLink, link_gb_per_s: Some(300.0), ..t4() };
        let of = |link, rate| SystemSpec { link, link_gb_per_s: rate, ..SystemSpec::default() };
        let link = |spec: &SystemSpec, card: &Accelerator| {
            spec.resolve(card, 2).map(|system| (system.link.kind, system.link.bandwidth.gb_per_s()))
        };
        assert_eq!(link(&of(None, None), &linked).unwrap(), (LinkKind::NvLink, 150.0));
        let (kind, rate) = link(&of(Some(LinkKind::Pcie), None), &linked).unwrap();
        assert_eq!((kind, rate), link(&of(None, None), &t4()).unwrap());
        let bridge = of(Some(LinkKind::NvLink), Some(100.0));
        assert_eq!(link(&bridge, &t4()).unwrap(), (LinkKind::NvLink, 50.0));
        assert_eq!(
            link(&of(Some(LinkKind::NvLink), None), &t4()).unwrap_err().to_string(),
            "link_gb_per_s is missing; give the rate of nvlink in GB/s, both directions together; the link of t4 is pcie"
        );
        // the preset's rate is that of its own link
        let preset = of(None, Some(600.0));
        let own = of(Some(LinkKind::Pcie), None).with_fallback(preset);
        assert_eq!(link(&own, &linked).unwrap().0, LinkKind::Pcie);
        assert_eq!(own.link_gb_per_s, None);
    }

    #[test]
    fn a_pcie_card_without_lanes_has_no_link() {
        let card = Accelerator { pcie_lanes: 0, ..t4() };
        assert_eq!(
            card.check().unwrap_err().to_string(),
            "pcie_lanes is 0, but it must be a whole number from 1 to 64"
        );
    }

    #[test]
    fn nodes_must_hold_the_gpus() {
        let fails = |spec: SystemSpec| spec.resolve(&t4(), 1).unwrap_err().to_string();
        let spec = |gpus, nodes, per_node| SystemSpec {
            gpus,
            nodes,
            gpus_per_node: per_node,
            ..Default::default()
        };
        assert_eq!(
            fails(spec(Some(16), Some(3), Some(8))),
            "nodes is 3, but 16 GPUs at 8 a node fill 2 nodes"
        );
        assert!(fails(spec(Some(12), None, Some(8))).contains("must divide the 12 GPUs"));
        assert_eq!(spec(None, Some(2), Some(8)).resolve(&t4(), 1).unwrap().gpus, 16);
        assert_eq!(spec(Some(8), Some(2), None).resolve(&t4(), 1).unwrap().gpus_per_node, 4);
    }

    #[test]
    fn implausible_numbers_are_refused() {
        let fails = |spec: SystemSpec| spec.resolve(&t4(), 1).unwrap_err().to_string();
        assert!(
            fails(SystemSpec { power_limit_w: Some(700.0), ..Default::default() })
                .contains("TDP of t4 is 70 W")
        );
        assert!(
            fails(SystemSpec { pue: Some(0.9), ..Default::default() }).contains("from 1 to 10")
        );
        assert!(
            fails(SystemSpec { network_gb_per_s: Some(f64::INFINITY), ..Default::default() })
                .contains("positive")
        );
    }
}
