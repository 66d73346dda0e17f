//! Plans, for Python.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use wattlaw::base::error::{Error, Location};
use wattlaw::base::scope::Scope;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::workload::{Framework, Precision, Stack};
use wattlaw::plan::{Choice, GpuCounts, Inventory, Limits, Objective, Progress, Request};
use wattlaw_ask::{plans_json, pools};
use wattlaw_launch::{LaunchFile, Launcher, emit};

use crate::calibration::Calibration;
use crate::description::Description;
use crate::error::{file_error, raised};
use crate::fields::text;

/// How often a search looks at signals, such as that of Ctrl-C.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// The best ways to run a job.
#[pyclass(frozen, module = "wattlaw._core")]
pub struct Plans {
    plans: wattlaw::plan::Plans,
    json: String,
    catalog: Arc<Catalog>,
}

/// Names in a list, each read as what it names.
fn each<T: FromStr<Err = Error>>(names: &[String]) -> PyResult<Vec<T>> {
    names.iter().map(|name| name.parse()).collect::<Result<_, Error>>().map_err(raised)
}

/// A limit: a number in its base unit, or text with a unit.
fn limit(
    limits: &Bound<'_, PyDict>,
    name: &str,
    read: impl Fn(&str) -> Result<f64, String>,
) -> PyResult<Option<f64>> {
    let Some(value) = limits.get_item(name)? else { return Ok(None) };
    if let Ok(number) = value.extract::<f64>() {
        return Ok(Some(number));
    }
    let Some(given) = text(name, &value)? else { return Ok(None) };
    match read(&given) {
        Ok(number) => Ok(Some(number)),
        Err(sentence) => Err(raised(Error::Data(format!("{name}: {sentence}")))),
    }
}

/// Finds the best ways to run a job. Ctrl-C ends the search.
#[pyfunction]
#[pyo3(signature = (description, calibration, scope, level, fits_threshold, /, *, gpu, gpus, inventory, objectives, fewest_gpus, limits, keep,
    precisions, top, threads))]
#[expect(clippy::too_many_arguments, reason = "one for each keyword of Python")]
pub fn plan(
    py: Python<'_>,
    description: &Description,
    calibration: &Calibration,
    scope: String,
    level: f64,
    fits_threshold: f64,
    gpu: Vec<String>,
    gpus: Option<String>,
    inventory: Option<PathBuf>,
    objectives: Vec<String>,
    fewest_gpus: bool,
    limits: &Bound<'_, PyDict>,
    keep: Vec<String>,
    precisions: Vec<String>,
    top: usize,
    threads: Option<usize>,
) -> PyResult<Plans> {
    let counts: Option<GpuCounts> =
        gpus.map(|counts| counts.parse()).transpose().map_err(raised)?;
    let mut spec = description.description.for_its_gpus();
    if let [one] = gpu.as_slice() {
        spec.system.gpu = Some(one.clone());
    }
    if let Some(counts) = &counts {
        spec.system.gpus = counts.single();
    }
    let machines = match inventory {
        Some(path) => {
            let place = || Location::file(path.display().to_string());
            let text = wattlaw_cli::text(&path).map_err(file_error)?;
            Inventory::from_toml(&text).map_err(|e| raised(e.at(place())))?.pools()
        }
        None => {
            let kinds: Vec<&str> = gpu.iter().map(String::as_str).collect();
            pools(&spec, &kinds, counts.as_ref())
        }
    };
    let objectives: Vec<Objective> = each(&objectives)?;
    let (objective, pareto_with) = match objectives.as_slice() {
        [] => (Objective::Energy, None),
        [one] => (*one, None),
        [first, second] if first != second => (*first, Some(*second)),
        _ => {
            return Err(raised(Error::Data(
                "pareto takes two different objectives, such as energy and time".to_owned(),
            )));
        }
    };
    let probability = |name: &str, value: f64| match value > 0.0 && value < 1.0 {
        true => Ok(value),
        false => Err(raised(Error::invalid(name, value, "it must lie between 0 and 1"))),
    };
    let seconds = |given: &str| wattlaw_cli::long_time(given).map(|time| time.as_secs_f64());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        pools: machines,
        objective,
        pareto_with,
        fewest_gpus,
        limits: Limits {
            deadline_s: limit(limits, "deadline", seconds)?,
            budget: limit(limits, "budget", |given| {
                given.parse().map_err(|_| format!("`{given}` is not a number"))
            })?,
            max_energy_j: limit(limits, "max_energy", wattlaw_cli::energy)?,
            max_carbon_g: limit(limits, "max_carbon", wattlaw_cli::mass)?,
            max_gpus: match limits.get_item("max_gpus")? {
                Some(most) if !most.is_none() => Some(most.extract()?),
                _ => None,
            },
        },
        keep: each::<Choice>(&keep)?,
        precisions: each::<Precision>(&precisions)?,
        scope: scope.parse::<Scope>().map_err(raised)?,
        fits_threshold: probability("fits_threshold", fits_threshold)?,
        level: probability("level", level)?,
        top: top.clamp(1, 1000),
        threads: threads.unwrap_or(cores).clamp(1, 1024),
        ..Request::new(spec)
    };
    let interrupted: Mutex<(Instant, Option<PyErr>)> = Mutex::new((Instant::now(), None));
    let watch = |_: Progress| {
        // a thread that finds the lock held leaves the signals to its holder
        let Ok(mut held) = interrupted.try_lock() else { return true };
        let (last, error) = &mut *held;
        if error.is_none() && last.elapsed() > SIGNALS_EVERY {
            *last = Instant::now();
            *error = Python::attach(|py| py.check_signals()).err();
        }
        error.is_none()
    };
    let started = Instant::now();
    let found =
        py.detach(|| wattlaw::plan(&request, &description.catalog, &calibration.law, &watch));
    if let Some(error) = interrupted.into_inner().ok().and_then(|(_, error)| error) {
        return Err(error);
    }
    let plans = found.map_err(raised)?;
    let json = plans_json(&plans, started.elapsed().as_secs_f64()).map_err(raised)?;
    Ok(Plans { plans, json, catalog: Arc::clone(&description.catalog) })
}

#[pymethods]
impl Plans {
    /// The JSON of `wattlaw plan --format json`.
    fn json(&self) -> &str {
        &self.json
    }

    /// Writes the launch files of the plan at an index into a folder; each file's name, and what in it is the user's to set.
    #[pyo3(signature = (index, launchers, output, /))]
    fn emit(
        &self,
        py: Python<'_>,
        index: usize,
        launchers: Vec<String>,
        output: PathBuf,
    ) -> PyResult<Vec<(String, Vec<String>)>> {
        let launchers: Vec<Launcher> = each(&launchers)?;
        let Some(plan) = self.plans.plans.get(index) else {
            return Err(raised(Error::invalid("plan", index + 1, "there are fewer plans")));
        };
        let framework = launchers.iter().find_map(|launcher| launcher.framework());
        let made: Vec<LaunchFile> = py
            .detach(|| match framework {
                Some(framework) if plan.job.workload.framework.framework == Framework::Unknown => {
                    let mut spec = plan.job.spec();
                    spec.workload.framework = Some(Stack::of(framework));
                    emit(&spec.resolve(&self.catalog)?, &launchers)
                }
                _ => emit(&plan.job, &launchers),
            })
            .map_err(raised)?;
        py.detach(|| wattlaw_cli::write_files(&made, &output)).map_err(file_error)?;
        Ok(made.into_iter().map(|file| (file.name, file.placeholders)).collect())
    }
}
