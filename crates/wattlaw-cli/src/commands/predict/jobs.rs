//! `wattlaw predict --jobs`: predicts each row of a table.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wattlaw::base::error::Error;
use wattlaw::job::JobSpec;
use wattlaw_table::{Jobs, Predicted, Question, RecordBatch, RowErrors};

use crate::failure::{Done, Failure};
use crate::flags::job;
use crate::parse::whole;
use crate::tables::TableOutput;
use crate::{render, tables};

/// Flags of a table of jobs.
#[derive(Debug, clap::Args)]
pub struct JobsArgs {
    /// Predict each row of this table: CSV, Parquet or Arrow IPC, whose columns are fields of a job. `-` is standard input
    #[arg(long, value_name = "TABLE", help_heading = "Table of jobs",
        conflicts_with_all = ["files", "fits_threshold", "verbose", "format"])]
    pub jobs: Option<PathBuf>,
    /// Write the rows and their predictions to this table (.csv, .parquet, .arrow). `-` is an Arrow IPC stream on standard output. Default:
    /// CSV on standard output
    #[arg(short, long, value_name = "TABLE", requires = "jobs", help_heading = "Table of jobs")]
    out: Option<PathBuf>,
    /// Columns that are no field of a job, and are carried along
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        requires = "jobs",
        help_heading = "Table of jobs"
    )]
    keep: Vec<String>,
    /// What the names of the answer's columns begin with, such as predicted_
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        requires = "jobs",
        help_heading = "Table of jobs"
    )]
    prefix: String,
    /// Threads. Default: as many as cores
    #[arg(long, value_name = "N", value_parser = whole::<u64>, requires = "jobs", help_heading = "Table of jobs")]
    threads: Option<u64>,
}

/// What all rows share.
pub struct Shared {
    /// The law that answers.
    pub law: wattlaw::Calibration,
    /// The catalogue.
    pub catalog: wattlaw::Catalog,
    /// Fields from flags.
    pub spec: JobSpec,
    /// What the energy covers.
    pub scope: Option<wattlaw::base::scope::Scope>,
    /// Confidence level of the intervals.
    pub level: f64,
}

impl JobsArgs {
    /// Predicts the rows of a table.
    ///
    /// # Errors
    /// A table that cannot be read, a column that is neither a field of a job nor kept, an output that cannot be written.
    pub fn run(&self, table: &Path, shared: Shared) -> Done {
        if self.threads == Some(0) {
            return Err(Failure::usage("--threads is 0, but it must be at least 1"));
        }
        let Shared { law, catalog, mut spec, scope, level } = shared;
        job::take_this_machine(&mut spec.system, &catalog)?;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = self.threads.and_then(|n| usize::try_from(n).ok()).unwrap_or(cores);
        let question = Question {
            law: Arc::new(law),
            catalog: Arc::new(catalog),
            shared: spec,
            scope,
            level,
            threads,
            prefix: self.prefix.clone(),
        };
        let rows = tables::open(table)?;
        let name = rows.name().to_owned();
        let place = |error: Error| error.at(wattlaw::base::error::Location::file(&*name));
        let jobs = Jobs::new(question, &rows.schema(), &self.keep).map_err(place)?;
        let predicted = Predicted::new(jobs, rows);
        let mut errors = RowErrors::new(&self.prefix);
        let counted = |batch: &wattlaw::Result<RecordBatch>| {
            if let Ok(batch) = batch {
                errors.count(batch);
            }
        };
        let schema = predicted.schema();
        TableOutput::create(self.out.as_deref())?.write(&schema, predicted.inspect(counted))?;
        if let Some((row, sentence)) = errors.first() {
            render::note(
                "warning",
                &format!(
                    "{} of {} rows are no valid job and have no prediction; the first is row {row}: {sentence}",
                    errors.wrong(),
                    errors.rows()
                ),
            );
        }
        if let Some(path) = self.out.as_deref().filter(|path| path.as_os_str() != "-") {
            render::note("note", &format!("wrote {} rows to {}", errors.rows(), path.display()));
        }
        Ok(())
    }
}
