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

/// A table of rows under a header.
///
/// # Errors
/// None when every row is as long as the header.
pub fn write(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::Data(e.to_string());
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Error::Data(e.to_string()))
}
