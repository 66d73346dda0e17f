//! The structural law: time and energy of a job from its ledger and a few positive parameters.
//!
//! Per micro-step and GPU, with q = 1 + overlap:
//!
//! ```text
//! launch = λ₀ + λ₁ · kernels + FSDP: (φ₀ + φ₁ · layers) + TP: τ₁ · layers + χ · TP exchanges · (tp − 1) across nodes
//! device = F · (1 + √(f₀ · kernels / F)) / (ε_F · peak) + A / (ε_A · peak) + U / (ε_U · peak)
//!          + B / (ε_B · bandwidth) + δ · kernels
//! tensor = TP bytes / (ε_T · link) + (τ₀ + τ₂ over network) · TP exchanges
//! shard  = FSDP bytes / (ε_S · link)
//! micro  = (launch^q + (device + tensor)^q + shard^q)^(1/q)
//! step   = m · (micro + pipeline) · (1 + β · bubble) + σ · gradients / (ε_S · link) + optimizer
//! T      = steps · step + start
//! E      = T · (nodes · host + N · static) + N · work, the work's power bending below the TDP
//! ```
//!
//! A power limit below what an accelerator draws lowers its clock: device time grows and work takes less ([`clock`](super::clock)).
//!
//! F, A, U are FLOPs of products, attention and an unaligned output map, B bytes of memory traffic. Sources: the roofline
//! (Williams et al. 2009) with a smooth maximum; saturation of small products as in NeuSight (Lee et al. 2024); energy as
//! static power and work (Choi et al. 2013).

use serde::Serialize;

use super::clock::{CLOCK, ClockLaw, PowerLimit};
use super::terms::{Exchange, Terms};

/// A parameter: its name, what it is, and what is held likely of it before any run was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in files.
    pub name: &'static str,
    /// Most likely value.
    pub median: f64,
    /// Standard deviation of its logarithm.
    pub sd: f64,
    /// What it is, with its unit.
    pub about: &'static str,
}

const fn parameter(name: &'static str, median: f64, sd: f64, about: &'static str) -> Parameter {
    Parameter { name, median, sd, about }
}

/// Number of parameters.
pub const COUNT: usize = 30;

/// All parameters with their priors: physical defaults, wide where machines differ.
///
/// `flop_energy` is above one because accelerators draw most of their limit long before their peak rate: eight H100 at
/// about 40 % of peak draw nine tenths of it (Latif et al. 2024, arXiv 2412.08602). With 0.15 of TDP for waiting and as much
/// for memory traffic, work of 0.4 · 3.6 + 0.15 bends to the 0.75 that is left.
pub const PARAMETERS: [Parameter; COUNT] = [
    parameter("launch_s", 2e-3, 1.2, "host time of a micro-step, s"),
    parameter("launch_per_kernel_s", 5e-5, 0.7, "host time of a kernel, s"),
    parameter("fsdp_launch_s", 3e-3, 1.2, "host time that FSDP adds to a micro-step, s"),
    parameter("fsdp_launch_per_layer_s", 3e-4, 1.0, "host time that FSDP adds to a layer, s"),
    parameter(
        "tensor_launch_per_layer_s",
        1e-3,
        2.0,
        "host time that tensor parallelism adds to a layer, s",
    ),
    parameter(
        "tensor_network_launch_s",
        1e-5,
        3.0,
        "host time of a tensor-parallel exchange and rank in a pipeline across nodes, s",
    ),
    parameter("compute_efficiency", 0.7, 0.3, "share of peak that large products reach"),
    parameter(
        "saturation_flops",
        2e9,
        0.7,
        "FLOPs of a kernel at which products reach half their rate",
    ),
    parameter("attention_efficiency", 0.45, 0.4, "share of peak that attention reaches"),
    parameter(
        "unaligned_efficiency",
        0.25,
        0.4,
        "share of peak that an unaligned output map reaches",
    ),
    parameter("memory_efficiency", 0.75, 0.3, "share of the memory bandwidth that is reached"),
    parameter("device_per_kernel_s", 1e-5, 1.0, "device time that a kernel takes however small, s"),
    parameter(
        "shard_link_efficiency",
        0.5,
        0.7,
        "share of the link that data-parallel exchanges reach",
    ),
    parameter(
        "tensor_link_efficiency",
        0.5,
        0.7,
        "share of the link that tensor-parallel exchanges reach",
    ),
    parameter("network_efficiency", 0.7, 0.7, "share of the network that exchanges reach"),
    parameter("tensor_latency_s", 4e-5, 1.0, "time of a tensor-parallel exchange however small, s"),
    parameter("tensor_network_latency_s", 1e-4, 1.0, "the same over the network, beside, s"),
    parameter("pipeline_latency_s", 2e-5, 1.0, "time of a pipeline exchange however small, s"),
    parameter("overlap", 2.0, 0.7, "sharpness of the maximum of launch, device and shards"),
    parameter("bubble", 0.9, 0.15, "share of the pipeline's bubble that is idle"),
    parameter(
        "exposed_gradients",
        0.6,
        0.5,
        "share of a step's gradient exchange that nothing hides",
    ),
    parameter(
        "optimizer_efficiency",
        0.8,
        0.6,
        "share of the memory bandwidth that the optimizer reaches",
    ),
    parameter("step_s", 4e-3, 1.5, "host time of a step, s"),
    parameter("start_s", 5.0, 1.0, "time of a run beside its steps, s"),
    parameter("host_w", 60.0, 0.7, "power of a node beside its accelerators, W"),
    parameter("static_share", 0.15, 0.5, "power of a waiting accelerator, as a share of TDP"),
    parameter("flop_energy", 3.6, 0.8, "energy of a FLOP, as a share of TDP over peak"),
    parameter(
        "byte_energy",
        0.5,
        0.7,
        "energy of a byte of memory traffic, as a share of TDP over bandwidth",
    ),
    parameter(
        "link_energy",
        0.3,
        1.2,
        "energy of a byte sent, as a share of TDP over the link's rate",
    ),
    parameter("kernel_energy_j", 1.5e-3, 1.2, "energy of a kernel however small, J"),
];

