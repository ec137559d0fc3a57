//! What udhcpc runs at each event (`deconfig`, `bound`, `renew`, `leasefail`, `nak`): this program under another name.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::lease::Lease;
use super::source::{self, Source};
use crate::{console, hostname};

/// Handles one event; `words` are udhcpc's arguments.
pub(crate) fn script(words: &[&str]) -> Result<ExitCode> {
    let variable = |key: &str| std::env::var(key).ok();
    let event = words.first().copied().unwrap_or_default();
    let interface = variable("interface").context("udhcpc gave no \"interface\"")?;
    let new = match event {
        "deconfig" => None,
        "bound" | "renew" => Some(Lease::from_environment(variable).with_context(|| format!("{interface}: {event}"))?),
        _ => {
            let message = variable("message").map(|message| format!(" ({message})")).unwrap_or_default();
            console::log(&format!("{interface}: {event}{message}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let changed = source::apply(Source::Dhcp, &interface, new.as_ref())?;
    if let Some(lease) = new.filter(|_| changed) {
        for address in &lease.addresses {
            console::log(&format!("{interface}: address {address}"));
        }
        take_hostname(&lease);
    }
    Ok(ExitCode::SUCCESS)
}

/// A machine without a name takes the one that the server gives.
fn take_hostname(lease: &Lease) {
    let uname = rustix::system::uname();
    let current = uname.nodename().to_string_lossy();
    if let Some(name) = &lease.hostname
        && ["", "(none)", "localhost"].contains(&current.as_ref())
    {
        hostname::set(name).unwrap_or_else(|error| console::log(&format!("{error:#}")));
    }
}
