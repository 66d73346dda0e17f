//! The wrapped command: started, listened to, and told what signals we are told.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::signal;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use wattlaw::record::document::End;

use crate::error::{Error, Result};
use crate::lines::Lines;

/// What the threads around a command tell the one that records.
#[derive(Debug)]
pub enum Message {
    /// The command ended.
    Ended(Instant, End),
    /// A line of its standard output.
    Printed(Instant, String),
    /// A line that it wrote to the file descriptor for events.
    Event(Instant, Vec<u8>),
    /// One of its outputs was closed, the descriptor for events among them.
    OutputEnded,
    /// What it prints could not be kept in the log.
    LogFailed(String),
    /// We were told to end by this signal.
    Signal(i32),
}

/// What to start, and how to listen to it.
#[derive(Debug)]
pub struct WrappedCommand<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Variables that it gets besides ours.
    pub environment: Vec<(&'static str, OsString)>,
    /// Whether its outputs go through us, to be kept or looked through.
    pub piped: bool,
    /// Where what it prints is kept.
    pub log: Option<Arc<File>>,
    /// Whether lines of its standard output are wanted.
    pub lines: bool,
}

/// Starts the command and threads that tell what becomes of it.
///
/// Gives how many of its outputs we hear of, each of which is told to end.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::NotExecutable`] as a shell tells them apart.
pub fn start(wrapped: WrappedCommand<'_>, target: &Target, to: &Sender<Message>) -> Result<usize> {
    let Some((program, arguments)) = wrapped.command.split_first() else {
        return Err(Error::Failed("no command was given".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(wrapped.environment);
    if wrapped.piped {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // lines come as they are printed, and not when a buffer is full
        if std::env::var_os("PYTHONUNBUFFERED").is_none() {
            command.env("PYTHONUNBUFFERED", "1");
        }
    }
    // on a terminal the command stays in our group, so that it may read from there; the terminal's signals reach it by itself
    let own_group = !std::io::stdin().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let failed =
        |e: &dyn std::fmt::Display| Error::Failed(format!("the command cannot be started: {e}"));
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| failed(&e))?;
    rustix::io::fcntl_setfd(&write, FdFlags::empty()).map_err(|e| failed(&e))?;
    command.env("WATTLAW_EVENTS_FD", write.as_raw_fd().to_string());
    let mut child =
        target.spawn(own_group, || command.spawn()).map_err(|e| start_error(program, &e))?;
    drop(write);
    listen(read, to.clone());
    if let Some(out) = child.stdout.take() {
        forward_output(out, std::io::stdout(), wrapped.log.clone(), wrapped.lines, to.clone());
    }
    if let Some(err) = child.stderr.take() {
        forward_output(err, std::io::stderr(), wrapped.log, false, to.clone());
    }
    wait(child, target.clone(), to.clone());
    Ok(if wrapped.piped { 3 } else { 1 })
}

fn start_error(program: &OsString, error: &std::io::Error) -> Error {
    let name = program.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound if Path::new(program).exists() && name.contains('/') => {
            Error::NotExecutable(format!(
                "{name}: it cannot be executed: what its first line names as its interpreter is not there"
            ))
        }
        ErrorKind::NotFound => Error::NotFound(format!("{name}: there is no such command")),
        ErrorKind::PermissionDenied => {
            Error::NotExecutable(format!("{name}: it cannot be executed: permission is denied"))
        }
        _ => Error::NotExecutable(format!("{name}: it cannot be executed: {error}")),
    }
}

/// Copies an output as it comes, byte by byte the same.
fn forward_output(
    mut from: impl Read + Send + 'static,
    mut out: impl Write + Send + 'static,
    log: Option<Arc<File>>,
    wanted: bool,
    to: Sender<Message>,
) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut lines = Lines::default();
        let mut log = log;
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let now = Instant::now();
            let bytes = buffer.get(..read).unwrap_or_default();
            let passed = out.write_all(bytes).and_then(|()| out.flush());
            if let Some(file) = &log
                && let Err(e) = (&**file).write_all(bytes)
            {
                let _ = to.send(Message::LogFailed(e.to_string()));
                log = None;
            }
            if wanted {
                for line in lines.split(bytes) {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    let _ = to.send(Message::Printed(now, text));
                }
            }
            if passed.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
                // who read our output went away; the command is to learn it as if it wrote there itself
                break;
            }
        }
        drop(from);
        let _ = to.send(Message::OutputEnded);
    });
}

