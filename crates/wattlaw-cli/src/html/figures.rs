//! The figures of a page. Each has its numbers in a table for readers that do not see it.

use maud::{Markup, PreEscaped, html};
use wattlaw::base::units::Watts;
use wattlaw::plan::PlannedJob;
use wattlaw::predict::Breakdown;

use super::{Page, table, tradeoff};
use crate::chart::{Bar, Bars, Line, Points, Scale, palette};
use crate::failure::Done;
use crate::planned;
use crate::render;

/// The most bars of a figure.
const BARS: usize = 20;

/// Share of the longest bar below which a part stands among the others.
const SMALL: f64 = 0.01;

/// Every figure that there are numbers for.
///
/// # Errors
/// A chart cannot be drawn.
pub(super) fn all(page: &Page<'_>) -> Done<Markup> {
    let shown = &page.rows[..page.rows.len().min(BARS)];
    let [time, energy] = [by_part(shown, Part::Time), by_part(shown, Part::Energy)];
    let most = |parts: &[Named]| parts.iter().map(Named::sum).fold(0.0, f64::max);
    let (of_time, of_energy) = (Scale::time(most(&time)), Scale::energy(most(&energy)));
    let capacity = shown.iter().map(|row| row.memory.capacity_gib);
    let (least, largest) =
        capacity.fold((f64::INFINITY, 0.0_f64), |(a, b), gib| (a.min(gib), b.max(gib)));
    let limit = (least == largest).then_some(least);
    Ok(html! {
        (front(page)?)
        (bars("Time by part", "Parts of the estimated time.", of_time, &time, None)?)
        (bars("Energy by part", "Parts of the estimated energy of the accelerators.", of_energy, &energy, None)?)
        (curve(page)?)
        (bars(
            "Memory by part",
            if limit.is_some() {
                "Parts of the estimated peak memory of the GPU with the most; the line is what a process can have."
            } else {
                "Parts of the estimated peak memory of the GPU with the most."
            },
            Scale::named("memory of a GPU in GiB".to_owned(), 1.0),
            &by_part(shown, Part::Memory),
            limit,
        )?)
    })
}

/// A drawing with its title, its caption, and its numbers.
fn figure(title: &str, caption: &str, svg: &str, keys: &Markup, numbers: &Markup) -> Markup {
    let id = title.to_lowercase().replace(' ', "-");
    // the chart is one image with a name; its numbers follow as a table
    let named = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-labelledby=\"{id}\" "), 1);
    html! {
        figure {
            h2 id=(id) { (title) }
            (PreEscaped(named))
            (keys)
            figcaption { (caption) }
            details { summary { "The numbers" } (numbers) }
        }
    }
}

fn front(page: &Page<'_>) -> Done<Markup> {
    let points = tradeoff(page.rows, page.front);
    let caption = match page.front {
        Some(_) => {
            "No configuration beats those on the line in both quantities. Marks are the plans of the table, by rank."
        }
        None => "Marks are the alternatives of the table, by rank.",
    };
    let header = [points.x.name.clone(), points.y.name.clone(), "configuration".to_owned()];
    let row = |at: (f64, f64), text: &str| {
        let of = |value: f64, scale: &Scale| render::digits(value / scale.divisor);
        vec![of(at.0, &points.x), of(at.1, &points.y), text.to_owned()]
    };
    let rows: Vec<Vec<String>> = match page.front {
        Some(front) => front
            .points
            .iter()
            .map(|point| row((point.values[1], point.values[0]), &point.configuration))
            .collect(),
        None => points.marks.iter().map(|mark| row(mark.at, &mark.label)).collect(),
    };
    let title = if page.front.is_some() { "Pareto front" } else { "Energy against time" };
    Ok(figure(title, caption, &points.svg()?, &html! {}, &table(&header, &rows, 3)))
}

/// What the parts are of.
#[derive(Clone, Copy)]
enum Part {
    Time,
    Energy,
    Memory,
}

/// A bar's parts by name.
struct Named {
    label: String,
    parts: Vec<(String, f64)>,
}

impl Named {
    fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, part)| part).sum()
    }
}

