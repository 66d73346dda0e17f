//! Reads and writes CSV; errors are one sentence with the line.

use crate::base::error::{Error, Location, Result};

/// A reader of a table with a header; it trims cells and skips a byte-order mark.
pub fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text)
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
pub fn once(headers: &csv::StringRecord) -> Result<()> {
    for (i, header) in headers.iter().enumerate() {
        if !header.is_empty() && headers.iter().skip(i + 1).any(|h| h == header) {
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
fn harmless(cell: String) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    match cell.trim_start_matches('\'').starts_with(FORMULA) && !is_number {
        true => format!("'{cell}"),
        false => cell,
    }
}

/// A row as it was before it was written: without the quotes of [`write`].
pub fn plain(row: csv::StringRecord) -> csv::StringRecord {
    let quoted =
        |cell: &str| cell.starts_with('\'') && cell.trim_start_matches('\'').starts_with(FORMULA);
    if !row.iter().any(quoted) {
        return row;
    }
    let position = row.position().cloned();
    let cells = row.iter().map(|cell| if quoted(cell) { &cell[1..] } else { cell });
    let mut plain: csv::StringRecord = cells.collect();
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
        let cells = row.into_iter().map(harmless);
        writer.write_record(cells).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Error::Data(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_formula_and_is_read_back() {
        let cells = ["=1+1", "'=a", "@x", "-cmd", "-1.5", "+2e3", "it's", "''"];
        let row = || cells.map(str::to_owned).to_vec();
        let text =
            write(&["a", "b", "c", "d", "e", "f", "g", "h"], std::iter::once(row())).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line, "'=1+1,''=a,'@x,'-cmd,-1.5,+2e3,it's,''");
        let read = reader(text.as_bytes()).records().next().unwrap().unwrap();
        assert_eq!(plain(read).iter().collect::<Vec<_>>(), cells);
    }
}
