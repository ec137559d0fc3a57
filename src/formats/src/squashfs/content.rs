//! Which bytes of which files become which blocks: equal files once, runs of zeros as holes, the ends of files together
//! in fragments.

use std::collections::HashMap;

use bytes::Bytes;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::blocks::{Block, Stored};
use crate::tree::Node;

/// No fragment: `SQUASHFS_INVALID_FRAG`.
pub(super) const NO_FRAGMENT: u32 = u32::MAX;

/// Blocks to write and, for each content, where its bytes are in them.
pub(super) struct Plan<'a> {
    /// Data blocks in the order of the files, then fragments.
    pub(super) blocks: Vec<Block<'a>>,
    /// Index in `blocks` of the first fragment.
    pub(super) first_fragment: usize,
    /// For each node its content, if it is a file.
    pub(super) content_of: Vec<Option<usize>>,
    /// Bytes of all files.
    pub(super) content_bytes: u64,
    /// Bytes of files that equal an earlier one.
    pub(super) duplicate_bytes: u64,
    contents: Vec<Content>,
}

/// How one content is spread.
#[derive(Default)]
struct Content {
    size_bytes: u64,
    /// Indexes in `blocks`; nothing for a hole.
    blocks: Vec<Option<usize>>,
    hole_bytes: u64,
    /// Number of the fragment and offset in it.
    tail: Option<(u32, u32)>,
}

/// What a file's inode says about its content.
pub(super) struct Place {
    /// Where the first block starts, in bytes; the others follow without gaps.
    pub(super) start: u64,
    /// Size of the content in bytes.
    pub(super) size_bytes: u64,
    /// Bytes that are holes.
    pub(super) hole_bytes: u64,
    /// Number of the fragment with the end, or [`NO_FRAGMENT`].
    pub(super) fragment: u32,
    /// Where in the fragment, in bytes.
    pub(super) offset: u32,
    /// Sizes on disk with their flag, 0 for a hole.
    pub(super) sizes: Vec<u32>,
}

impl Plan<'_> {
    /// Places of all contents, once the blocks are written.
    pub(super) fn places(&self, stored: &[Stored]) -> Vec<Place> {
        let place = |content: &Content| {
            let written = content.blocks.iter().map(|block| block.map(|index| stored[index]));
            let start = written.clone().flatten().next().map_or(0, |first| first.start);
            let (fragment, offset) = content.tail.unwrap_or((NO_FRAGMENT, 0));
            Place {
                start,
                size_bytes: content.size_bytes,
                hole_bytes: content.hole_bytes,
                fragment,
                offset,
                sizes: written.map(|block| block.map_or(0, |block| block.size)).collect(),
            }
        };
        self.contents.iter().map(place).collect()
    }
}

/// The end of a content that is to go into a fragment.
struct Tail<'a> {
    content: usize,
    bytes: &'a [u8],
    name: &'a [u8],
}

/// Spreads the files among `nodes` (paths with their nodes, in the order of the paths) over blocks.
pub(super) fn plan<'a>(nodes: impl Iterator<Item = (&'a [u8], &'a Node)>, block_size: usize) -> Plan<'a> {
    let nodes: Vec<(&[u8], Option<&Bytes>)> = nodes.map(|(path, node)| (path, node.content())).collect();
    let first_equal = first_equal(&nodes);
    let mut plan = Plan {
        blocks: Vec::new(),
        first_fragment: 0,
        content_of: Vec::with_capacity(nodes.len()),
        content_bytes: 0,
        duplicate_bytes: 0,
        contents: Vec::new(),
    };
    let mut tails = Vec::new();
    for (index, &(path, bytes)) in nodes.iter().enumerate() {
        let Some(bytes) = bytes else {
            plan.content_of.push(None);
            continue;
        };
        plan.content_bytes += bytes.len() as u64;
        if first_equal[index] != index {
            plan.duplicate_bytes += bytes.len() as u64;
            plan.content_of.push(plan.content_of[first_equal[index]]);
            continue;
        }
        let number = plan.contents.len();
        plan.content_of.push(Some(number));
        let (content, tail) = cut(bytes, block_size, &mut plan.blocks);
        plan.contents.push(content);
        tails.extend(tail.map(|tail| Tail { content: number, bytes: tail, name: path }));
    }
    plan.first_fragment = plan.blocks.len();
    pack_tails(tails, block_size, &mut plan);
    plan
}

/// For each node the index of the first file with equal content. Only files of equal sizes are hashed.
fn first_equal(nodes: &[(&[u8], Option<&Bytes>)]) -> Vec<usize> {
    let mut of_size: HashMap<usize, u32> = HashMap::new();
    for (_, bytes) in nodes {
        *of_size.entry(bytes.map_or(0, Bytes::len)).or_default() += 1;
    }
    let digests: Vec<Option<[u8; 32]>> = nodes
        .par_iter()
        .map(|(_, bytes)| bytes.filter(|bytes| of_size[&bytes.len()] > 1).map(|bytes| Sha256::digest(bytes).into()))
        .collect();
    let mut first: HashMap<[u8; 32], usize> = HashMap::new();
    let index_of = |(index, digest): (usize, &Option<[u8; 32]>)| match digest {
        Some(digest) => *first.entry(*digest).or_insert(index),
        None => index,
    };
    digests.iter().enumerate().map(index_of).collect()
}

/// Adds the blocks of one content; gives back the end that is to go into a fragment.
fn cut<'a>(bytes: &'a Bytes, block_size: usize, blocks: &mut Vec<Block<'a>>) -> (Content, Option<&'a [u8]>) {
    let mut content = Content { size_bytes: bytes.len() as u64, ..Content::default() };
    for chunk in bytes.chunks(block_size) {
        if chunk.iter().all(|&byte| byte == 0) {
            content.hole_bytes += chunk.len() as u64;
            content.blocks.push(None);
        } else if chunk.len() < block_size {
            return (content, Some(chunk));
        } else {
            content.blocks.push(Some(blocks.len()));
            blocks.push(Block { parts: vec![chunk] });
        }
    }
    (content, None)
}

/// Fills fragments one after the other. Files of one kind stand together, so that they compress well and so that a reader
/// that unpacks a fragment for one of them has the next at hand.
fn pack_tails<'a>(mut tails: Vec<Tail<'a>>, block_size: usize, plan: &mut Plan<'a>) {
    tails.sort_by_key(|tail| (extension(tail.name), tail.name));
    let mut filled = block_size;
    for tail in tails {
        if filled + tail.bytes.len() > block_size {
            plan.blocks.push(Block { parts: Vec::new() });
            filled = 0;
        }
        let number = plan.blocks.len() - 1;
        plan.blocks[number].parts.push(tail.bytes);
        plan.contents[tail.content].tail = Some(((number - plan.first_fragment) as u32, filled as u32));
        filled += tail.bytes.len();
    }
}

fn extension(path: &[u8]) -> &[u8] {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) => &name[dot..],
        None => b"",
    }
}
