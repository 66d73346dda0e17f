//! Numbers and tables as people read them.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::{Done, Failure};
use crate::files;

/// Prints a value as JSON with a line's end.
///
/// # Errors
/// As [`files::print`].
pub fn json(value: &impl Serialize) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    files::print(&format!("{text}\n"))
}

/// A note to standard error, which scripts that read standard output do not see.
pub fn note(kind: &str, text: &str) {
    let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    anstream::eprintln!("{yellow}{kind}{yellow:#}: {text}");
}

/// A heading in bold.
pub fn heading(text: &str) -> String {
    let bold = Style::new().bold();
    format!("{bold}{text}{bold:#}\n")
}

/// A table with a header; columns from `first_number` on are aligned right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, first_number: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if header.iter().any(|cell| !cell.is_empty()) {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// A number with a prefix for its unit: `1.23 kW`, `312 TFLOP`.
pub fn si(value: f64, unit: &str) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut scaled = value;
    let mut at = 0;
    while scaled.abs() >= 999.5 && at + 1 < prefixes.len() {
        scaled /= 1000.0;
        at += 1;
    }
    format!("{} {}{unit}", digits(scaled), prefixes[at])
}

/// Energy: joules below a tenth of a watt-hour, else Wh, kWh, MWh.
pub fn energy(joules: f64) -> String {
    if joules < 360.0 { format!("{} J", digits(joules)) } else { si(joules / 3600.0, "Wh") }
}

/// Time as people say it: `3.2 s`, `4 min 10 s`, `3 h 20 min`, `12.5 days`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "∞".to_owned();
    }
    if seconds < 60.0 {
        return format!("{} s", digits(seconds));
    }
    let whole = seconds.round();
    if whole < 3600.0 {
        format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0)
    } else if whole < 48.0 * 3600.0 {
        format!("{} h {} min", (whole / 3600.0).floor(), ((whole % 3600.0) / 60.0).round())
    } else {
        format!("{:.1} days", seconds / 86_400.0)
    }
}

/// Three significant digits, without an exponent where that is readable.
pub fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "∞".to_owned() };
    }
    let magnitude = value.abs().log10().floor();
    if !(-3.0..6.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude).max(0.0) as usize;
    format!("{value:.decimals$}")
}

/// A whole number with its thousands apart.
pub fn whole(value: u64) -> String {
    let text = value.to_string();
    let mut out = String::new();
    for (i, digit) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(si(312e12, "FLOP"), "312 TFLOP");
        assert_eq!(si(999.6, "W"), "1.00 kW");
        assert_eq!(energy(100.0), "100 J");
        assert_eq!(energy(3.6e6), "1.00 kWh");
        assert_eq!(duration(250.0), "4 min 10 s");
        assert_eq!(duration(12_000.0), "3 h 20 min");
        assert_eq!(digits(0.012_345), "0.0123");
        assert_eq!(whole(109_482_240), "109,482,240");
        assert_eq!(whole(12), "12");
    }
}
