//! `mkdistro inspect`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use formats::tree::show;
use serde_json::{Value, json};

use super::print_line;
use crate::image::megabytes;
use crate::inspect::{self, Entry, EntryKind, Fact, Located, Summary};
use crate::progress::Progress;

/// Show what is in an image, initramfs, SquashFS, package or lock
///
/// Without PATH: what it is, its parts, boot entries. PATH leads to a folder or file, over layers: it may go on inside
/// of a file that is an image itself, and may begin with a part's name (iso:, initramfs:, root:, kernel:). A / at the
/// end opens a file that is an image.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro inspect out.iso\n  mkdistro inspect out.iso root:/usr/bin\n  \
                             mkdistro inspect out.iso /boot/initrd.img/\n  mkdistro inspect out.iso root:/etc/os-release \
                             --cat\n  mkdistro inspect out.iso root:/ --extract root")]
pub(super) struct Inspect {
    /// The file
    file: PathBuf,
    /// A path in it: [PART:]/NAME/...
    path: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the file's content
    #[arg(long, requires = "path", conflicts_with_all = ["json", "extract"])]
    cat: bool,
    /// Write the file or folder to TO, which must not exist yet
    #[arg(long, requires = "path", value_name = "TO", conflicts_with = "json")]
    extract: Option<PathBuf>,
}

