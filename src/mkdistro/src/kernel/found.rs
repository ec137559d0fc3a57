//! Configurations of kernels that are not the project's: of a file, of the running system, of an ISO.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::deb::{self, compression};
use crate::fetch::Fetched;
use crate::inspect::{Distribution, Parts};

/// Debian's have 280 KB.
const MAX_CONFIG_BYTES: u64 = 8 << 20;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Reads a kernel configuration, plain or gzip.
///
/// # Errors
/// It cannot be read, or is none.
pub fn in_file(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    text(&bytes).with_context(|| format!("reading {}", path.display()))
}

/// The running kernel's configuration: `/proc/config.gz`, else `/boot/config-RELEASE`.
///
/// # Errors
/// Neither is there.
pub fn running() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the running kernel's release")?;
    let release = release.trim();
    let places =
        ["/proc/config.gz".to_owned(), format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    match places.iter().find(|path| Path::new(path).exists()) {
        Some(path) => in_file(Path::new(path)),
        None => bail!("the running kernel {release} does not tell its configuration: looked for {}", places.join(", ")),
    }
}

/// The configuration of the kernel in an image: beside its modules, beside the kernel, or in it.
///
/// # Errors
/// It has none, is no image, or damaged.
pub fn in_iso(path: &Path) -> Result<String> {
    let bytes = Bytes::from(fs::read(path).with_context(|| format!("reading {}", path.display()))?);
    of_image(&bytes).with_context(|| format!("looking for the kernel's configuration in {}", path.display()))
}

/// Debian's configuration of the kernel whose source is locked, from the linux-config package that is locked with it.
///
/// # Errors
/// The package is missing or has no such file.
pub fn in_debian(fetched: &Fetched) -> Result<String> {
    let (name, file) = fetched
        .files
        .iter()
        .find(|(name, _)| name.starts_with("linux-config-"))
        .context("the lock has no linux-config package of the same version as the source")?;
    let is_config = |path: &[u8]| path.ends_with(b"/config.amd64_none_amd64.xz");
    let tree = deb::open(file, &name.as_str().into(), &is_config)?.tree;
    let content = tree.iter().find_map(|(_, node)| node.content());
    let content = content.with_context(|| format!("{name} has no config.amd64_none_amd64.xz"))?;
    let mut text = String::new();
    let mut decoder = compression::decoder("config.xz", content, MAX_CONFIG_BYTES, 1)?;
    decoder.read_to_string(&mut text).with_context(|| format!("unpacking the file of {name}"))?;
    Ok(text)
}

fn of_image(bytes: &Bytes) -> Result<String> {
    let parts = Parts::of(bytes)?.context("its format is not known")?;
    Distribution::of(&parts)?.kernel_config.context("neither its files nor its kernel have one")
}

fn text(bytes: &[u8]) -> Result<String> {
    let mut text = String::new();
    if bytes.starts_with(GZIP_MAGIC) {
        let decoder = flate2::read::GzDecoder::new(bytes);
        decoder.take(MAX_CONFIG_BYTES).read_to_string(&mut text).context("unpacking it with gzip")?;
    } else {
        let plain: Vec<u8> = bytes.iter().copied().take(MAX_CONFIG_BYTES as usize).collect();
        text = String::from_utf8(plain).context("it is no text")?;
    }
    if !text.lines().any(|line| line.starts_with("CONFIG_")) {
        bail!("it is no kernel configuration: no line begins with CONFIG_");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{in_file, in_iso, text};

    #[test]
    fn reads_plain_and_gzip() {
        assert_eq!(text(b"# c\nCONFIG_A=y\n").unwrap(), "# c\nCONFIG_A=y\n");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"CONFIG_A=y\n").unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(text(&gzip).unwrap(), "CONFIG_A=y\n");
        assert!(text(&gzip[..gzip.len() - 9]).is_err());
        assert_eq!(
            text(b"A=y\n").unwrap_err().to_string(),
            "it is no kernel configuration: no line begins with CONFIG_"
        );
        assert!(text(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.iso");
        std::fs::write(&path, "no ISO").unwrap();
        let error = format!("{:#}", in_iso(&path).unwrap_err());
        assert!(error.starts_with("looking for the kernel's configuration in ") && error.contains("x.iso"), "{error}");
        assert!(format!("{:#}", in_file(&dir.path().join("y")).unwrap_err()).contains("reading "));
    }
}
