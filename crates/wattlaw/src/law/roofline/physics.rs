//! The physics of the roofline law: time and energy of a job from its ledger and positive parameters.
//!
//! Per micro-step and GPU, with q = 1 + overlap:
//!
//! ```text
//! launch = λ₀ + λ₁ · kernels + FSDP: (φ₀ + φ₁ · layers) + TP: τ₁ · layers + χ · TP collectives · (tp − 1) across nodes
//! device = F · (1 + √(f₀ · kernels / F)) / (ε_F · peak) + A / (ε_A · peak) + U / (ε_U · peak)
//!          + B / (ε_B · bandwidth) + δ · kernels
//! tensor = TP bytes / (ε_T · link) + (τ₀ + τ₂ over network) · TP collectives
//! fsdp   = FSDP bytes / (ε_S · link)
//! micro  = (launch^q + (device + tensor)^q + fsdp^q)^(1/q)
//! step   = m · (micro + pipeline) · (1 + β · bubble) + σ · gradients / (ε_S · link) + optimizer
//! T      = steps · step + start-up
//! E      = T · (nodes · host + N · static) + N · work, the work's power saturating below the TDP
//! ```
//!
//! A power limit below the accelerator's power lowers its clock: device time grows and the energy of work falls
//! ([`clock`](super::clock)).
//!
//! F, A, U are FLOPs of products, attention and unaligned logits, B bytes of memory traffic. Sources: the roofline
//! (Williams et al. 2009) with a smooth maximum; saturation of small products as in NeuSight (Lee et al. 2024); energy
//! as static power and work (Choi et al. 2013).

use serde::Serialize;

use super::clock::{CLOCK, ClockLaw, PowerLimit};
use super::terms::{Communication, Terms};

/// A parameter: its name, description and prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in files.
    pub name: &'static str,
    /// Median of the prior.
    pub median: f64,
    /// Standard deviation of its logarithm.
    pub sd: f64,
    /// Description, with unit.
    pub about: &'static str,
}

/// Generates the struct of the parameters, their priors and the vector of a fit from one list, so that names and order
/// agree.
macro_rules! parameters {
    ($($name:ident: $median:literal, $sd:literal, $about:literal;)+) => {
        /// Parameters of one machine; all are positive.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct RooflineParameters {
            $(#[doc = $about] pub $name: f64,)+
        }

        /// Number of parameters.
        pub const COUNT: usize = [$(stringify!($name)),+].len();

        /// All parameters with their priors: physical defaults, with large standard deviations where machines differ.
        ///
        /// `flop_energy` is above one because accelerators draw most of their limit well below their peak rate: eight
        /// H100 at about 40 % of peak draw nine tenths of it (Latif et al. 2024, arXiv 2412.08602). With 0.15 of TDP of
        /// static power and as much for memory traffic, work of 0.4 · 3.6 + 0.15 saturates at the remaining 0.75.
        pub const PARAMETERS: [Parameter; COUNT] = [$(
            Parameter { name: stringify!($name), median: $median, sd: $sd, about: $about },
        )+];

        impl From<[f64; COUNT]> for RooflineParameters {
            /// The vector of a fit, in the order of [`PARAMETERS`].
            fn from([$($name),+]: [f64; COUNT]) -> Self {
                Self { $($name),+ }
            }
        }

        impl From<RooflineParameters> for [f64; COUNT] {
            fn from(parameters: RooflineParameters) -> Self {
                [$(parameters.$name),+]
            }
        }
    };
}

