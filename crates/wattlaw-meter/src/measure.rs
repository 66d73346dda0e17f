//! Runs a command under measurement, from the first reading to the closed record.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use rustix::time::ClockId;
use serde::Serialize;
use wattlaw::base::units::Seconds;
use wattlaw::job::JobSpec;
use wattlaw::record::Channel;
use wattlaw::record::document::{End, LeftOut, Measured, Record, SCHEMA, Sharing, State, Stop};
use wattlaw::record::event::{Entry, Event, ProgramEvent};
use wattlaw::record::reading::Reading;

use crate::command::{self, Message, Target, WrappedCommand};
use crate::election::{Election, elect};
use crate::error::{Error, Result};
use crate::folder::{Folder, PROGRAM, rfc3339};
use crate::live::Live;
use crate::locks;
use crate::meter::Meter;
use crate::node;
use crate::pattern::Pattern;
use crate::sampler::{Sampler, Tick};
use crate::secrets::masked;
use crate::tail::Tail;

/// Interval of reading the program's events and writing readings to disk.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the first round of readings, and for the last output of the command.
const FIRST_ROUND_TIMEOUT: Duration = Duration::from_secs(10);
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Longest wait for a signal that may have ended the command.
const SIGNAL_GRACE: Duration = Duration::from_millis(200);

/// Maximum number of faults, and of invalid events, that are reported to the user; later ones are only recorded.
const MAX_REPORTED: u64 = 10;

/// What to measure, and how.
pub struct Setup {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Whether the command runs already: it is measured until it closes standard input, and is answered on standard output.
    pub attached: bool,
    /// Meters to read; empty for a record without energy.
    pub meters: Vec<Box<dyn Meter>>,
    /// Sampling interval.
    pub interval: Duration,
    /// Idle time before and after the command.
    pub idle: Duration,
    /// Time limit of the command; then it gets SIGTERM, later SIGKILL.
    pub limit: Option<Duration>,
    /// Folder in which the record's folder is created.
    pub out: PathBuf,
    /// Name of the record.
    pub name: Option<String>,
    /// Whether the command's output is logged.
    pub log: bool,
    /// Pattern of standard output lines that begin a window.
    pub pattern: Option<Pattern>,
    /// Number of steps per window.
    pub window_steps: Option<u64>,
    /// Event file; default: a file in the record's folder.
    pub events: Option<PathBuf>,
    /// The training job.
    pub job: Option<JobSpec>,
    /// Program name and version.
    pub made_by: String,
    /// Notes for the record.
    pub notes: Vec<String>,
    /// Devices that were found but cannot be measured.
    pub left_out: Vec<LeftOut>,
    /// Channels whose energy includes what others run on the device.
    pub shared: Vec<(String, Sharing)>,
    /// Is told what is measured as it is measured. A sentence that it returns is reported and noted in the record.
    pub observer: Option<Box<Observer>>,
}

