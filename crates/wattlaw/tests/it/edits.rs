//! Documents with bytes removed, inserted and repeated, as a reader may meet them.

#![allow(clippy::unwrap_used, reason = "a helper of tests")]

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change to a document.
#[derive(Debug, Clone)]
pub enum Edit {
    Remove { at: Index, bytes: usize },
    Insert { at: Index, text: &'static str },
    Repeat { at: Index, bytes: usize },
    Number { at: Index, text: &'static str },
    Byte { at: Index, byte: u8 },
}

const EXTREMES: [&str; 16] = [
    "0",
    "-1",
    "1e308",
    "1e-320",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "4294967296",
    "16777216",
    "0.1",
    "NaN",
    "inf",
    "null",
    "\"x\"",
    "true",
    "[]",
];
const FRAGMENTS: [&str; 16] = [
    "\"",
    "'",
    "\n",
    "\r\n",
    ",",
    "{",
    "}",
    "[[",
    "]",
    "=",
    "\u{feff}",
    "\u{2028}",
    "é",
    "\u{0}",
    "\\n",
    "\u{1b}[31m",
];

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        1 => (any::<Index>(), 1..40_usize).prop_map(|(at, bytes)| Edit::Remove { at, bytes }),
        1 => (any::<Index>(), select(&FRAGMENTS[..])).prop_map(|(at, text)| Edit::Insert { at, text }),
        1 => (any::<Index>(), 1..200_usize).prop_map(|(at, bytes)| Edit::Repeat { at, bytes }),
        4 => (any::<Index>(), select(&EXTREMES[..])).prop_map(|(at, text)| Edit::Number { at, text }),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte { at, byte }),
    ];
    proptest::collection::vec(edit, 1..5)
}

/// The document with the changes made one after another.
pub fn edited(document: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for edit in edits {
        if bytes.is_empty() {
            break;
        }
        let n = bytes.len();
        match edit {
            Edit::Remove { at, bytes: count } => {
                let from = at.index(n);
                bytes.drain(from..(from + count).min(n));
            }
            Edit::Insert { at, text } => {
                let from = at.index(n);
                bytes.splice(from..from, text.bytes());
            }
            Edit::Repeat { at, bytes: count } => {
                let from = at.index(n);
                let piece = bytes[from..(from + count).min(n)].to_vec();
                bytes.splice(from..from, piece);
            }
            Edit::Number { at, text } => {
                let digit = |b: &u8| b.is_ascii_digit() || *b == b'.';
                let starts: Vec<usize> = (0..n)
                    .filter(|i| digit(&bytes[*i]) && (*i == 0 || !digit(&bytes[*i - 1])))
                    .collect();
                if !starts.is_empty() {
                    let from = *at.get(&starts);
                    let to = bytes[from..].iter().position(|b| !digit(b)).map_or(n, |k| from + k);
                    bytes.splice(from..to, text.bytes());
                }
            }
            Edit::Byte { at, byte } => {
                let place = at.index(n);
                bytes[place] = *byte;
            }
        }
    }
    bytes
}

pub fn edited_text(document: &str, edits: &[Edit]) -> String {
    String::from_utf8_lossy(&edited(document, edits)).into_owned()
}
