//! `wattlaw sweep design`: plans the jobs of a sweep.

mod summary;

use std::path::PathBuf;
use std::str::FromStr;

use wattlaw::base::error::Location;
use wattlaw::calibration::{Calibration, study_design};
use wattlaw::job::Job;
use wattlaw::job::catalog::Catalog;
use wattlaw::memory::Memory;
use wattlaw::predict::Estimator;
use wattlaw::stats::optimal::Criterion;
use wattlaw_sweep::plan::{Budget, Chosen, Forecast, Kind, Objective, Order, Plan, median_job};
use wattlaw_sweep::space::{Candidate, Jobs, Preset, Space};

use crate::commands::calibrate::suggest::read_job;
use crate::commands::predict::named_or_built_in;
use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::flags::law::LawKind;
use crate::format::Format;
use crate::parse::whole;
use crate::{files, tables};
use summary::Summary;

/// Flags of `wattlaw sweep design`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Space of jobs: a job file in which fields may have lists and ranges (TOML)
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    space: Option<PathBuf>,
    /// A sweep of the study instead of a file: study-bert or study-gpt
    #[arg(long, value_parser = Preset::from_str)]
    preset: Option<Preset>,
    /// Accelerator; overrides that of the space
    #[arg(long)]
    gpu: Option<String>,
    /// Write the plan to this table (.csv, .parquet or .arrow). Default: standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Experimental design: grid, one-factor, latin-hypercube, random or optimal
    #[arg(long, default_value_t, value_parser = Kind::from_str)]
    design: Kind,
    /// Number of jobs (latin-hypercube, random, optimal)
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    runs: Option<usize>,
    /// Calibration for the predictions: a file or the name of a built-in one. Default: the nearest built-in one per job
    #[arg(long, value_name = "FILE|NAME")]
    calibration: Option<PathBuf>,
    /// Catalogue file (TOML) whose entries override the built-in ones
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Random seed
    #[arg(long, default_value_t = 2026, value_parser = whole::<u64>)]
    seed: u64,
    /// Output format of the summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Number of repeats of each job, each repeat in its own block
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = whole::<u64>, help_heading = "Order")]
    repeats: u64,
    /// Number of blocks; the order is random within a block. Default: the number of repeats
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Order")]
    blocks: Option<u64>,
    /// Run a reference job first, after every this many jobs, and last, to detect drift
    #[arg(long, value_name = "JOBS", value_parser = whole::<usize>, help_heading = "Order")]
    reference_every: Option<usize>,
    /// Job file of the reference job. Default: the planned job with the median predicted time
    #[arg(long, value_name = "FILE", requires = "reference_every", help_heading = "Order")]
    reference: Option<PathBuf>,

    /// Total budget of the jobs, such as "20 GPU-h" or "3 kWh"
    #[arg(long, value_parser = Budget::from_str, help_heading = "Optimal design")]
    budget: Option<Budget>,
    /// Design criterion: i-optimal (uncertainty of the target predictions) or d-optimal (of the parameters). Default: i-optimal
    #[arg(long, value_parser = Criterion::from_str, help_heading = "Optimal design")]
    criterion: Option<Criterion>,
    /// Law to be fitted. Default: roofline
    #[arg(long, value_enum, help_heading = "Optimal design")]
    law: Option<LawKind>,
    /// Job files of the target predictions. Default: all jobs of the space
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Optimal design")]
    jobs: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Invalid flags, space, job file or calibration, or a space without a job that can run.
pub fn run(args: &Args) -> Done {
    args.check()?;
    let catalog = job::catalog(args.catalog.as_deref())?;
    let mut found = args.candidates(&catalog)?;
    let calibration = named_or_built_in(args.calibration.as_deref())?;
    let mut estimator = Estimator::new(&calibration);
    let mut jobs: Vec<Forecast> = std::mem::take(&mut found.kept)
        .into_iter()
        .map(|c| Forecast::new(c, &mut estimator))
        .collect();
    let candidates = jobs.len();
    let chosen = match args.design {
        Kind::Optimal => Some(args.choose(&mut jobs, &calibration, &catalog)?),
        _ => None,
    };
    let reference = match &args.reference {
        Some(path) => Forecast::new(args.reference_job(path, &catalog)?, &mut estimator),
        None => jobs[median_job(&jobs)].clone(),
    };
    let order = Order {
        repeats: args.repeats,
        blocks: args.blocks,
        reference_every: args.reference_every,
        seed: args.seed,
    };
    let turns = order.turns(jobs.len()).map_err(Failure::usage)?;
    let text = Plan::from_order(&jobs, &reference, &turns).to_csv()?;
    match (&args.out, args.format) {
        (Some(path), _) => tables::write(path, &text)?,
        (None, Format::Table) => files::print(&text)?,
        (None, Format::Json) => {}
    }
    let summary = Summary {
        args,
        found: &found,
        candidates,
        jobs: &jobs,
        chosen,
        reference: &reference,
        turns: &turns,
    };
    summary.print()
}

