//! Reads a table with a header row by row; columns are found by name.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::data_issue::{DataIssue, Findings};
use super::lines::{Source, unreadable, without_bom};
use super::number::{MAX_VALUE, is_missing_value, number, shortened};
use wattlaw::base::csv_text::Bounded;
use wattlaw::base::error::{Error, Location, Result};

/// A table whose header has been read.
pub(super) struct Table<'a> {
    name: &'a str,
    reader: csv::Reader<Bounded<Box<dyn Read + 'a>>>,
    header: Vec<String>,
    record: ByteRecord,
    delimiter: u8,
    torn: Option<u64>,
    /// Columns that a row cannot do without.
    needed: Vec<usize>,
    /// The first row without one of them, its column, and the number of such rows.
    without: Option<(u64, usize, u64)>,
    rows: u64,
    /// 1 for CR LF line ends, because the CSV reader counts the LF to the next row.
    lag: u64,
}

impl<'a> Table<'a> {
    /// Reads the header. The delimiter is the most frequent of comma, semicolon and tab in it.
    ///
    /// # Errors
    /// [`Error::At`] for an empty file, a header that is not UTF-8, or a repeated column.
    pub(super) fn open(source: &'a mut Source<'_>) -> Result<Self> {
        let name = source.name;
        let head = source.input.fill_buf().map_err(|e| unreadable(name, &e))?;
        let mark = head.len() - without_bom(head).len();
        let first = head[mark..].split(|b| *b == b'\n').next().unwrap_or_default();
        let count = |d: u8| first.iter().filter(|b| **b == d).count();
        let lag = u64::from(first.ends_with(b"\r"));
        let delimiter =
            [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(b',');
        source.input.consume(mark);
        let input: Box<dyn Read + 'a> = Box::new(&mut *source.input);
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Bounded::new(input, MAX_ROW_BYTES));
        let mut record = ByteRecord::new();
        let some = reader.read_byte_record(&mut record).map_err(|e| syntax(&e, name))?;
        if !some || record.iter().all(<[u8]>::is_empty) {
            return Err(Error::Data("the file is empty; expected a table with a header".into())
                .at(Location::file(name)));
        }
        check_count(record.len()).map_err(|e| e.at(Location::line(name, 1)))?;
        let header = record
            .iter()
            .map(|cell| super::lines::text(cell).map(str::to_owned))
            .collect::<Result<Vec<_>>>()
            .map_err(|e| e.at(Location::line(name, 1)))?;
        check_titles(&header).map_err(|e| e.at(Location::line(name, 1)))?;
        Ok(Self {
            name,
            reader,
            header,
            record,
            delimiter,
            torn: None,
            needed: Vec::new(),
            without: None,
            rows: 0,
            lag,
        })
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Reports rows that were skipped: those without a needed cell, and an incomplete last line.
    pub(super) fn end(&self, findings: &mut Findings) {
        if let Some((line, column, times)) = self.without {
            let title = self.header.get(column).map_or("", String::as_str);
            let text = format!("column `{title}` has no value; the row was skipped");
            for _ in 0..times {
                findings.add(DataIssue::MissingValue, self.name, Some(line), text.as_str());
            }
        }
        if self.torn.is_some() {
            let text = "the last line is incomplete and was skipped";
            findings.add(DataIssue::Skipped, self.name, self.torn, text);
        }
    }

    /// Position of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|title| title == name)
    }

    /// Position of a column with any of several names; rows without a value in it are skipped.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none.
    pub(super) fn required(&mut self, names: &[&str], what: &str) -> Result<usize> {
        let at = names.iter().find_map(|name| self.column(name)).ok_or_else(|| {
            Error::missing(format!("column `{}`", names.first().unwrap_or(&"")), what)
                .at(Location::line(self.name, 1))
        })?;
        self.need(at);
        Ok(at)
    }

    /// Skips rows without a value in this column.
    pub(super) fn need(&mut self, column: usize) {
        self.needed.push(column);
    }

    /// The next row, or `None` at the end; blank rows, repeated headers and rows without a needed cell are skipped.
    ///
    /// # Errors
    /// [`Error::At`] for a row with another number of cells than the header, or if every row lacks a needed cell.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>> {
        loop {
            self.reader.get_mut().begin_row();
            let some = self
                .reader
                .read_byte_record(&mut self.record)
                .map_err(|e| syntax(&e, self.name))?;
            if !some {
                return self.last();
            }
            let again =
                self.record.iter().map(Some).eq(self.header.iter().map(|t| Some(t.as_bytes())));
            let blank = self.record.iter().all(<[u8]>::is_empty);
            if again || blank {
                continue;
            }
            let line = self.record.position().map_or(0, csv::Position::line) + self.lag;
            let complete = self.record.len() == self.header.len();
            match self.needed.iter().find(|at| complete && self.lacks(**at)) {
                Some(column) => {
                    let (first, column, times) = self.without.unwrap_or((line, *column, 0));
                    self.without = Some((first, column, times + 1));
                }
                None => break,
            }
        }
        let line = self.record.position().map_or(0, csv::Position::line) + self.lag;
        self.rows += 1;
        if self.record.len() != self.header.len() {
            let cells = self.record.len();
            // a killed tool leaves an incomplete last line
            if cells < self.header.len() {
                let mut more = ByteRecord::new();
                if !self.reader.read_byte_record(&mut more).map_err(|e| syntax(&e, self.name))? {
                    self.torn = Some(line);
                    return Ok(None);
                }
            }
            let hint = if self.record.len() > self.header.len() && self.delimiter == b',' {
                "; a decimal comma or a row of another tool version may be the cause"
            } else {
                ""
            };
            return Err(Error::Syntax {
                format: "CSV",
                message: format!(
                    "the row has {} cells and the header {}{hint}",
                    self.record.len(),
                    self.header.len()
                ),
            }
            .at(Location::line(self.name, line)));
        }
        Ok(Some(Row { name: self.name, line, header: &self.header, record: &self.record }))
    }
}

