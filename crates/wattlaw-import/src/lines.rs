//! Reads logs line by line in constant memory.

use std::io::{BufRead, Read as _};

use memchr::memchr;

use super::Format;
use wattlaw::base::error::{Error, Location, Result};

/// Maximum length of a line in bytes; longer lines are not text logs.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Maximum length of a document that is read as a whole, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 1 << 26;

/// An open log: its name for errors, and its contents.
pub struct Source<'a> {
    /// Name of the file.
    pub name: &'a str,
    /// Its bytes, from the first one.
    pub input: &'a mut dyn BufRead,
}

impl Source<'_> {
    /// Detects the format from the first bytes without consuming them.
    ///
    /// # Errors
    /// [`Error::Syntax`] for UTF-16, and [`Error::Data`] for a file that cannot be read.
    pub fn format(&mut self) -> Result<Option<Format>> {
        let head = self.input.fill_buf().map_err(|e| unreadable(self.name, &e))?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            let message =
                "the file is UTF-16, as written by PowerShell's >; it must be UTF-8".to_owned();
            return Err(Error::Syntax { format: "text", message }.at(Location::file(self.name)));
        }
        Ok(Format::detect(head))
    }

    /// All bytes of a document that can only be read as a whole, without byte order mark.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that cannot be read, or one of more than 64 MiB.
    pub(crate) fn whole(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut input = (&mut *self.input).take(MAX_DOCUMENT_BYTES + 1);
        input.read_to_end(&mut bytes).map_err(|e| unreadable(self.name, &e))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(Error::Data("the file is larger than 64 MiB".to_owned())
                .at(Location::file(self.name)));
        }
        let mark = bytes.len() - without_bom(&bytes).len();
        bytes.drain(..mark);
        Ok(bytes)
    }

    /// Calls `each` with the number and bytes of every line, without line end and byte order mark; returns the number of lines.
    ///
    /// # Errors
    /// Errors of `each`; [`Error::Data`] for a file that cannot be read or a line of more than 1 MiB.
    pub(crate) fn lines(&mut self, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<u64> {
        let mut number = 0;
        // start of a line from the previous block
        let mut begun: Vec<u8> = Vec::new();
        loop {
            let block = self.input.fill_buf().map_err(|e| unreadable(self.name, &e))?;
            if block.is_empty() {
                break;
            }
            let length = block.len();
            let mut rest = block;
            while let Some(end) = memchr(b'\n', rest) {
                number += 1;
                if begun.is_empty() {
                    each(number, trimmed(&rest[..end], number))?;
                } else {
                    begun.extend_from_slice(&rest[..end]);
                    each(number, trimmed(&begun, number))?;
                    begun.clear();
                }
                rest = &rest[end + 1..];
            }
            begun.extend_from_slice(rest);
            self.input.consume(length);
            if begun.len() > MAX_LINE_BYTES {
                return Err(Error::Data(
                    "the line is longer than 1 MiB, so this is not a text log".to_owned(),
                )
                .at(Location::line(self.name, number + 1)));
            }
        }
        if !begun.is_empty() {
            number += 1;
            each(number, trimmed(&begun, number))?;
        }
        Ok(number)
    }
}

/// The error for a file that cannot be read.
pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Error {
    Error::Data(format!("cannot be read: {error}")).at(Location::file(name))
}

fn trimmed(line: &[u8], number: u64) -> &[u8] {
    let line = if number == 1 { without_bom(line) } else { line };
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The bytes after a UTF-8 byte order mark.
pub(super) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A line as text.
///
/// # Errors
/// [`Error::Syntax`] if the line is not UTF-8 or has a zero byte.
pub(super) fn text(line: &[u8]) -> Result<&str> {
    let not = |message: &str| Error::Syntax { format: "text", message: message.to_owned() };
    if memchr(0, line).is_some() {
        return Err(not("the line has a zero byte, so this is a binary file"));
    }
    std::str::from_utf8(line).map_err(|_| not("the text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn lines_are_the_same_whatever_the_blocks() {
        let bytes = b"\xef\xbb\xbfone\r\n\ntwo,three\nlast";
        for size in 1..30 {
            let mut reader = BufReader::with_capacity(size, &bytes[..]);
            let mut found = Vec::new();
            let mut source = Source { name: "x", input: &mut reader };
            let lines = source.lines(|n, l| {
                found.push((n, String::from_utf8(l.to_vec()).unwrap()));
                Ok(())
            });
            let expected = [(1, "one"), (2, ""), (3, "two,three"), (4, "last")];
            // a byte order mark may be split between blocks, but lines are complete when processed
            assert_eq!(found, expected.map(|(n, t)| (n, t.to_owned())), "blocks of {size}");
            assert_eq!(lines.unwrap(), 4);
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let bytes = vec![b'x'; MAX_LINE_BYTES + 2];
        let mut reader = BufReader::new(&bytes[..]);
        let mut source = Source { name: "x.log", input: &mut reader };
        let error = source.lines(|_, _| Ok(())).unwrap_err().to_string();
        assert_eq!(error, "x.log:1: the line is longer than 1 MiB, so this is not a text log");
    }
}
