//! Follows a file to which another program appends lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::lines::Lines;

/// Reader of appended lines.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    read: u64,
    lines: Lines,
}

impl Tail {
    /// Follows a file from its current end; the file may not exist yet.
    pub fn new(path: PathBuf) -> Self {
        let file = File::open(&path).ok();
        let read = file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        Self { path, file, read, lines: Lines::default() }
    }

    /// Follows a file from its start; the file may not exist yet.
    pub fn from_start(path: PathBuf) -> Self {
        Self { path, file: None, read: 0, lines: Lines::default() }
    }

    /// The lines appended since the last call.
    pub fn lines(&mut self) -> Vec<Vec<u8>> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Vec::new() };
        let length = file.metadata().map_or(0, |m| m.len());
        if length < self.read {
            // the file was truncated
            self.read = 0;
            self.lines = Lines::default();
        }
        let mut found = Vec::new();
        let mut buffer = [0; 1 << 12];
        while self.read < length {
            let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read(&mut buffer));
            match read {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    self.read += n as u64;
                    found.extend(self.lines.split(buffer.get(..n).unwrap_or_default()));
                }
            }
        }
        found
    }

    /// The last lines, including an incomplete one.
    pub fn finish(&mut self) -> Vec<Vec<u8>> {
        let mut found = self.lines();
        found.extend(self.lines.rest());
        found
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
        assert_eq!(tail.finish(), [b"three".to_vec()]);
        let mut file = File::create(&path).unwrap();
        assert!(tail.lines().is_empty());
        writeln!(file, "anew").unwrap();
        assert_eq!(tail.lines(), [b"anew".to_vec()]);
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