/// Share of the TDP that work may draw beside static power before it bends.
const ROOM: f64 = 0.85;

/// Parts of a job's time, in seconds of the whole run; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimeParts {
    /// Device time: products, attention, memory.
    pub device_s: f64,
    /// Tensor-parallel exchanges.
    pub tensor_s: f64,
    /// Launching beyond what the device hides.
    pub launch_s: f64,
    /// Shards gathered and scattered beyond what the rest hides.
    pub shard_s: f64,
    /// Pipeline exchanges and bubble.
    pub pipeline_s: f64,
    /// Gradient exchange of a step.
    pub gradients_s: f64,
    /// Optimizer and other host time of a step.
    pub optimizer_s: f64,
    /// Start and end of the run.
    pub start_s: f64,
    /// All of it.
    pub total_s: f64,
}

/// Parts of a job's energy, in joules of the whole run and all accelerators; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyParts {
    /// Nodes beside their accelerators.
    pub host_j: f64,
    /// Accelerators that wait.
    pub static_j: f64,
    /// FLOPs.
    pub compute_j: f64,
    /// Memory traffic.
    pub memory_j: f64,
    /// Exchanges.
    pub link_j: f64,
    /// Kernels however small.
    pub kernel_j: f64,
    /// All of it.
    pub total_j: f64,
}

/// What a job takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    /// Seconds by part.
    pub time: TimeParts,
    /// Joules by part.
    pub energy: EnergyParts,
    /// What the power limit makes of them.
    pub limit: PowerLimit,
}

/// Parameters of one machine, by the order of [`PARAMETERS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Physics<'a>(pub &'a [f64; COUNT]);

