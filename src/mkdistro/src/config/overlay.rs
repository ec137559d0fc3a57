//! The overlay: everything below `overlay/`, in the order of its paths.

use std::fs;
use std::path::Path;

use super::OverlayEntry;
use super::problems::Problems;

/// Keeps an empty folder in git; the only name that is passed over.
const PLACEHOLDER: &str = ".gitkeep";

/// Lists the overlay; a project without one has an empty one.
pub(super) fn walk(dir: &Path, problems: &mut Problems) -> Vec<OverlayEntry> {
    let mut entries = Vec::new();
    if fs::symlink_metadata(dir).is_ok() {
        folder(dir, "", &mut entries, problems);
    }
    entries.sort_by(|a, b| a.target.cmp(&b.target));
    entries
}

fn folder(dir: &Path, target: &str, entries: &mut Vec<OverlayEntry>, problems: &mut Problems) {
    let shown = format!("overlay/{target}");
    let listed = fs::read_dir(dir).and_then(|listed| listed.collect::<Result<Vec<_>, _>>());
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return problems.file(shown.trim_end_matches('/'), format!("reading the folder: {error}"), ""),
    };
    for entry in listed {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.contains(char::is_control)) else {
            let shown = format!("{shown}{}", name.to_string_lossy().escape_debug());
            problems.file(&shown, "bad file name, expected UTF-8 without control characters", "rename the file");
            continue;
        };
        if name == PLACEHOLDER {
            continue;
        }
        let (source, path) = (entry.path(), format!("{target}{name}"));
        match fs::symlink_metadata(&source) {
            Ok(found) if found.is_dir() => {
                entries.push(OverlayEntry { target: path.clone(), source: source.clone() });
                folder(&source, &format!("{path}/"), entries, problems);
            }
            Ok(found) if found.is_file() || found.is_symlink() => entries.push(OverlayEntry { target: path, source }),
            Ok(_) => {
                let message = "special file, expected a file, a folder or a symbolic link";
                problems.file(&format!("overlay/{path}"), message, "remove it");
            }
            Err(error) => problems.file(&format!("overlay/{path}"), format!("reading: {error}"), ""),
        }
    }
}
