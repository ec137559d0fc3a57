//! A Linux kernel for x86 as it boots (bzImage), and the kernel proper in it.
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
//! The payload is compressed: the kernel as ELF, stripped, and after it the table of its relocations. With CONFIG_PVH the
//! ELF file has a note with the address where a virtual machine monitor enters it in 32-bit mode (Xen
//! `docs/misc/pvh.pandoc`, `xen/include/public/elfnote.h`).

use std::io::Read;

use anyhow::{Context, Result, bail};
use object::LittleEndian as Le;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// No kernel is larger when unpacked.
const MAX_KERNEL_BYTES: u64 = 256 << 20;
/// The kernel's own decompressor uses at most 64 MiB.
const XZ_MEMORY_BYTES: u64 = 80 << 20;
/// Note with the entry for virtual machine monitors: `XEN_ELFNOTE_PHYS32_ENTRY` of the owner `Xen`.
const PVH_ENTRY: (&[u8], u32) = (b"Xen", 18);

/// Whether it is one.
pub fn is_kernel(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS")
}

/// Version of the boot protocol: major in the high byte, minor in the low one.
///
/// # Errors
/// The header is cut off.
pub fn protocol(bytes: &[u8]) -> Result<u32> {
    number(bytes, 0x206, 2)
}

/// `6.12.1 (builder@host) #1 SMP …`, if the header has it.
pub fn version_text(bytes: &[u8]) -> Option<String> {
    let at = number(bytes, 0x20e, 2).ok().filter(|at| *at != 0)? as usize + 0x200;
    let text = bytes.get(at..bytes.len().min(at + 512))?;
    let text = text.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// `uname -r`.
pub fn release(bytes: &[u8]) -> Option<String> {
    version_text(bytes)?.split_whitespace().next().map(String::from)
}

/// How the payload is compressed; `unknown`, or `none` if there is no payload.
pub fn compression(bytes: &[u8]) -> &'static str {
    payload(bytes).map_or("none", |payload| unpacker(payload).0)
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

/// The build puts the unpacked length after most of these streams; none of the readers looks beyond its stream's end.
fn unpacker(payload: &[u8]) -> (&'static str, Option<Unpack>) {
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

/// The payload unpacked.
///
/// # Errors
/// There is none, it is damaged, or compressed in a way that is not known here.
pub fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(bytes).context("the kernel has no payload")?;
    let (name, unpack) = unpacker(payload);
    let Some(unpack) = unpack else { bail!("the kernel's payload is compressed by {name}, expected gzip, xz or zstd") };
    let mut kernel = Vec::new();
    unpack(payload)?.take(MAX_KERNEL_BYTES).read_to_end(&mut kernel).context("unpacking the kernel's payload")?;
    Ok(kernel)
}

/// The kernel as an ELF file, uncompressed: the `vmlinux` that virtual machine monitors take.
///
/// # Errors
/// As of [`unpack`], or the payload is no ELF file.
pub fn vmlinux(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut kernel = unpack(bytes)?;
    let length = elf_length(&kernel).context("reading the kernel's ELF headers")?;
    kernel.truncate(length);
    Ok(kernel)
}

/// Where an ELF file ends: what follows belongs to the build.
fn elf_length(bytes: &[u8]) -> Result<usize> {
    let header = FileHeader64::<Le>::parse(bytes)?;
    let table = |offset: u64, count: u16, size: u16| offset.saturating_add(u64::from(count) * u64::from(size));
    let tables = [
        table(header.e_phoff(Le), header.e_phnum(Le), header.e_phentsize(Le)),
        table(header.e_shoff(Le), header.e_shnum(Le), header.e_shentsize(Le)),
    ];
    let segments = header.program_headers(Le, bytes)?.iter().map(|segment| segment.file_range(Le));
    let sections = header.section_headers(Le, bytes)?.iter().filter_map(|section| section.file_range(Le));
    let ends = segments.chain(sections).map(|(offset, size)| offset.saturating_add(size)).chain(tables);
    let end = ends.max().and_then(|end| usize::try_from(end).ok()).filter(|end| *end <= bytes.len());
    end.context("a part of it is beyond its end")
}

/// Where a virtual machine monitor enters an ELF kernel in 32-bit mode, if it has that note.
///
/// # Errors
/// The ELF headers are damaged.
pub fn pvh_entry(elf: &[u8]) -> Result<Option<u32>> {
    let header = FileHeader64::<Le>::parse(elf)?;
    for segment in header.program_headers(Le, elf)? {
        let Some(mut notes) = segment.notes(Le, elf)? else { continue };
        while let Some(note) = notes.next()? {
            if (note.name(), note.n_type(Le).0) == PVH_ENTRY {
                // 32 or 64 bits wide; the address is below 4 GiB in any case.
                return Ok(note.desc().first_chunk().map(|address| u32::from_le_bytes(*address)));
            }
        }
    }
    Ok(None)
}
