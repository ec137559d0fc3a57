//! Installs what the tests need on a Debian machine.
//!
//! A machine may have packages from backports although its configuration names only the release itself (an image made
//! with both); plain apt-get then fails on versions. In that case the release's backports are used too, for this once.

use crate::apt;
use crate::run::{Result, create_folder, succeeds, target};
use std::path::Path;
use std::process::Command;

const PACKAGES: [&str; 26] = [
    "qemu-system-x86",
    "ovmf",
    "qemu-utils",
    "xorriso",
    "genisoimage",
    "p7zip-full",
    "squashfs-tools",
    "cpio",
    "zstd",
    "e2fsprogs",
    "xfsprogs",
    "cryptsetup-bin",
    "fdisk",
    "gdisk",
    "dosfstools",
    "mtools",
    "openssl",
    "osslsigncode",
    "openssh-client",
    "docker-registry",
    "socat",
    "gpgv",
    "minisign",
    "coreutils",
    "python3-venv",
    "chromium",
];

/// Python programs that are not in Debian, or too old there: the validators of bills of materials.
const VALIDATORS: [&str; 3] = ["cyclonedx-python-lib==11.12.0", "jsonschema==4.26.0", "spdx-tools==0.8.5"];

const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/mkdistro-xtask.sources";

/// Installs what is missing; false if that failed.
pub(crate) fn setup() -> Result<bool> {
    Ok(packages()? && validators()?)
}

/// [`VALIDATORS`] in a Python environment below the target folder, where tests look for it.
fn validators() -> Result<bool> {
    let folder = target().join("validators");
    let stamp = folder.join("installed");
    let wanted = VALIDATORS.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(true);
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    let done = succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?
        && succeeds(Command::new(folder.join("bin/python")).args(pip).args(VALIDATORS))?;
    if done {
        std::fs::write(&stamp, wanted).map_err(|error| format!("writing {}: {error}", stamp.display()))?;
    }
    Ok(done)
}

/// Debian's [`PACKAGES`].
fn packages() -> Result<bool> {
    let missing = missing()?;
    if missing.is_empty() {
        println!("setup: everything is installed");
        return Ok(true);
    }
    println!("setup: installing {}", missing.join(" "));
    // Mirrors that fail here may not matter; the installation tells.
    succeeds(&mut apt_get(&["update"]))?;
    // Nothing is taken away: where versions do not fit, apt would rather remove what is there from backports, of this very list.
    let mut arguments = vec!["install", "-y", "--no-install-recommends", "--no-remove"];
    arguments.extend(&missing);
    if succeeds(&mut apt_get(&arguments))? {
        return Ok(true);
    }
    let codename = codename(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    let Some((codename, source)) = codename.and_then(|name| {
        let source = apt::backports(&apt::sources(), &name)?;
        Some((name, source))
    }) else {
        println!("setup: the release's archive is not in apt's configuration, so backports cannot be tried");
        return Ok(false);
    };
    println!("setup: trying again with {codename}-backports");
    with_backports(&source, || {
        succeeds(&mut apt_get(&["update"]))?;
        let suite = format!("{codename}-backports");
        succeeds(apt_get(&arguments).args(["-t", &suite]))
    })
}

/// Those of [`PACKAGES`] that are not installed.
fn missing() -> Result<Vec<&'static str>> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"]).args(PACKAGES);
    // Its status is not 0 when it does not know a package.
    let output = query.output().map_err(|error| {
        format!("running dpkg-query: {error}\nhint: not a Debian machine? install {} by hand", PACKAGES.join(", "))
    })?;
    let installed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(PACKAGES.into_iter().filter(|package| !is_installed(&installed, package)).collect())
}

fn is_installed(listing: &str, package: &str) -> bool {
    listing.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == ["ii", package])
}

fn codename(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_string()).filter(|name| !name.is_empty())
}

/// A program run as root.
fn as_root(program: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if is_root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    command
}

/// Runs `action` while apt knows `source`.
fn with_backports(source: &str, action: impl FnOnce() -> Result<bool>) -> Result<bool> {
    let folder = target();
    create_folder(&folder)?;
    let file = folder.join("backports.sources");
    std::fs::write(&file, source).map_err(|error| format!("writing {}: {error}", file.display()))?;
    succeeds(as_root("install").args(["-m", "644"]).arg(&file).arg(BACKPORTS_FILE))?;
    let result = action();
    if Path::new(BACKPORTS_FILE).exists() {
        succeeds(as_root("rm").arg(BACKPORTS_FILE))?;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::{codename, is_installed};

    #[test]
    fn reads_dpkg_and_os_release() {
        let listing = "ii  cpio\nun  socat\nrc  ovmf\nii  qemu-utils\n";
        assert!(is_installed(listing, "cpio") && is_installed(listing, "qemu-utils"));
        assert!(!is_installed(listing, "socat") && !is_installed(listing, "ovmf") && !is_installed(listing, "cpi"));
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=trixie\n").as_deref(), Some("trixie"));
        assert_eq!(codename("VERSION_CODENAME=\"\"\n"), None);
    }
}
