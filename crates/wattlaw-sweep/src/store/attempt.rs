//! One attempt at a job: a separate `wattlaw measure`, which continues and closes its record if the sweep is killed.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wattlaw::record::document::End;

use wattlaw_meter::command;
use wattlaw_meter::command::{Message, Target, forward_signals};
use wattlaw_meter::error::{Error, Result};
use wattlaw_meter::lines::Lines;

/// Number of lines of standard error that are kept.
const MAX_STDERR_LINES: usize = 20;

/// Time to wait for the last lines of standard error after the end: child processes may keep the pipe open.
const STDERR_GRACE: Duration = Duration::from_millis(500);

/// Starts attempts and waits for them. Termination signals are forwarded to the running attempt and remembered.
#[derive(Debug)]
pub struct Attempts {
    target: Target,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    signal: Option<i32>,
}

/// Result of an attempt.
#[derive(Debug)]
pub struct AttemptResult {
    /// End of the measuring process.
    pub end: End,
    /// Last lines of standard error of the measuring process and the job.
    pub stderr_lines: Vec<String>,
}

impl Attempts {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn new() -> Result<Self> {
        let (sender, messages) = channel();
        let target = Target::default();
        forward_signals(target.clone(), sender.clone())?;
        Ok(Self { target, sender, messages, signal: None })
    }

    /// The termination signal that was received, if any.
    pub fn signal(&mut self) -> Option<i32> {
        self.wait(Duration::ZERO);
        self.signal
    }

    /// Waits for a time or until a termination signal; returns whether to continue.
    pub fn wait(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.signal.is_none() {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Signal(signal)) => self.signal = Some(signal),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.signal.is_none()
    }

    /// Runs a command in its own process group until it ends. Calls `tick` about every second with the elapsed time. With `shown` the
    /// command inherits standard output and error.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn run(
        &mut self,
        mut command: Command,
        shown: bool,
        tick: &mut dyn FnMut(Duration),
    ) -> Result<AttemptResult> {
        command.process_group(0);
        if !shown {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let begin = Instant::now();
        let mut child = self.target.spawn(true, || command.spawn()).map_err(|e| {
            let name = command.get_program().to_string_lossy();
            Error::Failed(format!("{name}: cannot be started: {e}"))
        })?;
        let stderr_lines = Arc::new(Mutex::new(VecDeque::new()));
        let mut listening = child.stderr.take().is_some_and(|stderr| {
            listen(stderr, Arc::clone(&stderr_lines), self.sender.clone());
            true
        });
        command::wait(child, self.target.clone(), self.sender.clone());
        let mut ended: Option<(Instant, End)> = None;
        loop {
            let patience = match ended {
                None => Duration::from_secs(1),
                Some((at, _)) if listening => STDERR_GRACE.saturating_sub(at.elapsed()),
                Some(_) => Duration::ZERO,
            };
            match (self.messages.recv_timeout(patience), ended) {
                (Ok(Message::Ended(at, end)), _) => ended = Some((at, end)),
                (Ok(Message::OutputEnded), _) => listening = false,
                (Ok(Message::Signal(signal)), _) => self.signal = self.signal.or(Some(signal)),
                (Ok(_), _) => {}
                (Err(_), Some((_, end))) => {
                    let mut lines = stderr_lines.lock().unwrap_or_else(PoisonError::into_inner);
                    return Ok(AttemptResult {
                        end,
                        stderr_lines: std::mem::take(&mut *lines).into(),
                    });
                }
                (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected), None) => {
                    tick(begin.elapsed());
                }
            }
        }
    }
}

/// Keeps the last lines of an output, and sends a message when it is closed.
fn listen(
    mut from: impl Read + Send + 'static,
    kept: Arc<Mutex<VecDeque<String>>>,
    to: Sender<Message>,
) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 12];
        let mut lines = Lines::default();
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            for line in lines.split(buffer.get(..read).unwrap_or_default()) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == MAX_STDERR_LINES {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        }
        let _ = to.send(Message::OutputEnded);
    });
}
