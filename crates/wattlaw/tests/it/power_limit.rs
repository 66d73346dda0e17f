//! What must hold of a power limit, for any job, any limit and any parameters of the roofline law.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::sync::LazyLock;

use crate::jobs::{CATALOG, jobs, resolved};
use proptest::prelude::*;
use wattlaw::base::units::Watts;
use wattlaw::calibration::{Calibration, embedded};
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::clock::{CLOCK, MIN_CLOCK_SHARE};
use wattlaw::law::roofline::fit::{Prior, Sample, fit};
use wattlaw::law::roofline::physics::{
    COUNT, PARAMETERS, Physics, PhysicsEstimate, RooflineParameters,
};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::predict::{WarningKind, predict};

static CALIBRATIONS: LazyLock<Vec<Calibration>> = LazyLock::new(|| embedded().unwrap());

/// Parameters up to two standard deviations of the prior from their medians.
fn parameters() -> impl Strategy<Value = RooflineParameters> {
    proptest::collection::vec(-2.0..2.0_f64, COUNT).prop_map(|z| {
        let moved = |i: usize| PARAMETERS[i].median * (PARAMETERS[i].sd * z[i]).exp();
        RooflineParameters::from(std::array::from_fn::<f64, COUNT, _>(moved))
    })
}

/// Mean power of an accelerator over the whole run.
fn power_w(estimate: &PhysicsEstimate, x: &Terms) -> f64 {
    (estimate.energy.total_j - estimate.energy.host_j) / estimate.time.total_s / x.gpus
}

fn under(x: &Terms, power_limit: f64) -> Terms {
    Terms { power_limit, ..x.clone() }
}

proptest! {
    #[test]
    fn a_limit_is_met_stretches_time_and_never_binds_above_the_draw(
        spec in jobs(), parameters in parameters(), share in 0.1..1.3_f64, lower in 0.5..1.0_f64,
    ) {
        let physics = Physics(parameters);
        let x = Terms::for_job(&resolved(&spec));
        let free = physics.estimate(&under(&x, 1e9));
        let x = under(&x, share * free.limit.draw_w);
        let held = physics.estimate(&x);
        let limit = held.limit;
        prop_assert_eq!(limit.limit_w, x.power_limit);
        if limit.met {
            prop_assert!(limit.draw_w <= x.power_limit);
            prop_assert!(power_w(&held, &x) <= x.power_limit * (1.0 + 1e-12));
        } else {
            // only the lowest clock is too high for a limit
            prop_assert!((limit.clock_share / MIN_CLOCK_SHARE - 1.0).abs() < 1e-12);
            prop_assert!(power_w(&held, &x) <= limit.draw_w * (1.0 + 1e-12));
        }
        prop_assert!(limit.time_factor >= 1.0 && (0.149..=1.0).contains(&limit.clock_share));
        prop_assert_eq!(limit.binds, limit.clock_share < 1.0);

        let (t, e) = (held.time, held.energy);
        let seconds = t.device_s + t.tensor_parallel_s + t.launch_overhead_s + t.fsdp_communication_s + t.pipeline_s + t.gradient_all_reduce_s
            + t.optimizer_s + t.start_up_s;
        let joules = e.host_j + e.static_j + e.compute_j + e.memory_j + e.communication_j + e.kernel_j;
        prop_assert!((seconds / t.total_s - 1.0).abs() < 1e-9, "{t:?}");
        prop_assert!((joules / e.total_j - 1.0).abs() < 1e-12, "{e:?}");
        prop_assert_eq!(t, physics.time(&x));
        let again = physics.energy(&x, t.total_s).total_j;
        prop_assert!((again / e.total_j - 1.0).abs() < 1e-12);

        if limit.binds {
            prop_assert!(limit.draw_w < free.limit.draw_w);
            prop_assert!((t.total_s / free.time.total_s / limit.time_factor - 1.0).abs() < 1e-12);
        } else {
            prop_assert_eq!((held.time, held.energy), (free.time, free.energy));
        }
        // room of a tenth for peaks is room enough
        if x.power_limit >= 1.12 * free.limit.draw_w {
            prop_assert!(!limit.binds);
        }

        let less = physics.estimate(&under(&x, lower * x.power_limit));
        prop_assert!(less.time.total_s >= t.total_s && less.limit.draw_w <= limit.draw_w);
    }

    #[test]
    fn predict_never_panics_for_any_limit(spec in jobs(), share in 0.01..2.0_f64, which in any::<prop::sample::Index>()) {
        let mut job = resolved(&spec);
        let limit_w = share * job.system.accelerator.tdp_w;
        job.system.power_limit = Watts::new(limit_w);
        match predict(&job, which.get(&CALIBRATIONS), "asked", 0.9) {
            Ok(answer) => {
                let says = |kind| answer.warnings.iter().any(|w| w.kind == kind);
                match answer.power_limit {
                    Some(limit) => {
                        prop_assert!(limit.met);
                        prop_assert_eq!(says(WarningKind::PowerLimit), !(1.0 / 3.0..=1.0).contains(&share));
                    }
                    None => prop_assert!(share >= 1.0 || says(WarningKind::NotInLaw) || says(WarningKind::Impossible)),
                }
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(!text.contains("power_limit_w") || text.contains("set a higher limit"), "{}", text);
            }
        }
    }
}

