//! OVA: a tar with an OVF descriptor, its manifest, and a stream-optimized VMDK, which VirtualBox and VMware import in one
//! step.
//!
//! The descriptor must come first (DSP0243 1.1.0, 5.3); the manifest follows, so that who reads front to back can check the
//! disk while it comes in. Members have owner 0 and mode 0644.
//!
//! tar: POSIX.1-2017, pax(1p), "ustar Interchange Format".

use std::io::Write;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::ovf;
pub use super::ovf::Appliance;

const BLOCK_BYTES: usize = 512;
/// What a size field of eleven octal digits can say.
const MAX_MEMBER_BYTES: u64 = 8 << 30;

/// Name of the VMDK in the archive.
pub fn vmdk_name(appliance: &Appliance) -> String {
    format!("{}-disk1.vmdk", appliance.name)
}

/// Writes the OVA in one pass. `mtime` is in seconds since 1970.
///
/// # Errors
/// If `out` gives one; if a name is too long or the VMDK 8 GiB large.
pub fn write(appliance: &Appliance, vmdk: &[u8], mtime: u32, out: &mut impl Write) -> Result<()> {
    let vmdk_name = vmdk_name(appliance);
    let descriptor = ovf::descriptor(appliance, &vmdk_name, vmdk.len() as u64);
    let descriptor_name = format!("{}.ovf", appliance.name);
    let manifest = manifest_line(&descriptor_name, descriptor.as_bytes()) + &manifest_line(&vmdk_name, vmdk);
    let members = [
        (descriptor_name, descriptor.as_bytes()),
        (format!("{}.mf", appliance.name), manifest.as_bytes()),
        (vmdk_name, vmdk),
    ];
    for (name, content) in &members {
        let fill = content.len().next_multiple_of(BLOCK_BYTES) - content.len();
        let header = header(name, content.len() as u64, mtime)?;
        for part in [&header, *content, &vec![0; fill]] {
            out.write_all(part).with_context(|| format!("writing {name} of an OVA"))?;
        }
    }
    out.write_all(&[0; 2 * BLOCK_BYTES]).context("writing the end of an OVA")
}

/// A line of the manifest (DSP0243 1.1.0, 5.1, with the digest that VMware uses since 6.5 and VirtualBox since 5).
fn manifest_line(name: &str, content: &[u8]) -> String {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("SHA256({name})= {digest}\n")
}

/// | offset | size | field |
/// |---|---|---|
/// | 0 | 100 | name |
/// | 100 | 3 × 8 | mode, uid, gid: octal digits and NUL, as all numbers |
/// | 124 | 12 + 12 | size, time |
/// | 148 | 8 | checksum: the sum of all bytes, spaces for these eight |
/// | 156 | 1 | type `0`, a file |
/// | 257 | 6 + 2 | `ustar`, version `00` |
fn header(name: &str, size_bytes: u64, mtime: u32) -> Result<[u8; BLOCK_BYTES]> {
    ensure!(name.len() <= 100, "{name:?} is too long for a member of an OVA");
    ensure!(size_bytes < MAX_MEMBER_BYTES, "{name} of {size_bytes} bytes is too large for an OVA");
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\x000000000\x000000000");
    put(124, &format!("{size_bytes:011o}"));
    put(136, &format!("{mtime:011o}"));
    put(148, "        0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}
