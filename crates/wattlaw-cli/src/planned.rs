//! Plans and alternatives as a table.

use wattlaw::job::Job;
use wattlaw::plan::{Binding, Gain, LeftOut, Objective, OneMore, PlannedJob, Undone};
use wattlaw::predict::Interval;

use crate::render;

/// A header and rows of cells.
pub type Cells = (Vec<String>, Vec<Vec<String>>);

/// The plans, a row each. A column that is equal in all rows stays: it is what was chosen.
pub fn table(plans: &[PlannedJob], objective: Objective, level: f64) -> String {
    let (header, rows, first_number) = cells(plans, objective, level);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    render::table(&header, rows, first_number)
}

/// The cells of that table, and its first column of numbers.
pub fn cells(
    plans: &[PlannedJob],
    objective: Objective,
    level: f64,
) -> (Vec<String>, Vec<Vec<String>>, usize) {
    let has =
        |get: fn(&PlannedJob) -> Option<Interval>| plans.iter().any(|plan| get(plan).is_some());
    let (price, carbon) = (has(|plan| plan.cost), has(|plan| plan.carbon_g));
    let energy = format!("energy [{} %]", render::percent(level));
    let expected = format!("expected {objective}");
    let mut header =
        vec!["", "GPUs", "strategy", "dp × tp × pp", "micro × accum", "checkpointing", "limit"];
    let first_number = header.len();
    header.extend([expected.as_str(), energy.as_str(), "time", "GPU-hours"]);
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
            let w = &job.workload;
            let mut row = vec![
                plan.rank.to_string(),
                format!("{} × {}", job.system.gpus, job.system.accelerator.name),
                strategy(job),
                degrees(job),
                format!("{} × {}", w.micro_batch, w.grad_accum),
                w.checkpointing.to_string(),
                render::si(job.system.power_limit.value(), "W"),
                plan.compared_by(objective)
                    .map_or_else(String::new, |value| amount(value, objective, job)),
                plan.energy_j.map_or_else(String::new, |of| interval(of, render::energy)),
                plan.duration_s.map_or_else(String::new, |of| render::duration(of.estimate)),
                plan.gpu_hours.map_or_else(String::new, |of| render::digits(of.estimate)),
            ];
            let estimate = |of: Option<Interval>, objective| {
                of.map_or_else(String::new, |of| amount(of.estimate, objective, job))
            };
            if price {
                row.push(estimate(plan.cost, Objective::Cost));
            }
            if carbon {
                row.push(estimate(plan.carbon_g, Objective::Carbon));
            }
            row.extend([
                render::digits(plan.memory.peak_gib_per_gpu),
                plan.probability_best.map_or_else(String::new, |p| format!("{:.0} %", 100.0 * p)),
                plan.confidence.label.to_string(),
            ]);
            row
        })
        .collect();
    (header.into_iter().map(str::to_owned).collect(), rows, first_number)
}

/// A value of an objective with its unit.
fn amount(value: f64, objective: Objective, job: &Job) -> String {
    match objective {
        Objective::Energy => render::energy(value),
        Objective::Time => render::duration(value),
        Objective::GpuHours => render::digits(value),
        Objective::Carbon => render::si(value, "g"),
        Objective::Cost => {
            let currency = job.system.currency.as_deref().unwrap_or_default();
            format!("{} {currency}", render::digits(value)).trim_end().to_owned()
        }
    }
}

fn strategy(job: &Job) -> String {
    let sequence = if job.parallelism.sequence_parallel { " +sp" } else { "" };
    job.parallelism.strategy().to_string() + sequence
}

fn degrees(job: &Job) -> String {
    let p = &job.parallelism;
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
    format!("{} × {} × {}{chunks}{others}", p.dp, p.tp, p.pp)
}

/// A plan in a few words, for the bar of a chart.
pub fn short(plan: &PlannedJob) -> String {
    let (job, p) = (&plan.job, &plan.job.parallelism);
    format!("{}: {} GPUs, {}×{}×{}", plan.rank, job.system.gpus, p.dp, p.tp, p.pp)
}

/// A plan in a sentence, without its end.
pub fn line(plan: &PlannedJob) -> String {
    let job = &plan.job;
    let estimates = [
        plan.energy_j.map(|of| interval(of, render::energy)),
        plan.duration_s.map(|of| interval(of, render::duration)),
    ];
    let estimates: Vec<String> = estimates.into_iter().flatten().collect();
    format!(
        "{} × {}, {}, dp × tp × pp {}, micro-batch {}, checkpointing {}, limit {}: {}",
        job.system.gpus,
        job.system.accelerator.name,
        strategy(job),
        degrees(job),
        job.workload.micro_batch,
        job.workload.checkpointing,
        render::si(job.system.power_limit.value(), "W"),
        estimates.join(", ")
    )
}

/// An estimate with its interval.
pub fn interval(of: Interval, show: fn(f64) -> String) -> String {
    format!("{} [{} to {}]", show(of.estimate), show(of.lower), show(of.upper))
}

/// A constraint that binds, in a line.
pub fn binding(binding: &Binding, objective: Objective) -> String {
    format!(
        "--{} binds: without it {objective} would be × {}\n",
        binding.constraint,
        render::digits(binding.objective_factor)
    )
}

/// What one more node and more memory would bring, a line each.
pub fn one_more(of: &OneMore, objective: Objective) -> Vec<String> {
    let gain = |gain: &Gain| {
        format!(
            "{} more: {objective} × {} ({})\n",
            gain.added,
            render::digits(gain.objective_factor),
            gain.configuration
        )
    };
    of.node.iter().chain(&of.memory).map(gain).collect()
}

/// The best plan with each choice undone, a row each.
pub fn undone(undone: &[Undone]) -> Cells {
    let rows = undone
        .iter()
        .map(|undone| {
            vec![
                undone.choice.to_string(),
                undone.value.clone(),
                undone.instead.clone(),
                format!("× {}", render::digits(undone.energy_factor)),
                format!("× {}", render::digits(undone.time_factor)),
            ]
        })
        .collect();
    let header = ["choice", "first plan", "best with another", "energy", "time"];
    (header.map(str::to_owned).to_vec(), rows)
}

/// What was left out, a row a reason.
pub fn left_out(left_out: &[LeftOut]) -> Cells {
    let rows = left_out
        .iter()
        .map(|row| vec![row.reason.name(), row.example.clone(), render::whole(row.count)])
        .collect();
    (["left out", "the first of them", "number"].map(str::to_owned).to_vec(), rows)
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
