//! `wattlaw completions`: a shell's completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Wattlaw;
use crate::failure::Done;
use crate::files;

/// Flags of `wattlaw completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &Args) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Wattlaw::command(), "wattlaw", &mut script);
    files::print(&String::from_utf8_lossy(&script))
}