parameters! {
    launch_s: 2e-3, 1.2, "host time of a micro-step, s";
    launch_per_kernel_s: 5e-5, 0.7, "host time of a kernel, s";
    fsdp_launch_s: 3e-3, 1.2, "host time that FSDP adds to a micro-step, s";
    fsdp_launch_per_layer_s: 3e-4, 1.0, "host time that FSDP adds to a layer, s";
    tensor_launch_per_layer_s: 1e-3, 2.0, "host time that tensor parallelism adds to a layer, s";
    tensor_network_launch_s: 1e-5, 3.0, "host time of a tensor-parallel collective and rank in a pipeline across nodes, s";
    compute_efficiency: 0.7, 0.3, "share of peak that large products reach";
    saturation_flops: 2e9, 0.7, "FLOPs of a kernel at which products reach half their rate";
    attention_efficiency: 0.45, 0.4, "share of peak that attention reaches";
    unaligned_efficiency: 0.25, 0.4, "share of peak that unaligned logits reach";
    memory_efficiency: 0.75, 0.3, "share of the memory bandwidth that is reached";
    device_per_kernel_s: 1e-5, 1.0, "minimum device time of a kernel, s";
    shard_link_efficiency: 0.5, 0.7, "share of the link that data-parallel communication reaches";
    tensor_link_efficiency: 0.5, 0.7, "share of the link that tensor-parallel communication reaches";
    network_efficiency: 0.7, 0.7, "share of the network that communication reaches";
    tensor_latency_s: 4e-5, 1.0, "latency of a tensor-parallel collective, s";
    tensor_network_latency_s: 1e-4, 1.0, "additional latency of a tensor-parallel collective over the network, s";
    pipeline_latency_s: 2e-5, 1.0, "latency of a pipeline send, s";
    overlap: 2.0, 0.7, "sharpness of the maximum of launch, device and FSDP communication";
    bubble: 0.9, 0.15, "share of the pipeline's bubble that is idle";
    exposed_gradients: 0.6, 0.5, "share of a step's gradient all-reduce that does not overlap";
    optimizer_efficiency: 0.8, 0.6, "share of the memory bandwidth that the optimizer reaches";
    step_s: 4e-3, 1.5, "host time of a step, s";
    start_s: 5.0, 1.0, "start-up and end of a run, s";
    host_w: 60.0, 0.7, "power of a node without its accelerators, W";
    static_share: 0.15, 0.5, "idle (static) power of an accelerator, as a share of TDP";
    flop_energy: 3.6, 0.8, "energy of a FLOP, as a share of TDP over peak";
    byte_energy: 0.5, 0.7, "energy of a byte of memory traffic, as a share of TDP over bandwidth";
    link_energy: 0.3, 1.2, "energy of a byte sent, as a share of TDP over the link's rate";
    kernel_energy_j: 1.5e-3, 1.2, "fixed energy of a kernel, J";
}

impl RooflineParameters {
    /// The physical defaults: the medians of [`PARAMETERS`].
    pub fn physical() -> Self {
        PARAMETERS.map(|p| p.median).into()
    }

    /// Parameters from the logarithms that a fit works with, in the order of [`PARAMETERS`].
    pub fn from_logs(logs: &[f64; COUNT]) -> Self {
        logs.map(f64::exp).into()
    }
}

/// Share of the TDP at which the power of work saturates.
const WORK_POWER_SHARE: f64 = 0.85;

/// Parts of a job's time in the whole run, in seconds; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimeParts {
    /// Device time: products, attention, memory.
    pub device_s: f64,
    /// Tensor-parallel communication.
    pub tensor_parallel_s: f64,
    /// Launch overhead that does not overlap with device time.
    pub launch_overhead_s: f64,
    /// FSDP communication that does not overlap with the rest.
    pub fsdp_communication_s: f64,
    /// Pipeline communication and bubble.
    pub pipeline_s: f64,
    /// Gradient all-reduce, and other communication of a step.
    pub gradient_all_reduce_s: f64,
    /// Optimizer and other host time of a step.
    pub optimizer_s: f64,
    /// Start-up and end of the run.
    pub start_up_s: f64,
    /// All of it.
    pub total_s: f64,
}

/// Parts of a job's energy in the whole run over all accelerators, in joules; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyParts {
    /// Nodes without their accelerators.
    pub host_j: f64,
    /// Static (idle) power of the accelerators.
    pub static_j: f64,
    /// FLOPs.
    pub compute_j: f64,
    /// Memory traffic.
    pub memory_j: f64,
    /// Communication.
    pub communication_j: f64,
    /// Fixed energy per kernel.
    pub kernel_j: f64,
    /// All of it.
    pub total_j: f64,
}

/// Time, energy and power of a job from the physics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhysicsEstimate {
    /// Seconds by part.
    pub time: TimeParts,
    /// Joules by part.
    pub energy: EnergyParts,
    /// The effect of the power limit.
    pub limit: PowerLimit,
}

/// Energy of work of one accelerator at the full clock, in joules.
#[derive(Debug, Clone, Copy)]
struct WorkEnergy {
    compute_j: f64,
    memory_j: f64,
    communication_j: f64,
    kernel_j: f64,
}

