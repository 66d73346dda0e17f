//! What must hold of a power limit, for any job, any limit and any parameters of the roofline law.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::sync::LazyLock;

use crate::jobs::{CATALOG, jobs, resolved};
use proptest::prelude::*;
use wattlaw::base::units::Watts;
use wattlaw::calibration::{Calibration, embedded};
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::clock::{CLOCK, LOWEST};
use wattlaw::law::roofline::fit::{Prior, Sample, fit};
use wattlaw::law::roofline::physics::{COUNT, PARAMETERS, Physics, Taken};
use wattlaw::law::roofline::terms::Terms;
use wattlaw::predict::predict;

static CALIBRATIONS: LazyLock<Vec<Calibration>> = LazyLock::new(|| embedded().unwrap());

/// Parameters up to two standard deviations of the prior from their medians.
fn parameters() -> impl Strategy<Value = [f64; COUNT]> {
    proptest::collection::vec(-2.0..2.0_f64, COUNT).prop_map(|z| {
        std::array::from_fn(|i| PARAMETERS[i].median * (PARAMETERS[i].sd * z[i]).exp())
    })
}

/// Mean power of an accelerator over the whole run.
fn power_w(taken: &Taken, x: &Terms) -> f64 {
    (taken.energy.total_j - taken.energy.host_j) / taken.time.total_s / x.gpus
}

fn under(x: &Terms, power_limit: f64) -> Terms {
    Terms { power_limit, ..x.clone() }
}

proptest! {
    #[test]
    fn a_limit_is_kept_stretches_time_and_leaves_alone_what_is_below_it(
        spec in jobs(), parameters in parameters(), share in 0.1..1.3_f64, lower in 0.5..1.0_f64,
    ) {
        let physics = Physics(&parameters);
        let x = Terms::of(&resolved(&spec));
        let free = physics.taken(&under(&x, 1e9));
        let x = under(&x, share * free.limit.draw_w);
        let taken = physics.taken(&x);
        let limit = taken.limit;
        prop_assert_eq!(limit.limit_w, x.power_limit);
        if limit.met {
            prop_assert!(limit.draw_w <= x.power_limit);
            prop_assert!(power_w(&taken, &x) <= x.power_limit * (1.0 + 1e-12));
        } else {
            // only the lowest clock is too high for a limit
            prop_assert!((limit.clock_share / LOWEST - 1.0).abs() < 1e-12);
            prop_assert!(power_w(&taken, &x) <= limit.draw_w * (1.0 + 1e-12));
        }
        prop_assert!(limit.time_factor >= 1.0 && (0.149..=1.0).contains(&limit.clock_share));
        prop_assert_eq!(limit.binds, limit.clock_share < 1.0);

        let (t, e) = (taken.time, taken.energy);
        let seconds = t.device_s + t.tensor_s + t.launch_s + t.shard_s + t.pipeline_s + t.gradients_s
            + t.optimizer_s + t.start_s;
        let joules = e.host_j + e.static_j + e.compute_j + e.memory_j + e.link_j + e.kernel_j;
        prop_assert!((seconds / t.total_s - 1.0).abs() < 1e-9, "{t:?}");
        prop_assert!((joules / e.total_j - 1.0).abs() < 1e-12, "{e:?}");
        prop_assert_eq!(t, physics.time(&x));
        let again = physics.energy(&x, t.total_s).total_j;
        prop_assert!((again / e.total_j - 1.0).abs() < 1e-12);

        if limit.binds {
            prop_assert!(limit.draw_w < free.limit.draw_w);
            prop_assert!((t.total_s / free.time.total_s / limit.time_factor - 1.0).abs() < 1e-12);
        } else {
            prop_assert_eq!((taken.time, taken.energy), (free.time, free.energy));
        }
        // room of a tenth for peaks is room enough
        if x.power_limit >= 1.12 * free.limit.draw_w {
            prop_assert!(!limit.binds);
        }

        let less = physics.taken(&under(&x, lower * x.power_limit));
        prop_assert!(less.time.total_s >= t.total_s && less.limit.draw_w <= limit.draw_w);
    }

    #[test]
    fn no_limit_makes_predict_silent_or_panic(spec in jobs(), share in 0.01..2.0_f64, which in any::<prop::sample::Index>()) {
        let mut job = resolved(&spec);
        let limit_w = share * job.system.accelerator.tdp_w;
        job.system.power_limit = Watts::new(limit_w);
        match predict(&job, which.get(&CALIBRATIONS), "asked", 0.9) {
            Ok(answer) => {
                let says = |kind: &str| answer.warnings.iter().any(|w| w.kind == kind);
                match answer.power_limit {
                    Some(limit) => {
                        prop_assert!(limit.met);
                        prop_assert_eq!(says("power-limit"), !(1.0 / 3.0..=1.0).contains(&share));
                    }
                    None => prop_assert!(share >= 1.0 || says("not-in-law") || says("impossible")),
                }
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(!text.contains("power_limit_w") || text.contains("give a higher limit"), "{}", text);
            }
        }
    }
}

