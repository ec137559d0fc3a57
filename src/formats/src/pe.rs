//! EFI programs: PE32+ files. Reads their sections, appends some, and knows which bytes an Authenticode signature covers.
//!
//! Fields, little-endian ("PE Format", Microsoft); offsets in bytes:
//!
//! | where | offset | size | field |
//! |---|---|---|---|
//! | DOS header | 0x3c | 4 | place of the signature `PE\0\0`, after which the COFF header follows |
//! | COFF header | 2 | 2 | number of sections |
//! | | 8 | 8 | place and length of the symbol table |
//! | | 16 | 2 | size of the optional header, which follows |
//! | optional header | 0 | 2 | 0x20b: PE32+ |
//! | | 8 | 4 | bytes of initialized data |
//! | | 32, 36 | 4, 4 | alignment of sections in memory, in the file |
//! | | 56, 60 | 4, 4 | bytes of the image in memory, of all headers |
//! | | 64 | 4 | checksum |
//! | | 108 | 4 | number of data directories |
//! | | 144 | 8 | data directory 4: offset in the file and size of the signatures |
//! | section (40 bytes each, after the optional header) | 0 | 8 | name |
//! | | 8, 12 | 4, 4 | size and address in memory |
//! | | 16, 20 | 4, 4 | size and offset in the file |
//! | | 36 | 4 | flags |
//!
//! Sections stand in the file in the order of their headers, without gaps: what is hashed for a signature is then the whole
//! file but for the checksum, data directory 4 and the signatures ("Windows Authenticode Portable Executable Signature
//! Format", "Calculating the PE Image Hash").

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use crate::view::View;

const SECTION_HEADER_BYTES: usize = 40;
/// Most sections a reader takes.
const MAX_SECTIONS: usize = 96;
/// Appended sections begin at multiples of this in the file, so that an ISO 9660 extent can be the same bytes.
pub const SECTION_ALIGNMENT: usize = 2048;
/// Initialized data, may be read.
const DATA: u32 = 0x4000_0040;
/// `WIN_CERT_REVISION_2_0`, `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const CERTIFICATE: [u16; 2] = [0x0200, 0x0002];
const CERTIFICATE_HEADER_BYTES: usize = 8;
const ZEROS: [u8; SECTION_ALIGNMENT] = [0; SECTION_ALIGNMENT];

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, without the NULs after it.
    pub name: String,
    /// Where it is in the file.
    pub offset: usize,
    /// What a program finds in memory, as far as the file has it.
    pub content: Bytes,
}

/// Where the fields of a file are.
#[derive(Debug, Clone)]
struct Headers {
    coff: usize,
    optional: usize,
    /// The section headers.
    table: usize,
    sections: usize,
}

impl Headers {
    fn read(file: View<'_>) -> Result<Self> {
        file.expect(0, b"MZ", "the DOS header")?;
        let at = file.u32_le(0x3c, "the place of the PE header")? as usize;
        file.expect(at, b"PE\0\0", "the PE header")?;
        let coff = at + 4;
        let sections = usize::from(file.u16_le(coff + 2, "the number of sections")?);
        let optional = coff + 20;
        let table = optional + usize::from(file.u16_le(coff + 16, "the size of the optional header")?);
        let magic = file.u16_le(optional, "the optional header")?;
        ensure!(magic == 0x20b, "reading the optional header: expected PE32+ (0x20b), found {magic:#x}");
        let directories = file.u32_le(optional + 108, "the number of data directories")?;
        ensure!(directories > 4, "it has {directories} data directories, none for signatures");
        ensure!(sections <= MAX_SECTIONS, "it has {sections} sections, expected at most {MAX_SECTIONS}");
        file.take(table, sections * SECTION_HEADER_BYTES, "the section headers")?;
        Ok(Self { coff, optional, table, sections })
    }

    fn checksum(&self) -> usize {
        self.optional + 64
    }

    /// Data directory 4.
    fn certificates(&self) -> usize {
        self.optional + 144
    }

    fn section(&self, index: usize) -> usize {
        self.table + index * SECTION_HEADER_BYTES
    }
}

/// Whether it is a PE32+ file with a section of this name.
pub fn has_section(bytes: &[u8], name: &str) -> bool {
    let file = View::new(bytes);
    let Ok(headers) = Headers::read(file) else { return false };
    let mut field = [0; 8];
    let Some(start) = field.get_mut(..name.len()) else { return false };
    start.copy_from_slice(name.as_bytes());
    (0..headers.sections).any(|index| file.expect(headers.section(index), &field, "a section's name").is_ok())
}

