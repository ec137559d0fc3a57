//! `cargo xtask …`: set-up of the machine, checks, tests, benchmarks. Only std, so that it builds in a second.

mod advisories;
mod apt;
mod bench;
mod deps;
mod kernel;
mod run;
mod setup;
mod slowest;
mod soak;
mod tally;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup                            install what the tests need (Debian; root or sudo)
  test [--only KIND] [FILTER]      set up, then format, lints, unit tests and boot tests;
                                   KIND is lint, unit or boot, FILTER a part of a test's name
  bench                            build times, size of the ISO, time to READY, memory; adds a line
                                   per figure to target/bench/results.jsonl
  soak                             list the long campaigns
  soak fuzz [--minutes N]          feed every reader with broken input, other input each time
  soak kernel                      build the distribution with a kernel from source in two folders
  soak kill [--rounds N]           end builds at random moments
  soak flavours                    each flavour, built and booted
  soak matrix                      every firmware and medium, each to a container
  soak power-cut [--rounds N]      cut the power in a first boot and while containers write
  soak survival [--minutes N]      let a service die for an hour, after orphans and garbage for PID 1
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.split_first() {
        Some((&"setup", [])) => setup::setup(),
        Some((&"test", options)) => match test::Options::parse(options) {
            Ok(options) => test::test(&options),
            Err(message) => return usage(&message),
        },
        Some((&"bench", [])) => bench::bench(),
        Some((&"soak", options)) => match soak::Campaign::parse(options) {
            Ok(campaign) => soak::soak(campaign),
            Err(message) => return usage(&message),
        },
        Some((&("help" | "--help" | "-h"), _)) => {
            print!("{USAGE}");
            Ok(true)
        }
        Some(_) => return usage(&format!("not understood: {}", words.join(" "))),
        None => return usage("a command is missing"),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn usage(message: &str) -> ExitCode {
    eprint!("error: {message}\n{USAGE}");
    ExitCode::from(2)
}
