//! The guest's programs other than PID 1, in one static binary: `distroctl COMMAND`. This file only dispatches.

mod addresses;
mod console;
mod containers;
mod disk;
mod file;
mod guest;
mod hostname;
mod http;
mod keys;
mod logs;
mod modules;
mod network;
mod overlay;
mod ready;
mod signals;
mod status;

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
distroctl: the programs of this distribution

Usage: distroctl COMMAND

  status             what runs, addresses, memory, data disk
  logs [SERVICE]     what a service, or every service, has said
  stop-containers    stops all running containers in parallel

Run as services by PID 1:

  disk mount         finds, checks and mounts the data disk
  hostname           sets the host name
  keys               SSH host key and authorized_keys
  network            DHCP on every wired interface
  ready              waits for the engine, prints the READY line
                     (--socket PATH: of another engine; --port N: for a web
                     server; --no-engine: for neither)

  help               this text
";

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = if program.ends_with(network::SCRIPT_NAME) { network::script(&words) } else { dispatch(&words) };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "distroctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> anyhow::Result<ExitCode> {
    match words {
        ["disk", "mount"] => disk::mount(),
        ["hostname"] => hostname::run(),
        ["keys"] => keys::run(),
        ["network"] => network::run(),
        ["ready", options @ ..] => match ready::Subject::of(options) {
            Some(subject) => ready::run(subject),
            None => usage(&format!("not understood: {}", words.join(" "))),
        },
        ["status"] => status::run(),
        ["logs", options @ ..] => match logs::Wanted::of(options) {
            Some(wanted) => logs::run(&wanted),
            None => usage(&format!("not understood: {}", words.join(" "))),
        },
        ["log-writer"] => logs::write(),
        ["stop-containers"] => containers::stop_all(),
        ["help" | "--help" | "-h"] => console::print(HELP),
        [] => usage("no command given"),
        _ => usage(&format!("no such command: {}", words.join(" "))),
    }
}

fn usage(problem: &str) -> anyhow::Result<ExitCode> {
    let _ = write!(std::io::stderr(), "distroctl: {problem}\n\n{HELP}");
    Ok(ExitCode::from(contract::exit::USAGE))
}
