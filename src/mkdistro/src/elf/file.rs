//! What an ELF file for x86-64 asks of the dynamic loader and offers to others.
//!
//! Little-endian, 64 bits; System V ABI, "Program Loading and Dynamic Linking"; symbol versions as in the LSB Core
//! specification, "Symbol Versioning". Strings are read through the segments as the loader does, version tables through
//! the section headers, which every packaged file has.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use formats::tree::{clean, split};
use object::LittleEndian as Le;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{SectionIndex, StringTable};

type Header = elf::FileHeader64<Le>;
type Segment = elf::ProgramHeader64<Le>;

/// The loader's view of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ElfFile {
    /// Path of the loader; libraries have none.
    pub(super) interpreter: Option<Vec<u8>>,
    /// Sonames in their order.
    pub(super) needed: Vec<Vec<u8>>,
    /// `RUNPATH`, or `RPATH` if there is none: folders separated by `:`.
    run_path: Vec<u8>,
    /// Library and version of it that must be there; weak ones left out.
    pub(super) versions_needed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Versions that it defines.
    pub(super) versions_defined: BTreeSet<Vec<u8>>,
}

impl ElfFile {
    /// Whether it is a program or library of this machine; relocatable files and kernel modules are not.
    pub(super) fn is_ours(data: &[u8]) -> bool {
        Header::parse(data).is_ok_and(|header| {
            let (kind, machine) = (header.e_type(Le), header.e_machine(Le));
            header.is_little_endian() && machine == elf::EM_X86_64 && (kind == elf::ET_EXEC || kind == elf::ET_DYN)
        })
    }

    /// Reads a file; None if it is not ours or not linked dynamically.
    pub(super) fn read(data: &[u8]) -> Result<Option<Self>> {
        if !Self::is_ours(data) {
            return Ok(None);
        }
        let header = Header::parse(data).context("reading the header")?;
        let segments = header.program_headers(Le, data).context("reading the program headers")?;
        let mut file = Self::default();
        let mut dynamic = None;
        for segment in segments {
            if let Some(path) = segment.interpreter(Le, data).context("reading the interpreter")? {
                file.interpreter = Some(path.to_vec());
            }
            dynamic = dynamic.or(segment.dynamic(Le, data).context("reading the dynamic segment")?);
        }
        let Some(dynamic) = dynamic else { return Ok(None) };
        file.read_dynamic(data, segments, dynamic)?;
        file.read_versions(header, data)?;
        Ok(Some(file))
    }

    fn read_dynamic(&mut self, data: &[u8], segments: &[Segment], dynamic: &[elf::Dyn64<Le>]) -> Result<()> {
        let entries = || dynamic.iter().take_while(|entry| entry.d_tag(Le) != elf::DT_NULL);
        let value = |tag| entries().find(|entry| entry.d_tag(Le) == tag).map(|entry| entry.d_val(Le));
        let strings = match value(elf::DT_STRTAB).zip(value(elf::DT_STRSZ)) {
            Some((address, size)) => {
                let found = segments
                    .iter()
                    .filter(|segment| segment.p_type(Le) == elf::PT_LOAD)
                    .find_map(|segment| segment.data_range(Le, data, address, size).ok().flatten());
                StringTable::new(found.context("its string table is outside of the file")?, 0, size)
            }
            None => StringTable::default(),
        };
        let mut rpath = Vec::new();
        for entry in entries() {
            let string = || entry.string(Le, strings).context("reading a string of the dynamic segment");
            match entry.d_tag(Le) {
                elf::DT_NEEDED => self.needed.push(string()?.to_vec()),
                elf::DT_RUNPATH => self.run_path = string()?.to_vec(),
                elf::DT_RPATH => rpath = string()?.to_vec(),
                _ => {}
            }
        }
        if self.run_path.is_empty() {
            self.run_path = rpath;
        }
        Ok(())
    }

    fn read_versions(&mut self, header: &Header, data: &[u8]) -> Result<()> {
        let sections = header.sections(Le, data).context("reading the section headers")?;
        let strings = |link: SectionIndex| sections.strings(Le, data, link).context("reading the version strings");
        if let Some((mut needs, link)) = sections.gnu_verneed(Le, data).context("reading needed versions")? {
            let strings = strings(link)?;
            let mut count = 0;
            while let Some((need, mut entries)) = needs.next().context("reading needed versions")? {
                let library = need.file(Le, strings).context("reading needed versions")?;
                while let Some(entry) = entries.next().context("reading needed versions")? {
                    if !entry.vna_flags.get(Le).contains(elf::VER_FLG_WEAK) {
                        let name = entry.name(Le, strings).context("reading needed versions")?;
                        self.versions_needed.push((library.to_vec(), name.to_vec()));
                    }
                    // Broken offsets could name the same entry again and again.
                    count += 1;
                    ensure!(count <= data.len(), "more needed versions than bytes");
                }
            }
        }
        if let Some((mut definitions, link)) = sections.gnu_verdef(Le, data).context("reading defined versions")? {
            let strings = strings(link)?;
            while let Some((_, mut names)) = definitions.next().context("reading defined versions")? {
                // The first name is the version, others are its predecessors.
                if let Some(name) = names.next().context("reading defined versions")? {
                    self.versions_defined.insert(name.name(Le, strings).context("reading defined versions")?.to_vec());
                }
            }
        }
        Ok(())
    }

    /// `RUNPATH` or `RPATH` of the file at `path`, as tree paths. Relative folders would depend on the current one: left
    /// out.
    pub(super) fn search_folders(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let origin = split(path).0;
        let folders = self.run_path.split(|&byte| byte == b':').filter(|folder| !folder.is_empty());
        let folders = folders.filter_map(|folder| {
            let rest = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find_map(|prefix| folder.strip_prefix(prefix));
            match rest {
                Some(rest) => Some([origin, rest].concat()),
                None => folder.strip_prefix(b"/").map(<[u8]>::to_vec),
            }
        });
        folders.map(|folder| clean(&folder)).collect()
    }
}
