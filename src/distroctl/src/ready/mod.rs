//! `distroctl ready`: waits until what the distribution is for answers, then says so: in a file and on every console.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::paths;
use contract::ready::Ready;

use crate::guest::{Guest, memory_kib, uptime_seconds};
use crate::{addresses, console, file, http, network};

/// Time for the engine; under software emulation, with little RAM, its first start takes minutes.
const ENGINE_LIMIT: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_millis(100);
/// Additional time for the first address, and of it for a carrier: a card needs a moment to find its cable.
const ADDRESS_LIMIT: Duration = Duration::from_secs(2);
const CARRIER_LIMIT: Duration = Duration::from_secs(1);

/// What must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// An engine's API, at this socket.
    Engine(&'a str),
    /// A web server, at this port of the loopback.
    Port(u16),
    /// Nothing: that the services before this one have started is enough.
    None,
}

impl<'a> Subject<'a> {
    /// Reads the command's options.
    pub(crate) fn of(options: &[&'a str]) -> Option<Self> {
        match options {
            [] => Some(Self::Engine(paths::PODMAN_SOCKET)),
            ["--socket", path] => Some(Self::Engine(path)),
            ["--port", port] => port.parse().ok().filter(|port| *port != 0).map(Self::Port),
            ["--no-engine"] => Some(Self::None),
            _ => None,
        }
    }

    /// Asks once. A web server may answer what it likes.
    fn ask(self) -> Result<()> {
        const TIMEOUT: Duration = Duration::from_secs(60);
        match self {
            Self::None => Ok(()),
            Self::Port(port) => http::request_port(port, "GET", "/", TIMEOUT).map(drop),
            Self::Engine(socket) => match http::request(socket, "GET", "/_ping", TIMEOUT)? {
                response if response.status == 200 => Ok(()),
                response => bail!("GET /_ping: status {}, expected 200", response.status),
            },
        }
    }
}

/// Ends with success when the READY line is out.
pub(crate) fn run(subject: Subject<'_>) -> Result<ExitCode> {
    let guest = Guest::load();
    if let Err(error) = wait_for(subject) {
        let what = if matches!(subject, Subject::Port(_)) { "web server" } else { "container engine" };
        guest.warn(&format!("the {what} does not answer: {error:#}\nhint: see \"distroctl logs\""));
        return Ok(ExitCode::FAILURE);
    }
    let ip = wait_for_address().unwrap_or_else(|| "none".into());
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory_kib(&meminfo, "MemAvailable").unwrap_or(0);
    let fields = [("ip", ip), ("data", data_device()), ("mem-available", available.to_string())];
    let ready = Ready {
        distro: guest.settings.name.clone(),
        version: guest.settings.version.clone(),
        seconds: uptime_seconds(),
        fields: fields.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
    };
    std::fs::create_dir_all(paths::RUN_DIR).with_context(|| format!("making {}", paths::RUN_DIR))?;
    file::replace(Path::new(paths::READY), format!("{ready}\n").as_bytes(), 0o644, None)?;
    console::log(&ready.to_string());
    console::announce(&guest.settings.consoles, &ready.to_string());
    Ok(ExitCode::SUCCESS)
}

fn wait_for(subject: Subject<'_>) -> Result<()> {
    let limit = Instant::now() + ENGINE_LIMIT;
    while let Err(error) = subject.ask() {
        if Instant::now() >= limit {
            return Err(error.context(format!("after {} s", ENGINE_LIMIT.as_secs())));
        }
        std::thread::sleep(RETRY);
    }
    Ok(())
}

/// The first address; waits a little if there is a wired interface without one.
fn wait_for_address() -> Option<String> {
    let start = Instant::now();
    loop {
        let interfaces = network::wired();
        if let Some(address) = address(&interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>())
        {
            return Some(address);
        }
        let carrier = interfaces.iter().any(|interface| interface.carrier);
        let limit = if carrier { ADDRESS_LIMIT } else { CARRIER_LIMIT };
        if interfaces.is_empty() || start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(RETRY);
    }
}

/// An address of the document, a leased one, else any IPv4, else any IPv6 address of a wired interface.
fn address(wired: &[&str]) -> Option<String> {
    if let Some(address) = network::all_leases().iter().find_map(|lease| lease.addresses.first().copied()) {
        return Some(address.address.to_string());
    }
    let mut found = addresses::list().unwrap_or_default();
    found.retain(|address| wired.contains(&address.interface.as_str()));
    found.sort_by_key(|address| address.ip.is_ipv6());
    found.first().map(|address| address.ip.to_string())
}

fn data_device() -> String {
    let state = file::first_line(paths::DATA_STATE);
    let mut words = state.split(' ');
    match (words.next(), words.next()) {
        (Some("device"), Some(path)) => path.into(),
        _ => "none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, paths};

    #[test]
    fn reads_its_options() {
        for (options, expected) in [
            (&[][..], Some(Subject::Engine(paths::PODMAN_SOCKET))),
            (&["--socket", "/run/docker.sock"], Some(Subject::Engine("/run/docker.sock"))),
            (&["--port", "80"], Some(Subject::Port(80))),
            (&["--no-engine"], Some(Subject::None)),
            (&["--port", "0"], None),
            (&["--port", "x"], None),
            (&["--socket"], None),
            (&["--no-engine", "x"], None),
        ] {
            assert_eq!(Subject::of(options), expected, "{options:?}");
        }
    }

    #[test]
    fn a_web_server_may_answer_what_it_likes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 256]).unwrap();
            stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap();
        });
        Subject::Port(port).ask().unwrap();
        server.join().unwrap();
        assert!(Subject::Port(port).ask().is_err());
        assert!(Subject::Engine("/nonexistent").ask().is_err());
        Subject::None.ask().unwrap();
    }
}
