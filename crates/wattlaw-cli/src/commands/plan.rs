//! `wattlaw plan`: finds the best way to run a job on the machines there are.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use wattlaw::base::error::Location;
use wattlaw::base::scope::Scope;
use wattlaw::calibration::Calibration;
use wattlaw::job::JobSpec;
use wattlaw::job::workload::{Precision, Stack};
use wattlaw::memory::FITS_THRESHOLD;
use wattlaw::plan::{
    Choice, GpuCounts, Inventory, Limits, Objective, Plans, Pool, PowerPoint, Progress, Request,
    plan, power_curve,
};

use wattlaw_launch::{Launcher, emit};

use crate::commands::launch::write;
use crate::commands::predict::named_or_built_in;
use crate::failure::{Done, Failure};
use crate::flags::charts::ChartFlags;
use crate::flags::job::{JobFlags, described, warn};
use crate::format::Format;
use crate::html::{Page, tradeoff};
use crate::parse::{energy, level, long_time, mass, number, whole};
use crate::planned;
use crate::{files, render};
use wattlaw_ask::{plans_json, pools};

/// Flags of `wattlaw plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A job file, or the files of a framework, as for `wattlaw predict`; `--gpu` takes a list, such as a100,h100
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    flags: JobFlags,
    /// Numbers of accelerators: a number, a list such as 4,8,16, or a range of whole nodes such as 8..64 (both ends included)
    #[arg(long, value_parser = GpuCounts::from_str, help_heading = "System")]
    gpus: Option<GpuCounts>,
    /// Machines to choose from (TOML): a table `system` each, as in a job file, where `nodes` is how many there are
    #[arg(long, value_name = "FILE", conflicts_with = "gpus", help_heading = "Plan")]
    inventory: Option<PathBuf>,
    /// What is minimised: energy, time, cost, carbon or gpu-hours
    #[arg(long, value_name = "OBJECTIVE", default_value_t = Objective::Energy, value_parser = Objective::from_str, help_heading = "Plan")]
    minimise: Objective,
    /// Two objectives: list the plans that no other beats in both, such as energy,time
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1, value_parser = Objective::from_str, conflicts_with = "minimise", help_heading = "Plan")]
    pareto: Vec<Objective>,
    /// Prefer the fewest accelerators, then the objective
    #[arg(long, help_heading = "Plan")]
    min_gpus: bool,
    /// Longest time, such as 3d or 12h
    #[arg(long, value_name = "TIME", value_parser = long_time, help_heading = "Plan")]
    deadline: Option<Duration>,
    /// Highest price, in the currency of the prices
    #[arg(long, value_name = "PRICE", value_parser = number, help_heading = "Plan")]
    budget: Option<f64>,
    /// Most energy, such as 2MWh
    #[arg(long, value_name = "ENERGY", value_parser = energy, help_heading = "Plan")]
    max_energy: Option<f64>,
    /// Most carbon (CO₂e), such as 100kg
    #[arg(long, value_name = "MASS", value_parser = mass, help_heading = "Plan")]
    max_carbon: Option<f64>,
    /// Most accelerators
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Plan")]
    max_gpus: Option<u64>,
    /// Choices that stay as the job has them: gpu, gpus, strategy, tp, pp, cp, ep, sequence-parallel, schedule, micro-batch, checkpointing,
    /// precision, power-limit
    #[arg(long, value_name = "CHOICES", value_delimiter = ',', value_parser = Choice::from_str, help_heading = "Plan")]
    keep: Vec<Choice>,
    /// Precisions to choose from, such as bf16,fp8. Default: the job's own
    #[arg(long, value_name = "PRECISIONS", value_delimiter = ',', value_parser = Precision::from_str, help_heading = "Plan")]
    allow_precision: Vec<Precision>,
    /// Number of plans
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Plan")]
    top: u16,
    /// Threads of the search. Default: the cores of this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Plan")]
    threads: Option<u16>,
    /// Write the launch files of the first plan that they can express, as `wattlaw launch` does; a framework among them is that of the plans
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        requires = "output",
        help_heading = "Plan"
    )]
    emit: Vec<Launcher>,
    /// Folder of the launch files; it is created where it is absent
    #[arg(short, long, value_name = "DIR", requires = "emit", help_heading = "Plan")]
    output: Option<PathBuf>,
    /// Calibration: a file or the name of a built-in one. Default: the built-in law
    #[arg(long, value_name = "FILE|NAME")]
    calibration: Option<PathBuf>,
    /// What the energy covers: gpu, devices, codecarbon, node_dc, node_ac or facility
    #[arg(long, default_value_t = Scope::Gpu, value_parser = Scope::from_str)]
    scope: Scope,
    /// Confidence level of the intervals
    #[arg(long, default_value_t = 0.95, value_parser = level)]
    level: f64,
    /// Least probability of fitting in memory
    #[arg(long, value_name = "SHARE", default_value_t = FITS_THRESHOLD, value_parser = number)]
    fits_threshold: f64,
    #[command(flatten)]
    charts: ChartFlags,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// An invalid job, machine, limit or calibration; no plan.
