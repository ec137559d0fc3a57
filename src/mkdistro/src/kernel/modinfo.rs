//! What a module says about itself: the ELF section `.modinfo`, strings `key=value` with a NUL after each
//! (`MODULE_INFO` in the kernel's include/linux/module.h).

use std::io::Read;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

use super::index::{File, normal};
use crate::deb::compression;

/// Upper bound of a module after decompression; the largest of Debian's have 15 MB.
const MAX_MODULE_BYTES: u64 = 128 << 20;

/// The fields of `.modinfo` that matter for loading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModInfo {
    /// `depends`: modules whose symbols it uses, with `_` for `-`.
    pub depends: Vec<String>,
    /// `softdep`, the names after `pre:`; modules or aliases.
    pub soft_before: Vec<String>,
    /// `softdep`, the names after `post:`.
    pub soft_after: Vec<String>,
    /// `alias`: patterns of what it drives (`pci:v000080EEd…`, `fs-ext4`).
    pub aliases: Vec<String>,
    /// `firmware`: files it asks for.
    pub firmware: Vec<String>,
}

impl ModInfo {
    /// Reads the section of a module.
    pub fn of_module(module: &[u8]) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(module).context("reading the ELF header")?;
        let endian = header.endian().context("reading the ELF header")?;
        let sections = header.sections(endian, module).context("reading the ELF section headers")?;
        let (_, section) = sections.section_by_name(endian, b".modinfo").context("it has no section .modinfo")?;
        let data = section.data(endian, module).context("reading the section .modinfo")?;
        Ok(Self::parse(data))
    }

    /// Reads the content of the section.
    pub fn parse(section: &[u8]) -> Self {
        let mut info = Self::default();
        for entry in section.split(|&byte| byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            match entry.split_once('=') {
                Some(("depends", value)) => {
                    info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(normal));
                }
                Some(("softdep", value)) => info.add_soft(value),
                Some(("alias", value)) => info.aliases.push(value.to_owned()),
                Some(("firmware", value)) => info.firmware.push(value.to_owned()),
                _ => {}
            }
        }
        info
    }

    fn add_soft(&mut self, value: &str) {
        let mut list = None;
        for word in value.split_whitespace() {
            match word {
                "pre:" => list = Some(&mut self.soft_before),
                "post:" => list = Some(&mut self.soft_after),
                name => list.iter_mut().for_each(|list| list.push(name.to_owned())),
            }
        }
    }
}

/// The module as the kernel loads it.
pub(super) fn decompress(file: &File<'_>) -> Result<Bytes> {
    if file.compression.is_empty() {
        return Ok(file.content.clone());
    }
    let mut module = Vec::new();
    // One thread each: modules are decompressed in parallel.
    compression::decoder(&format!(".{}", file.compression), file.content, MAX_MODULE_BYTES, 1)?
        .read_to_end(&mut module)
        .with_context(|| format!("decompressing {}", file.path))?;
    ensure!(!module.is_empty(), "{} is empty", file.path);
    Ok(module.into())
}

#[cfg(test)]
mod tests {
    use super::ModInfo;

    #[test]
    fn reads_fields() {
        let section = b"softdep=pre: crypto-crc32c b post: c\0alias=fs-ext4\0alias=ext3\0\0depends=jbd2,nls-base\0\
                        name=ext4\0firmware=a/b.bin\0depends=\0nonsense";
        let expected = ModInfo {
            depends: vec!["jbd2".into(), "nls_base".into()],
            soft_before: vec!["crypto-crc32c".into(), "b".into()],
            soft_after: vec!["c".into()],
            aliases: vec!["fs-ext4".into(), "ext3".into()],
            firmware: vec!["a/b.bin".into()],
        };
        assert_eq!(ModInfo::parse(section), expected);
    }
}
