//! A plan: the jobs of a sweep in execution order; a run table without measurements.
//!
//! `docs/reference/plan.md` documents the file field by field.

mod budget;
mod forecast;
mod kind;
mod name;
mod optimal;
mod order;

pub use budget::{Budget, gpu_hours};
pub use forecast::{Forecast, median_job};
pub use kind::{Kind, MAX_CANDIDATES};
pub use name::{run_id, title};
pub use optimal::{Chosen, Objective};
pub use order::{MAX_JOBS, Order, Turn};

use std::collections::BTreeMap;

use wattlaw::base::csv_text;
use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::fields::{Field, fields};
use wattlaw::job::{Job, JobSpec};

/// A job of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// Name of the job, its record and its files: letters, digits, dots, dashes and underscores.
    pub run_id: String,
    /// Block, from 1.
    pub block: u64,
    /// Whether this is a run of the reference job, which is repeated to detect drift.
    pub reference: bool,
    /// The job.
    pub spec: JobSpec,
    /// Predicted training time, s.
    pub predicted_duration: Option<Seconds>,
    /// Predicted energy, J.
    pub predicted_energy: Option<Joules>,
}

/// Jobs in execution order.
///
/// ```
/// use wattlaw_sweep::plan::Plan;
///
/// let text = "run_id,block,model,seq_len,micro_batch,steps,gpu\n\
///             first,1,bert-base-uncased,128,32,100,t4\n";
/// let plan = Plan::from_csv(text.as_bytes(), "plan.csv")?;
/// assert_eq!(plan.jobs[0].spec.workload.seq_len, Some(128));
/// assert_eq!(plan.to_csv()?, text);
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The jobs.
    pub jobs: Vec<PlannedJob>,
}

/// Maximum length of a job's name, so that file names derived from it are valid on every file system.
const MAX_RUN_ID_LENGTH: usize = 80;

/// Columns of the plan itself; all other columns are fields of the job.
const PLAN_COLUMNS: [&str; 5] =
    ["run_id", "block", "role", "predicted_duration_s", "predicted_energy_j"];

impl Plan {
    /// Reads a plan (CSV with a header). Without a column `block` all jobs are in block 1.
    ///
    /// # Errors
    /// [`Error::At`] with file and line for an unknown or repeated column, a missing, invalid or repeated `run_id`, or an invalid
    /// cell; [`Error::Data`] for a plan without jobs.
    pub fn from_csv(bytes: &[u8], file: &str) -> Result<Self> {
        let mut reader = csv_text::reader(bytes, file)?;
        let headers = reader.headers().map_err(|e| csv_text::syntax(&e, file))?.clone();
        let layout = Layout::from_headers(&headers).map_err(|e| e.at(Location::line(file, 1)))?;
        let mut jobs = Vec::new();
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for record in reader.records() {
            let record = csv_text::plain(record.map_err(|e| csv_text::syntax(&e, file))?);
            let line = record.position().map_or(0, csv::Position::line);
            let place = || Location::line(file, line);
            let job = layout.job(&record).map_err(|e| e.at(place()))?;
            if let Some(first) = lines.insert(job.run_id.clone(), line) {
                return Err(Error::invalid(
                    "column `run_id`",
                    format!("`{}`, also in line {first}", job.run_id),
                    "names must be unique",
                )
                .at(place()));
            }
            jobs.push(job);
        }
        if jobs.is_empty() {
            return Err(Error::Data("the plan has no jobs".into()).at(Location::file(file)));
        }
        Ok(Self { jobs })
    }

    /// Writes the plan (CSV). Columns without values are omitted.
    ///
    /// # Errors
    /// [`Error::Invalid`] for text that would not be read back unchanged: empty, or with leading or trailing spaces.
    pub fn to_csv(&self) -> Result<String> {
        let marked = self.jobs.iter().any(|job| job.reference);
        let timed = self.jobs.iter().any(|job| job.predicted_duration.is_some());
        let metered = self.jobs.iter().any(|job| job.predicted_energy.is_some());
        let filled: Vec<&Field> = fields()
            .filter(|field| self.jobs.iter().any(|job| (field.get)(&job.spec).is_some()))
            .collect();
        let before = PLAN_COLUMNS[..3].iter().copied().filter(|name| marked || *name != "role");
        let after = [(PLAN_COLUMNS[3], timed), (PLAN_COLUMNS[4], metered)];
        let after = after.iter().filter(|(_, there)| *there).map(|(name, _)| *name);
        let header: Vec<&str> =
            before.chain(filled.iter().map(|field| field.column)).chain(after).collect();
        let mut rows = Vec::with_capacity(self.jobs.len());
        for job in &self.jobs {
            let mut row = vec![job.run_id.clone(), job.block.to_string()];
            if marked {
                row.push(if job.reference { "reference" } else { "job" }.to_owned());
            }
            for field in &filled {
                row.push(
                    (field.get)(&job.spec).map_or(Ok(String::new()), |t| checked_cell(field, t))?,
                );
            }
            let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
            if timed {
                row.push(number(job.predicted_duration.map(Seconds::value)));
            }
            if metered {
                row.push(number(job.predicted_energy.map(Joules::value)));
            }
            rows.push(row);
        }
        csv_text::write(&header, rows.into_iter())
    }

