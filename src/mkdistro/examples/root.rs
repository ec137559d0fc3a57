//! Takes the SquashFS root out of an ISO, to look at it with other programs: `root ISO OUT`.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use formats::tree::Kind;
use formats::{cpio, iso9660};

/// More than the small archive of any initramfs unpacks to.
const MAX_BYTES: u64 = 1 << 30;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [iso, out] = args.as_slice() else { bail!("usage: root ISO OUT") };
    let bytes = Bytes::from(std::fs::read(iso).with_context(|| format!("reading {iso}"))?);
    let image = iso9660::read(&bytes)?;
    let initramfs = image.entry(b"boot/initrd.img").context("the ISO has no boot/initrd.img")?;
    let Kind::File(initramfs) = &initramfs.kind else { bail!("boot/initrd.img is no file") };
    let segments = cpio::segments(initramfs, MAX_BYTES)?;
    let mut entries = segments.iter().flat_map(|segment| &segment.entries);
    let root = entries.find(|entry| entry.path == contract::paths::ROOT_IMAGE.trim_start_matches('/').as_bytes());
    let Some(Kind::File(root)) = root.map(|entry| &entry.kind) else { bail!("the initramfs has no root") };
    std::fs::write(out, root).with_context(|| format!("writing {out}"))
}
