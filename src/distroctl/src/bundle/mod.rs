//! `distroctl support-bundle`: one archive of what somebody who is to help wants to see, without passwords, tokens and
//! private keys.

mod mask;
mod tar;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{console, logs, service, status};
use mask::mask;

/// No file or output is longer in the archive: its end counts.
const LIMIT_BYTES: usize = 4 << 20;
/// For each program.
const PROGRAM_LIMIT: Duration = Duration::from_secs(20);

/// Files of the kernel and of the system, taken as they are.
const FILES: &[&str] = &[
    "/proc/cmdline",
    "/proc/version",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/swaps",
    "/proc/modules",
    "/proc/mounts",
    "/proc/self/mountinfo",
    "/proc/partitions",
    "/proc/interrupts",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/net/dev",
    "/etc/os-release",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/distro/settings",
    "/etc/distro/services",
    "/etc/containers/containers.conf",
    "/etc/containers/storage.conf",
    "/etc/containers/registries.conf",
    "/etc/docker/daemon.json",
    "/usr/share/mkdistro/distro.toml",
    "/usr/share/mkdistro/build.toml",
    "/usr/share/mkdistro/packages/lock.toml",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
];

/// Folders of small files, not what is below them.
const FOLDERS: &[&str] = &["/run/distro", "/run/distro/services", "/run/distro/net", "/etc/sysctl.d"];

/// Programs: name in the archive, command.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("dmesg", &["/usr/bin/busybox", "dmesg"]),
    ("processes", &["/usr/bin/busybox", "ps", "-o", "pid,ppid,user,vsz,rss,stat,args"]),
    ("disks", &["/usr/bin/busybox", "blkid"]),
    ("disk-space", &["/usr/bin/busybox", "df", "-k"]),
    ("network/addresses", &["/usr/bin/busybox", "ip", "addr"]),
    ("network/routes", &["/usr/bin/busybox", "ip", "route"]),
    ("network/routes-6", &["/usr/bin/busybox", "ip", "-6", "route"]),
    ("network/sockets", &["/usr/bin/busybox", "netstat", "-tuln"]),
    ("network/firewall", &["/usr/sbin/nft", "list", "ruleset"]),
    ("containers/list", &["/usr/bin/podman", "ps", "--all", "--no-trunc"]),
    ("containers/images", &["/usr/bin/podman", "images", "--all", "--digests"]),
    ("containers/info", &["/usr/bin/podman", "info"]),
    ("containers/networks", &["/usr/bin/podman", "network", "ls"]),
    ("containers/docker-list", &["/usr/bin/docker", "ps", "--all", "--no-trunc"]),
    ("containers/docker-info", &["/usr/bin/docker", "info"]),
];

/// Writes it to a file, or to standard output if that is no terminal.
pub(crate) fn run(path: Option<&str>) -> Result<ExitCode> {
    use std::io::IsTerminal;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if path.is_none() && !std::io::stdout().is_terminal() {
        pack(&gather(), Stdio::inherit())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = path.map_or_else(|| format!("/tmp/support-{host}.tar.gz"), String::from);
    let mut options = std::fs::File::options();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    let file = options.open(&path).with_context(|| format!("creating {path}"))?;
    pack(&gather(), file.into())?;
    console::print(&format!("{path}\n"))
}

/// The archive, not compressed. What cannot be had says why in its place.
fn gather() -> Vec<u8> {
    let mut archive = tar::Writer::new();
    let mut add = |name: &str, content: Result<Vec<u8>>| {
        let content = content.unwrap_or_else(|error| format!("{error:#}\n").into_bytes());
        let start = content.len().saturating_sub(LIMIT_BYTES);
        let text = String::from_utf8_lossy(content.get(start..).unwrap_or_default()).into_owned();
        archive.add(name, mask(&text).as_bytes());
    };
    add("status.txt", Ok(status::text().into_bytes()));
    add("status.json", Ok(status::json().into_bytes()));
    add("services.txt", Ok(service::list(&service::all()).into_bytes()));
    add("messages.txt", logs::all().map(String::into_bytes));
    for path in FILES {
        if Path::new(path).exists() {
            add(&format!("files{path}"), read(Path::new(path)));
        }
    }
    for folder in FOLDERS {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).collect();
        paths.sort_by_key(std::fs::DirEntry::file_name);
        for entry in paths {
            add(&format!("files{}", entry.path().display()), read(&entry.path()));
        }
    }
    for (name, command) in PROGRAMS {
        if command.first().is_some_and(|program| Path::new(program).exists()) {
            add(&format!("{name}.txt"), output(command));
        }
    }
    archive.finish()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut content = Vec::new();
    file.take(LIMIT_BYTES as u64).read_to_end(&mut content).with_context(|| format!("reading {}", path.display()))?;
    Ok(content)
}

/// What a program prints, until its time is over.
fn output(command: &[&str]) -> Result<Vec<u8>> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let line = command.join(" ");
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("making a pipe")?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting {line}"))?;
    let text = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = reader.take(LIMIT_BYTES as u64).read_to_end(&mut text);
        text
    });
    let limit = Instant::now() + PROGRAM_LIMIT;
    let mut how = String::new();
    loop {
        match child.try_wait().with_context(|| format!("waiting for {line}"))? {
            Some(status) if status.success() => break,
            Some(status) => {
                how = format!("{line}: {status}\n");
                break;
            }
            None if Instant::now() >= limit => {
                let _ = child.kill();
                let _ = child.wait();
                how = format!("{line}: not done after {} s\n", PROGRAM_LIMIT.as_secs());
                break;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    // A process that the program left behind may keep the pipe open: what there is after a moment is enough.
    let end = Instant::now() + Duration::from_secs(2);
    while !text.is_finished() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut text = if text.is_finished() { text.join().unwrap_or_default() } else { Vec::new() };
    text.extend(how.into_bytes());
    Ok(text)
}

/// Compresses it into a descriptor.
fn pack(archive: &[u8], target: Stdio) -> Result<()> {
    let mut gzip = Command::new("/usr/bin/busybox")
        .args(["gzip", "-c"])
        .stdin(Stdio::piped())
        .stdout(target)
        .spawn()
        .context("starting /usr/bin/busybox gzip -c")?;
    let written = gzip.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(archive));
    let status = gzip.wait().context("waiting for busybox gzip -c")?;
    written.context("writing to busybox gzip -c")?;
    if !status.success() {
        bail!("busybox gzip -c: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn takes_what_programs_print() {
        let text = |command: &[&str]| String::from_utf8(super::output(command).unwrap()).unwrap();
        assert_eq!(text(&["/bin/sh", "-c", "echo a; echo b >&2"]), "a\nb\n");
        assert_eq!(text(&["/bin/sh", "-c", "exit 3"]), "/bin/sh -c exit 3: exit status: 3\n");
        assert!(super::output(&["/nonexistent"]).is_err() && super::output(&[]).is_err());
    }
}
