//! Plans as one page that opens without a network: charts, the same numbers in tables, and where they come from.
//!
//! The page has no script. Its colours follow the reader's choice of light or dark, and print on white.

mod figures;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use wattlaw::base::scope::Scope;
use wattlaw::calibration::Calibration;
use wattlaw::plan::{
    Binding, LeftOut, Objective, OneMore, ParetoFront, PlannedJob, PowerPoint, Undone,
};

use crate::chart::{Line, Mark, Points, Scale, palette};
use crate::failure::Done;
use crate::planned;
use crate::render;

/// What a page shows.
pub struct Page<'a> {
    /// What was asked, in a line.
    pub title: String,
    /// What is minimised.
    pub objective: Objective,
    /// What the energy covers.
    pub scope: Scope,
    /// Level of the intervals.
    pub level: f64,
    /// The plans or alternatives, the best first.
    pub rows: &'a [PlannedJob],
    /// Probability that the first is better than the second.
    pub first_before_second: Option<f64>,
    /// The configurations that no other beats, of a search.
    pub front: Option<&'a ParetoFront>,
    /// The first row under different power limits.
    pub curve: &'a [PowerPoint],
    /// What one more node or more memory would bring.
    pub one_more: Option<&'a OneMore>,
    /// Constraints that bind.
    pub binding: &'a [Binding],
    /// The best plan without each choice.
    pub undone: &'a [Undone],
    /// What was left out.
    pub left_out: &'a [LeftOut],
    /// The law.
    pub calibration: &'a Calibration,
}

const STYLE: &str = "
:root{color-scheme:light dark;--fg:#1b1b1b;--bg:#fff;--soft:#5a5a5a;--rule:#d8d8d8}
@media(prefers-color-scheme:dark){:root{--fg:#e8e8e8;--bg:#161616;--soft:#a8a8a8;--rule:#3a3a3a}}
@media print{:root{--fg:#000;--bg:#fff;--soft:#444;--rule:#bbb}details{display:block}figure,tr{break-inside:avoid}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:75rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}
p,figcaption,summary{max-width:50rem}.soft,figcaption{color:var(--soft)}
figure{margin:1rem 0}svg{max-width:100%;height:auto;color:var(--fg)}
svg text{fill:currentColor}svg [stroke='#000000']{stroke:currentColor}svg [fill='#000000']{fill:currentColor}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
.number{text-align:right;white-space:nowrap}
.key{display:inline-block;width:.8em;height:.8em;margin-right:.35em;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.keys{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.9rem}
pre{overflow-x:auto;font-size:.85rem}
";

impl Page<'_> {
    /// The page as HTML.
    ///
    /// # Errors
    /// A chart cannot be drawn.
    pub fn html(&self) -> Done<String> {
        let style = PreEscaped(STYLE);
        let figures = figures::all(self)?;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    meta name="generator" content=(concat!("wattlaw ", env!("CARGO_PKG_VERSION")));
                    title { (self.title) }
                    style { (style) }
                }
                body {
                    main {
                        h1 { (self.title) }
                        (self.summary())
                        h2 { "The " (if self.undone.is_empty() { "alternatives" } else { "plans" }) }
                        (self.rows())
                        (figures)
                        (self.choices())
                        (self.left_out())
                        (self.provenance()?)
                    }
                }
            }
        };
        Ok(page.into_string())
    }

    /// The first plan in words, and what binds.
    fn summary(&self) -> Markup {
        let mut lines = Vec::new();
        if let Some(first) = self.rows.first() {
            lines.push(format!("First by {}: {}.", self.objective, planned::line(first)));
        }
        lines.extend(self.first_before_second.map(planned::first_before_second));
        lines.extend(self.binding.iter().map(|of| planned::binding(of, self.objective)));
        lines
            .extend(self.one_more.into_iter().flat_map(|of| planned::one_more(of, self.objective)));
        html! { @for line in &lines { p { (line.trim()) } } }
    }

    /// The table of the plans with their intervals and their basis.
    fn rows(&self) -> Markup {
        let (header, rows, first_number) = planned::cells(self.rows, self.objective, self.level);
        html! {
            (table(&header, &rows, first_number))
            details {
                summary { "What each basis means" }
                ul { @for row in self.rows { li { (row.rank) ": " (row.confidence.label) ", " (row.confidence.text) } } }
            }
        }
    }

    fn choices(&self) -> Markup {
        if self.undone.is_empty() {
            return html! {};
        }
        let (header, rows) = planned::undone(self.undone);
        html! {
            h2 { "How much each choice matters" }
            p { "The best plan with another value of one choice, against the first plan." }
            (table(&header, &rows, 3))
        }
    }

    fn left_out(&self) -> Markup {
        if self.left_out.is_empty() {
            return html! {};
        }
        let (header, rows) = planned::left_out(self.left_out);
        html! { h2 { "What was left out" } (table(&header, &rows, 2)) }
    }

    /// The law, the scope and the level, and the first job as a file.
    fn provenance(&self) -> Done<Markup> {
        let job = match self.rows.first() {
            Some(first) => first.job.spec().to_toml()?,
            None => String::new(),
        };
        let data = &self.calibration.data;
        Ok(html! {
            h2 { "Where the numbers come from" }
            p {
                "wattlaw " (env!("CARGO_PKG_VERSION")) ", law " (self.calibration.name) ", fitted on " (render::whole(data.rows as u64))
                " runs (SHA-256 of their table: " code { (data.sha256) } "). Energy covers scope " (self.scope) ". Intervals have a level of "
                (render::percent(self.level)) " %. All values are estimates."
            }
            details { summary { "The first as a job file" } pre { code { (job) } } }
        })
    }
}

/// A table; columns from `first_number` on are numbers.
fn table(header: &[String], rows: &[Vec<String>], first_number: usize) -> Markup {
    let class = |at: usize| (at >= first_number).then_some("number");
    html! {
        div.wide {
            table {
                thead { tr { @for (at, cell) in header.iter().enumerate() { th scope="col" class=[class(at)] { (cell) } } } }
                tbody { @for row in rows { tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } } } } }
            }
        }
    }
}

/// The front, or the alternatives, over their two quantities; marks have the ranks of the listed rows.
pub fn tradeoff(rows: &[PlannedJob], front: Option<&ParetoFront>) -> Points {
    let objectives = front.map_or([Objective::Energy, Objective::Time], |front| front.objectives);
    // time is read from left to right
    let [y, x] = objectives;
    let of = |row: &PlannedJob| Some((row.compared_by(x)?, row.compared_by(y)?));
    let points: Vec<(f64, f64)> = front
        .iter()
        .flat_map(|front| &front.points)
        .map(|point| (point.values[1], point.values[0]))
        .collect();
    let marks: Vec<Mark> = rows
        .iter()
        .filter_map(|row| Some(Mark { at: of(row)?, label: row.rank.to_string() }))
        .collect();
    let every = || points.iter().chain(marks.iter().map(|mark| &mark.at));
    let currency = rows.first().and_then(|row| row.job.system.currency.as_deref());
    let most = |get: fn(&(f64, f64)) -> f64| every().map(get).fold(0.0, f64::max);
    Points {
        x: Scale::of(x, most(|at| at.0), currency),
        y: Scale::of(y, most(|at| at.1), currency),
        lines: if points.is_empty() {
            Vec::new()
        } else {
            vec![Line { points, colour: palette(0) }]
        },
        marks,
    }
}