/// Hands on lines that the command writes to the descriptor for events.
fn listen(from: OwnedFd, to: Sender<Message>) {
    std::thread::spawn(move || {
        let mut from = File::from(from);
        let mut buffer = vec![0; 1 << 12];
        let mut lines = Lines::default();
        loop {
            match from.read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    let now = Instant::now();
                    for line in lines.split(buffer.get(..read).unwrap_or_default()) {
                        let _ = to.send(Message::Event(now, line));
                    }
                }
            }
        }
        let _ = to.send(Message::OutputEnded);
    });
}

/// Tells when the process that is the target has ended.
pub fn wait(mut child: Child, target: Target, to: Sender<Message>) {
    std::thread::spawn(move || {
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // waits without taking its number away, which a signal of ours would then send to somebody else
            let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while rustix::process::waitid(WaitId::Pid(pid), dead)
                .is_err_and(|e| e == rustix::io::Errno::INTR)
            {}
        }
        let at = Instant::now();
        target.release();
        let end = child.wait().map_or(End::Unseen, end_of);
        let _ = to.send(Message::Ended(at, end));
    });
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit { code },
        (None, Some(signal)) => End::Signal { signal },
        (None, None) => End::Unseen,
    }
}

/// The process that signals are passed on to.
#[derive(Debug, Clone, Default)]
pub struct Target(Arc<Mutex<Option<Process>>>);

#[derive(Debug, Clone, Copy)]
struct Process {
    pid: Pid,
    own_group: bool,
}

impl Target {
    /// Starts a process; a signal that comes meanwhile waits until it can be passed on.
    pub fn spawn(
        &self,
        own_group: bool,
        spawn: impl FnOnce() -> std::io::Result<Child>,
    ) -> std::io::Result<Child> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        *held = pid.map(|pid| Process { pid, own_group });
        Ok(child)
    }

    /// Forgets the process, which has ended.
    fn release(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Passes a signal on, where there is somebody to pass it on to.
    fn forward(&self, signal: i32, from_terminal: bool) {
        let in_our_group =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|h| !h.own_group);
        if let Some(signal) = Signal::from_named_raw(signal)
            && !(from_terminal && in_our_group)
        {
            self.kill(signal);
        }
    }

    /// Sends a signal to the process, and to all of its group where that is its own.
    pub fn kill(&self, signal: Signal) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = *held else { return };
        // a process that is just gone is no error
        let _ = match held.own_group {
            true => rustix::process::kill_process_group(held.pid, signal),
            false => rustix::process::kill_process(held.pid, signal),
        };
    }
}

/// Signals that a command may be waiting for.
const FORWARDED: [i32; 11] = [
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGQUIT,
    signal::SIGTERM,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGALRM,
    signal::SIGXCPU,
    signal::SIGWINCH,
    signal::SIGCONT,
    signal::SIGTSTP,
];

/// Passes on to `target` what we are told from now on, and tells of what asks us to end.
///
/// What we were started to ignore (`nohup`) stays ignored, by us and by the command.
///
/// # Errors
/// One sentence where the system lets us catch no signals.
pub fn forward_signals(target: Target, to: Sender<Message>) -> Result<()> {
    let ignored = ignored();
    let caught = FORWARDED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(caught)
        .map_err(|e| Error::Failed(format!("signals cannot be passed on: {e}")))?;
    std::thread::spawn(move || {
        for origin in signals.forever() {
            target.forward(origin.signal, matches!(origin.cause, Cause::Kernel));
            if origin.signal == signal::SIGTSTP {
                let _ = signal_hook::low_level::emulate_default_handler(signal::SIGTSTP);
            }
            let ends = [signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM];
            if ends.contains(&origin.signal) && to.send(Message::Signal(origin.signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The signals that this process was started to ignore, a bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}
