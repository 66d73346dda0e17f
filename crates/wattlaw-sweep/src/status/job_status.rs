//! Status of a job, and the reason of a failure.

use wattlaw::base::units::Seconds;
use wattlaw::base::words::words;
use wattlaw::record::document::{End, Record, State, Stop};

/// Status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStatus {
    /// Not started.
    Waiting,
    /// Running, or its measuring process died and the record is not closed yet.
    Running,
    /// Ended with exit code 0 and reported its steps.
    Done,
    /// Ended with exit code 0 after fewer steps than planned.
    Incomplete,
    /// Ended by itself in any other way.
    Failed,
    /// Stopped by a signal, or its measuring process died. This says nothing about the job itself.
    Interrupted,
}

words!(JobStatus, "job status": Waiting = "waiting", Running = "running", Done = "done",
    Incomplete = "incomplete", Failed = "failed",
    Interrupted = "interrupted");

/// Reason why a job failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The command ended with an exit code or by a signal.
    Ended(End),
    /// The command exceeded its time limit.
    TimeLimitExceeded(Seconds),
    /// The command ended with exit code 0 but reported no step.
    NoStepsReported,
    /// The command ended with exit code 0 but reported fewer steps or tokens than planned.
    FewerThanPlanned {
        /// Steps or tokens that were reported.
        done: f64,
        /// Steps or tokens that were planned.
        planned: f64,
    },
    /// Another wattlaw measured the machine at the same time, so the record has no energy.
    MeasuredByAnother,
}

/// Status of an attempt, from its record.
pub(super) fn status_of(record: &Record) -> (JobStatus, Option<Reason>) {
    let failed = |reason| (JobStatus::Failed, Some(reason));
    let Some(end) = record.end.filter(|_| record.state != State::Running) else {
        return (JobStatus::Running, None);
    };
    // the time limit first: it is enforced by signals, which would otherwise be reported as the reason
    match record.stopped {
        Some(Stop::TimeLimit { limit_s }) => return failed(Reason::TimeLimitExceeded(limit_s)),
        // a stopped program may exit with 0 after half of its work; with a complete window `train` it is done all the same
        Some(Stop::Signal { .. }) if record.train().is_none() || !end.well() => {
            return (JobStatus::Interrupted, None);
        }
        _ => {}
    }
    match end {
        End::Unseen => (JobStatus::Interrupted, None),
        End::Exit { code: 0 } if is_measured_by_another(record) => {
            failed(Reason::MeasuredByAnother)
        }
        End::Exit { code: 0 } if record.steps.unwrap_or(0) == 0 && record.tokens.is_none() => {
            failed(Reason::NoStepsReported)
        }
        End::Exit { code: 0 } => match record.unfinished() {
            Some((done, planned)) => {
                (JobStatus::Incomplete, Some(Reason::FewerThanPlanned { done, planned }))
            }
            None => (JobStatus::Done, None),
        },
        end => failed(Reason::Ended(end)),
    }
}

/// Whether another record has some of the energy of the narrowest scope, or all energy.
fn is_measured_by_another(record: &Record) -> bool {
    match record.energy() {
        Some(total) => record.held(total.scope).next().is_some(),
        None => record.held_by.is_some(),
    }
}

impl Reason {
    /// Describes the reason in a clause; `output` holds the last lines of the command's output.
    pub fn describe(self, output: &str) -> String {
        match self {
            Self::TimeLimitExceeded(limit) => {
                format!("exceeded the time limit of {:.0} s", limit.value())
            }
            Self::NoStepsReported => {
                "exit 0, but it reported no steps; a trainer must append its steps to the file named by WATTLAW_EVENTS"
                    .to_owned()
            }
            Self::FewerThanPlanned { done, planned } => {
                format!("exit 0, but it reported {done} of {planned} planned steps or tokens")
            }
            Self::MeasuredByAnother => {
                "no energy: another wattlaw measured this machine at the same time"
                    .to_owned()
            }
            Self::Ended(end) => {
                let how = match end {
                    End::Exit { code } => format!("exit {code}"),
                    End::Signal { signal } => format!("signal {signal}"),
                    End::Unseen => "unknown end".to_owned(),
                };
                // the kernel's out-of-memory killer sends SIGKILL, and the process prints nothing
                match (cause(output), end) {
                    (Some(cause), _) => format!("{how}: {cause}"),
                    (None, End::Signal { signal: 9 } | End::Exit { code: 137 }) => {
                        format!("{how}: killed, possibly by the kernel because memory ran out")
                    }
                    (None, _) => format!("{how}, no output"),
                }
            }
        }
    }
}

