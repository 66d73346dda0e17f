//! The folder of a record: written as the run goes, so that whoever is killed loses the last second at most.
//!
//! Readings and events are appended line by line; `run.json` is written whole at the begin and at the end. The process that
//! writes holds an advisory lock on `trace.csv`, so that nobody closes a record that is still being written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use wattlaw::base::units::Seconds;
use wattlaw::record::closing::Closing;
use wattlaw::record::document::{Record, State};
use wattlaw::record::event::Entry;
use wattlaw::record::reading::HEADER;

use crate::error::{Error, Result};

/// The file that holds the record.
pub const RUN: &str = "run.json";
/// The file of readings.
pub const TRACE: &str = "trace.csv";
/// The file of what happened besides readings.
pub const EVENTS: &str = "events.jsonl";
/// The file of what the command printed.
pub const LOG: &str = "log";
/// The file that the program may write events to.
pub const PROGRAM: &str = "program.jsonl";

/// A file that is there to be removed when the record is closed, so that there is room for `run.json` on a disk that filled.
const SPARE: &str = ".spare";
const SPARE_BYTES: usize = 1 << 18;

/// Events that are kept where the disk does not take them.
const MAX_UNSAVED: usize = 10_000;

/// Longest time between what is written and what has reached the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A record that is being written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    trace: AppendFile,
    events: AppendFile,
    log: Option<Arc<File>>,
    /// Events that the disk did not take.
    unsaved: Vec<Entry>,
    synced: Instant,
}

/// A file that is appended to in whole lines.
#[derive(Debug)]
struct AppendFile {
    file: File,
    /// Its length in whole lines.
    whole: u64,
    /// Whether anything was appended since the file was last brought to the disk.
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
            // half a line would spoil the next one
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
    /// Makes the folder `out/<id>`, with the record as it stands at the begin; a number is put to an id that is taken, and
    /// the record is told.
    ///
    /// # Errors
    /// One sentence where the folder cannot be made or written to.
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
        // a file system without locks still holds a record
        let _ = trace.file.try_lock();
        // a disk with little room is told of when it is full
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

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that takes what the command prints, where it is kept.
    pub fn log(&self) -> Option<Arc<File>> {
        self.log.clone()
    }

    /// Appends readings, lines of `trace.csv`.
    ///
    /// # Errors
    /// The disk's; nothing of the lines was written then.
    pub fn append_readings(&mut self, lines: &str) -> io::Result<()> {
        self.trace.append(lines)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// As [`Self::append_readings`].
    pub fn append_event(&mut self, entry: &Entry) -> io::Result<()> {
        let line = entry.line().map_err(io::Error::other)?;
        self.events.append(&line).inspect_err(|_| {
            if self.unsaved.len() < MAX_UNSAVED {
                self.unsaved.push(entry.clone());
            }
        })
    }

    /// Brings to the disk what was appended, at most every second.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced.elapsed() < SYNC_INTERVAL {
            return Ok(());
        }
        self.synced = Instant::now();
        self.trace.sync()?;
        self.events.sync()?;
        self.log.as_ref().map_or(Ok(()), |log| log.sync_data())
    }

    /// Closes the record from what was appended.
    ///
    /// # Errors
    /// One sentence where a file cannot be read, or `run.json` not be written.
    pub fn close(mut self, opened: Record) -> Result<Record> {
        // a disk that is full has been told of before
        let _ = self.trace.sync().and_then(|()| self.events.sync());
        close(&self.path, opened, self.unsaved, State::Finished)
    }

    /// Removes the folder of a run that never began.
    pub fn discard(self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Makes the folder `out/<id>` of a record that is closed, and gives its path.
///
/// # Errors
/// As [`Folder::create`].
pub fn keep(out: &Path, record: &mut Record) -> Result<PathBuf> {
    let (out, made) = temporary(out)?;
    move_into_place(made, &out, record)
}

/// The folder of records, as an absolute path, and a folder in it that has no name yet.
fn temporary(out: &Path) -> Result<(PathBuf, TempDir)> {
    let fail = |e: io::Error| Error::io(out, &e);
    std::fs::create_dir_all(out).map_err(fail)?;
    let absolute = std::path::absolute(out).map_err(fail)?;
    let made = tempfile::Builder::new().prefix(".begun-").tempdir_in(&absolute).map_err(fail)?;
    readable_by_others(made.path()).map_err(fail)?;
    Ok((absolute, made))
}

/// Writes the record into its folder and names that by the record's id, so that there is a whole folder or none.
fn move_into_place(made: TempDir, out: &Path, record: &mut Record) -> Result<PathBuf> {
    let wanted = record.id.clone();
    for attempt in 2..1000 {
        write(&made.path().join(RUN), record)?;
        let path = out.join(&record.id);
        // an empty folder would be replaced, and it may be somebody's
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
    Err(Error::Failed(format!("{}: there are a thousand records {wanted}", out.display())))
}

/// What became of a record that was to be recovered.
#[derive(Debug)]
pub enum Recovery {
    /// It was closed now.
    Closed(Box<Record>),
    /// It had been closed before.
    AlreadyClosed(Box<Record>),
    /// A running wattlaw is writing it.
    Locked,
}

/// Closes a record whose writer died, from what was written.
///
/// # Errors
/// One sentence where it is no record, or cannot be written to.
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
    // who held the lock may have closed it meanwhile
    let record = read(path)?;
    if record.state != State::Running {
        return Ok(Recovery::AlreadyClosed(Box::new(record)));
    }
    cut_torn_line(&trace)?;
    cut_torn_line(&path.join(EVENTS))?;
    close(path, record, Vec::new(), State::Recovered)
        .map(|record| Recovery::Closed(Box::new(record)))
}

/// Reads a record, and tells whether it will be closed: it is, or a running wattlaw writes it.
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
    // who held the lock may have closed it meanwhile
    let record = read(path)?;
    let closed = record.state != State::Running;
    Ok((record, closed))
}