fn job(text: &str) -> Job {
    JobSpec::from_toml(text).unwrap().resolve(&CATALOG).unwrap()
}

/// GPT whose micro-steps are large enough to keep an A100 busy.
fn busy(micro_batch: u64) -> Terms {
    Terms::of(&job(&format!(
        "model = {{ name = 'gpt2-medium' }}
         workload = {{ steps = 2000, seq_len = 1024, micro_batch = {micro_batch} }}
         system = {{ gpu = 'a100-sxm4-40gb' }}"
    )))
}

fn defaults() -> [f64; COUNT] {
    PARAMETERS.map(|p| p.median)
}

#[test]
fn energy_falls_and_then_rises_as_the_limit_nears_static_power() {
    let parameters = defaults();
    let x = busy(16);
    let of = |limit: f64| {
        let taken = Physics(&parameters).taken(&under(&x, limit));
        assert!(taken.limit.met, "{limit}");
        taken.energy.total_j - taken.energy.host_j
    };
    let free = Physics(&parameters).taken(&x);
    let start = free.limit.draw_w;
    // the static 60 W of 400 are what no limit takes away
    let limits: Vec<f64> = (0..=40).map(|i| start + (95.0 - start) * f64::from(i) / 40.0).collect();
    let energies: Vec<f64> = limits.iter().map(|limit| of(*limit)).collect();
    let least = (0..energies.len()).min_by(|a, b| energies[*a].total_cmp(&energies[*b])).unwrap();
    assert!(energies[..=least].windows(2).all(|w| w[1] < w[0]), "{energies:?}");
    assert!(energies[least..].windows(2).all(|w| w[1] > w[0]), "{energies:?}");
    assert!(energies[least] < 0.85 * energies[0] && energies[40] > 1.3 * energies[least]);
    // the least is where the voltage has reached its floor
    let clock = Physics(&parameters).taken(&under(&x, limits[least])).limit.clock_share;
    assert!((0.7..0.85).contains(&clock), "{clock}");
}

#[test]
fn a_launch_bound_job_pays_no_time_for_a_limit_above_its_draw() {
    let parameters = defaults();
    let x = Terms::of(&job("model = { family = 'bert', layers = 4, hidden_size = 128 }
         workload = { steps = 500, seq_len = 32, micro_batch = 1 }
         system = { gpu = 'a100-sxm4-40gb' }"));
    let free = Physics(&parameters).taken(&x);
    let limited = Physics(&parameters).taken(&under(&x, 200.0));
    assert!(!limited.limit.binds && free.limit.draw_w < 150.0, "{free:?}");
    assert_eq!((free.time, free.energy), (limited.time, limited.energy));
}

/// Half the clock leaves what waits for no clock as it was: launches, exchanges, the optimizer.
#[test]
fn only_device_time_stretches() {
    let parameters = defaults();
    let x = Terms::of(&job("model = { name = 'gpt2-medium' }
         workload = { steps = 2000, seq_len = 1024, micro_batch = 16 }
         parallelism = { strategy = 'ddp' }
         system = { gpu = 'a100-sxm4-40gb', gpus = 4 }"));
    let free = Physics(&parameters).taken(&x);
    let held = Physics(&parameters).taken(&under(&x, 150.0));
    assert!(held.limit.binds);
    assert_eq!(held.time.gradients_s, free.time.gradients_s);
    assert_eq!(held.time.optimizer_s, free.time.optimizer_s);
    assert_eq!(held.time.start_s, free.time.start_s);
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
    let mut truth = defaults();
    for (i, value) in truth.iter_mut().enumerate() {
        *value *= (0.3 * PARAMETERS[i].sd * ((i * 7 % 5) as f64 / 2.0 - 1.0)).exp();
    }
    let terms: Vec<Terms> = [1, 2, 4, 8, 16]
        .iter()
        .flat_map(|micro| [400.0, 250.0, 180.0, 130.0].map(|limit| under(&busy(*micro), limit)))
        .collect();
    let made: Vec<Taken> = terms.iter().map(|x| Physics(&truth).taken(x)).collect();
    assert!(made.iter().filter(|taken| taken.limit.binds).count() >= 8);
    let samples: Vec<Sample<'_>> = terms
        .iter()
        .zip(&made)
        .map(|(terms, taken)| Sample {
            terms,
            log_duration: taken.time.total_s.ln(),
            log_energy: Some(taken.energy.total_j.ln()),
        })
        .collect();
    let found = fit(&samples, &Prior::physical(), None).unwrap().parameters();
    for (x, made) in terms.iter().zip(&made) {
        let taken = Physics(&found).taken(x);
        assert!((taken.time.total_s / made.time.total_s).ln().abs() < 0.02);
        assert!((taken.energy.total_j / made.energy.total_j).ln().abs() < 0.02);
    }
}
