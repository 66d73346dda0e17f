//! The physics of the law: time and power of a job from its ledger and the parameters of its chip, stack and network.
//!
//! Per micro-step and GPU of the busiest stage, with q = 1 + overlap:
//!
//! ```text
//! launch   = λ₀ + λ₁ · kernels + layers · (FSDP: φ + TP: τ) + χ · (TP collectives · (tp − 1)) across nodes
//! products = (F + √(s · rate) · Σ√(F · kernels)) / (ε · rate)        rate: peak, times the gain of FP8
//! ε        = ((ε₀ · (peak / 312e12)^-slope)⁻⁸ + 0.88⁻⁸)^(-1/8)
//! memory   = (element-wise and eager attention's bytes / ε_B + δ · products' bytes) / bandwidth
//! device   = products + logits + attention + memory + κ · kernels
//! over     = ((link bytes / (ε_L · link))⁴ + (adapter's bytes / (ε_N · network))⁴)^(1/4) + hop · Σ(ranks − 1)
//! context  = over, plus the latency of each exchange; in a ring (over^q + attention^q)^(1/q) − attention
//! micro    = (launch^q + (device + tensor + context + experts)^q + fsdp^q)^(1/q)
//! with states on the host: micro = (micro^q + (bytes to and from it / link)^q)^(1/q), and a step has what is moved and
//! updated once besides
//! step     = m · (micro + pipeline) + β · bubble · m · (mean stage + pipeline) + σ · over(step) + optimizer
//! T        = steps · step + start-up
//! ```
//!
//! Power follows in [`clock`](super::clock).
//!
//! Sources: the roofline (Williams et al. 2009) with smooth maxima; saturation of small products as in NeuSight (Lee et
//! al. 2024); energy as static power and work (Choi et al. 2013); rings over nodes as in NCCL, a node's ranks sharing
//! its adapters.

use super::clock::Clock;
use super::parameter::Parameters;
use super::power::Power;
use super::smooth::{falling, slower, smooth_maximum, smooth_minimum};
use super::terms::{Communication, Products, Terms};
use crate::base::scope::{Covers, Scope};
use crate::job::host::SUPPLY_EFFICIENCY;
use crate::stats::tape::{Real, logistic};

/// The largest share of peak that products reach. Source: the best products of published benchmarks reach 0.78 to 0.86
/// on A100, H100 and B200.
const CEILING: f64 = 0.88;

/// Peak of an A100 in 16 bits, where `product_efficiency` is defined.
const REFERENCE_PEAK: f64 = 312e12;

/// Kernels of the optimizer are launched in fused groups: the share of a kernel's host time that each costs. Assumed.
const OPTIMIZER_LAUNCH_SHARE: f64 = 0.3;

/// Share of a PCI Express link's rate that long transfers of pinned memory reach. Assumed: some 25 GB/s of the 31.5 of
/// generation 4.
const HOST_LINK_SHARE: f64 = 0.8;

/// Rate at which a node's CPUs update weights, bytes of its memory a second. Assumed: half of the peak of two sockets with eight
/// channels of DDR4-3200.
const HOST_UPDATE_RATE: f64 = 200e9;

/// Time and power of a job by the law, in seconds and watts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate<R> {
    /// Time of what the terms cover.
    pub time: R,
    /// Mean power of a GPU over it, in the scope.
    pub power: R,
    /// A step, from which its parts follow.
    pub step: Step<R>,
    /// Power and work at the full clock.
    pub work: Power<R>,
    /// Start-up and end, s.
    pub start: R,
    /// The clock under the limit.
    pub clock: Clock<R>,
}

/// Times of a step in seconds, at the full clock but for the total.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<R> {
    /// Device time of a micro-step.
    pub device: R,
    /// Tensor-parallel communication of a micro-step.
    pub tensor: R,
    /// Context-parallel communication of a micro-step that attention does not hide.
    pub context: R,
    /// Expert-parallel communication of a micro-step.
    pub experts: R,
    /// Launch overhead of a micro-step.
    pub launch: R,
    /// Sharpness of the maximum of launch overhead, device time and FSDP communication.
    pub sharpness: R,
    /// That maximum: a micro-step without its pipeline, and without transfers to and from the host.
    pub micro: R,
    /// Transfers to and from the host in a micro-step that nothing hides.
    pub host: R,
    /// Transfers and the host's update once a step.
    pub host_once: R,
    /// All micro-steps, with pipeline communication and bubble.
    pub filled: R,
    /// Communication of a step.
    pub gradients: R,
    /// Optimizer and other host time of a step.
    pub optimizer: R,
    /// All of it, at the clock.
    pub total: R,
}

