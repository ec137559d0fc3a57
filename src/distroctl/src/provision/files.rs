//! `[[files]]`.

use document::{Document, File};

use super::changes::Changes;

/// Writes files and makes folders.
pub(super) fn apply(changes: &mut Changes, document: &Document) {
    for file in &document.files {
        let owner = file.owner.as_deref().unwrap_or("root:root");
        if file.directory {
            changes.folder(&file.path, file.mode.unwrap_or(0o755), owner);
        } else {
            let content = content(changes, file);
            changes.write(&file.path, &content, file.mode.unwrap_or(0o644), owner);
        }
    }
}

/// What is appended is there already if the file holds it: the root is new at each boot, `apply` comes again.
fn content(changes: &Changes, file: &File) -> Vec<u8> {
    if !file.append {
        return file.content.clone();
    }
    let mut old = changes.root.read(&file.path).unwrap_or_default();
    let new = file.content.as_slice();
    let there = new.is_empty() || old.windows(new.len()).any(|part| part == new);
    if !there {
        old.extend(new);
    }
    old
}