/// The sections of a file.
///
/// # Errors
/// It is no PE32+, or a part of it is beyond its end.
pub fn sections(bytes: &Bytes) -> Result<Vec<Section>> {
    let file = View::new(bytes);
    let headers = Headers::read(file)?;
    let section = |index| {
        let at = headers.section(index);
        let name = file.take(at, 8, "a section's name")?.split(|&byte| byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let field = |offset| file.u32_le(at + offset, "a section header").map(|number| number as usize);
        let (in_memory, in_file, offset) = (field(8)?, field(16)?, field(20)?);
        let content = file.take(offset, in_memory.min(in_file), &format!("the section {name}"))?;
        Ok(Section { name, offset, content: bytes.slice_ref(content) })
    };
    (0..headers.sections).map(section).collect()
}

/// Where the signatures of a file are: offset and size; None if it has none.
///
/// # Errors
/// As of [`sections`].
pub fn signatures(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let file = View::new(bytes);
    let at = Headers::read(file)?.certificates();
    let (offset, size) =
        (file.u32_le(at, "a data directory")? as usize, file.u32_le(at + 4, "a data directory")? as usize);
    if size == 0 {
        return Ok(None);
    }
    file.take(offset, size, "the signatures")?;
    Ok(Some((offset, size)))
}

/// The first signature of a file, as [`Program::sign`] takes it; None if it has none of that kind.
///
/// # Errors
/// As of [`sections`].
pub fn signed_data(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let Some((offset, size)) = signatures(bytes)? else { return Ok(None) };
    let certificate = View::new(bytes).sub(offset, size, "the signatures")?;
    let length = certificate.u32_le(0, "the length of a signature")? as usize;
    let length = length.checked_sub(CERTIFICATE_HEADER_BYTES).context("a signature is shorter than its header")?;
    let kind = [certificate.u16_le(4, "a signature's version")?, certificate.u16_le(6, "a signature's type")?];
    let data = certificate.take(CERTIFICATE_HEADER_BYTES, length, "a signature")?;
    Ok((kind == CERTIFICATE).then_some(data))
}

/// A file in the making.
#[derive(Debug)]
pub struct Program {
    headers: Headers,
    /// All headers, with what pads them.
    head: Vec<u8>,
    /// What follows, in order.
    body: Vec<Bytes>,
    size: usize,
    /// With its header, padded; empty if there is none.
    signature: Vec<u8>,
}

impl Program {
    /// A program with further sections. What follows the last section of the old one (symbols, signatures) is dropped.
    ///
    /// # Errors
    /// It is no PE32+, or there is no room for the headers or in 4 GiB.
    pub fn append(program: &Bytes, sections: &[(&str, Bytes)]) -> Result<Self> {
        let file = View::new(program);
        let headers = Headers::read(file)?;
        let old = Layout::read(file, &headers)?;
        let count = headers.sections + sections.len();
        let table_end = headers.section(count);
        let alignment = old.file_alignment.max(1);
        let head_bytes = old.head_bytes.max(table_end.next_multiple_of(alignment));
        ensure!(head_bytes <= old.first_address, "there is no room for {} more section headers", sections.len());
        let shift = head_bytes - old.head_bytes;

        let mut head = file.take(0, headers.section(headers.sections), "the headers")?.to_vec();
        head.resize(head_bytes, 0);
        let mut put = |at: usize, number: usize| -> Result<()> {
            let number = u32::try_from(number).context("the program is larger than 4 GiB")?;
            head[at..at + 4].copy_from_slice(&number.to_le_bytes());
            Ok(())
        };
        for index in 0..headers.sections {
            let at = headers.section(index) + 20;
            put(at, file.u32_le(at, "a section header")? as usize + shift)?;
        }
        let mut body = vec![program.slice(old.head_bytes..old.end)];
        let mut size = old.end + shift;
        if !sections.is_empty() && headers.sections > 0 {
            // The last one takes the bytes up to the first new one: there may be no gap.
            let at = headers.section(headers.sections - 1) + 16;
            let gap = size.next_multiple_of(SECTION_ALIGNMENT) - size;
            put(at, file.u32_le(at, "a section header")? as usize + gap)?;
            body.push(Bytes::from_static(&ZEROS[..gap]));
            size += gap;
        }
        let mut address = old.memory_end.next_multiple_of(old.memory_alignment);
        for (index, (_, content)) in sections.iter().enumerate() {
            let at = headers.section(headers.sections + index);
            let in_file = content.len().next_multiple_of(SECTION_ALIGNMENT);
            for (offset, number) in [(8, content.len()), (12, address), (16, in_file), (20, size), (36, DATA as usize)]
            {
                put(at + offset, number)?;
            }
            body.extend([content.clone(), Bytes::from_static(&ZEROS[..in_file - content.len()])]);
            size += in_file;
            address = (address + content.len().max(1)).next_multiple_of(old.memory_alignment);
        }
        let data: usize = sections.iter().map(|(_, content)| content.len().next_multiple_of(SECTION_ALIGNMENT)).sum();
        put(headers.optional + 8, old.data_bytes + data)?;
        put(headers.optional + 56, address)?;
        put(headers.optional + 60, head_bytes)?;
        // Without symbols and signatures.
        for at in [headers.coff + 8, headers.coff + 12, headers.certificates(), headers.certificates() + 4] {
            put(at, 0)?;
        }
        for (index, (name, _)) in sections.iter().enumerate() {
            ensure!(name.len() <= 8, "the name {name} is longer than 8 bytes");
            let at = headers.section(headers.sections + index);
            head[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
        let count = u16::try_from(count).context("too many sections")?;
        head[headers.coff + 2..headers.coff + 4].copy_from_slice(&count.to_le_bytes());

        let mut program = Self { headers, head, body, size, signature: Vec::new() };
        program.update_checksum()?;
        Ok(program)
    }

    /// The bytes that a signature covers, in order.
    pub fn signed_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let (checksum, certificates) = (self.headers.checksum(), self.headers.certificates());
        let head = [&self.head[..checksum], &self.head[checksum + 4..certificates], &self.head[certificates + 8..]];
        head.into_iter().chain(self.body.iter().map(|part| &part[..])).chain([&ZEROS[..self.padding()]])
    }

    /// Adds the signature, a DER-encoded PKCS #7 SignedData, in place of any other.
    ///
    /// # Errors
    /// It does not fit.
    pub fn sign(&mut self, signed_data: &[u8]) -> Result<()> {
        let length = CERTIFICATE_HEADER_BYTES + signed_data.len();
        let mut signature = u32::try_from(length).context("the signature is too long")?.to_le_bytes().to_vec();
        CERTIFICATE.iter().for_each(|field| signature.extend(field.to_le_bytes()));
        signature.extend(signed_data);
        signature.resize(length.next_multiple_of(8), 0);
        let place = u32::try_from(self.size + self.padding()).context("the program is larger than 4 GiB")?;
        let size = u32::try_from(signature.len()).context("the signature is too long")?;
        let at = self.headers.certificates();
        self.head[at..at + 4].copy_from_slice(&place.to_le_bytes());
        self.head[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
        self.signature = signature;
        self.update_checksum()
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        self.bytes().try_for_each(|part| out.write_all(part))
    }

    fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let body = self.body.iter().map(|part| &part[..]);
        let padding = if self.signature.is_empty() { 0 } else { self.padding() };
        [&self.head[..]].into_iter().chain(body).chain([&ZEROS[..padding], &self.signature])
    }

    /// Signatures begin at a multiple of 8.
    fn padding(&self) -> usize {
        self.size.next_multiple_of(8) - self.size
    }

    /// The sum of all 16-bit words with carries added back, the field itself as 0, and the file's length.
    fn update_checksum(&mut self) -> Result<()> {
        let at = self.headers.checksum();
        self.head[at..at + 4].fill(0);
        let mut sum = 0_u64;
        let mut length = 0_usize;
        for part in self.bytes() {
            // A part may begin in the middle of a word.
            let (first, rest) = if length % 2 == 1 { part.split_at(part.len().min(1)) } else { (&part[..0], part) };
            sum += first.iter().map(|byte| u64::from(*byte) << 8).sum::<u64>();
            let words = rest.chunks(2).map(|word| u64::from(word[0]) | u64::from(*word.get(1).unwrap_or(&0)) << 8);
            sum += words.sum::<u64>();
            length += part.len();
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let checksum = u32::try_from(sum as usize + length).context("the program is larger than 4 GiB")?;
        self.head[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }
}

/// How a program lies in the file and in memory.
struct Layout {
    head_bytes: usize,
    data_bytes: usize,
    file_alignment: usize,
    memory_alignment: usize,
    /// Where the first section begins in memory.
    first_address: usize,
    /// Where the last section ends, in the file and in memory.
    end: usize,
    memory_end: usize,
}

impl Layout {
    /// Refuses a file with gaps between sections.
    fn read(file: View<'_>, headers: &Headers) -> Result<Self> {
        let field = |at, what| file.u32_le(at, what).map(|number| number as usize);
        let optional = |offset| field(headers.optional + offset, "the optional header");
        let mut layout = Self {
            head_bytes: optional(60)?,
            data_bytes: optional(8)?,
            file_alignment: optional(36)?,
            // A page, so that sections can have rights of their own.
            memory_alignment: optional(32)?.max(4096),
            first_address: usize::MAX,
            end: optional(60)?,
            memory_end: 0,
        };
        file.take(headers.table, headers.sections * SECTION_HEADER_BYTES, "the section headers")?;
        ensure!(headers.section(headers.sections) <= layout.head_bytes, "the section headers are beyond the headers");
        for index in 0..headers.sections {
            let header = |offset| field(headers.section(index) + offset, "a section header");
            let (in_memory, address, in_file, offset) = (header(8)?, header(12)?, header(16)?, header(20)?);
            layout.first_address = layout.first_address.min(address);
            layout.memory_end = layout.memory_end.max(address + in_memory.max(1));
            if in_file > 0 && offset != layout.end {
                bail!("section {index} is at byte {offset:#x} of the file, expected {:#x}", layout.end);
            }
            layout.end += in_file;
        }
        file.take(0, layout.end, "the sections")?;
        Ok(layout)
    }
}