    /// Resolves the jobs: looks up names and fills in defaults.
    ///
    /// # Errors
    /// [`Error::At`] with the file and the first invalid job.
    pub fn resolve(&self, catalog: &Catalog, file: &str) -> Result<Vec<Job>> {
        let resolve = |job: &PlannedJob| {
            let place = || Location::file(format!("{file}: job {}", job.run_id));
            job.spec.resolve(catalog).map_err(|e| e.at(place()))
        };
        self.jobs.iter().map(resolve).collect()
    }
}

/// Checks that a cell's text will be read back unchanged.
fn checked_cell(field: &Field, text: String) -> Result<String> {
    if text.is_empty() || text.trim() != text {
        return Err(Error::invalid(
            field.column,
            format!("`{text}`"),
            "it must not be empty or have leading or trailing spaces",
        ));
    }
    Ok(text)
}

/// Position of each column.
struct Layout {
    plan_columns: [Option<usize>; PLAN_COLUMNS.len()],
    fields: Vec<(&'static Field, usize)>,
}

impl Layout {
    fn from_headers(headers: &csv::StringRecord) -> Result<Self> {
        csv_text::once(headers)?;
        let known = || PLAN_COLUMNS.into_iter().chain(fields().map(|field| field.column));
        if let Some(other) = headers.iter().find(|header| known().all(|name| name != *header)) {
            return Err(Error::unknown("column", other, known()));
        }
        let at = |name: &str| headers.iter().position(|header| header == name);
        if at("run_id").is_none() {
            return Err(Error::missing("column `run_id`", "a plan must name its jobs"));
        }
        let fields = fields().filter_map(|field| Some((field, at(field.column)?))).collect();
        Ok(Self { plan_columns: PLAN_COLUMNS.map(at), fields })
    }

    fn job(&self, record: &csv::StringRecord) -> Result<PlannedJob> {
        let cell = |at: usize| record.get(at).filter(|text| !text.is_empty());
        let [run_id, block, role, duration, energy] = self.plan_columns.map(|at| at.and_then(cell));
        let run_id =
            run_id.ok_or_else(|| Error::missing("column `run_id`", "a plan must name its jobs"))?;
        let mut spec = JobSpec::default();
        for (field, at) in &self.fields {
            if let Some(text) = cell(*at) {
                field.set_from_column(&mut spec, text)?;
            }
        }
        Ok(PlannedJob {
            run_id: valid_run_id(run_id)?.to_owned(),
            block: block.map_or(Ok(1), whole)?,
            reference: role.map_or(Ok(false), is_reference)?,
            spec,
            predicted_duration: positive(PLAN_COLUMNS[3], duration)?.map(Seconds::new),
            predicted_energy: positive(PLAN_COLUMNS[4], energy)?.map(Joules::new),
        })
    }
}

/// Checks that a name is valid as a file name and as a flag's value.
fn valid_run_id(run_id: &str) -> Result<&str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let begins = run_id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && run_id.chars().all(allowed) && run_id.len() <= MAX_RUN_ID_LENGTH {
        return Ok(run_id);
    }
    Err(Error::invalid(
        "column `run_id`",
        format!("`{run_id}`"),
        format!(
            "it must be at most {MAX_RUN_ID_LENGTH} letters, digits, dots, dashes and underscores, starting with a letter or digit"
        ),
    ))
}

fn whole(block: &str) -> Result<u64> {
    block.parse().ok().filter(|block| *block > 0).ok_or_else(|| {
        Error::invalid(
            "column `block`",
            format!("`{block}`"),
            "it must be a whole number of at least 1",
        )
    })
}

fn is_reference(role: &str) -> Result<bool> {
    match role {
        "job" => Ok(false),
        "reference" => Ok(true),
        other => Err(Error::unknown("role", other, ["job", "reference"])),
    }
}