/// Maximum length in characters of the quoted output line.
const MAX_QUOTE_CHARS: usize = 200;

/// The output line that best explains the end of a command: the first about memory, else the last with an error, else the last.
///
/// torchrun appends a report of its own after the line about the failed rank; the report gives no reason, so it is ignored. torchrun
/// prefixes the lines of its ranks with `[rank0]:`. Python prints a sentence between chained tracebacks, which is ignored too.
fn cause(output: &str) -> Option<String> {
    let torchrun_report = output.lines().position(|line| line.contains("failed (exitcode:"));
    let is_noise = |line: &str| {
        line.contains("ChildFailedError")
            || line.contains("torch/distributed")
            || line.contains("above exception")
    };
    let lines: Vec<&str> = output
        .lines()
        .take(torchrun_report.unwrap_or(usize::MAX))
        .map(|line| match line.trim().strip_prefix("[rank").and_then(|l| l.split_once("]:")) {
            Some((rank, rest)) if rank.parse::<u32>().is_ok() => rest.trim(),
            _ => line.trim(),
        })
        .filter(|line| line.chars().any(char::is_alphanumeric) && !is_noise(line))
        .collect();
    let says = |line: &str, words: &[&str]| {
        let plain = line.to_lowercase();
        words.iter().any(|word| plain.contains(word))
    };
    let memory = ["out of memory", "outofmemoryerror", "cannot allocate memory", "memoryerror"];
    let errors = ["error:", "exception:", "error "];
    let found = lines
        .iter()
        .find(|line| says(line, &memory))
        .or_else(|| lines.iter().rfind(|line| says(line, &errors)))
        .or_else(|| lines.last())?;
    let mut short: String = found.chars().take(MAX_QUOTE_CHARS).collect();
    if short.len() < found.len() {
        short.push('…');
    }
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, output: &str) -> String {
        Reason::Ended(End::Exit { code }).describe(output)
    }

    #[test]
    fn the_reason_quotes_the_line_that_explains_the_end() {
        let torch = "step 1 loss 9.2\n\
            [rank0]: Traceback (most recent call last):\n\
            [rank0]:   File \"train.py\", line 3, in <module>\n\
            [rank0]: ValueError: heads must divide the width\n\
            E1125 torch/distributed/elastic/multiprocessing/api.py: failed (exitcode: 1) local_rank: 0\n\
            torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n\
            ============================================================\n";
        assert_eq!(ended(1, torch), "exit 1: ValueError: heads must divide the width");
        let aborted = "step 60/60  loss 7.6\nterminate called without an active exception\n\
            E1125 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: -6) local_rank: 1\n\
              traceback : Signal 6 (SIGABRT) received by PID 5603\n";
        assert_eq!(ended(1, aborted), "exit 1: terminate called without an active exception");
        let nested = "OSError: refused\n\
            The above exception was the direct cause of the following exception:\n\
            torch.distributed.DistNetworkError: The client socket has failed to connect\n";
        assert_eq!(
            ended(1, nested),
            "exit 1: torch.distributed.DistNetworkError: The client socket has failed to connect"
        );
        let memory = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.\nRuntimeError: later\n";
        assert_eq!(
            ended(1, memory),
            "exit 1: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB."
        );
        assert_eq!(
            ended(3, "loading\nno such file: corpus.txt\n"),
            "exit 3: no such file: corpus.txt"
        );
        assert_eq!(ended(3, "\n\n"), "exit 3, no output");
        assert!(Reason::Ended(End::Signal { signal: 9 }).describe("").contains("memory ran out"));
        assert_eq!(Reason::Ended(End::Signal { signal: 11 }).describe(""), "signal 11, no output");
        assert_eq!(
            ended(1, &"é".repeat(500)).chars().count(),
            "exit 1: ".len() + MAX_QUOTE_CHARS + 1
        );
    }
}
