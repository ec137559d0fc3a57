//! The initramfs: two cpio archives one after the other, which the kernel unpacks in order (kernel
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The first holds the SquashFS, as it is: it is compressed already. It has no other entry, not even the folder that the
//! SquashFS is in, so that the kernel passes over it ([`paths::ROOT_IMAGE`]). The second, compressed, holds PID 1, the
//! modules that mount the SquashFS, and the settings.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use contract::paths;
use contract::settings::Settings;
use formats::cpio;
use formats::squashfs::Compression;
use formats::tree::{Kind, Node, Tree};

use crate::cache::{self, Store};
use crate::root::guest;

/// Highest level of the small archive: what comes after it needs more memory to unpack.
const MAX_LEVEL: i32 = 19;

/// The shell of the root, a static program.
const BUSYBOX: &[u8] = b"usr/bin/busybox";

/// What goes into it besides what every initramfs has.
pub(super) struct Parts<'a> {
    /// For the guest's programs.
    pub(super) settings: &'a Settings,
    /// File names and contents of the modules that mount the root, in load order.
    pub(super) modules: &'a [(String, Bytes)],
    /// busybox for the rescue shell, should the root not come up.
    pub(super) shell: Option<Bytes>,
    /// zstd's level for the second archive.
    pub(super) level: i32,
}

/// The second archive's level if the root is compressed like this: a quick build is quick in all of it.
pub(super) fn level(root: Compression) -> i32 {
    match root {
        Compression::Zstd { level } => level.min(MAX_LEVEL),
        Compression::Xz { .. } => MAX_LEVEL,
    }
}

impl Parts<'_> {
    /// The shell of a root, if it has one.
    pub(super) fn shell_of(root: &Tree) -> Option<Bytes> {
        root.lookup(BUSYBOX).and_then(Node::content).cloned()
    }
}

/// Writes it. `mtime` is in seconds since 1970.
pub(super) fn write(parts: &Parts<'_>, squashfs: Bytes, mtime: u32, store: &Store, mut out: impl Write) -> Result<()> {
    let origin: Arc<str> = Arc::from("initramfs");
    let mut second = Tree::new();
    put(&mut second, "/init", Node::new(Kind::File(Bytes::from_static(guest::INIT)), 0o755, &origin))?;
    put(&mut second, "/dev/console", Node::new(Kind::CharDevice(5, 1), 0o600, &origin))?;
    for folder in ["/proc", "/sys", "/run"] {
        put(&mut second, folder, Node::new(Kind::Directory, 0o755, &origin))?;
    }
    if let Some(busybox) = &parts.shell {
        put(&mut second, "/bin/busybox", Node::new(Kind::File(busybox.clone()), 0o755, &origin))?;
        put(&mut second, "/bin/sh", Node::new(Kind::Symlink(b"busybox".to_vec()), 0o777, &origin))?;
    }
    let settings = Bytes::from(parts.settings.encode());
    put(&mut second, paths::SETTINGS, Node::new(Kind::File(settings), 0o644, &origin))?;
    let mut order = String::new();
    for (name, content) in parts.modules {
        order.push_str(&format!("{name}\n"));
        let path = format!("{}/{name}", paths::BOOT_MODULE_DIR);
        put(&mut second, &path, Node::new(Kind::File(content.clone()), 0o644, &origin))?;
    }
    put(&mut second, paths::BOOT_MODULES, Node::new(Kind::File(Bytes::from(order)), 0o644, &origin))?;

    let mut first = cpio::Writer::new(&mut out, mtime);
    first.entry(&paths::ROOT_IMAGE.as_bytes()[1..], &Node::new(Kind::File(squashfs), 0o600, &origin))?;
    first.finish()?;
    out.write_all(&compressed(&cpio::write_tree(Vec::new(), &second, mtime)?, parts.level, store)?)?;
    Ok(())
}

/// A whole segment; compressed once, as most builds change nothing in it.
fn compressed(archive: &[u8], level: i32, store: &Store) -> Result<Vec<u8>> {
    let settings = format!("initramfs segment, zstd {}, level {level}", zstd::zstd_safe::version_number());
    let key = cache::key(&[settings.as_bytes(), archive]);
    if let Some(segment) = store.read(cache::Kind::Piece, &key) {
        return Ok(segment);
    }
    let mut segment = zstd::bulk::compress(archive, level).context("compressing the initramfs")?;
    cpio::pad_segment(&mut segment);
    // A store that fails costs time only.
    let _ = store.keep(cache::Kind::Piece, &key, |out| out.write_all(&segment));
    Ok(segment)
}

