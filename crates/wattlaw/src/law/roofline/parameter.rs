//! The parameters of the law: names, priors, and the levels by which each may differ.

use crate::stats::tape::{Real, logistic};

/// How a parameter enters the sum of population and deviations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A positive number: its logarithm.
    Log,
    /// A share of a whole: its logit, so that no share passes one.
    Logit,
}

impl Scale {
    /// The parameter from its logarithm or logit.
    pub(super) fn inverse(self, transformed: f64) -> f64 {
        match self {
            Self::Log => transformed.exp(),
            Self::Logit => logistic(transformed),
        }
    }

    /// Logarithm or logit of a parameter.
    pub(super) fn transformed(self, parameter: f64) -> f64 {
        match self {
            Self::Log => parameter.ln(),
            Self::Logit => (parameter / (1.0 - parameter)).ln(),
        }
    }

    /// Derivative of the parameter in its logarithm or logit.
    pub(super) fn slope(self, parameter: f64) -> f64 {
        match self {
            Self::Log => parameter,
            Self::Logit => parameter * (1.0 - parameter),
        }
    }
}

/// How time and energy go with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// In proportion.
    Cost,
    /// In inverse proportion.
    Rate,
    /// Otherwise: a share of a cost, the shape of a maximum, a factor of all jobs of a source.
    Shape,
}

/// Variance of a logarithm or logit above which a mean is not looked for: a spread of a factor of e or more is that of the prior,
/// and the mean of a normal's exponential would lie far out in its tail (90 times the median for a standard deviation of 3).
const LARGEST_VARIANCE: f64 = 1.0;

/// Prior standard deviations of a parameter's deviations by level; 0 where it does not differ.
///
/// What chips, software stacks and networks can sensibly change differs by them, and nothing else: a chip's kernel time
/// is not a stack's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spreads {
    /// Among chips. Small: chips hardly differ beyond their data sheet, most in their idle power, which has memory and board in it.
    pub chip: f64,
    /// Among software stacks.
    pub stack: f64,
    /// Among kinds of network.
    pub network: f64,
    /// Among sources of runs, such as clusters: what the law misses of one.
    pub source: f64,
}

impl Spreads {
    const NONE: Self = Self { chip: 0.0, stack: 0.0, network: 0.0, source: 0.0 };
}

/// A parameter: its name, its prior and its levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in files.
    pub name: &'static str,
    /// Logarithm or logit.
    pub scale: Scale,
    /// How time and energy go with it.
    pub role: Role,
    /// Median of the population's prior.
    pub median: f64,
    /// Standard deviation of its logarithm or logit.
    pub sd: f64,
    /// Prior spreads among chips, stacks and networks.
    pub spreads: Spreads,
    /// Description, with unit.
    pub about: &'static str,
}

/// Generates the struct of the parameters, their priors and the vector of a fit from one list, so that names and order
/// agree.
macro_rules! parameters {
    ($($name:ident: $scale:ident $role:ident $median:literal, $sd:literal, {$($level:ident: $spread:literal),*}, $about:literal;)+) => {
        /// Parameters of a job: of its chip under its software on its network.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(crate) struct Parameters<R> {
            $(#[doc = $about] pub $name: R,)+
        }

        /// Number of parameters.
        pub const COUNT: usize = [$(stringify!($name)),+].len();

        /// All parameters with their priors.
        pub const PARAMETERS: [Parameter; COUNT] = [$(
            Parameter {
                name: stringify!($name),
                scale: Scale::$scale,
                role: Role::$role,
                median: $median,
                sd: $sd,
                // a parameter without levels has nothing to update
                #[allow(clippy::needless_update)]
                spreads: Spreads { $($level: $spread,)* ..Spreads::NONE },
                about: $about,
            },
        )+];

        impl<R: Real> From<[R; COUNT]> for Parameters<R> {
            /// The vector of a fit, in the order of [`PARAMETERS`].
            fn from([$($name),+]: [R; COUNT]) -> Self {
                Self { $($name),+ }
            }
        }
    };
}