/// What an observer is told.
#[derive(Debug, Clone, Copy)]
pub enum Observed<'a> {
    /// An event.
    Event(&'a Entry),
    /// A round of readings.
    Readings(&'a Tick),
}

/// Is told what is measured, and may have something to say.
pub type Observer = dyn FnMut(Observed<'_>) -> Option<String>;

/// Result of a measurement.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code of the command, as a shell would report it.
    pub code: u8,
    /// Folder of the record.
    pub folder: PathBuf,
    /// The closed record, or why it could not be closed.
    pub record: Result<Record>,
}

/// Runs a command and measures it; `report` gets messages for the user during the run.
///
/// # Errors
/// The command was not run: it cannot be started, or the record's folder cannot be created.
pub fn measure(mut setup: Setup, report: &mut dyn FnMut(&str)) -> Result<Outcome> {
    let (sender, messages) = channel();
    let target = Target::default();
    command::forward_signals(target.clone(), sender.clone())?;
    let (start, monotonic_start) = (Instant::now(), monotonic());
    let (mut record, mut election) = new_record(&setup);
    for note in &election.notes {
        report(note);
    }
    let folder = Folder::create(&setup.out, &mut record, setup.log)?;
    election.rename(&folder.path().display().to_string());
    if let Some(holder) = &record.held_by {
        let held = record.channels.iter().filter(|measured| measured.held_by.is_some());
        let names: Vec<&str> = held.map(|measured| measured.channel.name.as_str()).collect();
        report(&format!(
            "this machine is already measured by {holder}; the energy of {} counts in this record once that one ends",
            names.join(", ")
        ));
    }
    let meters = std::mem::take(&mut setup.meters);
    let (sampler, ticks) = if record.channels.is_empty() {
        (None, channel().1)
    } else {
        let (sampler, ticks) = Sampler::start(meters, setup.interval, start);
        (Some(sampler), ticks)
    };
    // the program may change its working directory
    let events = match &setup.events {
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        None => folder.path().join(PROGRAM),
    };
    let channels = record.channels.iter().map(|measured| measured.channel.clone());
    let mut measurement = Measurement {
        live: setup.attached.then(|| Live::new(channels)),
        start,
        monotonic_start,
        failing: vec![false; record.channels.len()],
        election,
        ended: None,
        record,
        folder,
        ticks,
        tail: Tail::new(events.clone()),
        polled: start,
        pattern: setup.pattern.take(),
        pattern_open: None,
        invalid_events: 0,
        faults: 0,
        unwritten_lines: 0,
        observer: setup.observer.take(),
        report,
    };
    if sampler.is_some() {
        measurement.first_round();
    }
    let end = measurement.run(&setup, &events, &target, &sender, &messages);
    if let Some(sampler) = sampler {
        sampler.stop();
    }
    measurement.take_ticks();
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            measurement.folder.discard();
            return Err(error);
        }
    };
    let folder = measurement.folder.path().to_owned();
    let record = measurement.close();
    Ok(Outcome { code: exit_code(end), folder, record })
}

/// The initial record, and the election of the devices to measure.
fn new_record(setup: &Setup) -> (Record, Election) {
    let now = Timestamp::now();
    let id = id(now, setup.name.as_deref());
    let channels: Vec<Channel> =
        setup.meters.iter().flat_map(|meter| meter.channels().to_vec()).collect();
    let out = std::path::absolute(&setup.out).unwrap_or_else(|_| setup.out.clone());
    let command: Vec<String> =
        setup.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let path = out.join(&id).display().to_string();
    let election = elect(locks::folder(), &channels, &path, monotonic());
    let node = node::current();
    let channels: Vec<Measured> = channels
        .into_iter()
        .enumerate()
        .map(|(index, channel)| Measured {
            held_by: election.holder(index).map(str::to_owned),
            shared: setup.shared.iter().find(|(n, _)| *n == channel.name).map(|(_, s)| *s),
            ..Measured::unread(&node.host, channel)
        })
        .collect();
    let record = Record {
        schema: SCHEMA.to_owned(),
        id,
        name: setup.name.clone(),
        made_by: setup.made_by.clone(),
        state: State::Running,
        held_by: channels.iter().find_map(|measured| measured.held_by.clone()),
        channels,
        nodes: vec![node],
        command: masked(&command),
        end: None,
        stopped: None,
        started_at: rfc3339(now),
        ended_at: None,
        begin: None,
        duration: None,
        interval: Seconds::new(setup.interval.as_secs_f64()),
        idle: Seconds::new(setup.idle.as_secs_f64()),
        energies: Vec::new(),
        steps: None,
        tokens: None,
        window_steps: setup.window_steps,
        windows: Vec::new(),
        job: setup.job.clone(),
        faults: Vec::new(),
        notes: setup.notes.clone(),
        left_out: setup.left_out.clone(),
    };
    (record, election)
}

/// A record id that sorts by time: the second, then the given name or a hash that separates records of the same second.
fn id(now: Timestamp, name: Option<&str>) -> String {
    let second = now.strftime("%Y%m%dT%H%M%SZ");
    match name {
        Some(name) => format!("{second}-{name}"),
        None => {
            let mixed = now.subsec_nanosecond().unsigned_abs() ^ std::process::id().rotate_left(12);
            format!("{second}-{:06x}", mixed & 0x00ff_ffff)
        }
    }
}

/// The system's monotonic clock, s, which programs use to timestamp their events.
fn monotonic() -> Seconds {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    Seconds::new(now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9)
}

