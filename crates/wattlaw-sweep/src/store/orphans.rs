//! Processes of a job that went on after the wattlaw that measured them was killed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Ends the processes that were started to tell their events to `events`: first by asking. Gives how many there were.
pub(super) fn end_processes(events: &Path, wait: &mut dyn FnMut(Duration) -> bool) -> usize {
    let found = processes_with_events(events);
    let count = found.len();
    let begin = Instant::now();
    let mut left = found;
    let mut signal = Signal::TERM;
    while !left.is_empty() && begin.elapsed() < GRACE * 2 {
        for pid in &left {
            // one that is just gone is no error
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

/// Processes with `WATTLAW_EVENTS` of this value, ours apart; what they start inherits it.
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
    fn what_a_job_started_is_ended_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("program.jsonl");
        let other = folder.path().join("other.jsonl");
        let start = |of: &Path, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("WATTLAW_EVENTS", of).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        // a shell and what it starts, which does not end when it is asked to but for the kill of its parent
        let mut ours = start(&events, "sleep 100 & wait");
        let mut others = start(&other, "exec sleep 100");
        while processes_with_events(&events).len() < 2 {
            std::thread::sleep(POLL_INTERVAL);
        }
        let ended = end_processes(&events, &mut |time| {
            // who was ended is reaped, as init would
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
