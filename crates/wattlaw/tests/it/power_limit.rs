//! What must hold of a power limit, for any job on any accelerator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::sync::LazyLock;

use crate::jobs::{CATALOG, jobs, resolved};
use crate::roofline::{answer, placed};
use proptest::prelude::*;
use wattlaw::base::scope::{Covers, Scope};
use wattlaw::base::units::Watts;
use wattlaw::calibration::{Calibration, embedded};
use wattlaw::job::{Job, JobSpec};
use wattlaw::law::roofline::clock::MIN_CLOCK_SHARE;
use wattlaw::law::roofline::terms::Terms;
use wattlaw::law::roofline::{Parts, UnderLimits};
use wattlaw::predict::{WarningKind, predict};

static CALIBRATIONS: LazyLock<Vec<Calibration>> = LazyLock::new(|| embedded().unwrap());

/// No limit.
const FREE_W: f64 = 1e9;

fn under(x: &Terms, power_limit: f64) -> Terms {
    Terms { power_limit, ..x.clone() }
}

/// Mean power of an accelerator over the whole run, W.
fn power_w(parts: &Parts, x: &Terms) -> f64 {
    parts.energy.total_j / parts.time.total_s / x.gpus
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What a search shares among the limits of a job changes no answer.
    #[test]
    fn a_job_under_several_limits_is_what_it_is_under_each(job in placed(), shares in [0.1..1.3_f64, 0.3..1.0, 1.0..1.1]) {
        let Some(job) = job else { return Ok(()) };
        let (answer, x) = (answer(&job), Terms::for_job(&job));
        let limits = UnderLimits::new(answer, &x);
        for limit_w in shares.map(|share| share * x.tdp) {
            let mut limited = job.clone();
            limited.system.power_limit = Watts::new(limit_w);
            let alone = Terms::for_job(&limited);
            let found = limits.expected(limit_w);
            // what is found is met with costs at their medians too, and what is far above the lowest power is found
            let met = |share: f64| {
                let terms = Terms { power_limit: share * limit_w, ..alone.clone() };
                answer.parts(&terms).limit.met
            };
            prop_assert!(met(1.0) || found.is_none());
            prop_assert!(found.is_some() || !met(0.6));
            let expected = answer.logs_at_mean_costs(&alone, Scope::Gpu);
            for (found, log) in found.into_iter().flatten().zip(expected) {
                prop_assert!((found / log.exp() - 1.0).abs() < 1e-12, "{found} {log} {job:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_met_stretches_time_and_never_binds_above_the_draw(
        job in placed(), share in 0.1..1.3_f64, lower in 0.5..1.0_f64,
    ) {
        let Some(job) = job else { return Ok(()) };
        let answer = answer(&job);
        // a step: start-up draws idle power whatever the limit
        let x = Terms { covers: Covers::OneStep, ..Terms::for_job(&job) };
        let free = answer.parts(&under(&x, FREE_W));
        let x = under(&x, share * free.limit.draw_w);
        let held = answer.parts(&x);
        let limit = held.limit;
        prop_assert_eq!(limit.limit_w, x.power_limit);
        if limit.met {
            prop_assert!(limit.draw_w <= x.power_limit, "{limit:?}");
        } else {
            // only the lowest clock is too high for a limit
            prop_assert!((limit.clock_share / MIN_CLOCK_SHARE - 1.0).abs() < 1e-12, "{limit:?}");
        }
        // a source's runs differ by little in the population
        prop_assert!(power_w(&held, &x) <= limit.draw_w * 1.01, "{held:?}");
        prop_assert!(limit.time_factor >= 1.0 - 1e-12 && limit.clock_share <= 1.0 + 1e-9, "{limit:?}");
        prop_assert!(limit.clock_share >= MIN_CLOCK_SHARE - 1e-12, "{limit:?}");
        prop_assert!(held.time.total_s >= free.time.total_s * (1.0 - 1e-12));
        // a limit far above the draw costs nothing but the bend below it
        let far = answer.parts(&under(&x, 2.0 * free.limit.draw_w));
        prop_assert!(far.limit.draw_w >= 0.99 * free.limit.draw_w, "{free:?} {far:?}");
        prop_assert!(far.time.total_s <= 1.01 * free.time.total_s, "{free:?} {far:?}");
        if limit.binds {
            prop_assert!(limit.draw_w < free.limit.draw_w);
        }

        let tighter = under(&x, lower * x.power_limit);
        let less = answer.parts(&tighter);
        prop_assert!(less.time.total_s >= held.time.total_s * (1.0 - 1e-12), "{less:?} {held:?}");
        prop_assert!(less.limit.draw_w <= limit.draw_w * (1.0 + 1e-12), "{less:?} {held:?}");
        // and so with what runs say beyond the physics, under limits that can be held; it fades away from the runs' limits
        let [time, _] = answer.logs(&x, Scope::Gpu);
        let [longer, _] = answer.logs(&tighter, Scope::Gpu);
        prop_assert!(!less.limit.met || longer >= time - 1e-9, "{longer} {time}");
    }

    #[test]
    fn predict_never_panics_for_any_limit(spec in jobs(), share in 0.01..2.0_f64, which in any::<prop::sample::Index>()) {
        let mut job = resolved(&spec);
        let limit_w = share * job.system.tdp.value();
        job.system.power_limit = Watts::new(limit_w);
        match predict(&job, which.get(&CALIBRATIONS), "asked", None, 0.9) {
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
fn busy() -> Job {
    job("model = { name = 'gpt2-medium' }
         workload = { steps = 2000, seq_len = 1024, micro_batch = 16 }
         parallelism = { strategy = 'ddp' }
         system = { gpu = 'a100-sxm4-40gb', gpus = 4 }")
}

#[test]
fn energy_falls_and_then_rises_as_the_limit_nears_static_power() {
    let (job, x) = (busy(), Terms::for_job(&busy()));
    let answer = answer(&job);
    let free = answer.parts(&under(&x, FREE_W));
    let start = free.limit.draw_w;
    // static power is what no limit takes away
    let limits: Vec<f64> = (0..=40)
        .map(|i| start * (1.1 - 0.9 * f64::from(i) / 40.0))
        .filter(|limit| answer.parts(&under(&x, *limit)).limit.met)
        .collect();
    let energies: Vec<f64> =
        limits.iter().map(|limit| answer.parts(&under(&x, *limit)).energy.total_j).collect();
    let least = (0..energies.len()).min_by(|a, b| energies[*a].total_cmp(&energies[*b])).unwrap();
    assert!(energies[..=least].windows(2).all(|w| w[1] < w[0]), "{energies:?}");
    assert!(energies[least..].windows(2).all(|w| w[1] > w[0]), "{energies:?}");
    let last = energies[energies.len() - 1];
    assert!(energies[least] < 0.9 * energies[0] && last > 1.2 * energies[least], "{energies:?}");
    // the least is where the voltage has reached its floor
    let clock = answer.parts(&under(&x, limits[least])).limit.clock_share;
    assert!((0.6..0.9).contains(&clock), "{clock}");
}

#[test]
fn a_launch_bound_job_pays_no_time_for_a_limit_above_its_draw() {
    let job = job("model = { family = 'bert', layers = 4, hidden_size = 128 }
         workload = { steps = 500, seq_len = 32, micro_batch = 1 }
         system = { gpu = 'a100-sxm4-40gb' }");
    let x = Terms::for_job(&job);
    let answer = answer(&job);
    let (free, limited) = (answer.parts(&under(&x, FREE_W)), answer.parts(&under(&x, 250.0)));
    assert!(!limited.limit.binds && free.limit.draw_w < 150.0, "{free:?}");
    approx::assert_relative_eq!(limited.time.total_s, free.time.total_s, max_relative = 1e-3);
}

/// A low clock leaves what waits for no clock as it was: launches, communication, the optimizer.
#[test]
fn only_device_time_stretches() {
    let (job, x) = (busy(), Terms::for_job(&busy()));
    let answer = answer(&job);
    let (free, held) = (answer.parts(&under(&x, FREE_W)), answer.parts(&under(&x, 150.0)));
    assert!(held.limit.binds && held.time.device_s > 1.2 * free.time.device_s, "{held:?}");
    let waits = |parts: &Parts| {
        let t = parts.time;
        [t.gradient_all_reduce_s, t.launch_overhead_s, t.optimizer_s, t.start_up_s]
    };
    for (held, free) in waits(&held).into_iter().zip(waits(&free)) {
        approx::assert_relative_eq!(held, free, max_relative = 1e-9);
    }
    // work costs less at a lower voltage, and idle power is paid for longer
    assert!(held.energy.compute_j < free.energy.compute_j);
    assert!(held.energy.static_j > free.energy.static_j);
}
