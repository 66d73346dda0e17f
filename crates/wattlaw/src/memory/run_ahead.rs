//! Buffers kept alive because the host queues kernels ahead of the GPU.

use super::Recipe;
use super::states::unsplit_activation;
use crate::base::units::Bytes;
use crate::job::Job;

/// Achieved share of the vendor's peaks for long kernels and transfers: about 0.4 in the runs of the benchmark that
/// [`Recipe::NANOTRON`] was fitted to, and 0.65 on NVLink in Calculon's calibration. They only decide whether host or
/// GPU is slower.
const COMPUTE_EFFICIENCY: f64 = 0.4;
const LINK_EFFICIENCY: f64 = 0.65;

/// Counts the buffers on one GPU of a pipeline stage; see [`super::RunAhead`].
pub(super) fn bytes(job: &Job, stage: u64, recipe: &Recipe) -> Bytes {
    let (a, p) = (&job.architecture, &job.parallelism);
    let Some(ahead) = recipe.run_ahead else { return Bytes::ZERO };
    if p.tp == 1 || !p.sequence_parallel {
        return Bytes::ZERO;
    }
    let host_s = ahead.host_s_per_layer_and_rank * p.tp as f64;
    let buffers = if p.pp == 1 || gpu_seconds_per_layer(job) > host_s {
        ahead.buffers
    } else {
        let warm_up = p.pp.saturating_sub(stage + 2) as f64;
        ahead.buffers.min(2.0 * warm_up * p.stage_layers(a, stage) as f64)
    };
    unsplit_activation(job) * buffers
}

/// Time of one layer's forward and backward pass: products at 6 FLOPs a parameter and position, and four gathers and
/// scatters each way of one unsplit activation.
fn gpu_seconds_per_layer(job: &Job) -> f64 {
    let (a, w, p, system) = (&job.architecture, &job.workload, &job.parallelism, &job.system);
    let [attention, ffn] = a.attention_and_ffn_per_layer();
    let (tp, positions) = (p.tp as f64, job.micro_positions_of_rank());
    let flops = 6.0 * (attention + ffn) as f64 * positions / tp;
    let peak = system.accelerator.peak(w.precision).map_or(f64::INFINITY, |rate| rate.value());
    let within = p.tp <= system.gpus_per_node;
    let bandwidth = if within { system.link.bandwidth } else { system.network.bandwidth };
    let moved = 8.0 * unsplit_activation(job).value() * (tp - 1.0) / tp;
    flops / (COMPUTE_EFFICIENCY * peak) + moved / (LINK_EFFICIENCY * bandwidth.value())
}