parameters! {
    launch_s: Log Cost 2e-3, 1.0, {stack: 0.7}, "host time of a micro-step, s";
    launch_per_kernel_s: Log Cost 3e-5, 0.7, {stack: 0.5}, "host time of a kernel, s";
    fsdp_launch_per_layer_s: Log Cost 3e-4, 1.0, {stack: 0.7}, "host time that FSDP adds to a layer, s";
    tensor_launch_per_layer_s: Log Cost 3e-4, 1.0, {stack: 0.7}, "host time that tensor parallelism adds to a layer, s";
    tensor_pipeline_launch_s: Log Cost 2e-7, 0.7, {stack: 3.0}, "host time of a tensor-parallel collective and rank in a pipeline across nodes, s";
    product_efficiency: Log Rate 0.70, 0.08, {chip: 0.025, stack: 0.10}, "share of peak that long products reach on an A100, before the ceiling";
    peak_slope: Log Shape 0.10, 0.5, {}, "fall of that share with the peak: (peak / A100's)^-slope";
    attention_slope: Log Shape 0.20, 0.5, {}, "the same fall of attention's share";
    saturation_s: Log Cost 6e-6, 0.7, {chip: 0.075}, "time at the peak of a product that reaches half the share, s";
    fp8_gain: Log Rate 1.45, 0.15, {stack: 0.10}, "rate of the layers' products in FP8 over 16 bits";
    wide_gain: Log Rate 1.15, 0.1, {chip: 0.1}, "share of peak of FP32 and TF32 over that of 16 bits";
    flash_efficiency: Log Rate 0.45, 0.25, {chip: 0.05, stack: 0.2}, "share of peak that fused attention reaches, of causal attention's half square";
    eager_efficiency: Log Rate 0.35, 0.3, {chip: 0.05, stack: 0.2}, "share of peak that eager attention's batched products reach";
    odd_vocabulary: Logit Rate 0.50, 0.6, {}, "rate of logits whose vocabulary is no multiple of eight, over others";
    memory_efficiency: Logit Rate 0.70, 0.5, {chip: 0.125, stack: 0.5}, "share of the memory bandwidth that element-wise work reaches; fusion is in it";
    eager_traffic: Log Cost 1.00, 0.4, {stack: 0.2}, "traffic of eager attention over the ledger's";
    product_traffic: Logit Shape 0.40, 0.7, {}, "share of a product's traffic that its arithmetic does not hide";
    kernel_s: Log Cost 5e-6, 0.8, {chip: 0.075}, "minimum device time of a kernel, s";
    pcie: Logit Rate 0.60, 0.6, {}, "what PCIe without peer access and with shared roots leaves of a link's share";
    pcie_crowd: Log Shape 0.30, 0.5, {}, "fall of PCIe's share with the GPUs of a node: (GPUs / 2)^-crowd";
    shard_efficiency: Logit Rate 0.60, 0.6, {chip: 0.1, stack: 0.4}, "share of the link that data-parallel communication reaches";
    tensor_efficiency: Log Rate 0.60, 0.4, {stack: 0.3}, "share of the link that tensor-parallel communication reaches; overlap with products is in it";
    network_efficiency: Logit Rate 0.75, 0.5, {network: 0.6}, "share of the network that communication reaches";
    tensor_latency_s: Log Cost 2e-5, 0.7, {}, "latency of a collective, s";
    network_latency_s: Log Cost 3e-5, 0.7, {}, "additional latency of a tensor-parallel or FSDP collective over the network, s";
    hop_s: Log Cost 2e-6, 1.0, {}, "time of a rank more in a ring over the network, s";
    tensor_hop_s: Log Cost 4e-6, 1.0, {}, "time of a rank more in a tensor-parallel ring over the network, s";
    pipeline_latency_s: Log Cost 5e-5, 1.0, {stack: 0.5}, "latency of a pipeline send, s";
    overlap: Log Shape 2.0, 0.5, {}, "sharpness of the maximum of launch, device and FSDP communication";
    bubble: Logit Shape 0.95, 0.5, {}, "share of the pipeline's bubble that is idle";
    exposed_gradients: Logit Shape 0.60, 0.6, {stack: 0.5}, "share of a step's communication that does not overlap";
    ddp_overlap: Logit Shape 0.60, 0.6, {}, "what DDP's buckets leave exposed of that share";
    optimizer_efficiency: Logit Rate 0.70, 0.6, {stack: 0.4}, "share of the memory bandwidth that the optimizer reaches";
    step_s: Log Cost 5e-3, 1.0, {stack: 0.7}, "host time of a step, s";
    fsdp_step_s: Log Cost 5e-3, 1.0, {stack: 0.5}, "host time that FSDP adds to a step, s";
    start_s: Log Cost 6.0, 0.8, {stack: 0.5}, "start-up and end of a run, s";
    static_remains: Log Shape 4.0, 0.5, {chip: 0.1}, "idle (static) power that no lower clock saves, over the rest of it";
    voltage_slope: Log Shape 1.25, 0.2, {chip: 0.0375}, "relative voltage per share of clock above its floor";
    static_share: Log Cost 0.17, 0.3, {chip: 0.15}, "idle (static) power of an accelerator, as a share of TDP";
    flop_energy: Log Cost 1.6, 0.4, {chip: 0.0625}, "energy of a FLOP in 16 bits, as a share of TDP over peak of the chip's largest board";
    fp8_energy: Log Cost 0.6, 0.3, {}, "energy of a FLOP in FP8 over 16 bits";
    wide_energy: Log Cost 0.5, 0.4, {chip: 0.05}, "energy of a FLOP in FP32 or TF32 times its peak, over the same of 16 bits";
    byte_energy: Log Cost 0.5, 0.5, {chip: 0.05}, "energy of a byte of memory traffic, as a share of TDP over bandwidth";
    link_energy: Log Cost 0.3, 0.8, {}, "energy of a byte sent, as a share of TDP over the link's rate";
    kernel_energy_s: Log Cost 3e-6, 1.0, {}, "fixed energy of a kernel, in seconds of TDP";
    busy_share: Log Cost 0.12, 0.6, {chip: 0.075, stack: 0.3}, "power of an accelerator that waits in collectives, as a share of TDP";
    codecarbon_host_w: Log Cost 50.0, 0.5, {chip: 0.1}, "power of a node in CodeCarbon's model of CPU and memory, W";
    source_time: Log Shape 1.0, 0.001, {source: 0.138}, "time of a source's runs over the law's";
    source_power: Log Shape 1.0, 0.001, {source: 0.08}, "power of a source's runs over the law's";
    host_share: Log Cost 0.43, 0.15, {}, "power of a node at its plug without its accelerators, as a share of their TDP";
}