impl WorkEnergy {
    fn total_j(&self) -> f64 {
        self.compute_j + self.memory_j + self.communication_j + self.kernel_j
    }

    fn scaled(&self, factor: f64) -> Self {
        Self {
            compute_j: factor * self.compute_j,
            memory_j: factor * self.memory_j,
            communication_j: factor * self.communication_j,
            kernel_j: factor * self.kernel_j,
        }
    }
}

/// The physics with the parameters of one machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Physics(pub RooflineParameters);

impl Physics {
    /// Time and energy of a job at the clock under its power limit.
    pub fn estimate(&self, x: &Terms) -> PhysicsEstimate {
        let free = self.time_at(x, 1.0);
        let work = self.work(x, free.total_s);
        let drawn_w = |share: f64, time: &TimeParts| {
            let work_j = work.total_j() * CLOCK.voltage(share).powi(2);
            self.static_w(x, share) + work_j / (time.total_s - time.start_up_s)
        };
        let free_w = drawn_w(1.0, &free);
        let held_w = CLOCK.draw_w(free_w, x.power_limit, x.tdp);
        let binds = held_w < free_w;
        let (clock_share, time) = if binds {
            let share = ClockLaw::share_at(held_w, |s| drawn_w(s, &self.time_at(x, s)));
            (share, self.time_at(x, share))
        } else {
            (1.0, free)
        };
        let draw_w = drawn_w(clock_share, &time);
        let limit = PowerLimit {
            limit_w: x.power_limit,
            binds,
            draw_w,
            clock_share,
            time_factor: time.total_s / free.total_s,
            met: draw_w <= x.power_limit,
        };
        PhysicsEstimate { time, energy: self.energy_at(x, time.total_s, &work, clock_share), limit }
    }

    /// ln(time / s) and ln(energy / J) of a job.
    pub fn logs(&self, x: &Terms) -> [f64; 2] {
        let PhysicsEstimate { time, energy, .. } = self.estimate(x);
        [time.total_s.ln(), energy.total_j.ln()]
    }

    /// Time of a job in seconds, by part.
    pub fn time(&self, x: &Terms) -> TimeParts {
        self.estimate(x).time
    }

    /// Energy of a job that takes `time_s`, in joules by part.
    pub fn energy(&self, x: &Terms, time_s: f64) -> EnergyParts {
        let limit = self.estimate(x).limit;
        let work = self.work(x, time_s / limit.time_factor);
        self.energy_at(x, time_s, &work, limit.clock_share)
    }

    /// Time at a share of the full clock.
    fn time_at(&self, x: &Terms, clock_share: f64) -> TimeParts {
        let Self(k) = self;
        let on = |yes: bool| if yes { 1.0 } else { 0.0 };
        let p = &x.parallelism;
        let work = &x.micro_step;
        let across = on(p.pp > 1 && x.nodes > 1.0);
        let t_launch = k.launch_s
            + k.launch_per_kernel_s * work.kernels
            + on(p.data.shards_parameters())
                * (k.fsdp_launch_s + k.fsdp_launch_per_layer_s * x.layers)
            + on(p.tp > 1) * k.tensor_launch_per_layer_s * x.layers
            + across * k.tensor_network_launch_s * x.tensor_parallel.count * (p.tp as f64 - 1.0);
        let saturated =
            1.0 + (k.saturation_flops * work.kernels / work.product_flops.max(1.0)).sqrt();
        let t_device = CLOCK.stretch(clock_share)
            * (work.product_flops * saturated / (k.compute_efficiency * x.peak)
                + work.attention_flops / (k.attention_efficiency * x.peak)
                + work.unaligned_flops / (k.unaligned_efficiency * x.peak)
                + work.bytes / (k.memory_efficiency * x.bandwidth)
                + k.device_per_kernel_s * work.kernels);
        let over = |c: &Communication, link_efficiency: f64| {
            c.node / (link_efficiency * x.link) + c.network / (k.network_efficiency * x.network)
        };
        let t_tensor = over(&x.tensor_parallel, k.tensor_link_efficiency)
            + (k.tensor_latency_s
                + on(x.tensor_parallel.network > 0.0) * k.tensor_network_latency_s)
                * x.tensor_parallel.count;
        let t_fsdp = over(&x.fsdp, k.shard_link_efficiency);
        let q = 1.0 + k.overlap;
        let busy = t_device + t_tensor;
        let without_fsdp = smooth_maximum([t_launch, busy, 0.0], q);
        let t_micro = smooth_maximum([t_launch, busy, t_fsdp], q);
        let t_pipeline =
            over(&x.pipeline, k.shard_link_efficiency) + k.pipeline_latency_s * x.pipeline.count;
        let with_bubble = (t_micro + t_pipeline) * (1.0 + k.bubble * x.bubble);
        let micro_steps = x.steps * x.micro_steps;
        let gradients = k.exposed_gradients * over(&x.gradients, k.shard_link_efficiency)
            + k.tensor_latency_s * x.gradients.count;
        let update = x.optimizer.bytes / (k.optimizer_efficiency * x.bandwidth)
            + x.optimizer.flops() / (k.compute_efficiency * x.peak)
            + k.launch_per_kernel_s * x.optimizer.kernels
            + k.step_s;
        let start_up_s = on(x.whole_run) * k.start_s;
        let parts = TimeParts {
            device_s: micro_steps * t_device,
            tensor_parallel_s: micro_steps * t_tensor,
            launch_overhead_s: micro_steps * (without_fsdp - busy),
            fsdp_communication_s: micro_steps * (t_micro - without_fsdp),
            pipeline_s: micro_steps * (with_bubble - t_micro),
            gradient_all_reduce_s: x.steps * gradients,
            optimizer_s: x.steps * update,
            start_up_s,
            total_s: micro_steps * with_bubble + x.steps * (gradients + update) + start_up_s,
        };
        debug_assert!(parts.total_s >= 0.0);
        parts
    }