/// A job at the full clock, from which its time and power under any power limit follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtFullClock<R> {
    /// A step; its total is at the full clock.
    pub step: Step<R>,
    /// Power and work.
    pub work: Power<R>,
    /// Share of a step's time on the device, which scales with the clock.
    pub on_device: R,
}

impl<R: Real> Estimate<R> {
    /// The numbers alone.
    pub(super) fn values(&self) -> Estimate<f64> {
        Estimate {
            time: self.time.value(),
            power: self.power.value(),
            step: self.step.values(),
            work: self.work.values(),
            start: self.start.value(),
            clock: self.clock.values(),
        }
    }
}

impl<R: Real> Step<R> {
    fn values(&self) -> Step<f64> {
        Step {
            device: self.device.value(),
            tensor: self.tensor.value(),
            context: self.context.value(),
            experts: self.experts.value(),
            launch: self.launch.value(),
            sharpness: self.sharpness.value(),
            micro: self.micro.value(),
            host: self.host.value(),
            host_once: self.host_once.value(),
            filled: self.filled.value(),
            gradients: self.gradients.value(),
            optimizer: self.optimizer.value(),
            total: self.total.value(),
        }
    }
}

impl<R: Real> Parameters<R> {
    pub(super) fn constant(&self, value: f64) -> R {
        self.launch_s.like(value)
    }

    /// Time and mean power of a GPU in `scope`. Scopes that the law does not know add nothing to the GPU's own power.
    pub(super) fn estimate(&self, x: &Terms, scope: Scope) -> Estimate<R> {
        self.under_limit(x, &self.at_full_clock(x), x.power_limit, scope)
    }

    /// A job without a power limit: what all limits share.
    pub(super) fn at_full_clock(&self, x: &Terms) -> AtFullClock<R> {
        let b = &x.busiest;
        let log_peak = (x.peak / REFERENCE_PEAK).ln();
        let attention = (b.attention.flops > 0.0).then(|| self.attention(x, log_peak));
        let device = self.device(x, log_peak, attention);
        let (tensor, fsdp, launch) = (self.tensor(x), self.fsdp(x), self.launch(x));
        let q = self.overlap + 1.0;
        let context = self.context(x, attention, q);
        let experts = self.exposed(x, &x.busiest.experts);
        let on_device = device + tensor + context + experts;
        let micro = smooth_maximum([launch, on_device], fsdp, q);
        let pipeline = (b.pipeline.count > 0.0).then(|| {
            self.over(x, &b.pipeline, self.shard_efficiency, self.hop_s)
                .plus(b.pipeline.count, self.pipeline_latency_s)
        });
        let m = x.micro_steps;
        let host = self.host(x, micro, q);
        let with_host = host.map_or(micro, |host| micro + host);
        let mut filled = with_host * m;
        if let Some(pipeline) = pipeline {
            filled = filled.plus(m, pipeline);
        }
        if x.bubble > 0.0 {
            // a bubble lasts as long as the mean stage
            let fill = if b.flops > 0.0 { x.mean.flops / b.flops } else { 1.0 };
            let stage = match pipeline {
                Some(pipeline) => pipeline.plus(fill, with_host),
                None => with_host * fill,
            };
            filled = filled.plus(x.bubble * m, self.bubble * stage);
        }
        let gradients = self.gradients(x);
        let optimizer = self.optimizer(x);
        let host_once = self.host_once(x);
        let step = filled + gradients + optimizer + host_once;
        let waiting = fsdp.map_or(on_device, |fsdp| on_device + fsdp);
        AtFullClock {
            work: self.power(x, launch, waiting),
            on_device: share_of(device, m, step),
            step: Step {
                device,
                tensor,
                context,
                experts,
                launch,
                sharpness: q,
                micro,
                host: host.unwrap_or_else(|| self.constant(0.0)),
                host_once,
                filled,
                gradients,
                optimizer,
                total: step,
            },
        }
    }

