//! The formats of tables: found out from the first bytes of a file, chosen by the suffix of a name.

use std::path::Path;

use wattlaw::base::error::{Error, Location, Result};

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Text with a header, RFC 4180.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file, which is also version 2 of Feather.
    ArrowFile,
    /// An Arrow IPC stream.
    ArrowStream,
}

/// The first bytes of an Arrow IPC file.
pub(crate) const ARROW_FILE: &[u8] = b"ARROW1";

/// The mark before each message of an Arrow IPC stream.
pub(crate) const CONTINUATION: [u8; 4] = [0xff; 4];

/// The suffixes of names of tables, and the format of each.
const SUFFIXES: [(&str, TableFormat); 7] = [
    ("csv", TableFormat::Csv),
    ("parquet", TableFormat::Parquet),
    ("pq", TableFormat::Parquet),
    ("arrow", TableFormat::ArrowFile),
    ("feather", TableFormat::ArrowFile),
    ("ipc", TableFormat::ArrowFile),
    ("arrows", TableFormat::ArrowStream),
];

/// The suffix of a name, and its format where it has one.
fn suffix(path: &Path) -> Option<(String, Option<TableFormat>)> {
    let suffix = path.extension()?.to_string_lossy().to_lowercase();
    let known = SUFFIXES.iter().find(|(known, _)| *known == suffix);
    Some((suffix, known.map(|(_, format)| *format)))
}

impl TableFormat {
    /// Bytes that [`TableFormat::detect`] needs.
    pub const HEAD: usize = ARROW_FILE.len();

    /// The format of a file by its first bytes. CSV has no mark of its own: it is what has no other mark, unless the suffix of the name
    /// is one of the other formats.
    ///
    /// # Errors
    /// [`Error::At`] for a file without a mark whose name says that it has one.
    pub fn detect(head: &[u8], name: &str) -> Result<Self> {
        if head.starts_with(b"PAR1") {
            return Ok(Self::Parquet);
        }
        if head.starts_with(ARROW_FILE) {
            return Ok(Self::ArrowFile);
        }
        if head.starts_with(&CONTINUATION) {
            return Ok(Self::ArrowStream);
        }
        let format = match suffix(Path::new(name)) {
            None | Some((_, None | Some(Self::Csv))) => return Ok(Self::Csv),
            Some((_, Some(Self::Parquet))) => "Parquet",
            Some((_, Some(Self::ArrowFile | Self::ArrowStream))) => "Arrow IPC",
        };
        let message = "the file does not begin as such a file does; if it is CSV, give it a name that ends in .csv";
        Err(Error::Syntax { format, message: message.to_owned() }.at(Location::file(name)))
    }

    /// The format of a file that is written, by the suffix of its name; CSV for a name without one, such as that of a device.
    ///
    /// # Errors
    /// [`Error::At`] for a suffix that no format has.
    pub fn of_path(path: &Path) -> Result<Self> {
        match suffix(path) {
            None => Ok(Self::Csv),
            Some((_, Some(format))) => Ok(format),
            Some((suffix, None)) => {
                let known: Vec<String> =
                    SUFFIXES.iter().map(|(known, _)| format!(".{known}")).collect();
                let expected = format!("a table is written to one of {}", known.join(", "));
                Err(Error::invalid("the suffix", format!("`.{suffix}`"), expected)
                    .at(Location::file(path.display().to_string())))
            }
        }
    }

    /// The format's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::ArrowFile => "an Arrow IPC file",
            Self::ArrowStream => "an Arrow IPC stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_suffix_say_the_format() {
        use TableFormat::{ArrowFile, ArrowStream, Csv, Parquet};
        for (head, format) in [
            (&b"PAR1\x15\x04"[..], Parquet),
            (b"ARROW1", ArrowFile),
            (b"\xff\xff\xff\xff\x10\0", ArrowStream),
            (b"gpu,gp", Csv),
            (b"", Csv),
            (b"PAR", Csv),
        ] {
            for name in ["t", "t.csv", "t.log", "standard input"] {
                assert_eq!(TableFormat::detect(head, name), Ok(format), "{head:?} {name}");
            }
            // a mark goes before a name
            let named = TableFormat::detect(head, "t.parquet");
            assert_eq!(named.ok(), Some(format).filter(|format| *format != Csv), "{head:?}");
        }
        for (name, format) in [
            ("a.parquet", Parquet),
            ("a.csv.PQ", Parquet),
            ("a.arrow", ArrowFile),
            ("a.feather", ArrowFile),
            ("a.ipc", ArrowFile),
            ("a.arrows", ArrowStream),
            ("a.csv", Csv),
            ("parquet", Csv),
            ("-", Csv),
            ("/dev/stdout", Csv),
            ("/dev/fd/63", Csv),
        ] {
            assert_eq!(TableFormat::of_path(Path::new(name)), Ok(format), "{name}");
        }
    }

    #[test]
    fn a_name_that_says_another_format_is_refused() {
        for (name, format) in [
            ("a.parquet", "Parquet"),
            ("a.PQ", "Parquet"),
            ("a.feather", "Arrow IPC"),
            ("a.arrows", "Arrow IPC"),
        ] {
            let error = TableFormat::detect(b"gpu,gpus", name).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "{name}: not valid {format}: the file does not begin as such a file does; if it is CSV, give it a name that ends in .csv"
                )
            );
        }
        assert_eq!(
            TableFormat::of_path(Path::new("out/a.xyz")).unwrap_err().to_string(),
            "out/a.xyz: the suffix is `.xyz`, but a table is written to one of .csv, .parquet, .pq, .arrow, .feather, .ipc, .arrows"
        );
    }
}
