//! What a reader of a log should know: the traps that were met, and what was done about them.

use serde::Serialize;

use wattlaw::base::words::words;

/// A trap of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataIssue {
    /// The energy was multiplied by a PUE.
    PueIncluded,
    /// Rows of a run are running totals.
    CumulativeRows,
    /// A run began anew.
    Restart,
    /// An energy of zero that stands for a counter that is not there.
    ZeroCounter,
    /// A number that stands for "no value".
    MissingValue,
    /// Times without a zone, or a clock that was set.
    LocalTime,
    /// A time in which nobody read the meter.
    Gap,
    /// A window that is short against the update of the counter.
    ShortWindow,
    /// A mean power that the accelerator does not reach.
    PowerAboveLimit,
    /// A part that was not measured but computed from a model.
    Modelled,
    /// A log of one node of several.
    PerNode,
    /// Energy that was divided by the accelerators.
    AveragedOverGpus,
    /// Energy that is counted more than once.
    DoubleCounted,
    /// Rows or lines that were left out.
    Skipped,
    /// A meter that covers more or less than its name says.
    Coverage,
    /// Two figures of the same thing that differ.
    Mismatch,
    /// What was assumed where the log does not say.
    Assumed,
}

words!(DataIssue, "data issue": PueIncluded = "pue-included", CumulativeRows = "cumulative-rows", Restart = "restart",
    ZeroCounter = "zero-counter", MissingValue = "missing-value", LocalTime = "local-time", Gap = "gap",
    ShortWindow = "short-window", PowerAboveLimit = "power-above-limit", Modelled = "modelled",
    PerNode = "per-node", AveragedOverGpus = "averaged-over-gpus", DoubleCounted = "double-counted", Skipped = "skipped",
    Coverage = "coverage", Mismatch = "mismatch", Assumed = "assumed");

/// A trap that was met in a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the file.
    pub file: String,
    /// Line where it was met first, counted from one; none where it is the whole file.
    pub line: Option<u64>,
    /// How often it was met.
    pub times: u64,
    /// Which one.
    pub kind: DataIssue,
    /// What was found and what was done, as a sentence.
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

/// From this many different sentences of one trap in a file on, the rest are counted.
const MAX_TEXTS_PER_ISSUE: usize = 8;
const MORE_TEXT: &str = "more of this kind";

/// More different findings than this help nobody.
const MAX_FINDINGS: usize = 200;

/// The findings of a log, one a file, trap and sentence.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding, or counts one more of the same sentence.
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

    /// All of them in the order of the files.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.0)
    }
}
