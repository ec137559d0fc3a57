//! The image as other programs read it: the ISO with xorriso, isoinfo and 7z, the initramfs with cpio, the SquashFS with
//! unsquashfs.

use anyhow::{Context, Result, ensure};
use qemu_tests::{find_file, host, iso, kernel_and_initramfs, sha256};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn iso_reads_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (by_xorriso, by_7z) = (folder.path().join("xorriso"), folder.path().join("7z"));
    std::fs::create_dir(&by_xorriso)?;
    let (kernel, initrd) = kernel_and_initramfs(&by_xorriso)?;
    let iso = iso()?;
    host("7z", |command| command.arg("x").arg(format!("-o{}", by_7z.display())).arg(&iso))?;
    for (prefix, expected) in [("vmlinuz", &kernel), ("initrd", &initrd)] {
        let found = find_file(&by_7z, prefix)?;
        assert_eq!(sha256(&found)?, sha256(expected)?, "{prefix} by 7z and by xorriso");
    }

    let boot = host("xorriso", |command| {
        command.arg("-indev").arg(&iso).args(["-report_el_torito", "plain", "-report_system_area", "plain"])
    })?;
    assert!(boot.stdout.contains("El Torito boot img :   1  BIOS"), "{}", boot.stdout);

    let listing = host("isoinfo", |command| command.args(["-R", "-f", "-i"]).arg(&iso))?;
    let listed: BTreeSet<&str> = listing.stdout.lines().collect();
    for path in [&kernel, &initrd] {
        let name = format!("/{}", path.strip_prefix(&by_xorriso)?.display());
        assert!(listed.contains(name.as_str()), "{name} is not in {listed:?}");
    }
    let volume = host("isoinfo", |command| command.args(["-d", "-i"]).arg(&iso))?;
    let volume = volume.stdout.lines().find_map(|line| line.strip_prefix("Volume id: ")).unwrap_or_default();
    assert!(!volume.trim().is_empty(), "no volume id");
    Ok(())
}

#[test]
fn initramfs_and_root_read_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, initrd) = kernel_and_initramfs(folder.path())?;
    let unpacked = folder.path().join("initramfs");
    std::fs::create_dir(&unpacked)?;
    unpack_initramfs(&std::fs::read(initrd)?, &unpacked)?;
    assert!(unpacked.join("init").exists(), "no /init in the initramfs");
    let order = std::fs::read_to_string(unpacked.join(&contract::paths::BOOT_MODULES[1..]))?;
    for module in order.lines().filter(|line| !line.is_empty()) {
        let path = unpacked.join(&contract::paths::BOOT_MODULE_DIR[1..]).join(module);
        assert!(path.exists(), "{} is not in the initramfs", path.display());
    }

    let squashfs = unpacked.join(&contract::paths::ROOT_IMAGE[1..]);
    let listing = host("unsquashfs", |command| command.args(["-d", "", "-lc"]).arg(&squashfs))?;
    let listed: BTreeSet<&str> = listing.stdout.lines().collect();
    for path in ["/usr/bin/podman", "/etc/passwd", contract::paths::SETTINGS, contract::paths::SERVICES] {
        assert!(listed.contains(path), "no {path} in the root");
    }
    // Every block of every file; owners, devices and capabilities need rights that a build user may not have.
    let root = folder.path().join("root");
    host("unsquashfs", |command| {
        command.args(["-no-progress", "-no-xattrs", "-ignore-errors", "-d"]).arg(&root).arg(&squashfs)
    })?;
    let settings = std::fs::read_to_string(root.join(&contract::paths::SETTINGS[1..]))?;
    contract::settings::Settings::decode(&settings).context("reading the root's settings")?;
    let services = std::fs::read_to_string(root.join(&contract::paths::SERVICES[1..]))?;
    let (services, problems) = contract::service::decode(&services);
    assert_eq!(problems, []);
    for service in services {
        let program = service.command.first().context("a service without a program")?;
        let found = root.join(&program[1..]).symlink_metadata().is_ok();
        // /bin, /sbin and /lib may be links with an absolute target, which leads out of the folder here.
        let merged = root.join("usr").join(&program[1..]).symlink_metadata().is_ok();
        assert!(found || merged, "service {}: no {program} in the root", service.name);
    }
    Ok(())
}

/// An initramfs is one archive or several behind each other, each plain or compressed, each beginning at a multiple of four
/// (kernel `Documentation/driver-api/early-userspace/buffer-format.rst`). cpio(1) reads one.
fn unpack_initramfs(bytes: &[u8], folder: &Path) -> Result<()> {
    let mut at = 0;
    while let Some(skipped) = bytes[at..].iter().position(|&byte| byte != 0) {
        at += skipped;
        let rest = &bytes[at..];
        let segment = tempfile::NamedTempFile::new()?;
        let length = if rest.starts_with(b"070701") {
            let length = archive_length(rest).with_context(|| format!("reading the archive at byte {at}"))?;
            std::fs::write(segment.path(), &rest[..length])?;
            length
        } else {
            ensure!(rest.starts_with(ZSTD), "byte {at}: neither a cpio archive nor zstd");
            let length = next_archive(rest);
            let end = rest[..length].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            std::fs::write(segment.path(), &rest[..end])?;
            length
        };
        // A frame may end in zero bytes, which were cut off above as padding; zstd -d then complains after the last block.
        let script = if rest.starts_with(b"070701") {
            "cpio -idmu --quiet < \"$1\""
        } else {
            "(zstd -dcq < \"$1\" || true) | cpio -idmu --quiet"
        };
        host("sh", |command| command.args(["-ec", script, "sh"]).arg(segment.path()).current_dir(folder))?;
        at += length;
    }
    Ok(())
}

/// What a zstd frame begins with (RFC 8878, 3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Where the next archive begins behind a compressed one, or the end.
fn next_archive(bytes: &[u8]) -> usize {
    let is_plain = |rest: &[u8]| rest.starts_with(b"070701") && archive_length(rest).is_some();
    let header = |&at: &usize| bytes[at..].starts_with(ZSTD) || is_plain(&bytes[at..]);
    (4..bytes.len()).step_by(4).find(header).unwrap_or(bytes.len())
}

/// Length of a newc archive up to its trailer: the header is 110 characters, size and name length are the hexadecimal fields 6
/// and 11, name and content are padded to four.
fn archive_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let header = bytes.get(at..at + 110)?;
        let field = |index: usize| {
            let digits = std::str::from_utf8(&header[6 + 8 * index..14 + 8 * index]).ok()?;
            usize::from_str_radix(digits, 16).ok()
        };
        let (size, name_length) = (field(6)?, field(11)?);
        let name = bytes.get(at + 110..at + 110 + name_length)?;
        at = (at + 110 + name_length).next_multiple_of(4) + size.next_multiple_of(4);
        if !header.starts_with(b"070701") || at > bytes.len() {
            return None;
        }
        if name == b"TRAILER!!!\0" {
            return Some(at);
        }
    }
}
