//! How a command fails: one sentence and an exit code.

use std::fmt;

use anstyle::{AnsiColor, Style};
use wattlaw::base::one_line::OneLine;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Usage error: exit code 2.
    Usage(String),
    /// Any other error: exit code 1.
    Failed(String),
    /// The reader of the output closed the pipe. This is not an error: exit code 0.
    PipeClosed,
}

/// Result of a command.
pub type Done<T = ()> = Result<T, Failure>;

impl Failure {
    /// A usage error.
    pub fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// An error that is not a usage error.
    pub fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }

    /// Prints the error to standard error and returns the exit code.
    pub fn report(&self) -> u8 {
        let (text, code) = match self {
            Self::Usage(text) => (text, 2),
            Self::Failed(text) => (text, 1),
            Self::PipeClosed => return crate::SUCCESS,
        };
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        anstream::eprintln!("{red}error{red:#}: {}", OneLine(text));
        code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
            Self::PipeClosed => f.write_str("the pipe is closed"),
        }
    }
}

impl From<wattlaw::Error> for Failure {
    fn from(error: wattlaw::Error) -> Self {
        Self::failed(error)
    }
}
