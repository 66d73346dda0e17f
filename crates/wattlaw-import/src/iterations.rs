//! Sums of log lines that each have the means per iteration since the line before.

use super::data_issue::{DataIssue, Findings};

/// A log line: the means of the iterations since the line before.
pub(super) struct Line {
    /// Line of the file.
    pub(super) number: u64,
    /// Number of the last iteration.
    pub(super) iteration: f64,
    /// Time of an iteration, s.
    pub(super) seconds: f64,
    /// Energy of an iteration, J.
    pub(super) joules: f64,
    /// Sequences of an iteration.
    pub(super) batch: Option<f64>,
}

/// Sums over the lines so far.
#[derive(Default)]
pub(super) struct Iterations {
    /// Number of iterations.
    pub(super) iterations: f64,
    /// Time, s.
    pub(super) seconds: f64,
    /// Energy, J.
    pub(super) joules: f64,
    samples: f64,
    all_samples: bool,
    /// The last iteration, and the first line while its number of iterations is unknown.
    last: Option<f64>,
    first: Option<Line>,
    lines: u64,
    /// Number of added lines.
    spans: u64,
}

impl Iterations {
    /// Adds a line.
    pub(super) fn push(&mut self, line: Line, file: &str, findings: &mut Findings) {
        self.lines += 1;
        let (iteration, number) = (line.iteration, Some(line.number));
        match self.last {
            None => self.first = Some(line),
            Some(last) if iteration == last => {
                let text = "repeated iteration; it was counted once";
                findings.add(DataIssue::DoubleCounted, file, number, text);
            }
            Some(last) if iteration < last => {
                findings.add(
                    DataIssue::Restart,
                    file,
                    number,
                    "training resumed from an earlier checkpoint; iterations that ran twice used energy twice and are counted \
                     twice",
                );
                // the number of iterations of this line is unknown: use the usual number
                let usual = self.usual();
                self.add(&line, usual.unwrap_or(1.0));
            }
            Some(last) => {
                let span = iteration - last;
                if let Some(first) = self.first.take() {
                    // the first line covers all iterations since the start or the checkpoint
                    self.add(&first, span.min(first.iteration.max(1.0)));
                }
                self.add(&line, span);
            }
        }
        self.last = Some(iteration);
    }

    /// Ends the log: a single line covers one iteration.
    pub(super) fn end(&mut self, file: &str, findings: &mut Findings) {
        if let Some(first) = self.first.take() {
            // with a single line the number of its iterations is unknown
            findings.add(
                DataIssue::Assumed,
                file,
                Some(first.number),
                "there is only one line of iterations; it is assumed to cover one iteration",
            );
            self.add(&first, 1.0);
        }
    }

    /// Number of lines.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// Number of sequences, if every line states them.
    pub(super) fn samples(&self) -> Option<f64> {
        self.all_samples.then_some(self.samples)
    }

    /// Usual number of iterations per line.
    fn usual(&self) -> Option<f64> {
        (self.spans > 0).then(|| (self.iterations / self.spans as f64).round().max(1.0))
    }

    fn add(&mut self, line: &Line, iterations: f64) {
        self.all_samples = line.batch.is_some() && (self.all_samples || self.iterations == 0.0);
        self.iterations += iterations;
        self.spans += 1;
        self.samples += iterations * line.batch.unwrap_or(0.0);
        self.seconds += iterations * line.seconds;
        self.joules += iterations * line.joules;
    }
}