    /// Energy of work of one accelerator at the full clock in joules; the job takes `free_s` there.
    fn work(&self, x: &Terms, free_s: f64) -> WorkEnergy {
        let Self(k) = self;
        let work = &x.micro_step;
        let micro_steps = x.steps * x.micro_steps;
        let every_micro_step = x.tensor_parallel.sent() + x.fsdp.sent() + x.pipeline.sent();
        let flops = micro_steps * work.flops() + x.steps * x.optimizer.flops();
        let bytes = micro_steps * work.bytes + x.steps * x.optimizer.bytes;
        let sent = micro_steps * every_micro_step + x.steps * x.gradients.sent();
        let parts = WorkEnergy {
            compute_j: flops * k.flop_energy * x.tdp / x.peak,
            memory_j: bytes * k.byte_energy * x.tdp / x.bandwidth,
            communication_j: sent * k.link_energy * x.tdp / x.link,
            // the optimizer has few long kernels, so only their bytes count
            kernel_j: micro_steps * work.kernels * k.kernel_energy_j,
        };
        // the work's power approaches its share of the default limit asymptotically
        let power = parts.total_j() / free_s;
        parts.scaled(1.0 / (1.0 + (power / (WORK_POWER_SHARE * x.tdp)).powi(2)).sqrt())
    }

    /// Static power of one accelerator at a share of the full clock.
    fn static_w(&self, x: &Terms, clock_share: f64) -> f64 {
        CLOCK.static_w(self.0.static_share * x.tdp, x.tdp, clock_share)
    }

    /// Energy of a job of `time_s` seconds with `work` per accelerator at a share of the full clock.
    fn energy_at(
        &self,
        x: &Terms,
        time_s: f64,
        work: &WorkEnergy,
        clock_share: f64,
    ) -> EnergyParts {
        let WorkEnergy { compute_j, memory_j, communication_j, kernel_j } =
            work.scaled(x.gpus * CLOCK.voltage(clock_share).powi(2));
        let host_j = x.nodes * self.0.host_w * time_s;
        let static_j = x.gpus * self.static_w(x, clock_share) * time_s;
        EnergyParts {
            host_j,
            static_j,
            compute_j,
            memory_j,
            communication_j,
            kernel_j,
            total_j: host_j + static_j + compute_j + memory_j + communication_j + kernel_j,
        }
    }
}

/// (Σ tᵢ^q)^(1/q) without overflow: between the largest and the sum.
fn smooth_maximum(times: [f64; 3], q: f64) -> f64 {
    let largest = times[0].max(times[1]).max(times[2]);
    if largest <= 0.0 {
        return 0.0;
    }
    let sum: f64 = times.iter().map(|t| (t / largest).powf(q)).sum();
    largest * sum.powf(1.0 / q)
}
