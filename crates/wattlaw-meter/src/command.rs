//! The measured command: starts it, captures its output and events, and forwards signals to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
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

/// Maximum size of the events that wait to be recorded, in bytes: a kill loses them.
const MAX_WAITING: usize = 1 << 18;

/// Held while events wait to be recorded; dropping it tells their reader that they no longer do.
#[derive(Debug)]
pub struct Waiting {
    _until_dropped: Sender<()>,
}

/// Messages from the helper threads to the recording thread.
#[derive(Debug)]
pub enum Message {
    /// The command ended.
    Ended(Instant, End),
    /// A line of its standard output.
    Printed(Instant, String),
    /// Lines that the command wrote to the event file descriptor, when they had been read, and what is dropped once they are
    /// recorded.
    Events(Instant, Vec<Vec<u8>>, Waiting),
    /// An output or the event descriptor was closed.
    OutputEnded,
    /// The log could not be written.
    LogFailed(String),
    /// This process received a termination signal.
    Signal(i32),
    /// The attached program asks for the energy so far.
    Asked,
}

/// How to start the command and capture its output.
#[derive(Debug)]
pub struct WrappedCommand<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Additional environment variables.
    pub environment: Vec<(&'static str, OsString)>,
    /// Whether the outputs are piped through this process, for the log or for patterns.
    pub piped: bool,
    /// Log file.
    pub log: Option<Arc<File>>,
    /// Whether lines of standard output are sent as messages.
    pub lines: bool,
}

/// Starts the command and the helper threads.
///
/// Returns the number of open outputs; each sends [`Message::OutputEnded`] when it is closed.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::NotExecutable`], distinguished as by a shell.
pub fn start(wrapped: WrappedCommand<'_>, target: &Target, to: &Sender<Message>) -> Result<usize> {
    let Some((program, arguments)) = wrapped.command.split_first() else {
        return Err(Error::Failed("no command was given".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(wrapped.environment);
    if wrapped.piped {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Python must not buffer its output, or lines would arrive late
        if std::env::var_os("PYTHONUNBUFFERED").is_none() {
            command.env("PYTHONUNBUFFERED", "1");
        }
    }
    // on a terminal the command stays in this process group, so that it may read the terminal; it gets the terminal's signals directly
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

/// Measures the program that holds the other end of `input`, until it closes it.
///
/// The line `?` asks for the energy so far. A line with a number is the exit code, and ends the measurement; an end without one is the
/// death of the program.
pub fn attach(input: impl Read + Send + 'static, to: Sender<Message>) {
    std::thread::spawn(move || {
        let end =
            std::io::BufReader::new(input).lines().map_while(|line| line.ok()).find_map(|line| {
                if line == "?" {
                    return to.send(Message::Asked).err().map(|_| End::Unseen);
                }
                line.parse().ok().map(|code| End::Exit { code })
            });
        let _ = to.send(Message::Ended(Instant::now(), end.unwrap_or(End::Unseen)));
    });
}

fn start_error(program: &OsString, error: &std::io::Error) -> Error {
    let name = program.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound if Path::new(program).exists() && name.contains('/') => {
            Error::NotExecutable(format!(
                "{name}: cannot be executed: the interpreter in its first line does not exist"
            ))
        }
        ErrorKind::NotFound => Error::NotFound(format!("{name}: command not found")),
        ErrorKind::PermissionDenied => {
            Error::NotExecutable(format!("{name}: cannot be executed: permission denied"))
        }
        _ => Error::NotExecutable(format!("{name}: cannot be executed: {error}")),
    }
}

/// Copies an output unchanged, and optionally to the log and as lines.
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
                // our reader closed the pipe: close ours too, so that the command gets SIGPIPE as without wattlaw
                break;
            }
        }
        drop(from);
        let _ = to.send(Message::OutputEnded);
    });
}

/// Forwards the lines that the command writes to the event descriptor. They are read at once, which dates them; where too many
/// wait to be recorded, the command waits too.
fn listen(from: OwnedFd, to: Sender<Message>) {
    std::thread::spawn(move || {
        let mut from = File::from(from);
        let mut backlog = Backlog::default();
        let mut buffer = vec![0; 1 << 16];
        let mut lines = Lines::default();
        loop {
            match from.read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    let now = Instant::now();
                    let lines = lines.split(buffer.get(..read).unwrap_or_default());
                    let _ = to.send(Message::Events(now, lines, backlog.grow(read)));
                    backlog.shrink();
                }
            }
        }
        let _ = to.send(Message::OutputEnded);
    });
}

/// The events that wait to be recorded: the size of each block, in bytes, and what ends when it is recorded.
#[derive(Debug, Default)]
struct Backlog {
    blocks: VecDeque<(usize, Receiver<()>)>,
    bytes: usize,
}

impl Backlog {
    /// Adds a block.
    fn grow(&mut self, bytes: usize) -> Waiting {
        let (until_dropped, recorded) = channel();
        self.blocks.push_back((bytes, recorded));
        self.bytes += bytes;
        Waiting { _until_dropped: until_dropped }
    }

    /// Waits for the oldest blocks until at most [`MAX_WAITING`] bytes are left.
    fn shrink(&mut self) {
        while self.bytes > MAX_WAITING
            && let Some((bytes, recorded)) = self.blocks.pop_front()
        {
            // an error, which comes once the block is recorded
            let _ = recorded.recv();
            self.bytes -= bytes;
        }
    }
}

/// Waits for the target process in a thread and sends [`Message::Ended`].
pub fn wait(mut child: Child, target: Target, to: Sender<Message>) {
    std::thread::spawn(move || {
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // NOWAIT keeps the pid reserved, so that a forwarded signal cannot reach another process
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

/// The process that gets forwarded signals.
#[derive(Debug, Clone, Default)]
pub struct Target(Arc<Mutex<Option<Process>>>);

#[derive(Debug, Clone, Copy)]
struct Process {
    pid: Pid,
    own_group: bool,
}

impl Target {
    /// Starts a process. The lock delays signals that arrive meanwhile until they can be forwarded.
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

    /// Forgets the ended process.
    fn release(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Forwards a signal to the process, unless the terminal has already sent it there.
    fn forward(&self, signal: i32, from_terminal: bool) {
        let in_our_group =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|h| !h.own_group);
        if let Some(signal) = Signal::from_named_raw(signal)
            && !(from_terminal && in_our_group)
        {
            self.kill(signal);
        }
    }

    /// Sends a signal to the process, or to its process group if it has its own.
    pub fn kill(&self, signal: Signal) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = *held else { return };
        // a process that has just ended is not an error
        let _ = match held.own_group {
            true => rustix::process::kill_process_group(held.pid, signal),
            false => rustix::process::kill_process(held.pid, signal),
        };
    }
}

/// Signals that are forwarded to the command.
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

/// Forwards signals to `target` from now on, and sends [`Message::Signal`] for termination signals.
///
/// Signals that were ignored at start-up (`nohup`) stay ignored, here and in the command.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn forward_signals(target: Target, to: Sender<Message>) -> Result<()> {
    let ignored = ignored();
    let caught = FORWARDED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(caught)
        .map_err(|e| Error::Failed(format!("cannot install signal handlers: {e}")))?;
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

/// Bit mask of the signals that this process ignores.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}
