//! Reads the command line; what was typed wrongly is said in one sentence.

use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use crate::args::Wattlaw;
use crate::failure::Failure;

/// Reads the words of a command line.
///
/// # Errors
/// The exit code, once help, the version or a sentence about what was wrong has been printed.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Wattlaw, ExitCode> {
    let matches = with_negative_numbers(Wattlaw::command()).try_get_matches_from(words);
    matches.and_then(|found| Wattlaw::from_arg_matches(&found)).map_err(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            // a reader that went away is no failure
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Failure::Usage(sentence(&error)).report()
    })
}

/// Lets `--gpus -1` reach the check of its value, which says more than that `-1` is no flag.
fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let takes_values = arg.get_action().takes_values() && !arg.is_positional();
            if takes_values { arg.allow_negative_numbers(true) } else { arg }
        })
        .mut_subcommands(with_negative_numbers)
}

fn sentence(error: &clap::Error) -> String {
    if let (Some(why), Some(ContextValue::String(flag))) =
        (error.source(), error.get(ContextKind::InvalidArg))
    {
        let flag = flag.split_once(' ').map_or(flag.as_str(), |(name, _)| name);
        return format!("{flag}: {why}");
    }
    let text = error.to_string();
    let parts: Vec<String> = text
        .trim_start_matches("error: ")
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| {
            let aside = ["Usage:", "For more information", "tip: to pass"];
            !part.is_empty() && !aside.iter().any(|start| part.starts_with(start))
        })
        .map(|part| part.trim_start_matches("tip: ").to_owned())
        .collect();
    parts.join("; ")
}

/// Reads a whole number.
///
/// # Errors
/// A clause that says that it is none.
pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number from 0"))
}

/// Reads a number.
///
/// # Errors
/// A clause that says that it is none.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// Reads a time up to a day: `500ms`, `10s`, `2min`, `1h`.
///
/// # Errors
/// A clause that says that it is none.
pub fn time(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| *time <= DAY)
        .ok_or_else(|| format!("`{text}` is no time up to a day; write it as 10s or 2min"))
}

/// Reads a time above zero and up to a year.
///
/// # Errors
/// A clause that says that it is none.
pub fn long_time(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| !time.is_zero() && *time <= DAY * 366)
        .ok_or_else(|| format!("`{text}` is no time up to a year; write it as 30min, 2h or 3d"))
}

const DAY: Duration = Duration::from_secs(86_400);

fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0), ("s", 1.0)];
    units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let error = with_negative_numbers(Wattlaw::command()).try_get_matches_from(words);
        sentence(&error.unwrap_err())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Wattlaw::command().debug_assert();
    }

    #[test]
    fn what_was_typed_wrongly_is_one_sentence() {
        assert_eq!(wrong("wattlaw predict --gpus -1"), "--gpus: `-1` is no whole number from 0");
        assert_eq!(wrong("wattlaw predict --gpus 2.5"), "--gpus: `2.5` is no whole number from 0");
        assert_eq!(wrong("wattlaw predict --pue x"), "--pue: `x` is no number");
        assert_eq!(wrong("wattlaw predict --nonsense"), "unexpected argument '--nonsense' found");
        assert_eq!(
            wrong("wattlaw predict --gpu t4 --gpu t4"),
            "the argument '--gpu <GPU>' cannot be used multiple times"
        );
        assert_eq!(
            wrong("wattlaw fit"),
            "the following required arguments were not provided: <RUNS>"
        );
        assert_eq!(
            wrong("wattlaw predict --micro-batsh 3"),
            "unexpected argument '--micro-batsh' found; a similar argument exists: '--micro-batch'"
        );
        assert!(
            wrong("wattlaw fit x.csv --law y").ends_with("[possible values: scaling, roofline]")
        );
        assert!(
            wrong("wattlaw predict --tokens -5").starts_with("--tokens: the count is `-5`, but")
        );
    }
}