impl Table<'_> {
    /// Whether the cell of the current row marks a missing value.
    fn lacks(&self, column: usize) -> bool {
        let cell = self.record.get(column).unwrap_or_default();
        std::str::from_utf8(cell).is_ok_and(is_missing_value)
    }

    /// The end of the table.
    fn last(&self) -> Result<Option<Row<'_>>> {
        match self.without {
            Some((line, column, _)) if self.rows == 0 => {
                let title = self.header.get(column).map_or("", String::as_str);
                Err(Error::missing(format!("column `{title}`"), "the cell is empty")
                    .at(Location::line(self.name, line)))
            }
            _ => Ok(None),
        }
    }
}

/// Maximum length of a row in bytes; a longer row has an unclosed quotation mark.
const MAX_ROW_BYTES: usize = 1 << 22;

/// A row of a table.
pub(super) struct Row<'a> {
    name: &'a str,
    /// Line of the file.
    pub(super) line: u64,
    header: &'a [String],
    record: &'a ByteRecord,
}

impl<'a> Row<'a> {
    /// The text of a cell; `None` for an absent column or a missing value.
    ///
    /// # Errors
    /// [`Error::Syntax`] if the cell is not UTF-8.
    pub(super) fn text(&self, column: Option<usize>) -> Result<Option<&'a str>> {
        let Some(cell) = column.and_then(|at| self.record.get(at)) else { return Ok(None) };
        let text = super::lines::text(cell).map_err(|e| self.error_here(e))?;
        Ok((!is_missing_value(text)).then_some(text))
    }

    /// The number in a cell.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not a finite number.
    pub(super) fn number(&self, column: Option<usize>) -> Result<Option<f64>> {
        let Some(text) = self.text(column)? else { return Ok(None) };
        let title = column.and_then(|at| self.header.get(at)).map_or("", String::as_str);
        number(text, &format!("column `{title}`")).map(Some).map_err(|e| self.error_here(e))
    }

    /// A non-negative number, such as an energy.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative number, and as [`Self::number`].
    pub(super) fn amount(&self, column: Option<usize>) -> Result<Option<f64>> {
        let Some(x) = self.number(column)? else { return Ok(None) };
        if (0.0..=MAX_VALUE).contains(&x) {
            return Ok(Some(x));
        }
        let title = column.and_then(|at| self.header.get(at)).map_or("", String::as_str);
        let shown = self.text(column)?.unwrap_or_default();
        Err(self.error_here(Error::invalid(
            format!("column `{title}`"),
            format!("`{}`", shortened(shown)),
            "it must be a number from 0 to 1e18",
        )))
    }

    /// A required non-negative number.
    ///
    /// # Errors
    /// [`Error::Missing`] if the cell is empty, and as [`Self::amount`].
    pub(super) fn required(&self, column: usize) -> Result<f64> {
        self.amount(Some(column))?.ok_or_else(|| {
            let title = self.header.get(column).map_or("", String::as_str);
            self.error_here(Error::missing(format!("column `{title}`"), "the cell is empty"))
        })
    }

    /// Adds the row's location to an error.
    pub(super) fn error_here(&self, error: Error) -> Error {
        error.at(Location::line(self.name, self.line))
    }

    /// Whether there are values after the last titled column.
    pub(super) fn has_extra_cells(&self) -> bool {
        let titles = self.header.iter().rposition(|title| !title.is_empty()).map_or(0, |at| at + 1);
        self.record.iter().skip(titles).any(|cell| !cell.is_empty())
    }
}

/// Checks that the titles are unique.
///
/// # Errors
/// [`Error::Invalid`] for a repeated column, or for more than 4096 columns.
pub(super) fn check_titles(titles: &[String]) -> Result<()> {
    check_count(titles.len())?;
    for (i, title) in titles.iter().enumerate() {
        if !title.is_empty() && titles[..i].contains(title) {
            return Err(Error::invalid(
                "column",
                format!("`{title}` twice"),
                "column names must be unique",
            ));
        }
    }
    Ok(())
}

/// Checks the number of columns.
///
/// # Errors
/// [`Error::Invalid`] for more than 4096.
fn check_count(columns: usize) -> Result<()> {
    if columns <= 4096 {
        return Ok(());
    }
    Err(Error::invalid("the header", format!("{columns} columns"), "at most 4096 are allowed"))
}

fn syntax(error: &csv::Error, file: &str) -> Error {
    let place = match error.position() {
        Some(position) => Location::line(file, position.line()),
        None => Location::file(file),
    };
    Error::Syntax { format: "CSV", message: error.to_string() }.at(place)
}
