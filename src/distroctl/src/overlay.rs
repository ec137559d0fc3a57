//! Folders that can be written although what they come from cannot: a kernel overlay with its upper layer in RAM.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::MountFlags;

/// Upper layers, at the paths of their folders.
const SHADOW: &str = "/run/distro/data-shadow";

/// Mounts at `target` what `source` holds; changes stay in RAM.
pub(crate) fn mount(source: &Path, target: &Path) -> Result<()> {
    let layers = layers(target);
    for folder in [&layers.upper, &layers.work] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let (upper, work) = (layers.upper.display(), layers.work.display());
    let options = CString::new(format!("lowerdir={},upperdir={upper},workdir={work}", source.display()))?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("mounting an overlay over {} at {}", source.display(), target.display()))
}

struct Layers {
    upper: PathBuf,
    work: PathBuf,
}

fn layers(target: &Path) -> Layers {
    let folder = Path::new(SHADOW).join(target.strip_prefix("/").unwrap_or(target));
    Layers { upper: folder.join("upper"), work: folder.join("work") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn layers_of_a_folder_are_its_own() {
        let outer = super::layers("/var/lib/x".as_ref());
        let inner = super::layers("/var/lib/x/etc".as_ref());
        assert_eq!(outer.upper, std::path::Path::new("/run/distro/data-shadow/var/lib/x/upper"));
        assert_eq!(inner.work, std::path::Path::new("/run/distro/data-shadow/var/lib/x/etc/work"));
    }
}
