//! `distroctl ready`: waits until the engine's API answers, then says so: in a file and on every console.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::paths;
use contract::ready::Ready;

use crate::guest::{Guest, memory_kib, uptime_seconds};
use crate::{addresses, console, file, http, network};

/// Time for the engine; under software emulation its first start takes long.
const ENGINE_LIMIT: Duration = Duration::from_secs(120);
const RETRY: Duration = Duration::from_millis(100);
/// Additional time for the first address, and of it for a carrier: a card needs a moment to find its cable.
const ADDRESS_LIMIT: Duration = Duration::from_secs(2);
const CARRIER_LIMIT: Duration = Duration::from_secs(1);

/// Ends with success when the READY line is out.
pub(crate) fn run() -> Result<ExitCode> {
    let guest = Guest::load();
    if let Err(error) = wait_for_engine() {
        guest.warn(&format!("the container engine does not answer: {error:#}\nhint: see \"distroctl logs podman\""));
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

fn wait_for_engine() -> Result<()> {
    let limit = Instant::now() + ENGINE_LIMIT;
    loop {
        let problem = match http::request(paths::PODMAN_SOCKET, "GET", "/_ping", Duration::from_secs(60)) {
            Ok(response) if response.status == 200 => return Ok(()),
            Ok(response) => anyhow::anyhow!("GET /_ping: status {}, expected 200", response.status),
            Err(error) => error,
        };
        if Instant::now() >= limit {
            return Err(problem.context(format!("after {} s", ENGINE_LIMIT.as_secs())));
        }
        std::thread::sleep(RETRY);
    }
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

/// A leased address, else any IPv4, else any IPv6 address of a wired interface.
fn address(wired: &[&str]) -> Option<String> {
    if let Some(lease) = network::leases().first() {
        return Some(lease.network.address.to_string());
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
