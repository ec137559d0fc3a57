//! A Linux kernel for x86 as it boots (bzImage): what its header says, and the configuration it may carry.
//!
//! Header, little-endian (kernel `Documentation/arch/x86/boot.rst`):
//!
//! | offset | size | field                                                       |
//! |--------|------|-------------------------------------------------------------|
//! | 0x1f1  | 1    | 512-byte sectors of the set-up code less one, 0 means 4     |
//! | 0x202  | 4    | `HdrS`                                                      |
//! | 0x206  | 2    | version of the boot protocol                                |
//! | 0x20e  | 2    | place of the release's text, less 0x200                     |
//! | 0x248  | 4    | payload: bytes from the end of the set-up code              |
//! | 0x24c  | 4    | payload: bytes                                              |
//!
//! The payload is the kernel proper, compressed. With CONFIG_IKCONFIG it has the configuration between two marks, by gzip
//! (kernel `kernel/configs.c`).

use std::io::Read;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::layer::{Content, Entry};
use super::{Format, Layer};

/// No kernel is larger when unpacked.
const MAX_KERNEL_BYTES: u64 = 256 << 20;
const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// The kernel's own decompressor uses at most 64 MiB.
const XZ_MEMORY_BYTES: u64 = 80 << 20;
const CONFIG_START: &[u8] = b"IKCFG_ST";

pub(super) fn is_kernel(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS")
}

pub(super) fn read(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Kernel);
    let version = number(bytes, 0x206, 2)?;
    layer.fact("release", release(bytes).unwrap_or_default());
    if let Some(text) = version_text(bytes) {
        layer.fact("version", text);
    }
    layer.fact("boot-protocol", format!("{}.{:02}", version >> 8, version & 0xff));
    layer.fact("payload", payload(bytes).map_or("none", |payload| compression(payload).0));
    Ok(layer)
}

/// Adds the configuration inside the kernel as the file `config`. Apart from reading, because it unpacks the kernel.
pub(super) fn add_configuration(layer: &mut Layer, bytes: &[u8]) {
    if let Some(config) = configuration(bytes) {
        layer.insert(b"config", Entry::file(&config), Content::Held(config));
    }
}

/// `6.12.1 (builder@host) #1 SMP …`, if the header has it.
fn version_text(bytes: &[u8]) -> Option<String> {
    let at = number(bytes, 0x20e, 2).ok().filter(|at| *at != 0)? as usize + 0x200;
    let text = bytes.get(at..bytes.len().min(at + 512))?;
    let text = text.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// `uname -r`.
pub(super) fn release(bytes: &[u8]) -> Option<String> {
    version_text(bytes)?.split_whitespace().next().map(String::from)
}

fn number(bytes: &[u8], at: usize, size: usize) -> Result<u32> {
    let field = bytes.get(at..at + size).with_context(|| format!("the kernel's header ends before byte {at:#x}"))?;
    Ok(field.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let sectors = match bytes.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let start = (sectors + 1) * 512 + number(bytes, 0x248, 4).ok()? as usize;
    let length = number(bytes, 0x24c, 4).ok()? as usize;
    bytes.get(start..start.checked_add(length)?).filter(|payload| !payload.is_empty())
}

type Unpack = for<'a> fn(&'a [u8]) -> Result<Box<dyn Read + 'a>>;

fn compression(payload: &[u8]) -> (&'static str, Option<Unpack>) {
    let kinds: [(&[u8], &'static str, Option<Unpack>); 7] = [
        (b"\x1f\x8b", "gzip", Some(|data| Ok(Box::new(flate2::bufread::GzDecoder::new(data))))),
        (b"\xfd7zXZ\0", "xz", Some(unpack_xz)),
        (b"\x28\xb5\x2f\xfd", "zstd", Some(|data| Ok(Box::new(zstd::Decoder::with_buffer(data)?.single_frame())))),
        (b"\x02\x21\x4c\x18", "lz4", None),
        (b"\x5d\0\0", "lzma", None),
        (b"BZh", "bzip2", None),
        (b"\x89LZO", "lzo", None),
    ];
    let known = kinds.into_iter().find(|(magic, ..)| payload.starts_with(magic));
    known.map_or(("unknown", None), |(_, name, unpack)| (name, unpack))
}

fn unpack_xz<'a>(data: &'a [u8]) -> Result<Box<dyn Read + 'a>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).context("setting up xz")?;
    Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(data, stream)))
}

/// The configuration inside the kernel, if it was built so and its payload can be unpacked.
pub(super) fn configuration(bytes: &[u8]) -> Option<Bytes> {
    let payload = payload(bytes)?;
    let unpack = compression(payload).1?;
    let mut kernel = Vec::new();
    unpack(payload).ok()?.take(MAX_KERNEL_BYTES).read_to_end(&mut kernel).ok()?;
    let marks = kernel.windows(CONFIG_START.len()).enumerate().filter(|(_, window)| *window == CONFIG_START);
    // The mark itself may stand in the kernel's code too; what follows the right one is a gzip member.
    marks.map(|(at, _)| &kernel[at + CONFIG_START.len()..]).find_map(|rest| {
        let mut config = Vec::new();
        let mut member = flate2::bufread::GzDecoder::new(rest).take(MAX_CONFIG_BYTES);
        member.read_to_end(&mut config).ok().filter(|length| *length > 0)?;
        Some(Bytes::from(config))
    })
}
