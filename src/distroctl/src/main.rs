//! The guest's programs other than PID 1, in one static binary: `distroctl COMMAND`. This file only dispatches.

mod addresses;
mod bundle;
mod console;
mod container;
mod containers;
mod dial;
mod disk;
mod file;
mod guest;
mod host;
mod hostname;
mod http;
mod iso9660;
mod keys;
mod logs;
mod medium;
mod memory;
mod modules;
mod network;
mod ntp;
mod overlay;
mod provision;
mod quadlet;
mod ready;
mod rootless;
mod screen;
mod service;
mod signals;
mod status;
mod timers;
mod units;

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
distroctl: the programs of this distribution

Usage: distroctl COMMAND

  status [--json]    what runs, addresses, memory, data disk, problems
  service            list; or status, start, stop, restart, logs and a NAME;
                     or reload: reads Quadlet files again
  quadlet --dry-run  what Quadlet files are run as, and what is wrong with them
  timers             when .timer files start what
  logs [SERVICE]     what kernel, init and services have said (-f goes on,
                     -n N the last N, --since 10m or 2026-11-22T10:26,
                     --kept what is on the data disk)
  support-bundle     one archive of logs, configuration and state, without
                     secrets: to FILE, /tmp, or standard output in a pipe
  network status     interfaces, addresses, routes, name servers
  network apply      reads the network's configuration again
  ntp status         what the clock was last set by
  disk trim          tells the data disk which blocks are free (--weekly)
  disk unlock        opens an encrypted data disk whose key was missing at
                     boot: asks for it, or takes it from standard input
  disk repair        what to do if the data disk is damaged
  stop-containers    stops all running containers, dependants first
  apply [--dry-run]  applies the configuration again, prints what changes
  validate FILE      checks a document, cloud-config, network-config or
                     Ignition file: all problems at once
  schema             the document's JSON schema
  dial SOCKET        joins its input and output to a Unix socket

Run as services by PID 1:

  log-writer         fills the ring of messages, copies it to the data disk
                     and to a remote syslog
  console [--once]   the state of the machine on a terminal, Enter for a shell
  memory [--disk]    compressed swap in RAM; swap on the data disk
  shares             folders of the host: distro.share=TAG:PATH[:ro]
  guest-agent        qemu-ga on its virtio port
  vsock-shell [PORT] a shell for the host (2222)
  disk mount         finds, checks and mounts the data disk
  volumes            in a container: checks and mounts the block devices of
                     MKDISTRO_VOLUMES=DEVICE:FOLDER[,...]; formats blank ones
  images             mounts the container images of the boot medium
  provision          applies the configuration from all its sources
  quadlet            makes services of Quadlet files; run NAME, stop NAME
  timers run         starts what timers say
  units              restarts services for podman auto-update
  provision run      runs the commands that wait for the engine
  hostname [NAME]    sets the host name, or NAME
  keys               SSH host key and authorized_keys
  network            configures interfaces, DHCP on every other wired one
  keep-containers    starts containers by their restart policy, runs health
                     checks; root's also serves the users
  rootless           prepares folders and control groups for users' containers
  ntp                keeps the clock right
  ready              waits for the engine, prints the READY line
                     (--socket PATH: of another engine; --port N: for a web
                     server; --no-engine: for neither)

  help               this text
";

fn main() -> ExitCode {
    let own_path = std::env::args_os().next().unwrap_or_default();
    if let Some(program) = rootless::launch::program(own_path.as_ref()) {
        return code(rootless::launch::run(program, std::env::args_os().skip(1)));
    }
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    code(if program.ends_with(network::SCRIPT_NAME) { network::script(&words) } else { dispatch(&words) })
}

fn code(result: anyhow::Result<ExitCode>) -> ExitCode {
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
        ["disk", "repair"] => disk::repair(),
        ["disk", "unlock"] => disk::unlock(),
        ["disk", "trim"] => disk::trim(),
        ["disk", "trim", "--weekly"] => disk::trim_weekly(),
        ["volumes"] => disk::volumes(),
        ["images"] => medium::run(),
        ["hostname"] => hostname::run(),
        ["hostname", name] => hostname::keep(name),
        ["provision"] => provision::boot(),
        ["provision", "run"] => provision::run_late(),
        ["apply"] => provision::apply(false),
        ["apply", "--dry-run"] => provision::apply(true),
        ["validate", file] => provision::validate(file),
        ["schema"] => provision::schema(),
        ["quadlet"] => quadlet::generate(),
        ["quadlet", "--dry-run"] => quadlet::dry_run(),
        ["quadlet", "run", name] => quadlet::run(name),
        ["quadlet", "stop", name] => quadlet::stop(name),
        ["timers"] => timers::list(),
        ["timers", "run"] => timers::run(),
        ["units"] => units::run(),
        ["dial", socket] => dial::run(socket),
        ["keys"] => keys::run(),
        ["network"] => network::run(),
        ["network", "status"] => network::status(),
        ["network", "apply"] => network::apply(),
        ["ntp"] => ntp::run(),
        ["ntp", "status"] => ntp::status(),
        ["ready", options @ ..] => match ready::Subject::of(options) {
            Some(subject) => ready::run(subject),
            None => usage(&format!("not understood: {}", words.join(" "))),
        },
        ["status"] => status::run(),
        ["status", "--json"] => status::run_json(),
        ["service", words @ ..] => {
            service::run(words).unwrap_or_else(|| usage(&format!("not understood: service {}", words.join(" "))))
        }
        ["support-bundle"] => bundle::run(None),
        ["support-bundle", path] if !path.starts_with('-') => bundle::run(Some(path)),
        ["shares"] => host::shares::run(),
        ["guest-agent"] => host::agent::run(),
        ["vsock-shell"] => host::vsock::run(host::vsock::PORT),
        ["vsock-shell", port] => match port.parse() {
            Ok(port) => host::vsock::run(port),
            Err(_) => usage(&format!("not a port: {port}")),
        },
        ["memory"] => memory::compressed(),
        ["memory", "--disk"] => memory::on_disk(),
        ["console"] => screen::run(false),
        ["console", "--once"] => screen::run(true),
        ["logs", options @ ..] => match logs::Wanted::of(options) {
            Some(wanted) => logs::run(&wanted),
            None => usage(&format!("not understood: {}", words.join(" "))),
        },
        ["log-writer"] => logs::write(),
        ["stop-containers"] => containers::stop_all(),
        ["keep-containers"] => containers::keep(false),
        ["keep-containers", "--late"] => containers::keep(true),
        ["rootless"] => rootless::prepare(),
        ["help" | "--help" | "-h"] => console::print(HELP),
        [] => usage("no command given"),
        _ => usage(&format!("no such command: {}", words.join(" "))),
    }
}

fn usage(problem: &str) -> anyhow::Result<ExitCode> {
    let _ = write!(std::io::stderr(), "distroctl: {problem}\n\n{HELP}");
    Ok(ExitCode::from(contract::exit::USAGE))
}
