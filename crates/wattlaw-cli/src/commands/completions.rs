//! `wattlaw completions`: a shell's completion script.

use clap_complete::Shell;

use crate::failure::Done;
use crate::files;

/// Flags of `wattlaw completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script that completes the words of `program`.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &Args, program: &mut clap::Command) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, program, "wattlaw", &mut script);
    files::print(&String::from_utf8_lossy(&script))
}