    /// Time and mean power of a GPU in `scope` under a power limit in watts.
    pub(super) fn under_limit(
        &self,
        x: &Terms,
        full: &AtFullClock<R>,
        limit_w: f64,
        scope: Scope,
    ) -> Estimate<R> {
        let AtFullClock { step, work, on_device } = *full;
        let clock = self.clock(limit_w, &work, on_device, step.total);
        let at_clock = step.total * clock.stretch;
        let start = self.start_s;
        let steps = at_clock * x.steps;
        let (time, watts) = match x.covers {
            Covers::Run => {
                let time = steps + start;
                (time, mean_power([steps, start], [clock.draw, work.idle], time.value()))
            }
            Covers::Steps => (steps, clock.draw),
            Covers::OneStep => (at_clock, clock.draw),
        };
        let time = time * self.source_time;
        let watts = match scope {
            Scope::Codecarbon => watts.plus(x.nodes / x.gpus, self.codecarbon_host_w),
            Scope::NodeAc => watts.plus(x.tdp, self.host_share),
            Scope::NodeDc => watts.plus(x.tdp, self.host_share) * SUPPLY_EFFICIENCY.value,
            Scope::Gpu | Scope::Devices | Scope::Facility | Scope::Unstated => watts,
        } * self.source_power;
        let step = Step { total: at_clock, ..step };
        Estimate { time, power: watts, step, work, start, clock }
    }

    /// The share of peak that long products reach: the larger the peak, the harder it is to feed. `log_peak` is the logarithm of
    /// the peak over that of an A100.
    fn share_of_peak(&self, x: &Terms, log_peak: f64, efficiency: R, slope: R) -> R {
        let mut share = falling(efficiency, log_peak, slope);
        if x.wide {
            share = share * self.wide_gain;
        }
        smooth_minimum(share, CEILING)
    }

    /// Time of products at a share of the peak, which has a gain where they run in fewer bits.
    fn products(&self, products: &Products, peak: f64, gain: Option<R>, share: R) -> R {
        let (saturation, of_peak) = (self.saturation_s, share.value());
        let rate = gain.map_or(peak, |gain| gain.value() * peak);
        let root = (saturation.value() * rate).sqrt() * products.saturation;
        let reached = of_peak * rate;
        let time = (root + products.flops) / reached;
        let in_saturation = 0.5 * root / (saturation.value() * reached);
        let all = saturation.function_with(share, time, [in_saturation, -time / of_peak]);
        match gain {
            Some(gain) => {
                let in_gain = (0.5 * root / reached - time) / gain.value();
                all.function_with(gain, time, [1.0, in_gain])
            }
            None => all,
        }
    }

    fn device(&self, x: &Terms, log_peak: f64, attention: Option<R>) -> R {
        let b = &x.busiest;
        let share = self.share_of_peak(x, log_peak, self.product_efficiency, self.peak_slope);
        let mut device = self.products(&b.layers, x.peak, None, share);
        if b.in_8_bits.flops > 0.0 {
            device = device + self.products(&b.in_8_bits, x.peak, Some(self.fp8_gain), share);
        }
        if b.logits.flops > 0.0 {
            let share = if x.odd_vocabulary { share * self.odd_vocabulary } else { share };
            device = device + self.products(&b.logits, x.peak, None, share);
        }
        let mut traffic = self.constant(b.elementwise_bytes);
        if let Some(attention) = attention {
            device = device + attention;
            if !x.flash {
                traffic = self.eager_traffic * b.attention.bytes + b.elementwise_bytes;
            }
        }
        let memory = (traffic / self.memory_efficiency)
            .plus(b.layers.bytes + b.in_8_bits.bytes + b.logits.bytes, self.product_traffic);
        device.plus(1.0 / x.bandwidth, memory).plus(b.kernels, self.kernel_s)
    }

