//! Numbers and tables as text.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use wattlaw::base::one_line::OneLine;
use wattlaw_ask::Schema;

use crate::failure::Done;
use crate::files;

/// Prints JSON with its schema and a final newline.
///
/// # Errors
/// As [`files::print`].
pub fn json(schema: Schema, fields: &impl Serialize) -> Done {
    files::print(&wattlaw_ask::json(schema, fields)?)
}

/// Text of several lines whose lines hold no character that controls a terminal.
pub fn lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{}\n", OneLine(line)),
            None => OneLine(line).to_string(),
        })
        .collect()
}

/// Prints a note to standard error, so that scripts can parse standard output.
pub fn note(kind: &str, text: &str) {
    let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    anstream::eprintln!("{yellow}{kind}{yellow:#}: {}", OneLine(text));
}

/// A heading in bold.
pub fn heading(text: &str) -> String {
    let bold = Style::new().bold();
    format!("{bold}{}{bold:#}\n", lines(text))
}

/// A table with a header. Columns from index `first_number` on are right-aligned.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, first_number: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if header.iter().any(|cell| !cell.is_empty()) {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| OneLine(cell).to_string()));
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

/// A number with an SI prefix: `1.23 kW`, `312 TFLOP`.
pub fn si(value: f64, unit: &str) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut scaled = value;
    let mut at = 0;
    // 999.5 would round to 1000, which belongs to the next prefix
    while scaled.is_finite() && scaled.abs() >= 999.5 && at + 1 < prefixes.len() {
        scaled /= 1000.0;
        at += 1;
    }
    format!("{} {}{unit}", digits(scaled), prefixes[at]).trim_end().to_owned()
}

/// Energy: J below 0.1 Wh, else Wh, kWh, MWh.
pub fn energy(joules: f64) -> String {
    if joules < 360.0 { format!("{} J", digits(joules)) } else { si(joules / 3600.0, "Wh") }
}

/// Energy per token: kJ, J, mJ or µJ.
pub fn small_energy(joules: f64) -> String {
    if joules >= 0.9995 {
        si(joules, "J")
    } else if joules >= 0.9995e-3 {
        format!("{} mJ", digits(joules * 1e3))
    } else {
        format!("{} µJ", digits(joules * 1e6))
    }
}

/// A short time: ms below a second.
pub fn small_duration(seconds: f64) -> String {
    if seconds < 0.9995 { format!("{} ms", digits(1e3 * seconds)) } else { duration(seconds) }
}

/// A count in the notation of flags: `610`, `10.0M`, `1.50B`.
pub fn count(value: f64) -> String {
    let suffixes = [(1e12, "T"), (1e9, "B"), (1e6, "M")];
    match suffixes.iter().find(|(size, _)| value >= 0.9995 * size) {
        Some((size, suffix)) => format!("{}{suffix}", digits(value / size)),
        None if value.fract() == 0.0 => whole(value as u64),
        None => digits(value),
    }
}

/// A fraction in per cent without trailing zeros: `95`, `99.9`.
pub fn percent(share: f64) -> String {
    // 0.999 · 100 is not exactly 99.9 in binary
    let rounded = (share * 1e8).round() / 1e6;
    rounded.to_string()
}

/// Joins items and wraps lines at about `width` characters; later lines are indented.
pub fn wrapped(items: &[String], joint: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = 0;
    for (i, item) in items.iter().enumerate() {
        let length = item.chars().count() + joint.chars().count();
        if i > 0 && line + length > width {
            out += &format!("\n   {joint}");
            line = 0;
        } else if i > 0 {
            out += joint;
        }
        out += item;
        line += length;
    }
    out + "\n"
}

/// A duration: `3.2 s`, `4 min 10 s`, `3 h 20 min`, `12.5 days`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "∞".to_owned();
    }
    if seconds < 60.0 {
        return format!("{} s", digits(seconds));
    }
    let (whole, minutes) = (seconds.round(), (seconds / 60.0).round());
    if whole < 3600.0 {
        format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0)
    } else if minutes < 48.0 * 60.0 {
        format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0)
    } else {
        format!("{:.1} days", seconds / 86_400.0)
    }
}

/// Three significant digits; an exponent only for very small or large values.
pub fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "∞".to_owned() };
    }
    let decimals_at = |x: f64| (2.0 - x.abs().log10().floor()).max(0.0);
    if !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    // 9.999 rounds to 10.0, which has one more digit before the point
    let scale = 10f64.powf(decimals_at(value));
    let decimals = decimals_at((value * scale).round() / scale) as usize;
    format!("{value:.decimals$}")
}

/// A whole number with thousands separators.
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
        assert_eq!(si(999.4, "W"), "999 W");
        assert_eq!(si(f64::INFINITY, "W"), "∞ W");
        assert_eq!(energy(100.0), "100 J");
        assert_eq!(energy(3.6e6), "1.00 kWh");
        assert_eq!(duration(250.0), "4 min 10 s");
        assert_eq!(duration(12_000.0), "3 h 20 min");
        assert_eq!(duration(59.999), "60.0 s");
        assert_eq!(duration(2.0 * 3600.0 - 1.0), "2 h 0 min");
        assert_eq!(duration(200_000.0), "2.3 days");
        assert_eq!(digits(0.012_345), "0.0123");
        assert_eq!(digits(9.999), "10.0");
        assert_eq!(digits(0.099_99), "0.100");
        assert_eq!(digits(4_321_000.0), "4.32e6");
        assert_eq!(small_energy(0.007_65), "7.65 mJ");
        assert_eq!(small_energy(3.69), "3.69 J");
        assert_eq!(small_energy(3690.0), "3.69 kJ");
        assert_eq!(small_energy(4e-6), "4.00 µJ");
        assert_eq!(
            (small_duration(0.0793), small_duration(61.0)),
            ("79.3 ms".into(), "1 min 1 s".into())
        );
        assert_eq!(
            (count(610.35), count(1e7), count(1.5e9), count(1221.0)),
            ("610".into(), "10.0M".into(), "1.50B".into(), "1,221".into())
        );
        assert_eq!((percent(0.95), percent(0.999)), ("95".into(), "99.9".into()));
        assert_eq!(wrapped(&["a".into(), "b".into(), "c".into()], " × ", 8), "a × b\n    × c\n");
        assert_eq!(whole(109_482_240), "109,482,240");
        assert_eq!(whole(12), "12");
    }
}
