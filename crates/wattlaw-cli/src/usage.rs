//! Parses the command line. A usage error is reported in one sentence.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use crate::args::Wattlaw;
use crate::failure::Failure;

/// Parses the arguments of a command line.
///
/// # Errors
/// The exit code, after help, the version or the error has been printed.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Wattlaw, u8> {
    let matches = with_negative_numbers(Wattlaw::command()).try_get_matches_from(words);
    matches.and_then(|found| Wattlaw::from_arg_matches(&found)).map_err(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            // a closed pipe is not an error
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
        Failure::Usage(sentence(&error)).report()
    })
}

/// Lets `--gpus -1` reach the value's own check, whose error is clearer than "unknown flag `-1`".
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
    fn a_usage_error_is_one_sentence() {
        assert_eq!(
            wrong("wattlaw predict --gpus -1"),
            "--gpus: `-1` is not a whole number of at least 0"
        );
        assert_eq!(
            wrong("wattlaw predict --gpus 2.5"),
            "--gpus: `2.5` is not a whole number of at least 0"
        );
        assert_eq!(
            wrong("wattlaw predict --pue x"),
            "--pue: `x` is not accepted; it must be a number"
        );
        assert_eq!(wrong("wattlaw predict --nonsense"), "unexpected argument '--nonsense' found");
        assert_eq!(
            wrong("wattlaw predict --gpu t4 --gpu t4"),
            "the argument '--gpu <GPU>' cannot be used multiple times"
        );
        assert_eq!(
            wrong("wattlaw fit"),
            "the following required arguments were not provided: <RUNS>..."
        );
        assert_eq!(
            wrong("wattlaw predict --micro-batsh 3"),
            "unexpected argument '--micro-batsh' found; a similar argument exists: '--micro-batch'"
        );
        assert!(
            wrong("wattlaw fit x.csv --law y").ends_with("[possible values: roofline, scaling]")
        );
        assert!(
            wrong("wattlaw predict --tokens -5").starts_with("--tokens: `-5` is not accepted; ")
        );
    }
}