fn put(tree: &mut Tree, path: &str, node: Node) -> Result<()> {
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("putting {path} into the initramfs: {reason}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::settings::Settings;
    use formats::cpio::{self, Compression, Entry};
    use formats::tree::Kind;

    use super::{Parts, level, write};
    use crate::cache::Store;
    use crate::image::tests::foreign;
    use crate::root::guest;

    fn example() -> bytes::Bytes {
        let modules = [("loop.ko".to_string(), "LOOP".into()), ("base-one.ko".to_string(), "ONE".into())];
        let parts =
            Parts { settings: &Settings::default(), modules: &modules, shell: Some("BUSYBOX".into()), level: 19 };
        let mut out = Vec::new();
        write(&parts, "SQUASHFS".into(), 1_700_000_000, &Store::none(), &mut out).unwrap();
        out.into()
    }

    #[test]
    fn a_quick_build_is_quick_here_too() {
        for (root, expected) in [("zstd:3", 3), ("zstd:19", 19), ("zstd:22", 19), ("xz", 19)] {
            assert_eq!(level(root.parse().unwrap()), expected, "{root}");
        }
    }

    fn shown(entry: &Entry) -> String {
        let what = match &entry.kind {
            Kind::File(content) if content.len() > 1000 => " (long)".to_string(),
            Kind::File(content) => format!(" {:?}", String::from_utf8_lossy(content)),
            Kind::CharDevice(major, minor) => format!(" c {major} {minor}"),
            Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
            _ => "/".to_string(),
        };
        format!("{} {:04o}{what}", String::from_utf8_lossy(&entry.path), entry.mode)
    }

    #[test]
    fn has_the_root_and_what_mounts_it() {
        let bytes = example();
        let segments = cpio::segments(&bytes, 64 << 20).unwrap();
        let kinds: Vec<Compression> = segments.iter().map(|segment| segment.compression).collect();
        assert_eq!(kinds, [Compression::None, Compression::Zstd]);
        let first: Vec<String> = segments[0].entries.iter().map(shown).collect();
        assert_eq!(first, ["retained/root.squashfs 0600 \"SQUASHFS\""]);
        let second: Vec<String> = segments[1].entries.iter().map(shown).collect();
        let settings = format!("etc/distro/settings 0644 {:?}", Settings::default().encode());
        assert_eq!(
            second,
            [
                ". 0755/",
                "bin 0755/",
                "bin/busybox 0755 \"BUSYBOX\"",
                "bin/sh 0777 -> busybox",
                "dev 0755/",
                "dev/console 0600 c 5 1",
                "etc 0755/",
                "etc/distro 0755/",
                &settings,
                "init 0755 (long)",
                "modules 0755/",
                "modules/base-one.ko 0644 \"ONE\"",
                "modules/loop.ko 0644 \"LOOP\"",
                "modules/order 0644 \"loop.ko\\nbase-one.ko\\n\"",
                "proc 0755/",
                "run 0755/",
                "sys 0755/",
            ]
        );
        let init = segments[1].entries.iter().find(|entry| entry.path == b"init").unwrap();
        assert_eq!(init.kind, Kind::File(guest::INIT.into()));
        let entries = || segments.iter().flat_map(|segment| &segment.entries);
        assert!(entries().all(|entry| (entry.uid, entry.gid, entry.mtime) == (0, 0, 1_700_000_000)));
    }

    #[test]
    fn cpio_reads_it() {
        let bytes = example();
        let dir = tempfile::tempdir().unwrap();
        let list = |content: &[u8]| {
            let path = dir.path().join("archive");
            std::fs::write(&path, content).unwrap();
            foreign("cpio", &["-it", "--quiet"], Some(&path))
        };
        assert_eq!(list(&bytes), "retained/root.squashfs\n");
        let second = cpio::segments(&bytes, 64 << 20).unwrap()[1].offset;
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut zstd::Decoder::new(&bytes[second..]).unwrap().single_frame(), &mut plain)
            .unwrap();
        assert_eq!(
            list(&plain),
            ".\nbin\nbin/busybox\nbin/sh\ndev\ndev/console\netc\netc/distro\netc/distro/settings\ninit\nmodules\nmodules/base-one.ko\n\
             modules/loop.ko\nmodules/order\nproc\nrun\nsys\n"
        );
    }
}