impl Inspect {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let file = self.file.display();
        let bytes = inspect::read(&self.file)?;
        let context = || format!("inspecting {file}");
        let Some(path) = &self.path else {
            let summary = inspect::summarize(&bytes).with_context(context)?;
            let Some(summary) = summary else { bail!("{file}: its format is not known") };
            if self.json {
                print_json(&summary)?
            } else {
                print_summary(&file.to_string(), &summary)?
            }
            return Ok(ExitCode::SUCCESS);
        };
        let located = inspect::locate(&bytes, path).with_context(context)?;
        self.show(&located, progress).with_context(|| format!("inspecting {path} of {file}"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, located: &Located, progress: &dyn Progress) -> Result<()> {
        if let Some(target) = &self.extract {
            let skipped = inspect::extract(&located.layer, &located.path, target)?;
            for path in skipped {
                progress.warn(&format!("{path} is a device, pipe or socket: not written"));
            }
            return Ok(());
        }
        if self.cat {
            return std::io::stdout().write_all(&located.content()?).context("writing to stdout");
        }
        if !located.layer.is_container() {
            return if self.json { print_json(&located.layer.facts) } else { print_facts("", &located.layer.facts) };
        }
        let entry = located.entry()?;
        match (entry.kind == EntryKind::Directory, self.json) {
            (true, false) => print_folder(located),
            (true, true) => {
                let children = located.layer.children(&located.path);
                let children = children.into_iter().map(|(name, entry)| entry_json(name, entry));
                print_json(&children.collect::<Vec<Value>>())
            }
            (false, false) => print_entry(located, entry),
            (false, true) => {
                let mut value = entry_json(&located.path, entry);
                if let Some((format, facts)) = inner(located, entry)? {
                    value["format"] = json!(format);
                    value["facts"] = json!(facts);
                }
                print_json(&value)
            }
        }
    }
}

/// Format and facts of a file that is a layer itself. What cannot be read is no layer here.
fn inner(located: &Located, entry: &Entry) -> Result<Option<(&'static str, Vec<Fact>)>> {
    if entry.kind != EntryKind::File {
        return Ok(None);
    }
    let opened = inspect::open(&located.content()?).ok().flatten();
    Ok(opened.map(|layer| (layer.format.name(), layer.facts)))
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_line(serde_json::to_string_pretty(value).context("writing JSON")?)
}

fn print_facts(indent: &str, facts: &[Fact]) -> Result<()> {
    facts
        .iter()
        .try_for_each(|fact| print_line(format_args!("{indent}{:<16} {}", fact.name, text(fact.value.as_bytes()))))
}

fn print_summary(file: &str, summary: &Summary) -> Result<()> {
    print_line(format_args!("{file}: {}, {}", summary.format.name(), megabytes(summary.size_bytes)))?;
    print_line(format_args!("  {:<16} {}", "sha256", summary.sha256))?;
    print_facts("  ", &summary.distribution)?;
    for entry in &summary.menu {
        let shown = format!("{}: {} {}", entry.label, entry.kernel, entry.command_line);
        print_line(format_args!("  {:<16} {}", "menu", text(shown.as_bytes())))?;
    }
    for part in &summary.parts {
        let path = if part.path.is_empty() { "the file itself" } else { &part.path };
        let entries = if part.entries > 0 { format!(", {} entries", part.entries) } else { String::new() };
        let size = megabytes(part.size_bytes);
        let path = text(path.as_bytes());
        print_line(format_args!("{}: {path}, {}, {size}{entries}", part.name, part.format.name()))?;
        print_facts("  ", &part.facts)?;
    }
    Ok(())
}

/// As ls -ln shows it, with the size on disk.
fn print_folder(located: &Located) -> Result<()> {
    for (name, entry) in located.layer.children(&located.path) {
        let stored = entry.stored_bytes.map_or_else(|| "-".to_string(), |bytes| bytes.to_string());
        let what = what(entry);
        let size = match &entry.kind {
            EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => format!("{major},{minor}"),
            _ => entry.size_bytes.to_string(),
        };
        print_line(format_args!(
            "{}{} {:>5} {:>5} {size:>10} {stored:>10} {}{what}",
            entry.letter(),
            permissions(entry.mode),
            entry.uid,
            entry.gid,
            text(name),
        ))?;
    }
    Ok(())
}

fn what(entry: &Entry) -> String {
    match &entry.kind {
        EntryKind::Symlink(target) => format!(" -> {}", text(target)),
        EntryKind::Directory => "/".to_string(),
        _ => String::new(),
    }
}

/// A name without what would control a terminal.
pub(super) fn text(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `rwsr-xr-t`.
fn permissions(mode: u16) -> String {
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut shown = String::with_capacity(9);
    for (index, (special, letter)) in special.into_iter().enumerate() {
        let bits = mode >> (6 - 3 * index) & 7;
        shown.push(if bits & 4 != 0 { 'r' } else { '-' });
        shown.push(if bits & 2 != 0 { 'w' } else { '-' });
        shown.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    shown
}

fn print_entry(located: &Located, entry: &Entry) -> Result<()> {
    let line = |name: &str, value: String| print_line(format_args!("{name:<16} {value}"));
    line("path", text(show(&located.path).as_bytes()))?;
    line("type", entry.word().to_string())?;
    line("mode", format!("{:04o} {}", entry.mode, permissions(entry.mode)))?;
    line("owner", format!("{}:{}", entry.uid, entry.gid))?;
    match &entry.kind {
        EntryKind::Symlink(target) => line("target", text(target))?,
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            line("device", format!("{major}:{minor}"))?;
        }
        EntryKind::File => line("size", format!("{} bytes", entry.size_bytes))?,
        _ => {}
    }
    if let Some(stored) = entry.stored_bytes {
        line("stored", format!("{stored} bytes"))?;
    }
    for (name, value) in entry.xattrs.iter() {
        line("xattr", format!("{}={}", text(name), value.escape_ascii()))?;
    }
    if let Some((format, facts)) = inner(located, entry)? {
        line("format", format.to_string())?;
        print_facts("", &facts)?;
    }
    Ok(())
}

fn entry_json(name: &[u8], entry: &Entry) -> Value {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let xattrs = entry.xattrs.iter().map(|(name, value)| (lossy(name), json!(value.escape_ascii().to_string())));
    let mut value = json!({
        "name": lossy(name),
        "type": entry.word(),
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "size-bytes": entry.size_bytes,
        "stored-bytes": entry.stored_bytes,
        "xattrs": xattrs.collect::<serde_json::Map<String, Value>>(),
    });
    match &entry.kind {
        EntryKind::Symlink(target) => value["target"] = json!(lossy(target)),
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            value["device"] = json!([major, minor]);
        }
        _ => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::{permissions, text};

    #[test]
    fn modes_are_shown_as_ls_does() {
        for (mode, expected) in [
            (0o755, "rwxr-xr-x"),
            (0o4755, "rwsr-xr-x"),
            (0o2644, "rw-r-Sr--"),
            (0o1777, "rwxrwxrwt"),
            (0o1000, "--------T"),
            (0o7777, "rwsrwsrwt"),
        ] {
            assert_eq!(permissions(mode), expected);
        }
    }

    #[test]
    fn names_cannot_control_a_terminal() {
        assert_eq!(text(b"a\x1b[2Jb\n\xff"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
