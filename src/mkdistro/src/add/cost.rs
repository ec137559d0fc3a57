//! What a recipe adds to a root: the difference of two trees.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use formats::tree::{Node, Tree, split};
use rayon::prelude::*;

/// Block size of the root's SquashFS.
const BLOCK_BYTES: usize = 128 << 10;
/// Fast, and within a tenth of the level that images are made with.
const LEVEL: i32 = 9;

/// What is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of all new files.
    pub unpacked: u64,
    /// About what they take in the image.
    pub compressed: u64,
    /// Files.
    pub files: usize,
    /// Libraries that only the new recipes need, with their package.
    pub libraries: Vec<(String, String)>,
    /// New scripts whose interpreter is missing, with that interpreter.
    pub missing_interpreters: Vec<(String, String)>,
}

impl Cost {
    /// Compares the roots before and after. What comes from packages `own` is the recipes' own, the rest their libraries.
    pub(super) fn of(old: &Tree, new: &Tree, own: &[&str]) -> Result<Self> {
        let added: Vec<(&[u8], &Node)> = new.iter().filter(|(path, _)| old.get(path).is_none()).collect();
        let contents: Vec<&[u8]> =
            added.iter().filter_map(|(_, node)| node.content().map(|content| &content[..])).collect();
        let compressed = contents.par_iter().flat_map_iter(|content| content.chunks(BLOCK_BYTES)).map(block_bytes);
        let mut libraries = BTreeMap::new();
        for (path, node) in &added {
            let is_own = own.contains(&&*node.origin) || node.origin.starts_with("recipe ");
            if node.content().is_some() && !is_own {
                let name = String::from_utf8_lossy(split(path).1).into_owned();
                libraries.insert(name, node.origin.to_string());
            }
        }
        Ok(Self {
            unpacked: contents.iter().map(|content| content.len() as u64).sum(),
            compressed: compressed.sum::<Result<u64>>()?,
            files: contents.len(),
            libraries: libraries.into_iter().collect(),
            missing_interpreters: super::missing_interpreters(old, new),
        })
    }
}

/// SquashFS keeps a block that does not shrink as it is.
fn block_bytes(block: &[u8]) -> Result<u64> {
    let packed = zstd::bulk::compress(block, LEVEL).context("compressing to see what it costs")?;
    Ok(packed.len().min(block.len()) as u64)
}
