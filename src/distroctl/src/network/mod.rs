//! `distroctl network`: gives interfaces what the document ([`contract::paths::CONFIG`]) and `ip=` on the kernel command
//! line say, and every other wired interface DHCP: one busybox `udhcpc` for as long as the interface is there. IPv6
//! addresses come from router advertisements, which the kernel handles; their name servers are taken here.
//!
//! `distroctl network status` shows it, `distroctl network apply` lets the service read the document again.

mod advertised;
mod apply;
mod client;
mod command_line;
mod firewall;
mod interface;
mod lease;
mod links;
#[cfg(test)]
mod namespace_tests;
mod resolv;
mod rtnetlink;
mod script;
mod service;
mod source;
mod status;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

pub(crate) use apply::apply;
pub(crate) use command_line::CommandLine;
pub(crate) use interface::wired;
pub(crate) use script::script;
pub(crate) use source::all_leases;
pub(crate) use status::{Summary, status, summaries};

/// The name under which udhcpc runs this program.
pub(crate) const SCRIPT_NAME: &str = "udhcpc-script";

/// The service.
pub(crate) fn run() -> Result<ExitCode> {
    service::run()?;
    Ok(ExitCode::SUCCESS)
}

/// When to start a client again: soon after the first failure, ever later after the next ones.
fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(5))
}

#[cfg(test)]
mod tests {
    #[test]
    fn backs_off() {
        let seconds: Vec<u64> = (0..8).map(|failures| super::back_off(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 32, 32]);
    }
}
