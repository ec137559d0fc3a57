//! The initramfs: two cpio archives one after the other, which the kernel unpacks in order (kernel
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The first holds the SquashFS, as it is: it is compressed already. The second, compressed, holds PID 1, the modules
//! that mount the SquashFS, and the settings.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use contract::paths;
use formats::cpio;
use formats::tree::{Kind, Node, Tree};

use crate::config::Checked;
use crate::root::{RootTree, guest};

/// Level of the small archive; it is 2 MB, so time does not matter.
const ZSTD_LEVEL: i32 = 19;

/// The shell of the root, a static program.
const BUSYBOX: &[u8] = b"usr/bin/busybox";

/// Builds it. `mtime` is in seconds since 1970.
pub(super) fn build(checked: &Checked, root: &RootTree, squashfs: Bytes, mtime: u32) -> Result<Bytes> {
    let origin: Arc<str> = Arc::from("initramfs");
    let mut first = Tree::new();
    put(&mut first, paths::ROOT_IMAGE, Node::new(Kind::File(squashfs), 0o600, &origin))?;

    let mut second = Tree::new();
    put(&mut second, "/init", Node::new(Kind::File(Bytes::from_static(guest::INIT)), 0o755, &origin))?;
    put(&mut second, "/dev/console", Node::new(Kind::CharDevice(5, 1), 0o600, &origin))?;
    for folder in ["/proc", "/sys", "/run"] {
        put(&mut second, folder, Node::new(Kind::Directory, 0o755, &origin))?;
    }
    // For the rescue shell, should the root not come up.
    if let Some(busybox) = root.tree.lookup(BUSYBOX).and_then(Node::content) {
        put(&mut second, "/bin/busybox", Node::new(Kind::File(busybox.clone()), 0o755, &origin))?;
        put(&mut second, "/bin/sh", Node::new(Kind::Symlink(b"busybox".to_vec()), 0o777, &origin))?;
    }
    let settings = Bytes::from(checked.settings().encode());
    put(&mut second, paths::SETTINGS, Node::new(Kind::File(settings), 0o644, &origin))?;
    let mut order = String::new();
    for (name, content) in &root.kernel.boot {
        order.push_str(&format!("{name}\n"));
        let path = format!("{}/{name}", paths::BOOT_MODULE_DIR);
        put(&mut second, &path, Node::new(Kind::File(content.clone()), 0o644, &origin))?;
    }
    put(&mut second, paths::BOOT_MODULES, Node::new(Kind::File(Bytes::from(order)), 0o644, &origin))?;

    let mut archive = cpio::write_tree(Vec::new(), &first, mtime)?;
    cpio::pad_segment(&mut archive);
    let small = cpio::write_tree(Vec::new(), &second, mtime)?;
    archive.extend(zstd::bulk::compress(&small, ZSTD_LEVEL)?);
    cpio::pad_segment(&mut archive);
    Ok(Bytes::from(archive))
}

fn put(tree: &mut Tree, path: &str, node: Node) -> Result<()> {
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("putting {path} into the initramfs: {reason}"))?;
    Ok(())
}
