//! How far a job came, and why it failed.

use wattlaw::base::units::Seconds;
use wattlaw::base::words::words;
use wattlaw::record::document::{End, Record, State, Stop};

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStatus {
    /// It was not begun.
    Waiting,
    /// It is being run, or who measured it died and its record is not closed yet.
    Running,
    /// It ended well and told of its steps.
    Done,
    /// It ended otherwise by itself.
    Failed,
    /// It was told to end, or who measured it died: that says nothing of the job.
    Interrupted,
}

words!(JobStatus, "job status": Waiting = "waiting", Running = "running", Done = "done", Failed = "failed",
    Interrupted = "interrupted");

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// It ended with an exit code or by a signal.
    Ended(End),
    /// It took longer than it might.
    TimeLimitExceeded(Seconds),
    /// It ended well, and told of no step that it trained.
    NoStepsReported,
    /// Another record measured the machine at the time, so that there is no energy of it.
    MeasuredByAnother,
}

/// How far an attempt came.
pub(super) fn status_of(record: &Record) -> (JobStatus, Option<Reason>) {
    let failed = |reason| (JobStatus::Failed, Some(reason));
    let Some(end) = record.end.filter(|_| record.state != State::Running) else {
        return (JobStatus::Running, None);
    };
    // a limit that was met is told of before the signals by which it is made good
    match record.stopped {
        Some(Stop::TimeLimit { limit_s }) => return failed(Reason::TimeLimitExceeded(limit_s)),
        // a program may end well when it is told to, with half of its work done; but what it had trained it had trained
        Some(Stop::Signal { .. }) if record.train().is_none() || !end.well() => {
            return (JobStatus::Interrupted, None);
        }
        _ => {}
    }
    match end {
        End::Unseen => (JobStatus::Interrupted, None),
        End::Exit { code: 0 } if record.held_by.is_some() && record.energies.is_empty() => {
            failed(Reason::MeasuredByAnother)
        }
        End::Exit { code: 0 } if record.steps.unwrap_or(0) == 0 && record.tokens.is_none() => {
            failed(Reason::NoStepsReported)
        }
        End::Exit { code: 0 } => (JobStatus::Done, None),
        end => failed(Reason::Ended(end)),
    }
}

impl Reason {
    /// A clause for people, from the reason and the last lines that the command printed.
    pub fn describe(self, output: &str) -> String {
        match self {
            Self::TimeLimitExceeded(limit) => {
                format!("it had not ended after {:.0} s, which is its time limit", limit.value())
            }
            Self::NoStepsReported => {
                "it ended well and told of no step; a trainer appends its steps to the file that \
                                  WATTLAW_EVENTS names"
                    .to_owned()
            }
            Self::MeasuredByAnother => {
                "another wattlaw measured this machine at the time, so that it has no energy"
                    .to_owned()
            }
            Self::Ended(end) => {
                let how = match end {
                    End::Exit { code } => format!("exit {code}"),
                    End::Signal { signal } => format!("signal {signal}"),
                    End::Unseen => "unseen".to_owned(),
                };
                // the kernel ends the largest process where memory is out, and the process says nothing
                match (cause(output), end) {
                    (Some(cause), _) => format!("{how}: {cause}"),
                    (None, End::Signal { signal: 9 } | End::Exit { code: 137 }) => {
                        format!("{how}: killed, as the kernel does when memory is out")
                    }
                    (None, _) => format!("{how}, without a word"),
                }
            }
        }
    }
}

/// Longest clause that is taken from a command's output.
const LONGEST: usize = 200;

/// The line of a command's last output that says best why it ended: that memory was out, or else the last that names an
/// error, or else the last.
///
/// torchrun gives an account of its own after the line on the rank that failed, and that names no reason. Its ranks stand
/// before their lines as `[rank0]:`. Python says between two tracebacks what they have to do with each other.
fn cause(output: &str) -> Option<String> {
    let own = output.lines().position(|line| line.contains("failed (exitcode:"));
    let besides = |line: &str| {
        line.contains("ChildFailedError")
            || line.contains("torch/distributed")
            || line.contains("above exception")
    };
    let lines: Vec<&str> = output
        .lines()
        .take(own.unwrap_or(usize::MAX))
        .map(|line| match line.trim().strip_prefix("[rank").and_then(|l| l.split_once("]:")) {
            Some((rank, rest)) if rank.parse::<u32>().is_ok() => rest.trim(),
            _ => line.trim(),
        })
        .filter(|line| line.chars().any(char::is_alphanumeric) && !besides(line))
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
    let mut short: String = found.chars().take(LONGEST).collect();
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
    fn the_reason_is_the_line_that_says_why() {
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
        assert_eq!(ended(3, "\n\n"), "exit 3, without a word");
        assert!(Reason::Ended(End::Signal { signal: 9 }).describe("").contains("memory is out"));
        assert_eq!(
            Reason::Ended(End::Signal { signal: 11 }).describe(""),
            "signal 11, without a word"
        );
        assert_eq!(ended(1, &"é".repeat(500)).chars().count(), "exit 1: ".len() + LONGEST + 1);
    }
}
