//! The formats of tables: found out from the first bytes of a file, chosen by the suffix of a name.

use std::path::Path;

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

impl TableFormat {
    /// Bytes that [`TableFormat::detect`] needs.
    pub const HEAD: usize = ARROW_FILE.len();

    /// The format of a file by its first bytes; CSV has no mark of its own.
    pub fn detect(head: &[u8]) -> Self {
        if head.starts_with(b"PAR1") {
            Self::Parquet
        } else if head.starts_with(ARROW_FILE) {
            Self::ArrowFile
        } else if head.starts_with(&CONTINUATION) {
            Self::ArrowStream
        } else {
            Self::Csv
        }
    }

    /// The format of a file that is written, by the suffix of its name: `.parquet` and `.pq`, `.arrow`, `.feather` and `.ipc`, `.arrows` for
    /// a stream; any other is CSV.
    pub fn of_path(path: &Path) -> Self {
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
        match suffix.as_deref() {
            Some("parquet" | "pq") => Self::Parquet,
            Some("arrow" | "feather" | "ipc") => Self::ArrowFile,
            Some("arrows") => Self::ArrowStream,
            _ => Self::Csv,
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
            assert_eq!(TableFormat::detect(head), format, "{head:?}");
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
            ("/dev/stdout", Csv),
        ] {
            assert_eq!(TableFormat::of_path(Path::new(name)), format, "{name}");
        }
    }
}
