//! Waiting with a time limit: a command that hangs fails its test and is ended.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Time limit of each wait: longer than any command of these tests takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long a command that ran into its limit may take to end the processes that it started.
const GRACE: Duration = Duration::from_secs(5);

/// A command, or the process of one, that is waited for with a time limit.
pub trait Limited: Sized {
    /// Waits at most [`LIMIT`].
    #[track_caller]
    fn finish(self) -> Output {
        self.finish_within(LIMIT)
    }

    /// Gives exit status and outputs; panics and ends the process group after `limit`.
    #[track_caller]
    fn finish_within(self, limit: Duration) -> Output;
}

impl Limited for &mut Command {
    fn finish_within(self, limit: Duration) -> Output {
        let piped = self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        start(piped).finish_within(limit)
    }
}

impl Limited for Child {
    fn finish_within(self, limit: Duration) -> Output {
        within(limit, self.id(), || self.wait_with_output().unwrap())
    }
}

/// Starts a command in a process group of its own, so that it can be ended with all that it started.
#[track_caller]
pub fn start(command: &mut Command) -> Child {
    let started = command.process_group(0).spawn();
    started.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Gives what `work` on a process of [`start`] gives; panics and ends the process group after `limit`.
#[track_caller]
pub fn within<T: Send + 'static>(
    limit: Duration,
    process: u32,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let group = Pid::from_raw(process.cast_signed()).unwrap();
    let (sender, done) = channel();
    let worker = std::thread::spawn(move || {
        let given = work();
        let _ = sender.send(());
        given
    });
    if done.recv_timeout(limit).is_err() && !worker.is_finished() {
        // wattlaw passes a request to end on to its own commands, which are in groups of their own
        for signal in [Signal::TERM, Signal::KILL] {
            let _ = kill_process_group(group, signal);
            let _ = done.recv_timeout(GRACE);
        }
        panic!("the command was not over after {limit:?} and was killed");
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits at most [`LIMIT`] for something to become so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LIMIT, "still not so after {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_that_hangs_is_ended_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let hung = std::panic::catch_unwind(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 300 & echo $! > pid; wait"]).current_dir(folder.path());
        command.finish_within(Duration::from_millis(500))
    });
    let said = hung.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*said, "the command was not over after 500ms and was killed");
    let pid = std::fs::read_to_string(pid).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // whoever inherits it may reap it late
    until("it is gone", || state().map_or(true, |stat| stat.contains(") Z ")));
}
