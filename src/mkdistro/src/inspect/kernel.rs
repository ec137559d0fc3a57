//! A Linux kernel for x86 as it boots: what its header says, and the configuration it may carry.
//!
//! With CONFIG_IKCONFIG the kernel proper has its configuration between two marks, by gzip (kernel `kernel/configs.c`).

use std::io::Read;

use anyhow::Result;
use bytes::Bytes;

use super::layer::{Content, Entry};
use super::{Format, Layer};
use crate::kernel::bzimage;

const MAX_CONFIG_BYTES: u64 = 4 << 20;
const CONFIG_START: &[u8] = b"IKCFG_ST";

pub(super) fn read(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Kernel);
    let version = bzimage::protocol(bytes)?;
    layer.fact("release", bzimage::release(bytes).unwrap_or_default());
    if let Some(text) = bzimage::version_text(bytes) {
        layer.fact("version", text);
    }
    layer.fact("boot-protocol", format!("{}.{:02}", version >> 8, version & 0xff));
    layer.fact("payload", bzimage::compression(bytes));
    Ok(layer)
}

/// Adds the configuration inside the kernel as the file `config`. Apart from reading, because it unpacks the kernel.
pub(super) fn add_configuration(layer: &mut Layer, bytes: &[u8]) {
    if let Some(config) = configuration(bytes) {
        layer.insert(b"config", Entry::file(&config), Content::Held(config));
    }
}

/// The configuration inside the kernel, if it was built so and its payload can be unpacked.
pub(super) fn configuration(bytes: &[u8]) -> Option<Bytes> {
    let kernel = bzimage::unpack(bytes).ok()?;
    let marks = kernel.windows(CONFIG_START.len()).enumerate().filter(|(_, window)| *window == CONFIG_START);
    // The mark itself may stand in the kernel's code too; what follows the right one is a gzip member.
    marks.map(|(at, _)| &kernel[at + CONFIG_START.len()..]).find_map(|rest| {
        let mut config = Vec::new();
        let mut member = flate2::bufread::GzDecoder::new(rest).take(MAX_CONFIG_BYTES);
        member.read_to_end(&mut config).ok().filter(|length| *length > 0)?;
        Some(Bytes::from(config))
    })
}
