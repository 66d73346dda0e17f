//! The folder of a record. It is written during the run, so that a kill loses at most the last second.
//!
//! Readings and events are appended line by line. `run.json` is written atomically at the start and at the end. The writing process
//! holds an advisory lock on `trace.csv`, so that no other process closes the record.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use wattlaw::base::units::Seconds;
use wattlaw::record::document::{Record, State};
use wattlaw::record::event::Entry;
use wattlaw::record::finalizer::Finalizer;
use wattlaw::record::reading::HEADER;

use crate::error::{Error, Result};
use crate::lines::Lines;

/// File name of the record.
pub const RUN: &str = "run.json";
/// File name of the readings.
pub(crate) const TRACE: &str = "trace.csv";
/// File name of the events.
pub const EVENTS: &str = "events.jsonl";
/// File name of the command's output.
pub const LOG: &str = "log";
/// File name to which the program may write events.
pub const PROGRAM: &str = "program.jsonl";

/// A reserve file. It is removed before `run.json` is written at the end, to make room on a full disk.
const SPARE: &str = ".spare";
const SPARE_BYTES: usize = 1 << 18;

/// Maximum number of events kept in memory when they cannot be written.
const MAX_UNSAVED: usize = 10_000;

/// Interval of syncing to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A record under construction.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    trace: AppendFile,
    events: AppendFile,
    log: Option<Arc<File>>,
    /// Events that could not be written.
    unsaved: Vec<Entry>,
    synced: Instant,
}

/// A file to which whole lines are appended.
#[derive(Debug)]
struct AppendFile {
    file: File,
    /// Length of the complete lines, in bytes.
    whole: u64,
    /// Whether there is data since the last sync.
    unsynced: bool,
}

impl AppendFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, whole: 0, unsynced: false })
    }

    /// Appends lines, all of them or none.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            // remove an incomplete line, which would corrupt the next one
            let _ = self.file.set_len(self.whole);
            return Err(error);
        }
        self.whole += lines.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) { self.file.sync_data() } else { Ok(()) }
    }
}

impl Folder {
    /// Creates the folder `out/<id>` with the initial record. If the id exists, a number is appended to it, also in `record`.
    ///
    /// # Errors
    /// The folder cannot be created or written.
    pub fn create(out: &Path, record: &mut Record, log: bool) -> Result<Self> {
        let (out, made) = temporary(out)?;
        let fail = |e: &io::Error| Error::io(&out, e);
        let mut trace = AppendFile::create(&made.path().join(TRACE)).map_err(|e| fail(&e))?;
        let events = AppendFile::create(&made.path().join(EVENTS)).map_err(|e| fail(&e))?;
        let log = match log {
            true => Some(AppendFile::create(&made.path().join(LOG)).map_err(|e| fail(&e))?.file),
            false => None,
        };
        trace.append(&format!("{HEADER}\n")).map_err(|e| fail(&e))?;
        // records also work on file systems without locks
        let _ = trace.file.try_lock();
        // no error: a full disk is reported when it matters
        let _ = std::fs::write(made.path().join(SPARE), vec![0; SPARE_BYTES]);
        let path = move_into_place(made, &out, record)?;
        Ok(Self {
            path,
            trace,
            events,
            log: log.map(Arc::new),
            unsaved: Vec::new(),
            synced: Instant::now(),
        })
    }

    /// Absolute path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log file, if the output is logged.
    pub fn log(&self) -> Option<Arc<File>> {
        self.log.clone()
    }

    /// Appends readings: lines of `trace.csv`.
    ///
    /// # Errors
    /// The I/O error; then no line was written.
    pub fn append_readings(&mut self, lines: &str) -> io::Result<()> {
        self.trace.append(lines)
    }

