//! Parts of a job's time and energy, for the breakdown of a prediction.

use serde::Serialize;

use super::clock::PowerLimit;
use super::physics;
use super::smooth::smooth_maximum;
use super::terms::Terms;
use crate::base::scope::Covers;

/// Parts of a job's time in the whole run, in seconds; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimeParts {
    /// Device time: products, attention, memory.
    pub device_s: f64,
    /// Tensor-parallel communication.
    pub tensor_parallel_s: f64,
    /// Context-parallel communication that attention does not hide.
    pub context_parallel_s: f64,
    /// Expert-parallel communication.
    pub expert_parallel_s: f64,
    /// Launch overhead that does not overlap with device time.
    pub launch_overhead_s: f64,
    /// FSDP communication that does not overlap with the rest.
    pub fsdp_communication_s: f64,
    /// Pipeline communication and bubble.
    pub pipeline_s: f64,
    /// Gradient all-reduce, and other communication of a step.
    pub gradient_all_reduce_s: f64,
    /// Transfers to and from the host that nothing hides, and its update of offloaded states.
    pub offload_s: f64,
    /// Optimizer and other host time of a step.
    pub optimizer_s: f64,
    /// Start-up and end of the run.
    pub start_up_s: f64,
    /// All of it.
    pub total_s: f64,
}

impl TimeParts {
    /// The parts in seconds with their names.
    pub const fn named(&self) -> [(&'static str, f64); 11] {
        [
            ("device", self.device_s),
            ("tensor parallelism", self.tensor_parallel_s),
            ("context parallelism", self.context_parallel_s),
            ("expert parallelism", self.expert_parallel_s),
            ("launch overhead", self.launch_overhead_s),
            ("FSDP communication", self.fsdp_communication_s),
            ("pipeline", self.pipeline_s),
            ("gradient all-reduce", self.gradient_all_reduce_s),
            ("offload", self.offload_s),
            ("optimizer", self.optimizer_s),
            ("start-up", self.start_up_s),
        ]
    }
}

/// Parts of the energy of all accelerators in the whole run, in joules; they add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyParts {
    /// Static (idle) power.
    pub static_j: f64,
    /// Waiting in collectives.
    pub waiting_j: f64,
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

impl EnergyParts {
    /// The parts in joules with their names.
    pub const fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("static power", self.static_j),
            ("busy waiting", self.waiting_j),
            ("FLOPs", self.compute_j),
            ("memory", self.memory_j),
            ("communication", self.communication_j),
            ("kernels", self.kernel_j),
        ]
    }
}

/// Parts of time and energy, and the effect of the power limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// Seconds by part.
    pub time: TimeParts,
    /// Joules by part.
    pub energy: EnergyParts,
    /// The clock under the power limit.
    pub limit: PowerLimit,
}

impl Parts {
    pub(super) fn new(x: &Terms, estimate: &physics::Estimate<f64>) -> Self {
        let physics::Estimate { step, work, clock, start, .. } = estimate;
        let m = x.micro_steps;
        let on_device = step.device + step.tensor + step.context + step.experts;
        let without_fsdp = smooth_maximum([step.launch, on_device], None, step.sharpness);
        let (steps, start_up_s) = match x.covers {
            Covers::Run => (x.steps, *start),
            Covers::Steps => (x.steps, 0.0),
            Covers::OneStep => (1.0, 0.0),
        };
        // what the runs of a source differ by, they differ by in all parts
        let run_s = steps * step.total + start_up_s;
        let by_source = estimate.time / run_s;
        let time = |seconds: f64| by_source * seconds;
        // a lower clock slows device time alone
        let slower = step.total - step.total / clock.stretch;
        let time = TimeParts {
            device_s: time(steps * (step.device * m + slower)),
            tensor_parallel_s: time(steps * (step.tensor * m)),
            context_parallel_s: time(steps * (step.context * m)),
            expert_parallel_s: time(steps * (step.experts * m)),
            launch_overhead_s: time(steps * ((without_fsdp - on_device) * m)),
            fsdp_communication_s: time(steps * ((step.micro - without_fsdp) * m)),
            pipeline_s: time(steps * (step.filled - (step.micro + step.host) * m)),
            offload_s: time(steps * (step.host * m + step.host_once)),
            gradient_all_reduce_s: time(steps * step.gradients),
            optimizer_s: time(steps * step.optimizer),
            start_up_s: time(start_up_s),
            total_s: estimate.time,
        };
        let all = steps * x.gpus;
        // the bend of the draw below the limit lowers all parts alike
        let v2 = clock.voltage * clock.voltage;
        let idle = (work.idle_kept + work.idle_saved * clock.share * v2) * step.total;
        let busy = work.busy * clock.share * v2 * step.total;
        let sum = idle + busy + work.work() * v2;
        let drawn_j = all * clock.draw * step.total;
        let bend = if sum > 0.0 { drawn_j / (all * sum) } else { 1.0 };
        let start_j = x.gpus * start_up_s * work.idle;
        let total_j = x.gpus * estimate.power * estimate.time;
        let joules = |joules: f64| total_j / (drawn_j + start_j) * joules;
        let limit = PowerLimit {
            limit_w: x.power_limit,
            binds: clock.draw < BINDING_SHARE * clock.free,
            draw_w: clock.draw,
            clock_share: clock.share,
            time_factor: clock.stretch,
            met: clock.lowest <= x.power_limit,
        };
        Self {
            time,
            energy: EnergyParts {
                static_j: joules(bend * all * idle + start_j),
                waiting_j: joules(bend * all * busy),
                compute_j: joules(bend * all * work.compute * v2),
                memory_j: joules(bend * all * work.memory * v2),
                communication_j: joules(bend * all * work.communication * v2),
                kernel_j: joules(bend * all * work.kernels * v2),
                total_j,
            },
            limit,
        }
    }
}

/// Share of the power at the full clock below which a limit is said to bind: more is within the bend of the draw. Assumed.
const BINDING_SHARE: f64 = 0.98;