/// The parts of each row; rows whose law knows none are left out.
fn by_part(rows: &[PlannedJob], part: Part) -> Vec<Named> {
    rows.iter()
        .filter_map(|row| {
            let parts = match (part, &row.breakdown) {
                (Part::Memory, _) => {
                    row.memory.parts.iter().map(|(name, gib)| (name.to_string(), *gib)).collect()
                }
                // the learnt discrepancy is of the whole: it stretches every part
                (Part::Time, Breakdown::Parts { time, discrepancy, .. }) => {
                    stretched(&time.named(), discrepancy[0])
                }
                (Part::Energy, Breakdown::Parts { energy, discrepancy, .. }) => {
                    stretched(&energy.named(), discrepancy[1])
                }
                (_, Breakdown::Factors(_)) => return None,
            };
            Some(Named { label: planned::short(row), parts })
        })
        .collect()
}

fn stretched(parts: &[(&str, f64)], factor: f64) -> Vec<(String, f64)> {
    parts.iter().map(|(name, part)| ((*name).to_owned(), part * factor)).collect()
}

/// Bars with the names of their parts; parts that are small in every bar are one.
fn bars(title: &str, caption: &str, x: Scale, rows: &[Named], limit: Option<f64>) -> Done<Markup> {
    let Some(first) = rows.first() else { return Ok(html! {}) };
    let longest = rows.iter().map(Named::sum).fold(0.0, f64::max);
    let large = |at: &usize| rows.iter().any(|row| row.parts[*at].1 >= SMALL * longest);
    let (shown, small): (Vec<usize>, Vec<usize>) = (0..first.parts.len()).partition(large);
    let mut names: Vec<&str> = shown.iter().map(|at| first.parts[*at].0.as_str()).collect();
    if !small.is_empty() {
        names.push("other");
    }
    let parts = |row: &Named| -> Vec<f64> {
        let of = |at: &usize| row.parts[*at].1;
        let rest = (!small.is_empty()).then(|| small.iter().map(of).sum());
        shown.iter().map(of).chain(rest).collect()
    };
    let header: Vec<String> = std::iter::once(x.name.clone())
        .chain(names.iter().map(|name| (*name).to_owned()))
        .collect();
    let numbers: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = parts(row).into_iter().map(|part| render::digits(part / x.divisor));
            std::iter::once(row.label.clone()).chain(cells).collect()
        })
        .collect();
    let keys = html! {
        ul.keys {
            @for (at, name) in names.iter().enumerate() {
                li { span.key style=(background(at)) {} (name) }
            }
        }
    };
    let bars = rows.iter().map(|row| Bar { label: row.label.clone(), parts: parts(row) });
    let svg = Bars { x, bars: bars.collect(), limit }.svg()?;
    Ok(figure(title, caption, &svg, &keys, &table(&header, &numbers, 1)))
}

fn background(at: usize) -> String {
    let colour = palette(at);
    format!("background:rgb({},{},{})", colour.0, colour.1, colour.2)
}

/// Time and energy of the first row under different power limits, over those at the highest one.
fn curve(page: &Page<'_>) -> Done<Markup> {
    let (Some(most), Some(first)) = (page.curve.last(), page.rows.first()) else {
        return Ok(html! {});
    };
    let relative = |of: fn(&wattlaw::plan::PowerPoint) -> f64| -> Vec<(f64, f64)> {
        page.curve.iter().map(|point| (point.limit_w, of(point) / of(most))).collect()
    };
    let lines =
        [relative(|point| point.energy_j.estimate), relative(|point| point.duration_s.estimate)];
    let rows: Vec<Vec<String>> = page
        .curve
        .iter()
        .map(|point| {
            let (time, energy) = (point.duration_s, point.energy_j);
            vec![
                render::si(point.limit_w, "W"),
                planned::interval(energy, render::energy),
                planned::interval(time, render::duration),
            ]
        })
        .collect();
    let points = Points {
        x: Scale::named("power limit of a GPU in W".to_owned(), 1.0),
        y: Scale::named(format!("factor on that at {}", render::si(most.limit_w, "W")), 1.0),
        lines: (0..).zip(lines).map(|(at, points)| Line { points, colour: palette(at) }).collect(),
        marks: Vec::new(),
    };
    let keys = html! {
        ul.keys {
            @for (at, name) in ["energy", "time"].iter().enumerate() {
                li { span.key style=(background(at)) {} (name) }
            }
        }
    };
    let limit = Watts::value(first.job.system.power_limit);
    let caption =
        format!("The first under other power limits; its own is {}.", render::si(limit, "W"));
    let header = ["power limit", "energy", "time"].map(str::to_owned);
    Ok(figure("Power limits", &caption, &points.svg()?, &keys, &table(&header, &rows, 1)))
}
