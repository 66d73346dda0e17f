//! Reads and writes CSV; errors are one sentence with the line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use crate::base::error::{Error, Location, Result};

/// Longest row of a table in bytes; a longer one has an unclosed quotation mark, or is no table.
const MAX_ROW_BYTES: usize = 1 << 20;

/// Most columns of a table; no run table has a tenth of them.
const MAX_COLUMNS: usize = 4096;

/// A reader of a table with a header; it trims cells and skips a byte-order mark.
///
/// # Errors
/// [`Error::At`] with the line of a row of more than 1 MiB.
pub fn reader<'a>(bytes: &'a [u8], file: &str) -> Result<csv::Reader<&'a [u8]>> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_rows(text).map_err(|(line, error)| error.at(Location::line(file, line)))?;
    Ok(csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text))
}

/// A reader of a table of any length with a header; it trims cells and skips a byte-order mark. Before each record its input is told
/// that a row begins.
pub fn stream<R: Read>(input: R) -> csv::Reader<Bounded<R>> {
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(Bounded::new(input, MAX_ROW_BYTES))
}

/// Input with a limited row length, so that a stray quotation mark does not exhaust the memory.
pub struct Bounded<R> {
    input: R,
    of_row: usize,
    most: usize,
}

impl<R> Bounded<R> {
    /// Input whose rows have at most so many bytes, which are MiB.
    pub const fn new(input: R, most: usize) -> Self {
        Self { input, of_row: 0, most }
    }

    /// Begins a row.
    pub const fn begin_row(&mut self) {
        self.of_row = 0;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.of_row > self.most {
            return Err(std::io::Error::other(format!(
                "a row is longer than {} MiB; a quotation mark is not closed",
                self.most >> 20
            )));
        }
        let n = self.input.read(buffer)?;
        self.of_row += n;
        Ok(n)
    }
}

/// Checks that no row is too long to be read in bounded memory.
fn check_rows(text: &[u8]) -> std::result::Result<(), (u64, Error)> {
    let (mut line, mut row, mut begin) = (1, 1, 0);
    let mut quoted = false;
    for at in memchr::memchr2_iter(b'\n', b'"', text).chain([text.len()]) {
        if at - begin > MAX_ROW_BYTES {
            let text =
                "the row is longer than 1 MiB: a quotation mark is not closed, or this is no table";
            return Err((row, Error::Data(text.to_owned())));
        }
        match text.get(at) {
            Some(b'"') => quoted = !quoted,
            Some(_) => {
                line += 1;
                if !quoted {
                    (row, begin) = (line, at + 1);
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// The error of a reader, with its location.
pub fn syntax(error: &csv::Error, file: &str) -> Error {
    let place = match error.position() {
        Some(position) => Location::line(file, position.line()),
        None => Location::file(file),
    };
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells and the header {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    Error::Syntax { format: "CSV", message }.at(place)
}

/// Checks that each column occurs once in a header.
///
/// # Errors
/// [`Error::Invalid`] for a column that occurs again, or for more than 4096 columns.
pub fn once(headers: &csv::StringRecord) -> Result<()> {
    if headers.len() > MAX_COLUMNS {
        return Err(Error::invalid(
            "the header",
            format!("{} columns", headers.len()),
            format!("at most {MAX_COLUMNS} are allowed"),
        ));
    }
    let mut seen = BTreeSet::new();
    for header in headers {
        if !header.is_empty() && !seen.insert(header) {
            return Err(Error::invalid(
                "column",
                format!("`{header}` twice"),
                "each column may occur once",
            ));
        }
    }
    Ok(())
}

/// Characters with which a spreadsheet takes a cell for a formula; see OWASP, "CSV Injection".
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A cell as a spreadsheet shows it: a text that it would take for a formula gets a quote before it.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    match cell.trim_start_matches('\'').starts_with(FORMULA) && cell.parse::<f64>().is_err() {
        true => Cow::Owned(format!("'{cell}")),
        false => Cow::Borrowed(cell),
    }
}

/// Whether [`harmless`] gave a cell a quote.
fn is_quoted(cell: &str) -> bool {
    cell.starts_with('\'') && cell.trim_start_matches('\'').starts_with(FORMULA)
}

/// A cell as it was before it was written: without the quote of [`harmless`].
pub fn plain_cell(cell: &str) -> &str {
    if is_quoted(cell) { &cell[1..] } else { cell }
}

/// A row as it was before it was written: without the quotes of [`write()`].
pub fn plain(row: csv::StringRecord) -> csv::StringRecord {
    if !row.iter().any(is_quoted) {
        return row;
    }
    let position = row.position().cloned();
    let mut plain: csv::StringRecord = row.iter().map(plain_cell).collect();
    plain.set_position(position);
    plain
}

/// A table of rows under a header; texts that a spreadsheet would take for a formula are made harmless.
///
/// # Errors
/// None when every row is as long as the header.
pub fn write(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::Data(e.to_string());
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        let cells = row.iter().map(|cell| harmless(cell));
        writer.write_record(cells.map(|cell| cell.into_owned())).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Error::Data(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_headers_are_bounded() {
        let long = format!("a,b\n1,2\n\"{}", "x\n".repeat(MAX_ROW_BYTES));
        let error = reader(long.as_bytes(), "t.csv").unwrap_err().to_string();
        assert!(error.starts_with("t.csv:3: the row is longer than 1 MiB"), "{error}");
        let fine = "a,b\n".to_owned() + &"\"1\n1\",2\n".repeat(200_000);
        assert_eq!(reader(fine.as_bytes(), "t.csv").unwrap().records().count(), 200_000);
        let wide: csv::StringRecord = (0..5000).map(|i| i.to_string()).collect();
        assert!(once(&wide).unwrap_err().to_string().contains("5000 columns, but at most 4096"));
        assert!(once(&["a", "", "", "a"].into_iter().collect()).is_err());
    }

    #[test]
    fn a_text_is_no_formula_and_is_read_back() {
        let cells = ["=1+1", "'=a", "@x", "-cmd", "-1.5", "+2e3", "it's", "''"];
        let row = || cells.map(str::to_owned).to_vec();
        let text =
            write(&["a", "b", "c", "d", "e", "f", "g", "h"], std::iter::once(row())).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line, "'=1+1,''=a,'@x,'-cmd,-1.5,+2e3,it's,''");
        let read = reader(text.as_bytes(), "t.csv").unwrap().records().next().unwrap().unwrap();
        assert_eq!(plain(read).iter().collect::<Vec<_>>(), cells);
    }
}