    /// Appends events.
    ///
    /// # Errors
    /// As [`Self::append_readings`].
    pub(crate) fn append_events(&mut self, entries: &[Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let lines: wattlaw::Result<String> = entries.iter().map(Entry::line).collect();
        let written = lines.map_err(io::Error::other).and_then(|lines| self.events.append(&lines));
        written.inspect_err(|_| {
            let room = MAX_UNSAVED.saturating_sub(self.unsaved.len());
            self.unsaved.extend(entries.iter().take(room).cloned());
        })
    }

    /// Syncs the appended data to disk, at most once per second.
    ///
    /// # Errors
    /// The I/O error.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced.elapsed() < SYNC_INTERVAL {
            return Ok(());
        }
        self.synced = Instant::now();
        self.trace.sync()?;
        self.events.sync()?;
        self.log.as_ref().map_or(Ok(()), |log| log.sync_data())
    }

    /// Closes the record from the appended data.
    ///
    /// # Errors
    /// A file cannot be read, or `run.json` cannot be written.
    pub fn close(mut self, opened: Record) -> Result<Record> {
        // write errors have already been reported
        let _ = self.trace.sync().and_then(|()| self.events.sync());
        close(&self.path, opened, self.unsaved, State::Finished)
    }

    /// Removes the folder of a run that did not start.
    pub(crate) fn discard(self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Creates the folder `out/<id>` of a closed record and returns its path.
///
/// # Errors
/// As [`Folder::create`].
pub fn keep(out: &Path, record: &mut Record) -> Result<PathBuf> {
    let (out, made) = temporary(out)?;
    move_into_place(made, &out, record)
}

/// The absolute path of `out`, and a temporary folder in it.
fn temporary(out: &Path) -> Result<(PathBuf, TempDir)> {
    let fail = |e: io::Error| Error::io(out, &e);
    std::fs::create_dir_all(out).map_err(fail)?;
    let absolute = std::path::absolute(out).map_err(fail)?;
    let made = tempfile::Builder::new().prefix(".begun-").tempdir_in(&absolute).map_err(fail)?;
    readable_by_others(made.path()).map_err(fail)?;
    Ok((absolute, made))
}

/// Writes the record to its temporary folder and renames the folder to the record's id, so that no incomplete folder is visible.
fn move_into_place(made: TempDir, out: &Path, record: &mut Record) -> Result<PathBuf> {
    let wanted = record.id.clone();
    for attempt in 2..1000 {
        write(&made.path().join(RUN), record)?;
        let path = out.join(&record.id);
        // rename would replace an empty folder, which may belong to the user
        let named = match path.symlink_metadata() {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => std::fs::rename(made.path(), &path),
        };
        match named {
            Ok(()) => {
                let _ = made.keep();
                return Ok(path);
            }
            Err(e)
                if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty) =>
            {
                record.id = format!("{wanted}-{attempt}");
            }
            Err(e) => return Err(Error::io(&path, &e)),
        }
    }
    Err(Error::Failed(format!(
        "{}: a thousand records named {wanted} exist already",
        out.display()
    )))
}

/// Result of recovering a record.
#[derive(Debug)]
pub enum Recovery {
    /// The record has been closed now.
    Closed(Box<Record>),
    /// The record was already closed.
    AlreadyClosed(Box<Record>),
    /// A running wattlaw is writing the record.
    Locked,
}

/// Closes a record whose writer died.
///
/// # Errors
/// The folder is not a record, or it cannot be written.
pub fn recover(path: &Path) -> Result<Recovery> {
    let record = read(path)?;
    if record.state != State::Running {
        return Ok(Recovery::AlreadyClosed(Box::new(record)));
    }
    let trace = path.join(TRACE);
    let file = OpenOptions::new().append(true).open(&trace).map_err(|e| Error::io(&trace, &e))?;
    if is_locked(&file) {
        return Ok(Recovery::Locked);
    }
    // the previous holder of the lock may have closed the record meanwhile
    let record = read(path)?;
    if record.state != State::Running {
        return Ok(Recovery::AlreadyClosed(Box::new(record)));
    }
    cut_torn_line(&trace)?;
    cut_torn_line(&path.join(EVENTS))?;
    close(path, record, Vec::new(), State::Recovered)
        .map(|record| Recovery::Closed(Box::new(record)))
}

/// Reads a record, and whether it is live: closed, or still written by a running wattlaw.
///
/// # Errors
/// As [`read`].
pub fn read_live(path: &Path) -> Result<(Record, bool)> {
    let record = read(path)?;
    if record.state != State::Running {
        return Ok((record, true));
    }
    let trace = path.join(TRACE);
    let file = OpenOptions::new().append(true).open(&trace).map_err(|e| Error::io(&trace, &e))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Ok((record, true));
    }
    // the previous holder of the lock may have closed the record meanwhile
    let record = read(path)?;
    let closed = record.state != State::Running;
    Ok((record, closed))
}

/// Whether a running wattlaw holds the lock.
///
/// A forked child of a killed wattlaw also holds the lock until it calls exec, so the lock is polled for a short time.
fn is_locked(file: &File) -> bool {
    let start = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if start.elapsed() > SYNC_INTERVAL {
            return true;
        }
        std::thread::sleep(SYNC_INTERVAL / 50);
    }
    false
}

/// Reads a record: a folder, or its `run.json`.
///
/// # Errors
/// The file does not exist or is not a record.
pub fn read(path: &Path) -> Result<Record> {
    let file = if path.is_dir() { path.join(RUN) } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        return Err(Error::Failed(format!("{}: no record, which has a {RUN}", path.display())));
    }
    let text = bounded_text(&file)?;
    Record::from_json(&text).map_err(|e| Error::Failed(format!("{}: {e}", file.display())))
}

/// The folders in `out` that hold a record, sorted by name and therefore by time.
///
/// # Errors
/// The folder cannot be read.
pub fn all(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(out).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut found: Vec<PathBuf> = entries
        .map_err(|e| Error::io(out, &e))?
        .into_iter()
        // the names of temporary folders start with a dot
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .filter(|path| path.join(RUN).is_file())
        .collect();
    found.sort();
    Ok(found)
}

/// Deepest folder below a folder of records: a sweep's records of nodes are four below it.
const MAX_DEPTH: usize = 8;