impl Args {
    /// Refuses flags of other designs.
    fn check(&self) -> Done {
        let design = self.design;
        let wrong = |flag: &str, of: &str| {
            Err(Failure::Usage(format!("{flag} applies to {of} only, but the design is {design}")))
        };
        if design != Kind::Optimal {
            for (flag, there) in [
                ("--budget", self.budget.is_some()),
                ("--criterion", self.criterion.is_some()),
                ("--law", self.law.is_some()),
                ("--jobs", !self.jobs.is_empty()),
            ] {
                if there {
                    return wrong(flag, "--design optimal");
                }
            }
        }
        match (self.runs, self.budget) {
            (Some(_), _) if !design.counts_runs() => {
                wrong("--runs", "the designs latin-hypercube, random and optimal")
            }
            (Some(0), _) => Err(Failure::usage("--runs is 0, but it must be at least 1")),
            (None, None) if design == Kind::Optimal => {
                Err(Failure::usage("an optimal design needs --runs or --budget, or both"))
            }
            (None, None) if design.counts_runs() => {
                Err(Failure::Usage(format!("design {design} needs --runs, the number of jobs")))
            }
            _ => Ok(()),
        }
    }

    /// The jobs of the design, or the candidates of an optimal design.
    fn candidates(&self, catalog: &Catalog) -> Done<Jobs> {
        let (space, name) = match (&self.space, self.preset) {
            (Some(path), _) => {
                let name = path.display().to_string();
                let space = Space::from_toml(&files::text(path)?);
                (space.map_err(|e| e.at(Location::file(&*name)))?, name)
            }
            (None, Some(preset)) => (preset.space()?, preset.name().to_owned()),
            // unreachable: the parser requires one of them
            (None, None) => return Err(Failure::usage("give a space file or --preset")),
        };
        let space = match &self.gpu {
            Some(gpu) => space.with_gpu(&catalog.accelerator(gpu).map_err(Failure::usage)?.name),
            None => space,
        };
        // without --runs the budget alone limits an optimal design
        let runs = self.runs.unwrap_or(1);
        Ok(self
            .design
            .jobs(&space, runs, self.seed, catalog)
            .map_err(|e| e.at(Location::file(name)))?)
    }

    /// Keeps the most informative jobs.
    fn choose(
        &self,
        jobs: &mut Vec<Forecast>,
        calibration: &Calibration,
        catalog: &Catalog,
    ) -> Done<Chosen> {
        let wanted =
            self.jobs.iter().map(|path| read_job(path, catalog)).collect::<Done<Vec<Job>>>()?;
        let candidates: Vec<&Job> = jobs.iter().map(|job| &job.candidate.job).collect();
        let targets: Vec<&Job> =
            if wanted.is_empty() { candidates.clone() } else { wanted.iter().collect() };
        let law = self.law.unwrap_or(LawKind::Roofline);
        let design = match (law, calibration.law.kind()) {
            (LawKind::Roofline, _) => {
                calibration.roofline("choose runs for itself")?;
                calibration.design(&candidates, &targets)?
            }
            (LawKind::Scaling, wattlaw::calibration::LawKind::Scaling) => {
                calibration.design(&candidates, &targets)?
            }
            (LawKind::Scaling, wattlaw::calibration::LawKind::Roofline) => {
                study_design(&candidates, &targets)?
            }
        };
        let wanted = Objective {
            runs: self.runs.unwrap_or(usize::MAX),
            budget: self.budget,
            criterion: self.criterion.unwrap_or_default(),
        };
        let chosen = wanted.choose(jobs, design);
        if chosen.jobs.is_empty() {
            return Err(Failure::Failed(match self.budget {
                Some(budget) => format!(
                    "no job fits the budget of {budget}: {}",
                    summary::cheapest(jobs, budget)
                ),
                None => "no job can be chosen: the calibration predicts none of them".to_owned(),
            }));
        }
        let mut all: Vec<Option<Forecast>> = std::mem::take(jobs).into_iter().map(Some).collect();
        jobs.extend(chosen.jobs.iter().filter_map(|at| all[*at].take()));
        Ok(chosen)
    }

    fn reference_job(&self, path: &std::path::Path, catalog: &Catalog) -> Done<Candidate> {
        let spec = job::read(path)?;
        let place = || Location::file(path.display().to_string());
        let job = spec.resolve(catalog).map_err(|e| e.at(place()))?;
        let memory = Memory::for_job(&job);
        if !memory.fits {
            return Err(Failure::Failed(format!(
                "{}: the reference job needs {:.1} GiB per GPU, but only {:.1} GiB are available",
                path.display(),
                memory.needed.gib(),
                memory.capacity.gib()
            )));
        }
        Ok(Candidate { spec, job })
    }
}