impl Parameter {
    /// Logarithm or logit of the prior's median.
    pub(super) fn prior_mean(&self) -> f64 {
        self.scale.transformed(self.median)
    }

    /// What is added to the parameter's logarithm or logit of this variance, so that a cost in proportion to it, or to its inverse,
    /// is at its mean.
    ///
    /// The mean of exp(x) is exp(mean + variance / 2) for normal x, and that of 1 over a share is 1 + exp(variance / 2 − mean) for
    /// its logit x.
    pub(super) fn to_mean_cost(self, variance: f64) -> f64 {
        let half = 0.5 * variance.min(LARGEST_VARIANCE);
        match self.role {
            Role::Cost => half,
            Role::Rate => -half,
            Role::Shape => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Means of a normal variable's functions by a sum over its quantiles, 0.05 standard deviations apart.
    #[test]
    fn a_shifted_parameter_has_its_cost_at_the_mean() {
        let of = |name: &str| PARAMETERS.iter().find(|p| p.name == name).unwrap();
        let mean = |sd: f64, f: &dyn Fn(f64) -> f64| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for step in -200..=200 {
                let z = 0.05 * f64::from(step);
                let weight = (-0.5 * z * z).exp();
                sum += weight * f(sd * z);
                weights += weight;
            }
            sum / weights
        };
        for sd in [0.1, 0.5, 1.0] {
            let cost = of("step_s");
            let x = cost.prior_mean();
            let shifted = cost.scale.inverse(x + cost.to_mean_cost(sd * sd));
            let expected = mean(sd, &|z| cost.scale.inverse(x + z));
            approx::assert_relative_eq!(shifted, expected, max_relative = 1e-9);
            for rate in ["memory_efficiency", "tensor_efficiency"].map(of) {
                let x = rate.prior_mean();
                let shifted = rate.scale.inverse(x + rate.to_mean_cost(sd * sd));
                let expected = mean(sd, &|z| 1.0 / rate.scale.inverse(x + z));
                approx::assert_relative_eq!(1.0 / shifted, expected, max_relative = 1e-9);
            }
        }
        // the tail of a wide prior is not taken for knowledge
        assert!(of("step_s").to_mean_cost(9.0) <= 0.5);
        assert!(of("overlap").to_mean_cost(0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn names_are_unique_and_scales_invert() {
        let mut names: Vec<&str> = PARAMETERS.iter().map(|p| p.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT);
        for p in &PARAMETERS {
            let back = p.scale.inverse(p.prior_mean());
            approx::assert_relative_eq!(back, p.median, max_relative = 1e-14);
            let step = 1e-6;
            let difference =
                p.scale.inverse(p.prior_mean() + step) - p.scale.inverse(p.prior_mean() - step);
            approx::assert_relative_eq!(
                p.scale.slope(p.median),
                difference / (2.0 * step),
                max_relative = 1e-7
            );
        }
    }
}