fn exit_code(end: End) -> u8 {
    let code = match end {
        End::Exit { code } => code,
        End::Signal { signal } => 128 + signal,
        End::Unseen => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// The time limit of a command, and the number of signals sent.
struct TimeLimit {
    limit: Duration,
    begin: Instant,
    signals_sent: u32,
}

impl TimeLimit {
    /// The signal that is due now: SIGTERM, then SIGKILL.
    fn signal(&mut self) -> Option<Signal> {
        let signal = [Signal::TERM, Signal::KILL].get(self.signals_sent as usize).copied()?;
        let due = self.begin.elapsed() > self.limit + GRACE * self.signals_sent;
        due.then(|| {
            self.signals_sent += 1;
            signal
        })
    }
}

/// What an attached program is told once it is measured.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    /// The folder of the record.
    folder: &'a Path,
    /// The file that it appends events to.
    events: &'a Path,
}

/// Tells an attached program something, in a line of JSON. A program that no longer listens ends by itself.
fn answer(said: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(said) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// A running measurement.
struct Measurement<'a> {
    start: Instant,
    monotonic_start: Seconds,
    record: Record,
    folder: Folder,
    ticks: Receiver<Tick>,
    election: Election,
    /// When the command ended, on the monotonic clock of the run.
    ended: Option<Seconds>,
    /// For each channel, whether the last reading failed.
    failing: Vec<bool>,
    tail: Tail,
    /// When the program's events and the readings were last taken.
    polled: Instant,
    pattern: Option<Pattern>,
    pattern_open: Option<String>,
    invalid_events: u64,
    faults: u64,
    /// Number of lines that could not be written.
    unwritten_lines: u64,
    observer: Option<Box<Observer>>,
    /// What an attached program is told when it asks.
    live: Option<Live>,
    report: &'a mut dyn FnMut(&str),
}

impl Measurement<'_> {
    fn run(
        &mut self,
        setup: &Setup,
        events: &Path,
        target: &Target,
        sender: &Sender<Message>,
        messages: &Receiver<Message>,
    ) -> Result<End> {
        if let Some(signal) = self.idle(setup.idle, messages) {
            return Err(Error::Interrupted(signal));
        }
        let piped = setup.log || self.pattern.is_some();
        let begin = Instant::now();
        let mut open_outputs = if setup.attached {
            command::attach(std::io::stdin(), sender.clone());
            0
        } else {
            command::start(
                WrappedCommand {
                    command: &setup.command,
                    environment: vec![("WATTLAW_EVENTS", events.into())],
                    piped,
                    log: self.folder.log(),
                    lines: self.pattern.is_some(),
                },
                target,
                sender,
            )?
        };
        self.record_event(begin, Event::CommandBegin);
        let begun_at = self.at(begin);
        if let Some(live) = &mut self.live {
            live.begin(begun_at);
            let folder = std::path::absolute(self.folder.path());
            answer(&Ready { folder: &folder.unwrap_or_default(), events });
        }
        let mut limit = setup.limit.map(|limit| TimeLimit { limit, begin, signals_sent: 0 });
        let (ended, end) = loop {
            match messages.recv_timeout(POLL_INTERVAL.saturating_sub(self.polled.elapsed())) {
                Ok(Message::Ended(at, end)) => break (at, end),
                Ok(Message::OutputEnded) => open_outputs -= 1,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if let Some(signal) = limit.as_mut().and_then(TimeLimit::signal) {
                let limit_s = Seconds::new(setup.limit.unwrap_or_default().as_secs_f64());
                self.record_stop(Stop::TimeLimit { limit_s });
                target.kill(signal);
            }
            // messages of a burst follow one another without a pause
            if self.polled.elapsed() >= POLL_INTERVAL {
                self.poll();
            }
        };
        self.ended = Some(self.at(ended));
        self.record_event(ended, Event::CommandEnd { end });
        // only the time of waiting counts: after a burst of events it takes a while to read them all
        let mut patience = OUTPUT_GRACE;
        while open_outputs > 0 {
            let waiting = Instant::now();
            let received = messages.recv_timeout(patience);
            patience = patience.saturating_sub(waiting.elapsed());
            match received {
                Ok(Message::OutputEnded) => open_outputs -= 1,
                Ok(message) => self.take(message),
                Err(_) => {
                    let text = "a child process of the command is still running; its output was not waited for";
                    self.note(Instant::now(), text);
                    break;
                }
            }
        }
        // a batch system signals all processes of a job at once, so the command may end before our signal message arrives
        let patience = if end.well() { Duration::ZERO } else { SIGNAL_GRACE };
        while let Ok(message) = messages.recv_timeout(patience) {
            self.take(message);
        }
        self.take_appended(Some(ended));
        let rest: Vec<Vec<u8>> = self.tail.rest().into_iter().collect();
        self.take_events(&rest, ended);
        self.idle(setup.idle, messages);
        Ok(end)
    }

    /// Measures idle time; a termination signal ends it early and is returned.
    fn idle(&mut self, time: Duration, messages: &Receiver<Message>) -> Option<i32> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(Message::Signal(signal)) = messages.recv_timeout(left.min(POLL_INTERVAL)) {
                return Some(signal);
            }
            if left.is_zero() {
                return None;
            }
            self.poll();
        }
    }

    /// Waits for the first readings, so that they precede the command.
    fn first_round(&mut self) {
        match self.ticks.recv_timeout(FIRST_ROUND_TIMEOUT) {
            Ok(tick) => self.write_ticks(&[tick]),
            Err(_) => (self.report)(
                "the meters need more than 10 s for a reading; the start of the run is not measured",
            ),
        }
    }

    fn poll(&mut self) {
        self.polled = Instant::now();
        self.take_appended(None);
        self.keep_up();
        self.take_over();
    }

    /// Takes the events that the program has appended to its file; they have arrived by `arrived` where that is known.
    fn take_appended(&mut self, arrived: Option<Instant>) {
        let end = self.tail.end();
        while let Some(lines) = self.tail.block(end) {
            // the time after reading: a program may append lines, with their times, while the file is read
            self.take_events(&lines, arrived.unwrap_or_else(Instant::now));
        }
    }

    /// Writes the readings so far and syncs what was written.
    fn keep_up(&mut self) {
        self.take_ticks();
        if let Err(error) = self.folder.sync() {
            self.report_write_error(&error, 0);
        }
    }

    /// Counts the devices from now on whose holders have ended.
    fn take_over(&mut self) {
        for handed in self.election.take_over(monotonic()) {
            let Some(measured) = self.record.channels.get(handed.channel) else { continue };
            let channel = measured.channel.name.clone();
            let at = (handed.from - self.monotonic_start).max(Seconds::ZERO);
            self.journal(&[Entry { at, event: Event::TakenOver { channel } }]);
        }
    }

    fn take_ticks(&mut self) {
        let ticks: Vec<Tick> = self.ticks.try_iter().collect();
        if !ticks.is_empty() {
            self.write_ticks(&ticks);
        }
    }

    fn write_ticks(&mut self, ticks: &[Tick]) {
        let mut lines = String::new();
        for tick in ticks {
            self.observe(Observed::Readings(tick));
            if let Some(live) = &mut self.live {
                live.push(tick);
            }
            let mut begun = Vec::new();
            for (index, reading) in tick.readings.iter().enumerate() {
                let Some(measured) = self.record.channels.get(index) else { continue };
                let (channel, sample) = (&measured.channel.name, reading.as_ref().ok().copied());
                Reading { at: tick.at, channel, sample }.append_to(&mut lines);
                let failing = self.failing.get_mut(index);
                let before =
                    failing.map(|f| std::mem::replace(f, reading.is_err())).unwrap_or(false);
                if let (Err(fault), false) = (reading, before) {
                    begun.push(fault.clone());
                }
            }
            for fault in begun {
                self.faults += 1;
                if self.faults <= MAX_REPORTED {
                    (self.report)(&format!("{fault}; the run continues, and the gap is recorded"));
                }
                let event = Event::Fault { channel: fault.channel, reason: fault.reason };
                self.journal(&[Entry { at: tick.at, event }]);
            }
        }
        if let Err(error) = self.folder.append_readings(&lines) {
            self.report_write_error(&error, lines.lines().count() as u64);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Events(at, lines, _waiting) => self.take_events(&lines, at),
            Message::Printed(at, line) => {
                let events = self
                    .pattern
                    .as_ref()
                    .map(|pattern| pattern.events(&line, &mut self.pattern_open))
                    .unwrap_or_default();
                for event in events {
                    self.record_event(at, event);
                }
            }
            Message::LogFailed(why) => {
                let text = format!("cannot write the log; the run continues without it: {why}");
                (self.report)(&text);
                self.note(Instant::now(), &text);
            }
            Message::Signal(signal) => self.record_stop(Stop::Signal { signal }),
            Message::Asked => {
                self.take_ticks();
                if let Some(live) = &self.live {
                    answer(&live.so_far(self.at(Instant::now())));
                }
            }
            Message::Ended(..) | Message::OutputEnded => {}
        }
    }

    /// Parses event lines of the program; an invalid line is reported and skipped.
    fn take_events(&mut self, lines: &[Vec<u8>], arrived: Instant) {
        let arrived_at = self.at(arrived);
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines.iter().filter(|line| !line.iter().all(u8::is_ascii_whitespace)) {
            let said = std::str::from_utf8(line)
                .map_err(|_| "not UTF-8".to_owned())
                .and_then(|text| ProgramEvent::parse(text).map_err(|e| e.to_string()));
            match said {
                Ok(said) => {
                    let stamped = said.monotonic.map(|stamp| stamp - self.monotonic_start);
                    let plausible = stamped.filter(|at| (Seconds::ZERO..=arrived_at).contains(at));
                    if stamped.is_some() && plausible.is_none() {
                        self.report_invalid_event(
                            "its time is outside this run on the monotonic clock",
                        );
                    }
                    entries.push(Entry { at: plausible.unwrap_or(arrived_at), event: said.event });
                }
                Err(why) => self.report_invalid_event(&why),
            }
        }
        self.journal(&entries);
        // a burst must not keep the readings from the disk
        self.keep_up();
    }

    fn report_invalid_event(&mut self, why: &str) {
        self.invalid_events += 1;
        if self.invalid_events <= MAX_REPORTED {
            let text = format!("invalid event of the program: {why}");
            (self.report)(&text);
            self.note(Instant::now(), &text);
        }
    }

    fn record_event(&mut self, at: Instant, event: Event) {
        let at = self.at(at);
        self.journal(&[Entry { at, event }]);
    }

    fn record_stop(&mut self, stop: Stop) {
        self.record_event(Instant::now(), Event::Stopped { stop });
    }

    fn note(&mut self, at: Instant, text: &str) {
        self.record_event(at, Event::Note { text: text.to_owned() });
    }

    fn journal(&mut self, entries: &[Entry]) {
        self.append(entries);
        for entry in entries {
            self.observe(Observed::Event(entry));
        }
    }

    fn append(&mut self, entries: &[Entry]) {
        if let Err(error) = self.folder.append_events(entries) {
            self.report_write_error(&error, entries.len() as u64);
        }
    }

    /// Tells the observer, and reports and notes what it says.
    fn observe(&mut self, observed: Observed<'_>) {
        let Some(text) = self.observer.as_mut().and_then(|observer| observer(observed)) else {
            return;
        };
        (self.report)(&text);
        let at = self.at(Instant::now());
        self.append(&[Entry { at, event: Event::Note { text } }]);
    }

    fn at(&self, instant: Instant) -> Seconds {
        Seconds::new(instant.saturating_duration_since(self.start).as_secs_f64())
    }

    /// Counts lines that could not be written; the first error is reported.
    fn report_write_error(&mut self, error: &std::io::Error, lines: u64) {
        if self.unwritten_lines == 0 {
            let path = self.folder.path().display();
            (self.report)(&format!("{path}: cannot write readings; the run continues: {error}"));
        }
        self.unwritten_lines += lines.max(1);
    }

    fn close(self) -> Result<Record> {
        let mut record = self.record;
        if self.unwritten_lines > 0 {
            record
                .notes
                .push(format!("{} lines could not be written and are lost", self.unwritten_lines));
        }
        if self.invalid_events > MAX_REPORTED {
            record
                .notes
                .push(format!("{} events of the program were invalid", self.invalid_events));
        }
        let closed = self.folder.close(record);
        // keep the devices until the record is closed
        let ended = self.ended.map_or_else(monotonic, |ended| ended + self.monotonic_start);
        self.election.release(ended);
        closed
    }
}
