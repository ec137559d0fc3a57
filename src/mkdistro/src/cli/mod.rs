//! The command line: one file per sub-command. Data goes to stdout, progress and errors to stderr.

mod build;
pub mod error;
mod lock;
pub mod progress;
mod project;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use progress::Verbosity;

/// Builds bootable, RAM-resident micro Linux distributions that run containers.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 80, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print warnings and errors only
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print every step
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

const EXIT_CODES: &str = "Exit codes:\n  0 done\n  1 failed\n  2 wrong usage\n  3 distro.toml, a recipe, a \
                          kernel fragment or the overlay is wrong\n  4 a file could not be downloaded\n  5 a signature, \
                          hash or size is wrong\n  6 the lock does not fit\n  7 the output could not be written";

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Lock(lock::Lock),
    Run(run::Run),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let progress = progress::Reporter::stderr(verbosity);
    let result = match &arguments.command {
        Command::Build(build) => build.execute(&progress),
        Command::Lock(lock) => lock.execute(&progress),
        Command::Run(run) => run.execute(),
    };
    match result {
        Ok(code) => code,
        Err(error) => ExitCode::from(error::report(&error)),
    }
}