fn positive(column: &str, text: Option<&str>) -> Result<Option<f64>> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(Some(x)),
        _ => Err(Error::invalid(
            format!("column `{column}`"),
            format!("`{text}`"),
            "it must be a positive number, or empty",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "run_id,block,family,layers,hidden_size,heads,seq_len,micro_batch,steps,gpu";

    fn read(rows: &str) -> Result<Plan> {
        Plan::from_csv(format!("{HEADER}\n{rows}").as_bytes(), "plan.csv")
    }

    fn fails(rows: &str) -> String {
        read(rows).unwrap_err().to_string()
    }

    const ROW: &str = "a-1,1,bert,2,64,1,32,8,10,t4\n";

    #[test]
    fn empty_cells_leave_fields_unset() {
        let plan = read("a-1,2,bert,2,64,,32,8,1k,t4\n").unwrap();
        let job = &plan.jobs[0];
        assert_eq!((job.run_id.as_str(), job.block, job.reference), ("a-1", 2, false));
        assert_eq!((job.spec.model.heads, job.spec.model.layers), (None, Some(2)));
        assert_eq!(job.spec.workload.steps.unwrap().get(), 1000);
        assert_eq!(job.predicted_duration, None);
        let jobs = plan.resolve(&Catalog::built_in().unwrap(), "plan.csv").unwrap();
        assert_eq!(jobs[0].architecture.heads, 1);
    }

    #[test]
    fn an_invalid_row_is_refused_with_its_line() {
        assert_eq!(read(ROW).unwrap().jobs.len(), 1);
        for (rows, message) in [
            (
                "a 1,1,bert,2,64,1,32,8,10,t4\n",
                "plan.csv:2: column `run_id` is `a 1`, but it must be at most 80 letters",
            ),
            ("../a,1,bert,2,64,1,32,8,10,t4\n", "plan.csv:2: column `run_id` is `../a`"),
            (",1,bert,2,64,1,32,8,10,t4\n", "plan.csv:2: column `run_id` is missing"),
            ("a,0,bert,2,64,1,32,8,10,t4\n", "plan.csv:2: column `block` is `0`"),
            (
                "a,1,bert,two,64,1,32,8,10,t4\n",
                "plan.csv:2: column `layers` is `two`, but it must be a whole number",
            ),
            ("a,1,bert,-2,64,1,32,8,10,t4\n", "plan.csv:2: column `layers` is `-2`"),
            ("a,1,bert,2,64,1,32,8,0,t4\n", "plan.csv:2: column `steps` is `0`"),
            (
                "a,1,bert,2,64,1,32,8\n",
                "plan.csv:2: not valid CSV: the row has 8 cells and the header 10",
            ),
            ("", "plan.csv: the plan has no jobs"),
        ] {
            assert!(fails(rows).starts_with(message), "{rows}: {}", fails(rows));
        }
        assert_eq!(
            fails(&format!("{ROW}b,1,bert,2,64,1,32,8,10,t4\n{ROW}")),
            "plan.csv:4: column `run_id` is `a-1`, also in line 2, but names must be unique"
        );
        assert!(fails(&ROW.replace("a-1", &"a".repeat(81))).contains("at most 80"));
    }

    #[test]
    fn a_wrong_header_is_refused() {
        let fails = |text: &str| Plan::from_csv(text.as_bytes(), "p.csv").unwrap_err().to_string();
        assert_eq!(
            fails("run_id,layer\na,1\n"),
            "p.csv:1: unknown column `layer`; did you mean `layers`?"
        );
        assert_eq!(
            fails("layers\n1\n"),
            "p.csv:1: column `run_id` is missing; a plan must name its jobs"
        );
        assert!(fails("run_id,run_id\na,b\n").contains("`run_id` twice"));
        assert!(fails("").contains("column `run_id` is missing"));
        assert!(fails("run_id,role\na,odd\n").contains("accepted: `job`, `reference`"));
        assert!(fails("run_id,predicted_energy_j\na,-1\n").contains("positive number, or empty"));
        assert!(fails("run_id,precision\na,fp7\n").contains("unknown precision `fp7`"));
        assert!(fails("run_id,gated_ffn\na,maybe\n").contains("true or false"));
        assert!(fails("run_id,pue\na,inf\n").contains("it must be a number"));
        assert!(fails("run_id,lora_targets\na,q v\n").contains("column `lora_rank` is missing"));
        assert!(
            Plan::from_csv(b"run_id,model\na,\xff\n", "p.csv")
                .unwrap_err()
                .to_string()
                .contains("p.csv:2: not valid CSV: the text is not UTF-8")
        );
    }

    #[test]
    fn an_invalid_job_is_named() {
        let plan = read("a-1,1,bert,2,64,3,32,8,10,t4\n").unwrap();
        assert_eq!(
            plan.resolve(&Catalog::built_in().unwrap(), "plan.csv").unwrap_err().to_string(),
            "plan.csv: job a-1: heads is 3, but it must divide hidden_size 64 (or give head_dim)"
        );
    }

    #[test]
    fn plans_written_by_spreadsheets_and_pandas_are_read() {
        let text = "\u{feff}run_id,gated_ffn,heads,layers\r\na, True ,2.0,\r\n";
        let plan = Plan::from_csv(text.as_bytes(), "plan.csv").unwrap();
        let model = &plan.jobs[0].spec.model;
        assert_eq!((model.gated_ffn, model.heads, model.layers), (Some(true), Some(2), None));
    }

    #[test]
    fn text_that_would_change_on_reading_is_not_written() {
        let mut plan = read(ROW).unwrap();
        plan.jobs[0].spec.model.name = Some(" a".into());
        assert!(plan.to_csv().unwrap_err().to_string().starts_with("model is ` a`"));
    }
}