    /// Time of attention's scores and weighted values.
    fn attention(&self, x: &Terms, log_peak: f64) -> R {
        let efficiency = if x.flash { self.flash_efficiency } else { self.eager_efficiency };
        let share = self.share_of_peak(x, log_peak, efficiency, self.attention_slope);
        self.products(&x.busiest.attention, x.peak, None, share)
    }

    /// Time of communication on link and network, which work at once: the slower one counts.
    fn over(&self, x: &Terms, c: &Communication, efficiency: R, hop: R) -> R {
        let link = (c.link > 0.0).then(|| {
            if !x.pcie {
                return at_share(c.link, efficiency, x.link);
            }
            let crowd = (x.gpus_per_node.max(2.0) / 2.0).ln();
            at_share(c.link, falling(efficiency * self.pcie, crowd, self.pcie_crowd), x.link)
        });
        let network =
            (c.network > 0.0).then(|| at_share(c.network, self.network_efficiency, x.network));
        let sent = match (link, network) {
            (Some(link), Some(network)) => slower(link, network),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.constant(0.0),
        };
        if c.network_count > 0.0 { sent.plus(c.hops, hop) } else { sent }
    }

    fn tensor(&self, x: &Terms) -> R {
        let c = &x.busiest.tensor;
        if c.count == 0.0 {
            return self.constant(0.0);
        }
        let sent = self
            .over(x, c, self.tensor_efficiency, self.tensor_hop_s)
            .plus(c.count, self.tensor_latency_s);
        if c.network_count > 0.0 {
            sent.plus(c.network_count, self.network_latency_s)
        } else {
            sent
        }
    }

    /// Time of communication that nothing hides. No fitted run has it: rates and latencies are those of other communication.
    fn exposed(&self, x: &Terms, c: &Communication) -> R {
        if c.count == 0.0 {
            return self.constant(0.0);
        }
        self.over(x, c, self.shard_efficiency, self.hop_s)
            .plus(c.count, self.tensor_latency_s)
            .plus(c.network_count, self.network_latency_s)
    }

    /// Time of the exchange of keys and values that attention does not hide.
    fn context(&self, x: &Terms, attention: Option<R>, sharpness: R) -> R {
        let exchange = self.exposed(x, &x.busiest.context);
        if !x.context_overlaps || x.busiest.context.count == 0.0 {
            return exchange;
        }
        let Some(attention) = attention else { return exchange };
        smooth_maximum([attention, exchange], None, sharpness) - attention
    }

    /// What transfers to and from the host add to a micro-step, beside which they go on; `None` where there are none.
    fn host(&self, x: &Terms, micro: R, sharpness: R) -> Option<R> {
        let bytes = x.busiest.host_bytes;
        (bytes > 0.0).then(|| {
            let transfer = self.constant(bytes / (HOST_LINK_SHARE * x.host_link));
            smooth_maximum([micro, transfer], None, sharpness) - micro
        })
    }

    /// Transfers and the host's update once a step; the GPUs of a node share its CPUs.
    fn host_once(&self, x: &Terms) -> R {
        let b = &x.busiest;
        let transfer = b.host_step_bytes / (HOST_LINK_SHARE * x.host_link);
        self.constant(transfer + b.host_update_bytes * x.gpus_per_node / HOST_UPDATE_RATE)
    }

    fn fsdp(&self, x: &Terms) -> Option<R> {
        let c = &x.busiest.shards;
        (c.count > 0.0).then(|| {
            self.over(x, c, self.shard_efficiency, self.hop_s)
                .plus(c.count, self.tensor_latency_s)
                .plus(c.network_count, self.network_latency_s)
        })
    }

    fn launch(&self, x: &Terms) -> R {
        let b = &x.busiest;
        let mut launch = self.launch_s.plus(b.kernels, self.launch_per_kernel_s);
        if x.pipeline_across_nodes && b.tensor.hops > 0.0 {
            launch = launch.plus(b.tensor.hops, self.tensor_pipeline_launch_s);
        }
        if x.sharded {
            launch = launch.plus(x.layers, self.fsdp_launch_per_layer_s);
        }
        if x.tensor_parallel {
            launch = launch.plus(x.layers, self.tensor_launch_per_layer_s);
        }
        launch
    }

