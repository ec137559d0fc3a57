//! Extended attributes, to read; [`crate::squashfs::xattr`] has the layout. Values may also stand elsewhere
//! (`SQUASHFS_XATTR_VALUE_OOL`): then eight bytes stand for the value, the place of its length and bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::super::xattr::{PREFIXES, VALUE_MAX_BYTES};
use super::metadata::{Cursor, Place};
use super::{Budget, Image};
use crate::view::View;

/// `SQUASHFS_XATTR_VALUE_OOL`.
const ELSEWHERE: u16 = 0x100;
/// `SQUASHFS_XATTR_PREFIX_MASK`.
const PREFIX: u16 = 0xff;
/// Bytes before the places in the table's head: place of the lists u64, number of lists u32, unused u32.
const HEAD_BYTES: u64 = 16;

impl Image {
    /// List `index` of attributes.
    pub(super) fn xattrs(&self, index: u32, budget: &mut Budget) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.try_xattrs(index, budget).with_context(|| format!("reading list {index} of extended attributes"))
    }

    fn try_xattrs(&self, index: u32, budget: &mut Budget) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let table = self.head.xattr_table.context("the image has no table of them")?;
        let at = usize::try_from(table).context("place of the table")?;
        let head = View::new(&self.bytes).sub(at, HEAD_BYTES as usize, "table of attributes")?;
        let lists = u64::from_le_bytes(head.array(0, "place of the lists")?);
        let known = head.u32_le(8, "number of lists")?;
        ensure!(index < known, "the image has {known}");
        let record: [u8; 16] = self.table_record(table + HEAD_BYTES, index.into(), "list")?;
        let record = View::new(&record);
        let place = Place(u64::from_le_bytes(record.array(0, "place")?));
        let count = record.u32_le(8, "number of attributes")?;
        let mut cursor = self.cursor(lists, self.head.bytes_used, place)?;
        let mut attributes = BTreeMap::new();
        for _ in 0..count {
            let [kind, length] = [cursor.u16("prefix")?, cursor.u16("length of a name")?];
            budget.take(8 + u64::from(length), "a name")?;
            let name = cursor.take(length.into(), "a name")?;
            let prefix = PREFIXES.iter().find(|(_, number)| *number == kind & PREFIX);
            let (prefix, _) = prefix.with_context(|| format!("prefix {}", kind & PREFIX))?;
            let value = if kind & ELSEWHERE == 0 {
                value(&mut cursor, budget)?
            } else {
                let length = cursor.u32("length of a place")?;
                ensure!(length == 8, "a place of {length} bytes");
                let place = Place(cursor.u64("place of a value")?);
                value(&mut self.cursor(lists, self.head.bytes_used, place)?, budget)?
            };
            attributes.insert([prefix, name.as_slice()].concat(), value);
        }
        Ok(attributes)
    }
}

fn value(cursor: &mut Cursor<'_>, budget: &mut Budget) -> Result<Vec<u8>> {
    let length = cursor.u32("length of a value")? as usize;
    ensure!(length <= VALUE_MAX_BYTES, "a value of {length} bytes");
    budget.take(length as u64, "a value")?;
    cursor.take(length, "a value")
}
