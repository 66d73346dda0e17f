//! Processes of a job that survived the wattlaw that measured them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// Poll interval.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Ends the processes whose event file is `events`: SIGTERM, then SIGKILL. Returns the number of processes.
pub(super) fn end_processes(events: &Path, wait: &mut dyn FnMut(Duration) -> bool) -> usize {
    let found = processes_with_events(events);
    let count = found.len();
    let begin = Instant::now();
    let mut left = found;
    let mut signal = Signal::TERM;
    while !left.is_empty() && begin.elapsed() < GRACE * 2 {
        for pid in &left {
            // a process that has just ended is not an error
            let _ = kill_process(*pid, signal);
        }
        wait(POLL_INTERVAL);
        if begin.elapsed() > GRACE {
            signal = Signal::KILL;
        }
        left = processes_with_events(events);
    }
    count
}

/// Processes with this value of `WATTLAW_EVENTS`, except this one; child processes inherit the variable.
fn processes_with_events(events: &Path) -> Vec<Pid> {
    let mut wanted = b"WATTLAW_EVENTS=".to_vec();
    wanted.extend_from_slice(events.as_os_str().as_bytes());
    let us = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != us)
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
        })
        .filter_map(|pid| i32::try_from(pid).ok().and_then(Pid::from_raw))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_the_processes_of_the_job_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("program.jsonl");
        let other = folder.path().join("other.jsonl");
        let start = |of: &Path, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("WATTLAW_EVENTS", of).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        // a shell and its child; the child inherits the variable
        let mut ours = start(&events, "sleep 100 & wait");
        let mut others = start(&other, "exec sleep 100");
        let begin = Instant::now();
        while processes_with_events(&events).len() < 2 {
            assert!(begin.elapsed() < Duration::from_secs(60), "they never started");
            std::thread::sleep(POLL_INTERVAL);
        }
        let ended = end_processes(&events, &mut |time| {
            // reap the ended process, as init would
            let _ = ours.try_wait();
            std::thread::sleep(time);
            true
        });
        assert_eq!((ended, processes_with_events(&events).len()), (2, 0));
        assert_eq!(others.try_wait().unwrap(), None);
        others.kill().unwrap();
        others.wait().unwrap();
    }
}
