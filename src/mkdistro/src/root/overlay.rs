//! Lays the files of overlay/ over the root.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

use super::insert;
use crate::config::Checked;

/// Adds the files, root's. Of the mode bits only the owner's execute bit counts, so that the builder's umask and a git
/// checkout do not change the image.
pub(super) fn add(tree: &mut Tree, checked: &Checked) -> Result<()> {
    let origin: Arc<str> = Arc::from("overlay");
    for entry in &checked.overlay {
        let context = || format!("reading {}", entry.source.display());
        let metadata = fs::symlink_metadata(&entry.source).with_context(context)?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let (kind, mode) = if metadata.is_symlink() {
            (Kind::Symlink(fs::read_link(&entry.source).with_context(context)?.into_os_string().into_vec()), 0o777)
        } else if metadata.is_dir() {
            (Kind::Directory, 0o755)
        } else {
            let content = Bytes::from(fs::read(&entry.source).with_context(context)?);
            (Kind::File(content), if executable { 0o755 } else { 0o644 })
        };
        let existing_folder = kind == Kind::Directory && tree.lookup(entry.target.as_bytes()).is_some();
        if !existing_folder {
            insert(tree, entry.target.as_bytes(), Node::new(kind, mode, &origin))?;
        }
    }
    Ok(())
}