pub fn run(args: &Args) -> Done {
    args.charts.check(args.format)?;
    let calibration = named_or_built_in(args.calibration.as_deref())?;
    let catalog = args.flags.catalog()?;
    let request = args.request(&catalog)?;
    let started = Instant::now();
    let meter = ProgressLine::new()?;
    let found = plan(&request, &catalog, &calibration, &|progress| meter.show(progress));
    meter.clear();
    let plans = found?;
    if plans.stopped {
        render::note("warning", "the search was stopped; these are the best plans so far");
    }
    match args.format {
        Format::Json => files::print(&plans_json(&plans, started.elapsed().as_secs_f64())?)?,
        Format::Table => files::print(&table(&plans, args))?,
    }
    args.charts.print(&tradeoff(&plans.plans, Some(&plans.front)))?;
    if let (Some(file), Some(first)) = (args.charts.page(), plans.plans.first()) {
        let curve = power_curve(&first.job, &calibration, args.scope, args.level)?;
        files::write(file, &page(&plans, args, &calibration, &curve)?)?;
    }
    match &args.output {
        Some(output) => launch(&plans, &args.emit, output),
        None => Ok(()),
    }
}

/// Writes the launch files of the first plan that they can express.
fn launch(plans: &Plans, launchers: &[Launcher], output: &Path) -> Done {
    let mut refused = None;
    for plan in &plans.plans {
        match emit(&plan.job, launchers) {
            Ok(made) => {
                if let Some(error) = refused {
                    let rank = plan.rank;
                    render::note(
                        "note",
                        &format!("the files are those of plan {rank}; of the first, {error}"),
                    );
                }
                return write(&made, output);
            }
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    refused.map_or(Ok(()), |error| Err(error.into()))
}

impl Args {
    fn request(&self, catalog: &wattlaw::Catalog) -> Done<Request> {
        let mut flags = self.flags.spec()?;
        let listed = flags.system.gpu.take();
        let kinds: Vec<&str> =
            listed.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
        if let [one] = kinds.as_slice() {
            flags.system.gpu = Some((*one).to_owned());
        }
        flags.system.gpus = self.gpus.as_ref().and_then(GpuCounts::single);
        let description = described(&self.files, flags, catalog)?;
        warn(&description);
        let mut spec = description.for_its_gpus();
        if let Some(framework) = self.emit.iter().find_map(|launcher| launcher.framework()) {
            spec.workload.framework.get_or_insert(Stack::of(framework));
        }
        let pools = self.pools(&spec, &kinds)?;
        let (objective, pareto_with) = match self.pareto.as_slice() {
            [] => (self.minimise, None),
            [first, second] if first != second => (*first, Some(*second)),
            _ => {
                return Err(Failure::Usage(
                    "--pareto takes two different objectives, such as energy,time".to_owned(),
                ));
            }
        };
        if !(self.fits_threshold > 0.0 && self.fits_threshold < 1.0) {
            return Err(Failure::Usage(format!(
                "--fits-threshold is {}, but it must lie between 0 and 1",
                self.fits_threshold
            )));
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Request {
            pools,
            objective,
            pareto_with,
            fewest_gpus: self.min_gpus,
            limits: Limits {
                deadline_s: self.deadline.map(|time| time.as_secs_f64()),
                budget: self.budget,
                max_energy_j: self.max_energy,
                max_carbon_g: self.max_carbon,
                max_gpus: self.max_gpus,
            },
            keep: self.keep.clone(),
            precisions: self.allow_precision.clone(),
            scope: self.scope,
            fits_threshold: self.fits_threshold,
            level: self.level,
            top: usize::from(self.top),
            threads: self.threads.map_or(cores, usize::from),
            ..Request::new(spec)
        })
    }

    /// The machines of the inventory, of the list of accelerators, or of the job.
    fn pools(&self, spec: &JobSpec, kinds: &[&str]) -> Done<Vec<Pool>> {
        if let Some(path) = &self.inventory {
            let place = || Location::file(path.display().to_string());
            let inventory =
                Inventory::from_toml(&files::text(path)?).map_err(|error| error.at(place()))?;
            return Ok(inventory.pools());
        }
        Ok(pools(spec, kinds, self.gpus.as_ref()))
    }
}

/// What was searched, in a line.
fn heading(plans: &Plans) -> String {
    format!(
        "{} by {}: {} valid of {} configurations, {} sequences a step",
        if plans.plans.len() == 1 { "the best plan" } else { "the best plans" },
        plans.objective,
        render::whole(plans.evaluated),
        render::whole(plans.searched),
        render::whole(plans.global_batch),
    )
}

fn table(plans: &Plans, args: &Args) -> String {
    let mut out = render::heading(&heading(plans))
        + &planned::table(&plans.plans, plans.objective, args.level);
    if let (Some(probability), true) = (plans.first_before_second, args.pareto.is_empty()) {
        out += &planned::first_before_second(probability);
    }
    if !plans.pareto.is_empty() {
        let ranks: Vec<String> = plans.pareto.iter().map(ToString::to_string).collect();
        let of = match args.pareto.as_slice() {
            [first, second] => format!("{first} and {second}"),
            _ => "energy and time".to_owned(),
        };
        out += &format!("no configuration beats these in both {of}: {}\n", ranks.join(", "));
    }
    for binding in &plans.binding {
        out += &planned::binding(binding, plans.objective);
    }
    for line in plans.one_more.iter().flat_map(|of| planned::one_more(of, plans.objective)) {
        out += &line;
    }
    if !plans.best_undone.is_empty() && args.pareto.is_empty() {
        out += &below(planned::undone(&plans.best_undone), 3);
    }
    if !plans.left_out.is_empty() {
        out += &below(planned::left_out(&plans.left_out), 2);
    }
    out
}

/// A table after an empty line.
fn below((header, rows): planned::Cells, first_number: usize) -> String {
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    format!("\n{}", render::table(&header, rows, first_number))
}

/// The page of the plans.
fn page(
    plans: &Plans,
    args: &Args,
    calibration: &Calibration,
    curve: &[PowerPoint],
) -> Done<String> {
    let model = plans.plans.first().map_or("", |plan| &plan.job.architecture.name);
    Page {
        title: format!("{model}: {}", heading(plans)),
        objective: plans.objective,
        scope: args.scope,
        level: args.level,
        rows: &plans.plans,
        first_before_second: plans.first_before_second.filter(|_| args.pareto.is_empty()),
        front: Some(&plans.front),
        curve,
        one_more: plans.one_more.as_ref(),
        binding: &plans.binding,
        undone: &plans.best_undone,
        left_out: &plans.left_out,
        calibration,
    }
    .html()
}

/// Progress on a terminal, for searches over two seconds, and Ctrl-C.
struct ProgressLine {
    started: Instant,
    live: bool,
    interrupted: Arc<AtomicBool>,
    shown: AtomicBool,
}

impl ProgressLine {
    fn new() -> Done<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted))
            .map_err(|error| Failure::Failed(format!("Ctrl-C cannot be handled: {error}")))?;
        Ok(Self {
            started: Instant::now(),
            live: std::io::stderr().is_terminal(),
            interrupted,
            shown: AtomicBool::new(false),
        })
    }

    /// Shows the progress; whether the search goes on.
    fn show(&self, progress: Progress) -> bool {
        if self.live && self.started.elapsed() > Duration::from_secs(2) {
            self.shown.store(true, Relaxed);
            let share = 100.0 * progress.done as f64 / progress.total as f64;
            anstream::eprint!("\r\x1b[2K{share:.0} % searched; Ctrl-C ends with the best so far");
        }
        !self.interrupted.load(Relaxed)
    }

    fn clear(&self) {
        if self.shown.load(Relaxed) {
            anstream::eprint!("\r\x1b[2K");
        }
    }
}
