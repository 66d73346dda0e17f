//! The first screen of an answer as text.

use wattlaw::base::scope::Scope;
use wattlaw::job::Job;
use wattlaw::job::workload::TrainingObjective;
use wattlaw::predict::{EstimateKind, Note, Row, Screen, Unit};

use crate::render;

/// The lines of a screen, without its warnings.
pub fn text(screen: &Screen<'_>) -> String {
    let job = screen.job;
    let mut out = render::heading(&format!(
        "{} on {} × {}, {}, {}: {} tokens in {} {} of {} {}",
        job.architecture.name,
        job.parallelism.gpus(),
        job.system.accelerator.name,
        job.parallelism.strategy(),
        job.workload.precision,
        render::count(job.tokens()),
        render::count(job.steps()),
        if job.steps() == 1.0 { "step" } else { "steps" },
        render::whole(job.global_batch()),
        match (job.workload.objective, job.global_batch()) {
            (TrainingObjective::Likelihood, 1) => "sequence",
            (TrainingObjective::Likelihood, _) => "sequences",
            (TrainingObjective::Dpo, 1) => "pair",
            (TrainingObjective::Dpo, _) => "pairs",
        }
    ));
    let level = match screen.kind {
        EstimateKind::Assumed => "assumed range".to_owned(),
        EstimateKind::Fitted => format!("{} % interval", render::percent(screen.level)),
    };
    let rows = screen.rows.iter().map(|row| {
        let of = row.interval;
        vec![
            row.quantity.label().to_owned(),
            amount(of.estimate, row, job),
            format!("{} to {}", amount(of.lower, row, job), amount(of.upper, row, job)),
        ]
    });
    let notes = std::iter::once(String::new()).chain(
        screen
            .rows
            .iter()
            .map(|row| row.note.map(|note| format!("  {}", beside(note))).unwrap_or_default()),
    );
    let table = render::table(&["", "estimate", &level], rows.collect(), 1);
    for (line, note) in table.lines().zip(notes) {
        out += line;
        out += &note;
        out.push('\n');
    }
    out + &basis(screen)
}

/// The lines of the screen without colour.
pub fn plain(screen: &Screen<'_>) -> String {
    anstream::adapter::strip_str(&text(screen)).to_string()
}

/// What the answer rests on: its confidence, and the defaults that were taken.
pub fn basis(screen: &Screen<'_>) -> String {
    let mut out = format!("{}{}: {}\n", screen.confidence, within(screen), screen.because);
    if !screen.defaults.is_empty() {
        let each: Vec<String> = screen.defaults.iter().map(|taken| taken.short()).collect();
        out += &format!("by default: {}\n", each.join(", "));
    }
    out
}

/// Prints the warnings of a screen to standard error.
pub fn warn(screen: &Screen<'_>) {
    let last = screen.warnings.len().wrapping_sub(1);
    for (i, warning) in screen.warnings.iter().enumerate() {
        let more = match screen.more_warnings {
            more if more > 0 && i == last => format!(" ({more} more with -v)"),
            _ => String::new(),
        };
        render::note("warning", &format!("{}{more}", warning.text));
    }
}

/// Half the width of the interval as a factor.
fn within(screen: &Screen<'_>) -> String {
    match screen.within_factor {
        Some(factor) if factor.is_finite() => format!(", ×/÷{factor:.2}"),
        _ => String::new(),
    }
}

/// A number of a row in its unit.
fn amount(value: f64, row: &Row, job: &Job) -> String {
    match row.quantity.unit() {
        Unit::Joules => render::energy(value),
        Unit::Seconds => render::duration(value),
        Unit::GpuHours => render::digits(value),
        Unit::Currency => {
            let currency = job.system.currency.as_deref().unwrap_or_default();
            format!("{} {currency}", render::digits(value)).trim_end().to_owned()
        }
        Unit::TokensPerSecond => render::si(value, "").replace(' ', ""),
        Unit::JoulesPerToken => render::small_energy(value),
        Unit::Watts => render::si(value, "W"),
        Unit::Share => format!("{} %", render::digits(100.0 * value)),
        Unit::Gib => format!("{} GiB", render::digits(value)),
        Unit::GramsCo2e => render::si(value, "g CO₂e"),
    }
}

fn beside(note: Note) -> String {
    match note {
        Note::Covers { scope, facility_j } => match facility_j {
            Some(facility) => format!("{}; facility {}", covers(scope), render::energy(facility)),
            None => covers(scope).to_owned(),
        },
        Note::StepSeconds(seconds) => format!("{} a step", render::small_duration(seconds)),
        Note::Capacity { verdict, capacity_gib } => {
            format!("{verdict} in {} GiB", render::digits(capacity_gib))
        }
        Note::OfFacility => "of the facility".to_owned(),
        Note::PowerLimit { limit_w, time_factor } => {
            format!(
                "limit {} a GPU, time × {}",
                render::si(limit_w, "W"),
                render::digits(time_factor)
            )
        }
    }
}

/// What the energy of a scope covers.
const fn covers(scope: Scope) -> &'static str {
    match scope {
        Scope::Gpu => "GPUs",
        Scope::Devices => "GPUs, CPU packages and memory (counters)",
        Scope::NodeDc => "nodes, DC side of the power supplies",
        Scope::NodeAc => "nodes, AC side of the power supplies",
        Scope::Facility => "facility",
        Scope::Codecarbon => "GPUs (counters), CPU and memory (CodeCarbon's model)",
        Scope::Unstated => "not stated by the calibration",
    }
}
