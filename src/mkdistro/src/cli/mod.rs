//! The command line: one file per sub-command. Data goes to stdout, progress and errors to stderr.

mod add;
mod build;
mod burn;
mod cache;
mod completions;
mod diff;
mod doctor;
pub mod error;
mod flavours;
mod inspect;
mod kernel;
mod keygen;
mod licenses;
mod lint;
mod lock;
mod making;
mod man;
mod matrix;
mod new;
mod outdated;
pub mod progress;
mod project;
mod remove;
mod report;
mod run;
mod sbom;
mod serve;
mod shell;
mod sources;
mod stock;
mod validate;
mod verify;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::interrupt;
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
    Add(add::Add),
    Build(build::Build),
    Burn(burn::Burn),
    Cache(cache::Cache),
    Completions(completions::Completions),
    Diff(diff::Diff),
    Doctor(doctor::Doctor),
    Flavours(flavours::Flavours),
    Inspect(inspect::Inspect),
    Kernel(kernel::Kernel),
    Keygen(keygen::Keygen),
    Licenses(licenses::Licenses),
    Lint(lint::Lint),
    Lock(lock::Lock),
    Man(man::Man),
    Matrix(matrix::Matrix),
    New(new::New),
    Outdated(outdated::Outdated),
    Remove(remove::Remove),
    Report(report::Report),
    Run(run::Run),
    Sbom(sbom::Sbom),
    Serve(serve::Serve),
    Shell(shell::Shell),
    Sources(sources::Sources),
    Validate(validate::Validate),
    Verify(verify::Verify),
}

/// Writes a line of data to stdout, at once. Unlike `println!` it does not panic when nobody reads it any more.
fn print_line(line: impl Display) -> anyhow::Result<()> {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).context("writing to stdout")
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    interrupt::watch();
    let progress = progress::Reporter::stderr(verbosity);
    let result = match &arguments.command {
        Command::Add(add) => add.execute(&progress),
        Command::Build(build) => build.execute(&progress),
        Command::Burn(burn) => burn.execute(&progress),
        Command::Cache(cache) => cache.execute(),
        Command::Completions(completions) => completions.execute(),
        Command::Diff(diff) => diff.execute(),
        Command::Doctor(doctor) => doctor.execute(),
        Command::Flavours(flavours) => flavours.execute(),
        Command::Inspect(inspect) => inspect.execute(&progress),
        Command::Kernel(kernel) => kernel.execute(&progress),
        Command::Keygen(keygen) => keygen.execute(&progress),
        Command::Licenses(licenses) => licenses.execute(&progress),
        Command::Lint(lint) => lint.execute(&progress),
        Command::Lock(lock) => lock.execute(&progress),
        Command::Man(man) => man.execute(),
        Command::Matrix(matrix) => matrix.execute(&progress),
        Command::New(new) => new.execute(&progress),
        Command::Outdated(outdated) => outdated.execute(&progress),
        Command::Remove(remove) => remove.execute(&progress),
        Command::Report(report) => report.execute(&progress),
        Command::Run(run) => run.execute(&progress),
        Command::Sbom(sbom) => sbom.execute(&progress),
        Command::Serve(serve) => serve.execute(&progress),
        Command::Shell(shell) => shell.execute(&progress),
        Command::Sources(sources) => sources.execute(&progress),
        Command::Validate(validate) => validate.execute(),
        Command::Verify(verify) => verify.execute(&progress),
    };
    match result {
        Ok(code) => code,
        Err(error) => ExitCode::from(error::report(&error)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use contract::exit;

    use super::{Arguments, EXIT_CODES};
    use crate::problem::{Class, Problem, exit_code};

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_long_help_with_an_example_in_80_columns() {
        // The global width counts after the command line has been put together.
        let mut all = Arguments::command();
        all.build();
        for command in all.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = command.get_name().to_string();
            let help = command.render_long_help().to_string();
            let example = format!("\nExamples:\n  mkdistro {name}");
            assert!([" ", "\n"].iter().any(|end| help.contains(&format!("{example}{end}"))), "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        }
    }

    #[test]
    fn exit_codes_are_the_contract_s() {
        for (class, code) in [
            (Class::Config, exit::CONFIG),
            (Class::Network, exit::NETWORK),
            (Class::Verify, exit::VERIFY),
            (Class::Lock, exit::LOCK),
            (Class::Output, exit::OUTPUT),
        ] {
            let error = Problem::error(class, "", "").context("doing something");
            assert_eq!((class.exit_code(), exit_code(&error)), (code, code), "{class:?}");
        }
        assert_eq!(exit_code(&anyhow::anyhow!("any")), exit::FAILURE);
        let usage = Arguments::try_parse_from(["mkdistro", "bake"]).unwrap_err();
        assert_eq!(usage.exit_code(), i32::from(exit::USAGE));
        let documented: Vec<&str> = EXIT_CODES.lines().skip(1).map(|line| &line[..4]).collect();
        assert_eq!(documented, ["  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  5 ", "  6 ", "  7 "]);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for arguments in [&["mkdistro", "build", "-q", "-v"][..], &["mkdistro", "lock", "--check", "--update"]] {
            let error = Arguments::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{arguments:?}");
        }
    }
}
