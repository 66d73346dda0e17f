//! `wattlaw completions`: shell completion scripts.

use clap_complete::Shell;

use crate::failure::Done;
use crate::files;

/// Flags of `wattlaw completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script of `program`.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args, program: &mut clap::Command) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, program, "wattlaw", &mut script);
    files::print(&String::from_utf8_lossy(&script))
}