impl Physics<'_> {
    /// Time and energy of a job at the clock that its power limit leaves.
    pub fn taken(&self, x: &Terms) -> Taken {
        let free = self.time_at(x, 1.0);
        let work = self.work(x, free.total_s);
        let drawn_w = |share: f64, time: &TimeParts| {
            let work_j = work.iter().sum::<f64>() * CLOCK.voltage(share).powi(2);
            self.waiting_w(x, share) + work_j / (time.total_s - time.start_s)
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
        Taken { time, energy: self.energy_at(x, time.total_s, &work, clock_share), limit }
    }

    /// ln(time / s) and ln(energy / J) of a job.
    pub fn logs(&self, x: &Terms) -> [f64; 2] {
        let taken = self.taken(x);
        [taken.time.total_s.ln(), taken.energy.total_j.ln()]
    }

    /// Time of a job in seconds, by part.
    pub fn time(&self, x: &Terms) -> TimeParts {
        self.taken(x).time
    }

    /// Energy of a job in joules, by part, when it takes `time_s`.
    pub fn energy(&self, x: &Terms, time_s: f64) -> EnergyParts {
        let limit = self.taken(x).limit;
        let work = self.work(x, time_s / limit.time_factor);
        self.energy_at(x, time_s, &work, limit.clock_share)
    }

    /// Time at a share of the full clock.
    fn time_at(&self, x: &Terms, clock_share: f64) -> TimeParts {
        let [
            launch,
            per_kernel,
            fsdp,
            fsdp_layer,
            tensor_layer,
            tensor_network_launch,
            compute,
            saturation,
            attention,
            unaligned,
            memory,
            kernel_device,
            shard_link,
            tensor_link,
            network,
            tensor_latency,
            tensor_network_latency,
            pipeline_latency,
            overlap,
            bubble,
            exposed,
            optimizer,
            step,
            start,
            ..,
        ] = *self.0;
        let on = |yes: bool| if yes { 1.0 } else { 0.0 };
        let p = &x.parallelism;
        let work = &x.micro_step;
        let across = on(p.pp > 1 && x.nodes > 1.0);
        let t_launch = launch
            + per_kernel * work.kernels
            + on(p.data.shards_parameters()) * (fsdp + fsdp_layer * x.layers)
            + on(p.tp > 1) * tensor_layer * x.layers
            + across * tensor_network_launch * x.tensor.count * (p.tp as f64 - 1.0);
        let saturated = 1.0 + (saturation * work.kernels / work.product_flops.max(1.0)).sqrt();
        let t_device = CLOCK.stretch(clock_share)
            * (work.product_flops * saturated / (compute * x.peak)
                + work.attention_flops / (attention * x.peak)
                + work.unaligned_flops / (unaligned * x.peak)
                + work.bytes / (memory * x.bandwidth)
                + kernel_device * work.kernels);
        let over =
            |e: &Exchange, link: f64| e.node / (link * x.link) + e.network / (network * x.network);
        let t_tensor = over(&x.tensor, tensor_link)
            + (tensor_latency + on(x.tensor.network > 0.0) * tensor_network_latency)
                * x.tensor.count;
        let t_shard = over(&x.sharding, shard_link);
        let q = 1.0 + overlap;
        let busy = t_device + t_tensor;
        let hidden_launch = smooth_maximum([t_launch, busy, 0.0], q);
        let t_micro = smooth_maximum([t_launch, busy, t_shard], q);
        let t_pipeline = over(&x.pipeline, shard_link) + pipeline_latency * x.pipeline.count;
        let filled = (t_micro + t_pipeline) * (1.0 + bubble * x.bubble);
        let micro_steps = x.steps * x.micro_steps;
        let gradients = exposed * over(&x.step, shard_link) + tensor_latency * x.step.count;
        let update =
            x.optimizer_bytes / (optimizer * x.bandwidth) + per_kernel * x.optimizer_kernels + step;
        let start_s = on(x.whole_run) * start;
        let parts = TimeParts {
            device_s: micro_steps * t_device,
            tensor_s: micro_steps * t_tensor,
            launch_s: micro_steps * (hidden_launch - busy),
            shard_s: micro_steps * (t_micro - hidden_launch),
            pipeline_s: micro_steps * (filled - t_micro),
            gradients_s: x.steps * gradients,
            optimizer_s: x.steps * update,
            start_s,
            total_s: micro_steps * filled + x.steps * (gradients + update) + start_s,
        };
        debug_assert!(parts.total_s >= 0.0);
        parts
    }

    /// Joules of one accelerator at the full clock, when the job takes `free_s` there: FLOPs, memory, links, kernels.
    fn work(&self, x: &Terms, free_s: f64) -> [f64; 4] {
        let [.., flop, byte, link, kernel] = *self.0;
        let work = &x.micro_step;
        let micro_steps = x.steps * x.micro_steps;
        let sent = |e: &Exchange| e.node + e.network;
        let every_micro_step = sent(&x.tensor) + sent(&x.sharding) + sent(&x.pipeline);
        let parts = [
            micro_steps * work.flops() * flop * x.tdp / x.peak,
            (micro_steps * work.bytes + x.steps * x.optimizer_bytes) * byte * x.tdp / x.bandwidth,
            (micro_steps * every_micro_step + x.steps * sent(&x.step)) * link * x.tdp / x.link,
            micro_steps * work.kernels * kernel,
        ];
        // the work's power approaches the room under the default limit and never passes it
        let power = parts.iter().sum::<f64>() / free_s;
        let bent = 1.0 / (1.0 + (power / (ROOM * x.tdp)).powi(2)).sqrt();
        parts.map(|part| bent * part)
    }

    /// Power of one accelerator that waits at a share of the full clock.
    fn waiting_w(&self, x: &Terms, clock_share: f64) -> f64 {
        let [.., static_share, _, _, _, _] = *self.0;
        CLOCK.waiting_w(static_share * x.tdp, x.tdp, clock_share)
    }

    /// Energy of a job of `time_s` whose accelerators do `work` at a share of the full clock.
    fn energy_at(&self, x: &Terms, time_s: f64, work: &[f64; 4], clock_share: f64) -> EnergyParts {
        let [.., host, _, _, _, _, _] = *self.0;
        let each = x.gpus * CLOCK.voltage(clock_share).powi(2);
        let [compute_j, memory_j, link_j, kernel_j] = work.map(|part| each * part);
        let host_j = x.nodes * host * time_s;
        let static_j = x.gpus * self.waiting_w(x, clock_share) * time_s;
        EnergyParts {
            host_j,
            static_j,
            compute_j,
            memory_j,
            link_j,
            kernel_j,
            total_j: host_j + static_j + compute_j + memory_j + link_j + kernel_j,
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
