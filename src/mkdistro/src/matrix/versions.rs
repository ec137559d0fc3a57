//! What a running system is asked for, and how its answers are read.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Versions by component.
pub type Versions = BTreeMap<String, String>;

/// Component, program (asked only if it is there) and what it is asked with.
const PROBES: [(&str, &str, &str); 28] = [
    ("aardvark-dns", "/usr/lib/podman/aardvark-dns", "--version"),
    ("buildah", "/usr/bin/buildah", "--version"),
    ("buildx", "/usr/libexec/docker/cli-plugins/docker-buildx", "version"),
    ("busybox", "/usr/bin/busybox", ""),
    ("compose", "/usr/libexec/docker/cli-plugins/docker-compose", "version"),
    ("conmon", "/usr/bin/conmon", "--version"),
    ("containerd", "/usr/bin/containerd", "--version"),
    ("crun", "/usr/bin/crun", "--version"),
    ("cryptsetup", "/usr/bin/cryptsetup", "--version"),
    ("docker client", "/usr/bin/docker", "--version"),
    ("docker engine", "/usr/bin/dockerd", "--version"),
    ("dropbear", "/usr/bin/dropbear", "-V"),
    ("e2fsprogs", "/usr/bin/mke2fs", "-V"),
    ("git", "/usr/bin/git", "--version"),
    ("htop", "/usr/bin/htop", "--version"),
    ("init", "/usr/bin/init", "--version"),
    ("iptables", "/usr/bin/iptables", "--version"),
    ("linux", "/usr/bin/uname", "-r"),
    ("nano", "/usr/bin/nano", "--version"),
    ("netavark", "/usr/lib/podman/netavark", "--version"),
    ("nftables", "/usr/bin/nft", "--version"),
    ("openssl", "/usr/bin/openssl", "version"),
    ("passt", "/usr/bin/passt", "--version"),
    ("podman", "/usr/bin/podman", "--version"),
    ("runc", "/usr/bin/runc", "--version"),
    ("skopeo", "/usr/bin/skopeo", "--version"),
    ("sudo", "/usr/bin/sudo", "--version"),
    ("tmux", "/usr/bin/tmux", "-V"),
];

/// Elsewhere a link to busybox, which has many programs' names, is not the component.
const MAY_BE_BUSYBOX: [&str; 2] = ["busybox", "linux"];

/// A script for the guest's shell: a line `COMPONENT<TAB>ANSWER` for each program that it has.
pub fn script() -> String {
    // crun gives no version without a folder for its state.
    let mut script = String::from("export XDG_RUNTIME_DIR=\"${XDG_RUNTIME_DIR:-/tmp}\"\n");
    for (component, program, arguments) in PROBES {
        let ask = format!("printf '%s\\t%s\\n' '{component}' \"$({program} {arguments} 2>&1 | head -n 1)\"");
        let is_busyboxs = format!("[ \"$(readlink -f {program})\" = /usr/bin/busybox ]");
        let is_absent = if MAY_BE_BUSYBOX.contains(&component) { "false" } else { &is_busyboxs };
        // The command docker of podman, for one, is a script and has the version of podman.
        let is_script = format!("[ \"$(head -c 2 {program})\" = '#!' ]");
        let _ = writeln!(script, "[ ! -x {program} ] || {is_absent} || {is_script} || {ask}");
    }
    script
}

/// Reads what the script has printed: the versions, and the components whose answer has none.
pub fn read(output: &str) -> (Versions, Vec<String>) {
    let (mut versions, mut unread) = (Versions::new(), Vec::new());
    for (component, answer) in output.lines().filter_map(|line| line.split_once('\t')) {
        match version(answer) {
            Some(version) => drop(versions.insert(component.to_owned(), version)),
            None => unread.push(format!("{component}: {answer:?}")),
        }
    }
    (versions, unread)
}

/// The first word that begins with a digit, or with `v` and one.
fn version(answer: &str) -> Option<String> {
    let words = answer.split_whitespace().map(|word| word.trim_end_matches([',', ';', ')']));
    let mut versions = words.filter_map(|word| {
        let bare = word.strip_prefix('v').unwrap_or(word);
        bare.starts_with(|c: char| c.is_ascii_digit()).then_some(bare)
    });
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{PROBES, read, script, version};

    #[test]
    fn reads_what_programs_say() {
        for (answer, expected) in [
            ("podman version 5.4.2", "5.4.2"),
            ("BusyBox v1.37.0 (Debian 1:1.37.0-6+b9) multi-call binary.", "1.37.0"),
            ("Docker version 26.1.5+dfsg1, build a72d7cd", "26.1.5+dfsg1"),
            ("containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+b4", "1.7.24~ds1"),
            ("nftables v1.1.3 (Commodore Bullmoose #4)", "1.1.3"),
            ("mke2fs 1.47.2 (1-Jan-2025)", "1.47.2"),
            ("6.12.57+deb13-amd64", "6.12.57+deb13-amd64"),
            ("tmux 3.5a", "3.5a"),
            (" GNU nano, version 8.4", "8.4"),
            ("Dropbear v2025.88", "2025.88"),
        ] {
            assert_eq!(version(answer).as_deref(), Some(expected), "{answer}");
        }
        assert_eq!(version("sh: not found"), None);
    }

    #[test]
    fn reads_the_scripts_lines() {
        let (versions, unread) = read("crun\tcrun version 1.21\nnoise\ngit\tKilled\nlinux\t6.12.1\n");
        let shown: Vec<(&str, &str)> =
            versions.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
        assert_eq!(shown, [("crun", "1.21"), ("linux", "6.12.1")]);
        assert_eq!(unread, ["git: \"Killed\""]);
    }

    #[test]
    fn a_shell_runs_the_script() {
        assert!(PROBES.is_sorted());
        let output = std::process::Command::new("sh").args(["-ec", &script()]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let (versions, _) = read(&String::from_utf8_lossy(&output.stdout));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(versions["linux"], release.trim());
    }
}
