//! Data issues found in logs, and how they were handled.

use serde::Serialize;

use wattlaw::base::words::words;

/// Kind of a data issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataIssue {
    /// The energy includes a PUE.
    PueIncluded,
    /// Rows of a run are running totals.
    CumulativeRows,
    /// A run or a counter restarted.
    Restart,
    /// An energy of zero because the counter does not exist.
    ZeroCounter,
    /// A missing value, or a sentinel for one.
    MissingValue,
    /// Timestamps without a time zone, or a clock change.
    LocalTime,
    /// A time without readings.
    Gap,
    /// A window that is too short for the counter's update period.
    ShortWindow,
    /// A mean power above the limit of the accelerator.
    PowerAboveLimit,
    /// A part that was modelled instead of measured.
    Modelled,
    /// A log that covers one of several nodes.
    PerNode,
    /// Energy that was averaged over accelerators instead of summed.
    AveragedOverGpus,
    /// Energy that could be counted more than once.
    DoubleCounted,
    /// Rows or lines that were skipped.
    Skipped,
    /// A meter that covers more or less than its name suggests.
    Coverage,
    /// Two values of the same quantity that differ.
    Mismatch,
    /// An assumption about information missing from the log.
    Assumed,
}

words!(DataIssue, "data issue": PueIncluded = "pue-included", CumulativeRows = "cumulative-rows", Restart = "restart",
    ZeroCounter = "zero-counter", MissingValue = "missing-value", LocalTime = "local-time", Gap = "gap",
    ShortWindow = "short-window", PowerAboveLimit = "power-above-limit", Modelled = "modelled",
    PerNode = "per-node", AveragedOverGpus = "averaged-over-gpus", DoubleCounted = "double-counted", Skipped = "skipped",
    Coverage = "coverage", Mismatch = "mismatch", Assumed = "assumed");

/// A data issue found in a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the file.
    pub file: String,
    /// First line, counted from 1; `None` for the whole file.
    pub line: Option<u64>,
    /// Number of occurrences.
    pub times: u64,
    /// Kind of the issue.
    pub kind: DataIssue,
    /// What was found and how it was handled, as a sentence.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.text)?;
        if self.times > 1 { write!(f, " ({} times)", self.times) } else { Ok(()) }
    }
}

/// Maximum number of distinct sentences per kind and file; further ones are only counted.
const MAX_TEXTS_PER_ISSUE: usize = 8;
const MORE_TEXT: &str = "more issues of this kind";

/// Maximum number of findings of a log.
const MAX_FINDINGS: usize = 200;

/// The findings of a log: one per file, kind and sentence.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding, or increments the count of the same sentence.
    pub(super) fn add(
        &mut self,
        kind: DataIssue,
        file: &str,
        line: Option<u64>,
        text: impl Into<String>,
    ) {
        let mut text = text.into();
        let alike = |f: &Finding| f.kind == kind && f.file == file;
        if self.0.iter().filter(|f| alike(f)).count() >= MAX_TEXTS_PER_ISSUE
            && !self.0.iter().any(|f| alike(f) && f.text == text)
        {
            MORE_TEXT.clone_into(&mut text);
        }
        let same = |f: &&mut Finding| alike(f) && f.text == text;
        if let Some(known) = self.0.iter_mut().find(same) {
            known.times += 1;
        } else if self.0.len() < MAX_FINDINGS {
            self.0.push(Finding { file: file.to_owned(), line, times: 1, kind, text });
        }
    }

    /// Takes all findings, in the order of the files.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.0)
    }
}
