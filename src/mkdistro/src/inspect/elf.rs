//! What an ELF file says about itself, for people; [`crate::elf`] is what the builder needs of it.

use anyhow::{Context, Result};
use bytes::Bytes;
use object::LittleEndian as Le;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use super::{Format, Layer};
use crate::kernel::{ModInfo, bzimage};

type Header = elf::FileHeader64<Le>;

/// Note of the linker's build id: `NT_GNU_BUILD_ID` of glibc's `elf.h`.
const BUILD_ID: &[u8] = b"GNU";

pub(super) fn read(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Elf);
    let Some(header) = Header::parse(bytes.as_ref()).ok().filter(|header| header.is_little_endian()) else {
        layer.fact("class", "not 64 bits little-endian");
        return Ok(layer);
    };
    let kind = match header.e_type(Le) {
        elf::ET_REL => "relocatable",
        elf::ET_EXEC => "program, fixed address",
        elf::ET_DYN => "program or library",
        elf::ET_CORE => "core",
        _ => "other",
    };
    layer.fact("type", kind);
    let machine = match header.e_machine(Le) {
        elf::EM_X86_64 => "x86-64".to_string(),
        elf::EM_AARCH64 => "aarch64".to_string(),
        elf::EM_RISCV => "riscv".to_string(),
        other => format!("{other:?}"),
    };
    layer.fact("machine", machine);
    if header.e_type(Le) == elf::ET_REL {
        return module(bytes, layer);
    }
    dynamic(header, bytes, &mut layer).context("reading the program headers")?;
    Ok(layer)
}

fn dynamic(header: &Header, bytes: &Bytes, layer: &mut Layer) -> Result<()> {
    let data = bytes.as_ref();
    let segments = header.program_headers(Le, data)?;
    let mut is_static = true;
    for segment in segments {
        if let Some(path) = segment.interpreter(Le, data)? {
            layer.fact("interpreter", String::from_utf8_lossy(path));
        }
        if let Some(mut notes) = segment.notes(Le, data)? {
            while let Some(note) = notes.next()? {
                if note.name() == BUILD_ID && note.n_type(Le) == elf::NT_GNU_BUILD_ID {
                    layer.fact("build-id", note.desc().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                }
            }
        }
        let Some(entries) = segment.dynamic(Le, data)? else { continue };
        is_static = false;
        let value = |tag| entries.iter().find(|entry| entry.d_tag(Le) == tag).map(|entry| entry.d_val(Le));
        let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else { continue };
        let loaded = segments.iter().filter(|segment| segment.p_type(Le) == elf::PT_LOAD);
        let table = loaded.filter_map(|segment| segment.data_range(Le, data, address, size).ok().flatten()).next();
        let strings = object::read::StringTable::new(table.context("its strings are outside of the file")?, 0, size);
        for entry in entries {
            let name = match entry.d_tag(Le) {
                elf::DT_NEEDED => "needed",
                elf::DT_SONAME => "soname",
                elf::DT_RUNPATH | elf::DT_RPATH => "runpath",
                _ => continue,
            };
            layer.fact(name, String::from_utf8_lossy(entry.string(Le, strings)?));
        }
    }
    if let Some(address) = bzimage::pvh_entry(data)? {
        layer.fact("pvh-entry", format!("{address:#x}"));
    }
    if is_static {
        layer.fact("linking", "static");
    }
    Ok(())
}

/// A kernel module tells about itself in a section of its own.
fn module(bytes: &Bytes, mut layer: Layer) -> Result<Layer> {
    if let Ok(info) = ModInfo::of_module(bytes) {
        layer.fact("depends", info.depends.join(" "));
    }
    Ok(layer)
}
