//! What a command can end in besides success: one sentence and an exit code.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It was asked wrongly: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(String),
    /// Nobody reads the output any more; that is no failure.
    Unread,
}

/// Result of a command.
pub type Done<T = ()> = Result<T, Failure>;

impl Failure {
    /// A wrong word on the command line.
    pub fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// Something that could not be done.
    pub fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }

    /// Prints the sentence to standard error, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(text) => (text, 2),
            Self::Failed(text) => (text, 1),
            Self::Unread => return ExitCode::SUCCESS,
        };
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        anstream::eprintln!("{red}error{red:#}: {text}");
        ExitCode::from(code)
    }
}

impl From<wattlaw::Error> for Failure {
    fn from(error: wattlaw::Error) -> Self {
        Self::failed(error)
    }
}