    fn gradients(&self, x: &Terms) -> R {
        let c = &x.busiest.step;
        if c.count == 0.0 {
            return self.constant(0.0);
        }
        let mut exposed = self.exposed_gradients;
        if x.replicated {
            exposed = exposed * self.ddp_overlap;
        }
        (exposed * self.over(x, c, self.shard_efficiency, self.hop_s))
            .plus(c.count, self.tensor_latency_s)
    }

    fn optimizer(&self, x: &Terms) -> R {
        let b = &x.busiest;
        let traffic = at_share(b.optimizer_bytes, self.optimizer_efficiency, x.bandwidth);
        let mut time = (self.step_s + traffic)
            .plus(OPTIMIZER_LAUNCH_SHARE * b.optimizer_kernels, self.launch_per_kernel_s);
        if x.sharded {
            time = time + self.fsdp_step_s;
        }
        time
    }

    /// Idle and waiting power, and the energy of a step's work at the full clock; `launch` and `working` are the times
    /// of a micro-step.
    fn power(&self, x: &Terms, launch: R, working: R) -> Power<R> {
        let (e, m) = (&x.mean, x.micro_steps);
        let sent = m
            * (e.tensor.sent + e.shards.sent + e.pipeline.sent + e.context.sent + e.experts.sent)
            + e.step.sent;
        let idle = self.static_share * x.tdp;
        let idle_kept = kept(idle, self.static_remains);
        let mut compute = self.flop_energy
            * (x.flop_energy * m * (e.layers.flops + e.logits.flops + e.attention.flops));
        if x.wide {
            compute = compute * self.wide_energy * (x.half_peak / x.peak);
        }
        if e.in_8_bits.flops > 0.0 {
            let in_8_bits = self.flop_energy * self.fp8_energy;
            compute = compute.plus(x.flop_energy * m * e.in_8_bits.flops, in_8_bits);
        }
        Power {
            idle,
            idle_kept,
            idle_saved: idle - idle_kept,
            busy: busy(self.busy_share * x.tdp, launch, working),
            compute,
            memory: self.byte_energy * (x.tdp / x.bandwidth * (m * e.bytes + e.optimizer_bytes)),
            communication: self.link_energy * (x.tdp / x.link * sent),
            kernels: self.kernel_energy_s * (x.tdp * m * e.kernels),
        }
    }
}

/// Time of `work` at a share of a rate.
fn at_share<R: Real>(work: f64, share: R, rate: f64) -> R {
    let time = work / (share.value() * rate);
    share.function(time, -time / share.value())
}

/// The share of `times` a time in another one.
fn share_of<R: Real>(time: R, times: f64, of: R) -> R {
    let share = time.value() * times / of.value();
    time.function_with(of, share, [times / of.value(), -share / of.value()])
}

/// The part of the idle power that no lower clock saves, `remains` times the rest.
fn kept<R: Real>(idle: R, remains: R) -> R {
    let more = remains.value() + 1.0;
    let kept = idle.value() * remains.value() / more;
    idle.function_with(remains, kept, [remains.value() / more, idle.value() / (more * more)])
}

/// Power of waiting in collectives: a GPU that waits for launches is idle. `launch` and `working` are the times of a micro-step.
fn busy<R: Real>(most: R, launch: R, working: R) -> R {
    let by_working = 1.0 / working.value();
    let ratio = launch.value() * by_working;
    let share = logistic((ratio - 1.0) * -4.0);
    let power = most.value() * share;
    let in_ratio = -4.0 * power * (1.0 - share) * by_working;
    let of_times = launch.function_with(working, 0.0, [in_ratio, -in_ratio * ratio]);
    most.function_with(of_times, power, [share, 1.0])
}

/// Mean of the powers over the times, which are `time` together.
fn mean_power<R: Real>(times: [R; 2], powers: [R; 2], time: f64) -> R {
    let [steps, start] = times.map(Real::value);
    let [draw, idle] = powers.map(Real::value);
    let mean = (steps * draw + start * idle) / time;
    let of_times =
        times[0].function_with(times[1], 0.0, [(draw - mean) / time, (idle - mean) / time]);
    let of_powers = powers[0].function_with(powers[1], 0.0, [steps / time, start / time]);
    of_times.function_with(of_powers, mean, [1.0, 1.0])
}