fn job(text: &str) -> Job {
    JobSpec::from_toml(text).unwrap().resolve(&CATALOG).unwrap()
}

/// GPT whose micro-steps are large enough to keep an A100 busy.
fn busy(micro_batch: u64) -> Terms {
    Terms::for_job(&job(&format!(
        "model = {{ name = 'gpt2-medium' }}
         workload = {{ steps = 2000, seq_len = 1024, micro_batch = {micro_batch} }}
         system = {{ gpu = 'a100-sxm4-40gb' }}"
    )))
}

#[test]
fn energy_falls_and_then_rises_as_the_limit_nears_static_power() {
    let parameters = RooflineParameters::physical();
    let x = busy(16);
    let of = |limit: f64| {
        let held = Physics(parameters).estimate(&under(&x, limit));
        assert!(held.limit.met, "{limit}");
        held.energy.total_j - held.energy.host_j
    };
    let free = Physics(parameters).estimate(&x);
    let start = free.limit.draw_w;
    // the static 60 W of 400 are what no limit takes away
    let limits: Vec<f64> = (0..=40).map(|i| start + (95.0 - start) * f64::from(i) / 40.0).collect();
    let energies: Vec<f64> = limits.iter().map(|limit| of(*limit)).collect();
    let least = (0..energies.len()).min_by(|a, b| energies[*a].total_cmp(&energies[*b])).unwrap();
    assert!(energies[..=least].windows(2).all(|w| w[1] < w[0]), "{energies:?}");
    assert!(energies[least..].windows(2).all(|w| w[1] > w[0]), "{energies:?}");
    assert!(energies[least] < 0.85 * energies[0] && energies[40] > 1.3 * energies[least]);
    // the least is where the voltage has reached its floor
    let clock = Physics(parameters).estimate(&under(&x, limits[least])).limit.clock_share;
    assert!((0.7..0.85).contains(&clock), "{clock}");
}

#[test]
fn a_launch_bound_job_pays_no_time_for_a_limit_above_its_draw() {
    let parameters = RooflineParameters::physical();
    let x = Terms::for_job(&job("model = { family = 'bert', layers = 4, hidden_size = 128 }
         workload = { steps = 500, seq_len = 32, micro_batch = 1 }
         system = { gpu = 'a100-sxm4-40gb' }"));
    let free = Physics(parameters).estimate(&x);
    let limited = Physics(parameters).estimate(&under(&x, 200.0));
    assert!(!limited.limit.binds && free.limit.draw_w < 150.0, "{free:?}");
    assert_eq!((free.time, free.energy), (limited.time, limited.energy));
}

/// Half the clock leaves what waits for no clock as it was: launches, communication, the optimizer.
#[test]
fn only_device_time_stretches() {
    let parameters = RooflineParameters::physical();
    let x = Terms::for_job(&job("model = { name = 'gpt2-medium' }
         workload = { steps = 2000, seq_len = 1024, micro_batch = 16 }
         parallelism = { strategy = 'ddp' }
         system = { gpu = 'a100-sxm4-40gb', gpus = 4 }"));
    let free = Physics(parameters).estimate(&x);
    let held = Physics(parameters).estimate(&under(&x, 150.0));
    assert!(held.limit.binds);
    assert_eq!(held.time.gradient_all_reduce_s, free.time.gradient_all_reduce_s);
    assert_eq!(held.time.optimizer_s, free.time.optimizer_s);
    assert_eq!(held.time.start_up_s, free.time.start_up_s);
    approx::assert_relative_eq!(
        held.time.device_s / free.time.device_s,
        CLOCK.stretch(held.limit.clock_share),
        max_relative = 1e-12
    );
    approx::assert_relative_eq!(
        held.energy.compute_j / free.energy.compute_j,
        CLOCK.voltage(held.limit.clock_share).powi(2),
        max_relative = 1e-12
    );
}

/// A fit differentiates through the solved clock: runs made under limits give back the law that made them.
#[test]
fn runs_under_limits_are_fitted() {
    let mut truth = PARAMETERS.map(|p| p.median);
    for (i, value) in truth.iter_mut().enumerate() {
        *value *= (0.3 * PARAMETERS[i].sd * ((i * 7 % 5) as f64 / 2.0 - 1.0)).exp();
    }
    let truth = RooflineParameters::from(truth);
    let terms: Vec<Terms> = [1, 2, 4, 8, 16]
        .iter()
        .flat_map(|micro| [400.0, 250.0, 180.0, 130.0].map(|limit| under(&busy(*micro), limit)))
        .collect();
    let made: Vec<PhysicsEstimate> = terms.iter().map(|x| Physics(truth).estimate(x)).collect();
    assert!(made.iter().filter(|made| made.limit.binds).count() >= 8);
    let samples: Vec<Sample<'_>> = terms
        .iter()
        .zip(&made)
        .map(|(terms, held)| Sample {
            terms,
            log_duration: held.time.total_s.ln(),
            log_energy: Some(held.energy.total_j.ln()),
        })
        .collect();
    let found = fit(&samples, &Prior::physical(), None).unwrap().parameters();
    for (x, made) in terms.iter().zip(&made) {
        let held = Physics(found).estimate(x);
        assert!((held.time.total_s / made.time.total_s).ln().abs() < 0.02);
        assert!((held.energy.total_j / made.energy.total_j).ln().abs() < 0.02);
    }
}
