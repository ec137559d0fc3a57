//! Extended attributes: the lists of names and values, each distinct list once, and the table that numbers the lists.
//!
//! Reference: Linux `fs/squashfs/squashfs_fs.h` (`squashfs_xattr_entry`, `squashfs_xattr_id`) and `xattr_id.c`.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use anyhow::{Context, bail, ensure};

use super::Sink;
use super::compression::Encoders;
use super::metadata::{MetadataWriter, write_blocks};
use super::superblock::NO_TABLE;

/// Prefixes with their number on disk: `SQUASHFS_XATTR_USER`, `_TRUSTED`, `_SECURITY`.
pub(super) const PREFIXES: [(&[u8], u16); 3] = [(b"user.", 0), (b"trusted.", 1), (b"security.", 2)];
/// `XATTR_NAME_MAX` of Linux `limits.h`.
const NAME_MAX_BYTES: usize = 255;
/// `XATTR_SIZE_MAX` of Linux `limits.h`.
pub(super) const VALUE_MAX_BYTES: usize = 65536;

/// All lists of attributes.
#[derive(Default)]
pub(super) struct Xattrs {
    lists: Vec<List>,
    index_of: HashMap<Vec<u8>, u32>,
}

struct List {
    count: u32,
    bytes: Vec<u8>,
}

impl Xattrs {
    /// The number of a node's list, nothing if it has no attributes.
    pub(super) fn index(&mut self, attributes: &BTreeMap<Vec<u8>, Vec<u8>>) -> anyhow::Result<Option<u32>> {
        if attributes.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for (name, value) in attributes {
            push_attribute(&mut bytes, name, value)
                .with_context(|| format!("storing extended attribute {}", String::from_utf8_lossy(name)))?;
        }
        if let Some(&index) = self.index_of.get(&bytes) {
            return Ok(Some(index));
        }
        let index = self.lists.len() as u32;
        self.index_of.insert(bytes.clone(), index);
        self.lists.push(List { count: attributes.len() as u32, bytes });
        Ok(Some(index))
    }

    /// Writes lists and table; gives back the table's place.
    pub(super) fn write<W: Write>(&self, encoders: &Encoders, sink: &mut Sink<'_, W>) -> anyhow::Result<u64> {
        if self.lists.is_empty() {
            return Ok(NO_TABLE);
        }
        let mut writer = MetadataWriter::new(encoders)?;
        let mut table = Vec::new();
        for list in &self.lists {
            // struct squashfs_xattr_id: reference u64, count u32, size u32.
            table.extend(writer.position().to_u64().to_le_bytes());
            table.extend(list.count.to_le_bytes());
            table.extend((list.bytes.len() as u32).to_le_bytes());
            writer.push(&list.bytes)?;
        }
        let lists_start = sink.position;
        sink.write(&writer.finish()?.0)?;
        let places = write_blocks(&table, encoders, sink)?;
        // struct squashfs_xattr_id_table: start of the lists u64, number of lists u32, unused u32; then the places.
        let table_start = sink.position;
        sink.write(&lists_start.to_le_bytes())?;
        sink.write(&(self.lists.len() as u32).to_le_bytes())?;
        sink.write(&[0; 4])?;
        sink.write(&places)?;
        Ok(table_start)
    }
}

/// `struct squashfs_xattr_entry` and `squashfs_xattr_val`: prefix u16, length u16, name; length u32, value.
fn push_attribute(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) -> anyhow::Result<()> {
    let known = PREFIXES.iter().find_map(|&(prefix, number)| Some((number, name.strip_prefix(prefix)?)));
    let Some((number, rest)) = known else {
        bail!("a SquashFS holds only user.*, trusted.* and security.* attributes");
    };
    ensure!(!rest.is_empty() && name.len() <= NAME_MAX_BYTES, "the name has {} bytes", name.len());
    ensure!(value.len() <= VALUE_MAX_BYTES, "the value has {} bytes, Linux allows {VALUE_MAX_BYTES}", value.len());
    bytes.extend(number.to_le_bytes());
    bytes.extend((rest.len() as u16).to_le_bytes());
    bytes.extend(rest);
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(value);
    Ok(())
}
