//! How a program or library is protected against misuse of its own faults, as far as its headers tell.
//!
//! Position independence, RELRO, executable stack, text relocations: program headers and dynamic section, System V ABI
//! and the GNU extensions in glibc's `elf.h`. Stack protection shows as the name `__stack_chk_fail` in a dynamic file;
//! programs in Go and Rust, which have none, are told by a note and by paths of Rust's core library.

use memchr::memmem;
use object::LittleEndian as Le;
use object::elf;
use object::read::StringTable;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use super::file::ElfFile;

type Header = elf::FileHeader64<Le>;

/// How a file is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    /// Without the dynamic loader.
    #[default]
    Static,
    /// A program with an interpreter.
    Program,
    /// Loaded by others.
    Library,
}

/// Whether the tables that the dynamic loader fills are read-only afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Relro {
    /// They stay writable.
    #[default]
    None,
    /// All but those filled on first use.
    Partial,
    /// All.
    Full,
}

/// What a file's headers say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardening {
    /// How it is linked.
    pub linkage: Linkage,
    /// The dynamic loader it names.
    pub interpreter: Option<Vec<u8>>,
    /// `RPATH` and `RUNPATH`, each as it is.
    pub run_paths: Vec<Vec<u8>>,
    /// Whether it can be loaded anywhere (PIE, library).
    pub is_position_independent: bool,
    /// RELRO.
    pub relro: Relro,
    /// The stack may be executed: said so, or nothing said in a file for the dynamic loader, which then assumes it.
    pub has_executable_stack: bool,
    /// A segment may be written and executed.
    pub has_writable_code: bool,
    /// The loader must write into the code.
    pub has_text_relocations: bool,
    /// Bytes of code.
    pub code_bytes: u64,
    /// Whether the stack is checked; None where that cannot be told or does not apply (static, Go, Rust).
    pub has_stack_checks: Option<bool>,
}

impl Hardening {
    /// Reads a file; None if it is no program or library of this machine, or damaged.
    pub fn read(data: &[u8]) -> Option<Self> {
        if !ElfFile::is_ours(data) {
            return None;
        }
        let header = Header::parse(data).ok()?;
        let segments = header.program_headers(Le, data).ok()?;
        let mut file = Self { is_position_independent: header.e_type(Le) == elf::ET_DYN, ..Self::default() };
        let (mut dynamic, mut stack_flags, mut is_go) = (None, None, false);
        for segment in segments {
            let flags = segment.p_flags(Le);
            match segment.p_type(Le) {
                elf::PT_LOAD => {
                    file.has_writable_code |= flags.contains(elf::PF_W) && flags.contains(elf::PF_X);
                    if flags.contains(elf::PF_X) {
                        file.code_bytes += segment.p_filesz(Le);
                    }
                }
                elf::PT_GNU_STACK => stack_flags = Some(flags),
                elf::PT_GNU_RELRO => file.relro = Relro::Partial,
                elf::PT_INTERP => file.interpreter = segment.interpreter(Le, data).ok()?.map(<[u8]>::to_vec),
                elf::PT_DYNAMIC => dynamic = segment.dynamic(Le, data).ok()?,
                elf::PT_NOTE => {
                    // The build id that Go's linker writes: name size 4, type 4, name "Go".
                    let note = segment.data(Le, data).unwrap_or_default();
                    is_go |= memmem::find(note, b"\x04\0\0\0Go\0\0").is_some();
                }
                _ => {}
            }
        }
        let mut protected = false;
        if let Some(dynamic) = dynamic {
            let entries = || dynamic.iter().take_while(|entry| entry.d_tag(Le) != elf::DT_NULL);
            let value = |tag| entries().find(|entry| entry.d_tag(Le) == tag).map(|entry| entry.d_val(Le));
            let size = value(elf::DT_STRSZ).unwrap_or(0);
            let names = value(elf::DT_STRTAB).and_then(|address| {
                let loads = segments.iter().filter(|segment| segment.p_type(Le) == elf::PT_LOAD);
                loads.filter_map(|segment| segment.data_range(Le, data, address, size).ok().flatten()).next()
            });
            let names = names.unwrap_or_default();
            protected = memmem::find(names, b"__stack_chk_fail").is_some();
            let strings = StringTable::new(names, 0, names.len() as u64);
            for entry in entries().filter(|entry| [elf::DT_RPATH, elf::DT_RUNPATH].contains(&entry.d_tag(Le))) {
                file.run_paths.extend(entry.string(Le, strings).ok().map(<[u8]>::to_vec));
            }
            let has = |tag, bit: u64| value(tag).unwrap_or(0) & bit != 0;
            let flags_now = has(elf::DT_FLAGS, elf::DF_BIND_NOW.0) || has(elf::DT_FLAGS_1, elf::DF_1_NOW.0);
            if file.relro == Relro::Partial && (flags_now || value(elf::DT_BIND_NOW).is_some()) {
                file.relro = Relro::Full;
            }
            file.has_text_relocations = value(elf::DT_TEXTREL).is_some() || has(elf::DT_FLAGS, elf::DF_TEXTREL.0);
            file.linkage = match (&file.interpreter, value(elf::DT_SONAME)) {
                (Some(_), None) => Linkage::Program,
                (None, _) if has(elf::DT_FLAGS_1, elf::DF_1_PIE.0) => Linkage::Static,
                _ => Linkage::Library,
            };
        }
        let is_dynamic = file.linkage != Linkage::Static;
        file.has_executable_stack = stack_flags.map_or(is_dynamic, |flags| flags.contains(elf::PF_X));
        // The search through the whole file comes last.
        if is_dynamic && (protected || !is_go && memmem::find(data, b"library/core/src/").is_none()) {
            file.has_stack_checks = Some(protected);
        }
        Some(file)
    }
}