/// Whether a running wattlaw holds the lock.
///
/// A command that was just being started when its wattlaw was killed holds it too, for the moment until it is a program of its
/// own.
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
/// One sentence where there is none, or where it is none.
pub fn read(path: &Path) -> Result<Record> {
    let file = if path.is_dir() { path.join(RUN) } else { path.to_owned() };
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io(&file, &e))?;
    Record::from_json(&text).map_err(|e| Error::Failed(format!("{}: {e}", file.display())))
}

/// The folders in `out` that hold a record, in the order of their names, which is that of time.
///
/// # Errors
/// One sentence where the folder cannot be read.
pub fn all(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(out).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut found: Vec<PathBuf> = entries
        .map_err(|e| Error::io(out, &e))?
        .into_iter()
        // one that is being made begins with a dot
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .filter(|path| path.join(RUN).is_file())
        .collect();
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
    let mut closing = Closing::new(opened, entries);
    each_line(&path.join(TRACE), |line| closing.line(line))?;
    let mut record = closing.close(state);
    if unreadable > 0 {
        record
            .notes
            .push(format!("{unreadable} lines of {EVENTS} could not be read and were left out"));
    }
    let end = record.begin.unwrap_or(Seconds::ZERO) + record.duration.unwrap_or(Seconds::ZERO);
    record.ended_at = started.and_then(|started| {
        let since = SignedDuration::try_from_secs_f64(end.value()).ok()?;
        started.checked_add(since).ok().map(rfc3339)
    });
    // gives room to write on a disk that is full
    let _ = std::fs::remove_file(path.join(SPARE));
    write(&path.join(RUN), &record)?;
    Ok(record)
}

/// Hands on each whole line of a file; one that is no UTF-8 as text that cannot be read.
fn each_line(path: &Path, mut take: impl FnMut(&str)) -> Result<()> {
    let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io(path, &e))?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(|e| Error::io(path, &e))? > 0 {
        if line.pop() == Some(b'\n') {
            take(std::str::from_utf8(&line).unwrap_or("\u{fffd}"));
        }
        line.clear();
    }
    Ok(())
}

/// Cuts what follows the last whole line.
fn cut_torn_line(path: &Path) -> Result<()> {
    let whole = (|| {
        let mut reader = BufReader::new(File::open(path)?);
        let (mut whole, mut line) = (0, Vec::new());
        loop {
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            whole += read as u64;
            line.clear();
        }
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() > whole { file.set_len(whole) } else { Ok(()) }
    })();
    whole.map_err(|e| Error::io(path, &e))
}

/// Writes a record whole: beside its file, which it then replaces.
///
/// # Errors
/// One sentence where the disk does not take it; the file that was there stays as it was.
pub fn write(path: &Path, record: &Record) -> Result<()> {
    write_atomic(path, &record.to_json().map_err(|e| Error::Failed(e.to_string()))?)
}

/// Writes a file whole: beside it, and then in its place.
pub fn write_atomic(path: &Path, text: &str) -> Result<()> {
    let fail = |e: &io::Error| Error::io(path, e);
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        // a temporary file is private by default; this one becomes a file like any other
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|e| fail(&e))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    Ok(())
}

/// A temporary folder is private; a record's is a folder like any other.
fn readable_by_others(folder: &Path) -> io::Result<()> {
    let probe = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(folder)?;
    let mode = std::fs::metadata(probe.path())?.permissions();
    std::fs::set_permissions(folder, mode)
}

/// A moment as records write it: RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}
