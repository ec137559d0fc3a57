//! The initramfs: three cpio archives one after the other, which the kernel unpacks in order (kernel
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The first holds PID 1, the second the modules that mount the root, a shell and the settings; both are compressed. The
//! third is the root's sum and the root: a SquashFS as it is, compressed already. The folder that the SquashFS is in has no
//! entry, so that the kernel passes over it ([`paths::ROOT_IMAGE`]).
//!
//! The order is for damaged media: PID 1 looks whether all is there as it was built, and is alive to tell if only the
//! kernel and the little before the second archive can be read. The kernel unpacks nothing behind damage, so the sum
//! is missing then. The small archives need not be compressed again whenever the root changes. Zeros follow, see [`TAIL_BYTES`].

use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use contract::paths;
use contract::settings::Settings;
use contract::sum::RootSum;
use formats::cpio;
use formats::squashfs::Compression;
use formats::tree::{Kind, Node, Tree};

use crate::cache::{self, Store};

/// Highest level of the small archive: what comes after it needs more memory to unpack.
const MAX_LEVEL: i32 = 19;

/// The last page of the initramfs has so many bytes, so that nearly all of that page is free. QEMU's `microvm` puts the
/// initramfs at the end of RAM, beginning with a page; its firmware has ACPI's tables in the last bytes of RAM, and without
/// them there are no devices.
const TAIL_BYTES: u64 = 4;
const PAGE_BYTES: u64 = 4096;

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
    /// zstd's level for the small archives.
    pub(super) level: i32,
}

/// The small archives' level if the root is compressed like this: a quick build is quick in all of it.
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
pub(super) fn write(parts: &Parts<'_>, squashfs: Bytes, mtime: u32, store: &Store, out: impl Write) -> Result<()> {
    let origin: Arc<str> = Arc::from("initramfs");
    let mut first = Tree::new();
    put(&mut first, "/init", Node::new(Kind::File(Bytes::from_static(guest::INIT)), 0o755, &origin))?;
    put(&mut first, "/dev/console", Node::new(Kind::CharDevice(5, 1), 0o600, &origin))?;
    let mut second = Tree::new();
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

    let mut out = Counted { out, bytes: 0 };
    for small in [&first, &second] {
        out.write_all(&compressed(&cpio::write_tree(Vec::new(), small, mtime)?, parts.level, store)?)?;
    }
    let sum = Bytes::from(RootSum::of(&squashfs).encode());
    let mut third = cpio::Writer::new(&mut out, mtime);
    third.entry(&paths::ROOT_SUM.as_bytes()[1..], &Node::new(Kind::File(sum), 0o644, &origin))?;
    third.entry(&paths::ROOT_IMAGE.as_bytes()[1..], &Node::new(Kind::File(squashfs), 0o600, &origin))?;
    third.finish()?;
    let padding = (TAIL_BYTES + PAGE_BYTES - out.bytes % PAGE_BYTES) % PAGE_BYTES;
    std::io::copy(&mut std::io::repeat(0).take(padding), &mut out)?;
    Ok(())
}

/// Counts what goes through it.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// A whole segment; compressed once, as most builds change nothing in it.
fn compressed(archive: &[u8], level: i32, store: &Store) -> Result<Vec<u8>> {
    let settings = format!("initramfs segment, zstd {}, level {level}, checksum", zstd::zstd_safe::version_number());
    let key = cache::key(&[settings.as_bytes(), archive]);
    if let Some(segment) = store.read(cache::Kind::Piece, &key) {
        return Ok(segment);
    }
    let segment = || {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        // The kernel says so if it is damaged.
        compressor.include_checksum(true)?;
        compressor.compress(archive)
    };
    let mut segment = segment().context("compressing the initramfs")?;
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
    use contract::sum::RootSum;
    use formats::cpio::{self, Compression, Entry};
    use formats::tree::Kind;

    use super::{Parts, level, write};
    use crate::cache::Store;
    use crate::image::tests::foreign;

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
        assert_eq!(bytes.len() % 4096, 4, "the last page is left to firmware");
        let segments = cpio::segments(&bytes, 64 << 20).unwrap();
        let kinds: Vec<Compression> = segments.iter().map(|segment| segment.compression).collect();
        assert_eq!(kinds, [Compression::Zstd, Compression::Zstd, Compression::None]);
        let all: Vec<Vec<String>> =
            segments.iter().map(|segment| segment.entries.iter().map(shown).collect()).collect();
        assert_eq!(all[0], [". 0755/", "dev 0755/", "dev/console 0600 c 5 1", "init 0755 (long)"]);
        assert_eq!(segments[0].entries[3].kind, Kind::File(guest::INIT.into()));
        let settings = format!("etc/distro/settings 0644 {:?}", Settings::default().encode());
        assert_eq!(
            all[1],
            [
                ". 0755/",
                "bin 0755/",
                "bin/busybox 0755 \"BUSYBOX\"",
                "bin/sh 0777 -> busybox",
                "etc 0755/",
                "etc/distro 0755/",
                &settings,
                "modules 0755/",
                "modules/base-one.ko 0644 \"ONE\"",
                "modules/loop.ko 0644 \"LOOP\"",
                "modules/order 0644 \"loop.ko\\nbase-one.ko\\n\"",
                "proc 0755/",
                "run 0755/",
                "sys 0755/",
            ]
        );
        let sum = format!("etc/distro/root-sum 0644 {:?}", RootSum::of(b"SQUASHFS").encode());
        assert_eq!(all[2], [&sum, "retained/root.squashfs 0600 \"SQUASHFS\""]);
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
        let offsets = cpio::segments(&bytes, 64 << 20).unwrap().into_iter().map(|segment| segment.offset);
        let [first, second, third] = offsets.collect::<Vec<_>>()[..] else { panic!("not three segments") };
        let unpacked = |from: usize| {
            let mut plain = Vec::new();
            let mut decoder = zstd::Decoder::new(&bytes[from..]).unwrap().single_frame();
            std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
            plain
        };
        assert_eq!(list(&unpacked(first)), ".\ndev\ndev/console\ninit\n");
        assert_eq!(
            list(&unpacked(second)),
            ".\nbin\nbin/busybox\nbin/sh\netc\netc/distro\netc/distro/settings\nmodules\nmodules/base-one.ko\n\
             modules/loop.ko\nmodules/order\nproc\nrun\nsys\n"
        );
        assert_eq!(list(&bytes[third..]), "etc/distro/root-sum\nretained/root.squashfs\n");
    }
}
