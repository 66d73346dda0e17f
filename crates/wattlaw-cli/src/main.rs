//! The program `wattlaw`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(wattlaw_cli::run(std::env::args_os()))
}