/// The folders that hold a record: `out` and all below it, sorted by path; links are not followed.
///
/// # Errors
/// A folder cannot be read.
pub fn below(out: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(out.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        if folder.join(RUN).is_file() {
            found.push(folder.clone());
        }
        let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let folders = entries
            .map_err(|e| Error::io(&folder, &e))?
            .into_iter()
            // the names of temporary folders start with a dot
            .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
            .filter(|entry| depth < MAX_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(folders.map(|entry| (entry.path(), depth + 1)));
    }
    found.sort();
    Ok(found)
}

fn close(path: &Path, opened: Record, unsaved: Vec<Entry>, state: State) -> Result<Record> {
    let started: Option<Timestamp> = opened.started_at.parse().ok();
    let mut entries = unsaved;
    let mut unreadable = 0u64;
    each_line(&path.join(EVENTS), |line| match Entry::parse(line) {
        Some(entry) => entries.push(entry),
        None => unreadable += 1,
    })?;
    let mut closing = Finalizer::new(opened, entries);
    each_line(&path.join(TRACE), |line| closing.line(line))?;
    let mut record = closing.close(state);
    if unreadable > 0 {
        record
            .notes
            .push(format!("{unreadable} lines of {EVENTS} could not be read and were skipped"));
    }
    let end = record.begin.unwrap_or(Seconds::ZERO) + record.duration.unwrap_or(Seconds::ZERO);
    record.ended_at = started.and_then(|started| {
        let since = SignedDuration::try_from_secs_f64(end.value()).ok()?;
        started.checked_add(since).ok().map(rfc3339)
    });
    // make room on a full disk
    let _ = std::fs::remove_file(path.join(SPARE));
    write(&path.join(RUN), &record)?;
    Ok(record)
}

/// Longest line of a record; the record of a wide merge has tens of MiB, in short lines as written here.
const MAX_LINE_BYTES: usize = 1 << 25;

/// Reads the text of a record; a line that no record has is refused before it fills the memory.
fn bounded_text(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, &e))?;
    let (mut text, mut buffer) = (Vec::new(), vec![0; BLOCK_BYTES]);
    let mut line = 0;
    while let Some(block) = next_block(&mut file, &mut buffer).map_err(|e| Error::io(path, &e))? {
        text.extend_from_slice(block);
        line = match block.iter().rposition(|b| *b == b'\n') {
            Some(end) => block.len() - end,
            None => line + block.len(),
        };
        if line > MAX_LINE_BYTES {
            return Err(Error::Failed(format!(
                "{}: a line is longer than 32 MiB, so this is not a record",
                path.display()
            )));
        }
    }
    String::from_utf8(text).map_err(|_| Error::Failed(format!("{}: not UTF-8", path.display())))
}

/// Size of the blocks in which files are read.
const BLOCK_BYTES: usize = 1 << 16;

/// The next block of a file; `None` at its end.
fn next_block<'a>(file: &mut File, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => return Ok(buffer.get(..read)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Calls `take` for each complete line of a file. A line that is not UTF-8 is passed as U+FFFD, which no parser accepts, and
/// one that is too long is cut.
fn each_line(path: &Path, mut take: impl FnMut(&str)) -> Result<()> {
    let mut file = File::open(path).map_err(|e| Error::io(path, &e))?;
    let (mut lines, mut buffer) = (Lines::default(), vec![0; BLOCK_BYTES]);
    while let Some(block) = next_block(&mut file, &mut buffer).map_err(|e| Error::io(path, &e))? {
        for line in lines.split(block) {
            take(std::str::from_utf8(&line).unwrap_or("\u{fffd}"));
        }
    }
    Ok(())
}

/// Truncates a file after its last complete line.
fn cut_torn_line(path: &Path) -> Result<()> {
    let whole = (|| {
        let mut reader = File::open(path)?;
        let (mut whole, mut read, mut buffer) = (0, 0, vec![0; BLOCK_BYTES]);
        while let Some(block) = next_block(&mut reader, &mut buffer)? {
            if let Some(end) = block.iter().rposition(|b| *b == b'\n') {
                whole = read + end as u64 + 1;
            }
            read += block.len() as u64;
        }
        let file = OpenOptions::new().write(true).open(path)?;
        if read > whole { file.set_len(whole) } else { Ok(()) }
    })();
    whole.map_err(|e| Error::io(path, &e))
}

/// Writes a record atomically.
///
/// # Errors
/// The file cannot be written; an existing file stays unchanged.
pub fn write(path: &Path, record: &Record) -> Result<()> {
    write_atomic(path, &record.to_json().map_err(|e| Error::Failed(e.to_string()))?)
}

/// Writes a file atomically: writes a temporary file in the same folder and renames it.
///
/// # Errors
/// The file cannot be written; an existing file stays unchanged.
pub fn write_atomic(path: &Path, text: &str) -> Result<()> {
    let fail = |e: &io::Error| Error::io(path, e);
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        // temporary files are private by default; the result must have the usual permissions
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|e| fail(&e))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    Ok(())
}

/// Gives a temporary (private) folder the usual permissions.
fn readable_by_others(folder: &Path) -> io::Result<()> {
    let probe = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(folder)?;
    let mode = std::fs::metadata(probe.path())?.permissions();
    std::fs::set_permissions(folder, mode)
}

/// A timestamp in the format of records: RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}
