//! A unified kernel image (UAPI.5): an EFI program whose sections are kernel, initramfs and command line.

use anyhow::Result;
use bytes::Bytes;
use formats::pe;

use super::layer::{Content, Entry};
use super::{Format, Layer};

pub(super) fn is_uki(bytes: &[u8]) -> bool {
    bytes.starts_with(b"MZ") && pe::has_section(bytes, ".linux")
}

/// A section's path is its name.
pub(super) fn read(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Uki);
    layer.fact("signed", if pe::signatures(bytes)?.is_some() { "yes" } else { "no" });
    for section in pe::sections(bytes)? {
        for (name, fact) in [(".cmdline", "command-line"), (".uname", "release")] {
            if section.name == name {
                layer.fact(fact, String::from_utf8_lossy(&section.content).trim_end_matches('\0'));
            }
        }
        layer.insert(section.name.as_bytes(), Entry::file(&section.content), Content::Held(section.content));
    }
    Ok(layer)
}
