//! The id table: the owners and groups in use, as 32-bit numbers that inodes name by their index.

use std::collections::HashMap;

use anyhow::Context;

/// Owners and groups in the order of their first use.
#[derive(Default)]
pub(super) struct Ids {
    list: Vec<u32>,
    index_of: HashMap<u32, u16>,
}

impl Ids {
    /// The index of an owner or group.
    pub(super) fn index(&mut self, id: u32) -> anyhow::Result<u16> {
        if let Some(&index) = self.index_of.get(&id) {
            return Ok(index);
        }
        // The superblock counts ids in 16 bits, so the last index is one less than they could hold.
        let index = u16::try_from(self.list.len()).ok().filter(|&index| index < u16::MAX);
        let index = index.context("a SquashFS holds at most 65535 different owners and groups")?;
        self.list.push(id);
        self.index_of.insert(id, index);
        Ok(index)
    }

    /// Number of ids.
    pub(super) fn len(&self) -> u16 {
        self.list.len() as u16
    }

    /// The table's records.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.list.iter().flat_map(|id| id.to_le_bytes()).collect()
    }
}
