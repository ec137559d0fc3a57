//! `/etc/resolv.conf` from what all interfaces are given (resolv.conf(5)).

use std::path::Path;

use anyhow::Result;
use contract::paths;
use rustix::process::{Pid, Signal, kill_process};

use super::lease::Lease;
use crate::console::log;
use crate::file;

/// Name of the name server for containers, and where it keeps its pid (netavark's folder for podman as root).
const AARDVARK: &str = "aardvark-dns";
const AARDVARK_PID: &str = "/run/containers/networks/aardvark-dns/aardvark.pid";

/// The resolver of libc reads no more (`MAXNS`).
const NAME_SERVERS: usize = 3;
/// `MAXDNSRCH` of older ones.
const SEARCH_DOMAINS: usize = 6;

/// Writes the file and tells of a change. Not at `/etc/resolv.conf`: a rename there would replace the image's link, which
/// is there from the start.
pub(super) fn publish(first: &Lease, leases: &[Lease]) -> Result<()> {
    let path = Path::new(paths::RESOLV_CONF);
    let text = merge(first, leases);
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    file::replace(path, text.as_bytes(), 0o644, None)?;
    // It reads the name servers that it asks itself at its start and at SIGHUP.
    if let Some(pid) = running(Path::new(AARDVARK_PID), AARDVARK, Path::new("/proc"))
        && let Err(error) = kill_process(pid, Signal::HUP)
    {
        log(&format!("telling {AARDVARK} of new name servers: {error}"));
    }
    Ok(())
}

/// The process that a pid file names, if it is that program: what ended without tidying up may have left the number to
/// another.
fn running(pid_file: &Path, name: &str, proc: &Path) -> Option<Pid> {
    let pid: i32 = file::first_line(pid_file).parse().ok()?;
    let comm = proc.join(pid.to_string()).join("comm");
    (pid > 1 && file::first_line(comm) == name).then(|| Pid::from_raw(pid))?
}

/// The file's text; leases in order of preference, each server and domain once. All of `first`, then one server of each
/// interface, so that an interface with many servers leaves room for the others.
pub(super) fn merge(first: &Lease, leases: &[Lease]) -> String {
    let depth = leases.iter().map(|lease| lease.dns.len()).max().unwrap_or(0);
    let by_rank = (0..depth).flat_map(|rank| leases.iter().filter_map(move |lease| lease.dns.get(rank)));
    let servers = unique(first.dns.iter().chain(by_rank), NAME_SERVERS);
    let domains = unique(std::iter::once(first).chain(leases).flat_map(|lease| &lease.search), SEARCH_DOMAINS);
    let mut text = String::from("# Written by distroctl network.\n");
    if !domains.is_empty() {
        text.push_str("search");
        domains.iter().for_each(|domain| text.extend([" ", domain.as_str()]));
        text.push('\n');
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

fn unique<'a, T: PartialEq>(items: impl Iterator<Item = &'a T>, limit: usize) -> Vec<&'a T> {
    let mut unique = Vec::new();
    for item in items {
        if unique.len() < limit && !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::{Lease, merge, running};

    #[test]
    fn merges_interfaces() {
        let none = Lease::default();
        let one = Lease::decode("address 10.0.0.1/8\ndns 1.1.1.1\ndns 1.1.1.2\ndns 1.1.1.3\nsearch a\nsearch b\n");
        let two = Lease::decode("address 10.0.0.2/8\ndns 2.2.2.2\ndns 1.1.1.1\nsearch b\nsearch c\n");
        let head = "# Written by distroctl network.\n";
        assert_eq!(
            merge(&none, &[one.clone(), two]),
            format!("{head}search a b c\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 1.1.1.2\n")
        );
        assert_eq!(
            merge(&none, std::slice::from_ref(&one)),
            format!("{head}search a b\nnameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\n")
        );
        assert_eq!(merge(&none, &[]), head);
        let own = Lease::decode("dns fe80::1%eth0\ndns 3.3.3.3\nsearch z\n");
        assert_eq!(
            merge(&own, &[one]),
            format!("{head}search z a b\nnameserver fe80::1%eth0\nnameserver 3.3.3.3\nnameserver 1.1.1.1\n")
        );
    }

    #[test]
    fn only_the_program_itself_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (pid_file, proc) = (folder.path().join("aardvark.pid"), folder.path());
        std::fs::create_dir(proc.join("77")).unwrap();
        let is_running = |pid: &str, comm: &str| {
            std::fs::write(&pid_file, pid).unwrap();
            std::fs::write(proc.join("77/comm"), format!("{comm}\n")).unwrap();
            running(&pid_file, "aardvark-dns", proc).map(|pid| pid.as_raw_nonzero().get())
        };
        assert_eq!(is_running("77", "aardvark-dns"), Some(77));
        assert_eq!(is_running("77\n", "aardvark-dns"), Some(77));
        assert_eq!(is_running("77", "sh"), None);
        for no_pid in ["78", "", "x", "0", "-1", "99999999999"] {
            assert_eq!(is_running(no_pid, "aardvark-dns"), None, "{no_pid:?}");
        }
        assert_eq!(running(&folder.path().join("none"), "aardvark-dns", proc), None);
    }
}
