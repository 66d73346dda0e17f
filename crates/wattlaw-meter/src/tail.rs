//! Follows a file to which another program appends lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::lines::Lines;

/// Size of a block: events of a burst must not fill the memory, nor keep readings from the disk.
const BLOCK_BYTES: usize = 1 << 16;

/// Reader of appended lines.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    read: u64,
    lines: Lines,
    buffer: Vec<u8>,
}

impl Tail {
    /// Follows a file from its current end; the file may not exist yet.
    pub fn new(path: PathBuf) -> Self {
        let file = File::open(&path).ok();
        let read = file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        Self { path, file, read, lines: Lines::default(), buffer: vec![0; BLOCK_BYTES] }
    }

    /// Follows a file from its start; the file may not exist yet.
    pub fn from_start(path: PathBuf) -> Self {
        let buffer = vec![0; BLOCK_BYTES];
        Self { path, file: None, read: 0, lines: Lines::default(), buffer }
    }

    /// The lines appended since the last call.
    pub fn lines(&mut self) -> Vec<Vec<u8>> {
        let end = self.end();
        std::iter::from_fn(|| self.block(end)).flatten().collect()
    }

    /// Where the file ends now; blocks are read up to there.
    pub(crate) fn end(&mut self) -> u64 {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let length = self.file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        if length < self.read {
            // the file was truncated
            self.read = 0;
            self.lines = Lines::default();
        }
        length
    }

    /// The lines of the next block before `end`; `None` if there is none.
    pub(crate) fn block(&mut self, end: u64) -> Option<Vec<Vec<u8>>> {
        let file = self.file.as_mut().filter(|_| self.read < end)?;
        let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read(&mut self.buffer));
        let read = read.ok().filter(|read| *read > 0)?;
        self.read += read as u64;
        Some(self.lines.split(self.buffer.get(..read).unwrap_or_default()))
    }

    /// The last line, if it is incomplete.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        self.lines.rest()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_read_once_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().is_empty());
        let mut file = File::create(&path).unwrap();
        write!(file, "one\ntw").unwrap();
        assert_eq!(tail.lines(), [b"one".to_vec()]);
        write!(file, "o\nthree").unwrap();
        assert_eq!(tail.lines(), [b"two".to_vec()]);
        assert!(tail.lines().is_empty());
        assert_eq!(tail.rest(), Some(b"three".to_vec()));
        let mut file = File::create(&path).unwrap();
        assert!(tail.lines().is_empty());
        writeln!(file, "anew").unwrap();
        assert_eq!(tail.lines(), [b"anew".to_vec()]);
    }

    /// Whoever reads may do something else between the blocks of a burst.
    #[test]
    fn a_burst_is_read_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, "event\n".repeat(BLOCK_BYTES)).unwrap();
        let mut tail = Tail::from_start(path.clone());
        let end = tail.end();
        let mut lines = 0;
        for _ in 0..6 {
            let block = tail.block(end).unwrap();
            assert!(block.len() <= BLOCK_BYTES.div_ceil(6), "{}", block.len());
            lines += block.len();
            // what is appended meanwhile is read later
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            writeln!(file, "later").unwrap();
        }
        assert_eq!((lines, tail.block(end)), (BLOCK_BYTES, None));
        assert_eq!(tail.lines(), vec![b"later".to_vec(); 6]);
    }

    #[test]
    fn existing_lines_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, "of another run\n").unwrap();
        let mut tail = Tail::new(path.clone());
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"ours\n").unwrap();
        assert_eq!(tail.lines(), [b"ours".to_vec()]);
    }
}
