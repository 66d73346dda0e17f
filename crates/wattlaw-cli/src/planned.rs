//! Plans and alternatives as a table.

use wattlaw::plan::PlannedJob;
use wattlaw::predict::Interval;

use crate::render;

/// The plans, a row each. A column that is equal in all rows stays: it is what was chosen.
pub fn table(plans: &[PlannedJob], level: f64) -> String {
    let has =
        |get: fn(&PlannedJob) -> Option<Interval>| plans.iter().any(|plan| get(plan).is_some());
    let (price, carbon) = (has(|plan| plan.cost), has(|plan| plan.carbon_g));
    let energy = format!("energy [{} %]", render::percent(level));
    let mut header =
        vec!["", "GPUs", "strategy", "dp × tp × pp", "micro × accum", "checkpointing", "limit"];
    let first_number = header.len();
    header.extend([energy.as_str(), "time", "GPU-hours"]);
    if price {
        header.push("price");
    }
    if carbon {
        header.push("CO₂e");
    }
    header.extend(["GiB", "best", "basis"]);
    let rows = plans
        .iter()
        .map(|plan| {
            let job = &plan.job;
            let (w, p) = (&job.workload, &job.parallelism);
            let chunks = if p.virtual_stages > 1 {
                format!(" ({} chunks)", p.virtual_stages)
            } else {
                String::new()
            };
            let others: String = [("cp", p.cp), ("ep", p.ep)]
                .into_iter()
                .filter(|(_, degree)| *degree > 1)
                .map(|(name, degree)| format!(", {name} {degree}"))
                .collect();
            let sequence = if p.sequence_parallel { " +sp" } else { "" };
            let mut row = vec![
                plan.rank.to_string(),
                format!("{} × {}", job.system.gpus, job.system.accelerator.name),
                p.strategy().to_string() + sequence,
                format!("{} × {} × {}{chunks}", p.dp, p.tp, p.pp) + &others,
                format!("{} × {}", w.micro_batch, w.grad_accum),
                w.checkpointing.to_string(),
                render::si(job.system.power_limit.value(), "W"),
                interval(plan.energy_j, render::energy),
                plan.duration_s.map_or_else(String::new, |of| render::duration(of.estimate)),
                plan.gpu_hours.map_or_else(String::new, |of| render::digits(of.estimate)),
            ];
            if price {
                let currency = job.system.currency.as_deref().unwrap_or_default();
                let of = plan.cost.map_or_else(String::new, |of| render::digits(of.estimate));
                row.push(format!("{of} {currency}").trim_end().to_owned());
            }
            if carbon {
                row.push(plan.carbon_g.map_or_else(String::new, |of| render::si(of.estimate, "g")));
            }
            row.extend([
                render::digits(plan.memory.peak_gib_per_gpu),
                plan.probability_best.map_or_else(String::new, |p| format!("{:.0} %", 100.0 * p)),
                plan.confidence.label.to_string(),
            ]);
            row
        })
        .collect();
    render::table(&header, rows, first_number)
}

fn interval(of: Option<Interval>, show: fn(f64) -> String) -> String {
    of.map_or_else(String::new, |of| {
        format!("{} [{} to {}]", show(of.estimate), show(of.lower), show(of.upper))
    })
}

/// Probability from which the first is said to be better than the second.
const DISTINCT: f64 = 0.9;

/// Whether the first is better than the second, in a line.
pub fn first_before_second(probability: f64) -> String {
    let percent = 100.0 * probability;
    if probability >= DISTINCT {
        format!("the first is better than the second with a probability of {percent:.0} %\n")
    } else {
        format!(
            "the first and the second are equal within error: the first is better with a probability of {percent:.0} %\n"
        )
    }
}
