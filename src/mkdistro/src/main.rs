//! The command line of mkdistro.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkdistro::cli::main()
}
