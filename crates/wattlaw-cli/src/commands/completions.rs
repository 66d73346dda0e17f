//! `wattlaw completions`: shell completion scripts.

use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use wattlaw::job::catalog::Catalog;

use crate::failure::Done;
use crate::files;

/// Flags of `wattlaw completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script of `program`, which knows the names of the built-in catalogue.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args, program: &mut Command) -> Done {
    let catalog = Catalog::built_in()?;
    let mut program = with_names(std::mem::take(program), &catalog);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "wattlaw", &mut script);
    files::print(&String::from_utf8_lossy(&script))
}

/// The command and those below it, with the catalogue's names as the values of the flags that take one.
fn with_names(command: Command, catalog: &Catalog) -> Command {
    let owned =
        |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<Vec<_>>();
    command
        .mut_args(|arg| {
            let names = match arg.get_long() {
                Some("model") => owned(&mut catalog.models.names()),
                Some("gpu") => owned(&mut catalog.accelerators.names().chain(["auto"])),
                Some("system") => owned(&mut catalog.systems.names()),
                Some("region") => owned(&mut catalog.regions.names()),
                _ => return arg,
            };
            arg.value_parser(PossibleValuesParser::new(names))
        })
        .mut_subcommands(|below| with_names(below, catalog))
}
