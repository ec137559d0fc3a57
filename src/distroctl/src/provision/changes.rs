//! What a run changes: files that are not as they should be. Each change is a line (and, of readable text, its differences),
//! so that a dry run is the same run without the writes.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use document::Problem;

use super::Root;
use super::accounts::Ids;
use crate::file;

/// Lines shown of each side of a difference.
const SHOWN_LINES: usize = 20;

/// The changes of a run.
pub(super) struct Changes<'a> {
    pub(super) root: &'a Root,
    pub(super) dry_run: bool,
    /// What was, or would be, done.
    pub(super) lines: Vec<String>,
    /// What could not be done.
    pub(super) problems: Vec<Problem>,
    /// Only root may give files away; in tests they stay whose they are.
    may_chown: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn new(root: &'a Root, dry_run: bool) -> Self {
        let may_chown = root.is_system() && rustix::process::geteuid().is_root();
        Self { root, dry_run, lines: Vec::new(), problems: Vec::new(), may_chown }
    }

    /// Something that is no file: told, and done unless this is a dry run.
    pub(super) fn act(&mut self, what: &str, action: impl FnOnce() -> Result<()>) {
        self.lines.push(what.to_string());
        if !self.dry_run
            && let Err(error) = action()
        {
            self.problem(what, &error);
        }
    }

    /// Something that could not be done.
    pub(super) fn problem(&mut self, what: &str, error: &anyhow::Error) {
        self.problems.push(Problem::at("", 0, format!("{what}: {error:#}")));
    }

    /// Makes a file what it should be; `owner` is `USER` or `USER:GROUP`.
    pub(super) fn write(&mut self, path: &str, content: &[u8], mode: u32, owner: &str) {
        if let Err(error) = self.try_write(path, content, mode, owner) {
            self.problem(path, &error);
        }
    }

    fn try_write(&mut self, path: &str, content: &[u8], mode: u32, owner: &str) -> Result<()> {
        let real = self.root.path(path);
        let (uid, gid) = self.ids(owner)?;
        let old = std::fs::symlink_metadata(&real).ok().filter(std::fs::Metadata::is_file);
        let old_content = old.as_ref().and_then(|_| std::fs::read(&real).ok());
        let same_owner = |old: &std::fs::Metadata| !self.may_chown || (old.uid(), old.gid()) == (uid, gid);
        let same = old_content.as_deref() == Some(content);
        if same && old.as_ref().is_some_and(|old| old.permissions().mode() & 0o7777 == mode && same_owner(old)) {
            return Ok(());
        }
        let verb = if old.is_some() { "changed" } else { "new" };
        self.lines.push(format!("{verb} {path} ({} bytes, {mode:04o}, {owner})", content.len()));
        let secret = mode & 0o044 == 0;
        if !same && !secret {
            self.lines.extend(difference(&old_content.unwrap_or_default(), content));
        }
        if self.dry_run {
            return Ok(());
        }
        anyhow::ensure!(!real.is_dir(), "there is a folder of this name");
        let parent = real.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        file::replace(&real, content, mode, None)?;
        self.give(&real, uid, gid)?;
        // A change of owner takes set-uid bits away.
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(mode)).context("setting the mode")
    }

    /// Makes a folder what it should be.
    pub(super) fn folder(&mut self, path: &str, mode: u32, owner: &str) {
        if let Err(error) = self.try_folder(path, mode, owner) {
            self.problem(path, &error);
        }
    }

    fn try_folder(&mut self, path: &str, mode: u32, owner: &str) -> Result<()> {
        let real = self.root.path(path);
        let (uid, gid) = self.ids(owner)?;
        let same = std::fs::metadata(&real).is_ok_and(|old| {
            old.is_dir()
                && old.permissions().mode() & 0o7777 == mode
                && (!self.may_chown || (old.uid(), old.gid()) == (uid, gid))
        });
        if same {
            return Ok(());
        }
        self.lines.push(format!("folder {path} ({mode:04o}, {owner})"));
        if self.dry_run {
            return Ok(());
        }
        std::fs::create_dir_all(&real).context("making the folder")?;
        self.give(&real, uid, gid)?;
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(mode)).context("setting the mode")
    }

    /// Removes a file of ours if it is there.
    pub(super) fn absent(&mut self, path: &str) {
        let real = self.root.path(path);
        if std::fs::symlink_metadata(&real).is_ok() {
            self.act(&format!("removed {path}"), || std::fs::remove_file(&real).context("removing"));
        }
    }

    fn give(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        if !self.may_chown {
            return Ok(());
        }
        chown(path, Some(uid), Some(gid)).with_context(|| format!("giving it to {uid}:{gid}"))
    }

    fn ids(&self, owner: &str) -> Result<(u32, u32)> {
        match Ids::read(self.root).of(owner) {
            Some(ids) => Ok(ids),
            // A user that the run would have made by now.
            None if self.dry_run => Ok((0, 0)),
            None => Err(anyhow::anyhow!("no such user or group: {owner}")),
        }
    }
}

/// The lines in which two texts differ, `-` and `+`; nothing of what is no text.
fn difference(old: &[u8], new: &[u8]) -> Vec<String> {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else { return Vec::new() };
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut out = Vec::new();
    for (sign, lines) in [('-', &old), ('+', &new)] {
        let lines = lines.get(start..lines.len() - end).unwrap_or_default();
        out.extend(lines.iter().take(SHOWN_LINES).map(|line| format!("  {sign}{line}")));
        if lines.len() > SHOWN_LINES {
            out.push(format!("  {sign}… ({} lines more)", lines.len() - SHOWN_LINES));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn shows_what_differs() {
        assert_eq!(difference(b"a\nb\nc\n", b"a\nx\ny\nc\n"), ["  -b", "  +x", "  +y"]);
        assert_eq!(difference(b"", b"a\n"), ["  +a"]);
        assert_eq!(difference(b"a\na\n", b"a\n"), ["  -a"]);
        assert!(difference(b"\xff", b"a").is_empty());
        assert_eq!(difference(b"", "l\n".repeat(30).as_bytes()).last().unwrap(), "  +… (10 lines more)");
    }
}
