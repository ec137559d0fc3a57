//! `distroctl shares`: folders of the host, each by its tag, by virtiofs or 9p, whichever the host offers it by:
//! `distro.share=TAG:PATH[:ro]` on the kernel command line.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::cmdline;
use rustix::mount::MountFlags;

use crate::console::log;
use crate::guest::Guest;
use crate::modules;

/// A folder that is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Share<'a> {
    tag: &'a str,
    path: &'a str,
    is_read_only: bool,
}

impl<'a> Share<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (tag, rest) = text.split_once(':')?;
        let (path, is_read_only) = rest.strip_suffix(":ro").map_or((rest, false), |path| (path, true));
        let is_path = path.starts_with('/') && !path.contains(':') && path.split('/').all(|part| part != "..");
        (!tag.is_empty() && is_path).then_some(Self { tag, path, is_read_only })
    }

    /// virtiofs first: it is the faster one. Its error is told only if 9p has the tag neither.
    fn mount(&self) -> Result<()> {
        std::fs::create_dir_all(self.path).with_context(|| format!("making {}", self.path))?;
        let access = if self.is_read_only { MountFlags::RDONLY } else { MountFlags::empty() };
        let flags = MountFlags::NODEV | MountFlags::NOSUID | access;
        let virtiofs = self.mount_as("virtiofs", "virtiofs", flags, c"");
        // 9p2000.L is Linux's dialect; 512 KiB a message are what makes it bearable.
        let p9 =
            || self.mount_as("9p", "9pnet_virtio", flags, c"trans=virtio,version=9p2000.L,msize=524288,cache=none");
        match virtiofs.or_else(|first| p9().map_err(|second| (first, second))) {
            Ok(()) => Ok(()),
            Err((first, second)) => {
                anyhow::bail!(
                    "mounting the host's folder {} at {}: virtiofs: {first}; 9p: {second}",
                    self.tag,
                    self.path
                )
            }
        }
    }

    fn mount_as(&self, kind: &str, module: &str, flags: MountFlags, data: &std::ffi::CStr) -> rustix::io::Result<()> {
        if !std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains(kind) {
            modules::load(module);
            modules::load(kind);
        }
        rustix::mount::mount(self.tag, Path::new(self.path), kind, flags, data)
    }
}

/// Mounts all; the ones that cannot be are reported.
pub(crate) fn run() -> Result<ExitCode> {
    let guest = Guest::load();
    let mut is_all = true;
    for text in cmdline::values(&guest.command_line, cmdline::SHARE) {
        let mounted = match Share::parse(text) {
            Some(share) => share.mount().map(|()| log(&format!("{} at {}", share.tag, share.path))),
            None => Err(anyhow::anyhow!("{}={text}: expected TAG:/PATH or TAG:/PATH:ro", cmdline::SHARE)),
        };
        if let Err(error) = mounted {
            is_all = false;
            guest.warn(&format!("{error:#}"));
        }
    }
    Ok(if is_all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn reads_what_is_asked_for() {
        let share = |tag, path, is_read_only| Some(Share { tag, path, is_read_only });
        assert_eq!(Share::parse("src:/mnt/src"), share("src", "/mnt/src", false));
        assert_eq!(Share::parse("src:/mnt/src:ro"), share("src", "/mnt/src", true));
        for wrong in ["", "src", ":/a", "src:a", "src:/a/../b", "src:/a:rw", "src:/a:b:ro"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }
}
