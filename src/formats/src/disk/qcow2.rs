//! QEMU's qcow2, version 3: what QEMU, libvirt, Proxmox and OpenStack take.
//!
//! Terms: a *cluster* is 64 KiB of the guest's disk or of the file; the *L1* table leads to *L2* tables, which lead to the
//! clusters; a cluster that no table leads to is zero. The *refcount* of each cluster of the file says how many things lie in
//! it.
//!
//! Clusters that zlib makes a quarter smaller are stored so, one directly after the other; QEMU takes them since version
//! 0.10, zstd needs 5.1 and gains nothing here, as most of our content is compressed already.
//!
//! | place | content |
//! |---|---|
//! | cluster 0 | header |
//! | then | clusters of the disk, compressed or not, in order |
//! | then | L2 tables, L1 table, refcount blocks, refcount table, each from a cluster's start |
//!
//! Reference: QEMU `docs/interop/qcow2.rst`; all numbers are big-endian. Left out: backing files, snapshots, encryption,
//! external data files, bitmaps.

use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, Result};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::Disk;
use super::blocks::in_parallel;

const CLUSTER_BITS: u32 = 16;
const CLUSTER_BYTES: usize = 1 << CLUSTER_BITS;
/// Entries of an L2 table or of a part of the L1 table that fills a cluster.
const ENTRIES: usize = CLUSTER_BYTES / 8;
/// Refcounts in a cluster, two bytes each ([`REFCOUNT_ORDER`]).
const REFCOUNTS: usize = CLUSTER_BYTES / 2;
/// log2 of a refcount's bits.
const REFCOUNT_ORDER: u32 = 4;
const HEADER_BYTES: u32 = 104;
/// Of an entry of an L1 or L2 table: the refcount is 1, so it may be written in place.
const COPIED: u64 = 1 << 63;
/// Of an L2 entry: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Bits of an L2 entry of a compressed cluster that hold its offset; those above hold the number of further 512-byte sectors.
const COMPRESSED_OFFSET_BITS: u32 = 62 - (CLUSTER_BITS - 8);
/// zlib's window: QEMU reads with one of 4 KiB.
const WINDOW_BITS: u8 = 12;
/// A compressed cluster takes at most so much: then any run of them takes less room than plain ones.
const COMPRESSED_MAX: usize = CLUSTER_BYTES / 4 * 3;

/// Writes the disk as qcow2 from the start of `out`, which must be empty.
///
/// # Errors
/// If `out` gives one.
pub fn write(disk: &Disk, out: &mut (impl Write + Seek)) -> Result<()> {
    let clusters = disk.size_bytes.div_ceil(CLUSTER_BYTES as u64) as usize;
    let mut writer = Writer { out, position: CLUSTER_BYTES as u64, refcounts: vec![1] };
    writer.out.seek(SeekFrom::Start(writer.position)).context("writing a qcow2 disk")?;

    let mut l2_tables: Vec<Option<Vec<u64>>> = vec![None; clusters.div_ceil(ENTRIES)];
    in_parallel(disk.blocks(CLUSTER_BYTES), compressed, |number, cluster, compressed| {
        let entry = match compressed {
            Some(compressed) => writer.compressed(&compressed)?,
            None => writer.aligned(&cluster)? | COPIED,
        };
        let (table, index) = (number as usize / ENTRIES, number as usize % ENTRIES);
        l2_tables[table].get_or_insert_with(|| vec![0; ENTRIES])[index] = entry;
        Ok(())
    })?;

    let mut l1 = Vec::with_capacity(l2_tables.len());
    for table in &l2_tables {
        l1.push(match table {
            Some(table) => writer.aligned(&big_endian(table))? | COPIED,
            None => 0,
        });
    }
    let l1_offset = writer.aligned(&big_endian(&l1))?;
    let (refcount_offset, refcount_clusters) = writer.refcounts()?;
    writer.finish(&Header {
        size_bytes: disk.size_bytes,
        l1_entries: l1.len() as u32,
        l1_offset,
        refcount_offset,
        refcount_clusters,
    })
}

struct Header {
    size_bytes: u64,
    l1_entries: u32,
    l1_offset: u64,
    refcount_offset: u64,
    refcount_clusters: u32,
}

impl Header {
    /// | offset | size | field |
    /// |---|---|---|
    /// | 0 | 4 | magic `QFI\xfb` |
    /// | 4 | 4 | version |
    /// | 8 | 8 + 4 | backing file's name: none |
    /// | 20 | 4 | log2 of a cluster's size |
    /// | 24 | 8 | the disk's size |
    /// | 32 | 4 | encryption: none |
    /// | 36 | 4 + 8 | entries and offset of the L1 table |
    /// | 48 | 8 + 4 | offset and clusters of the refcount table |
    /// | 60 | 4 + 8 | snapshots: none |
    /// | 72 | 3 × 8 | features: none |
    /// | 96 | 4 | log2 of a refcount's bits |
    /// | 100 | 4 | the header's length; 8 zero bytes behind it end the list of extensions |
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend(b"QFI\xfb");
        bytes.extend(3_u32.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(CLUSTER_BITS.to_be_bytes());
        bytes.extend(self.size_bytes.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.l1_entries.to_be_bytes());
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.refcount_offset.to_be_bytes());
        bytes.extend(self.refcount_clusters.to_be_bytes());
        bytes.extend([0; 12 + 3 * 8]);
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(HEADER_BYTES.to_be_bytes());
        bytes
    }
}

/// The file in the making. All but the header is appended.
struct Writer<'a, W> {
    out: &'a mut W,
    /// Where the file ends by now.
    position: u64,
    /// Of each cluster of the file so far.
    refcounts: Vec<u16>,
}

impl<W: Write + Seek> Writer<'_, W> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).with_context(|| format!("writing a qcow2 disk at byte {}", self.position))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Fills the cluster that has been begun.
    fn align(&mut self) -> Result<()> {
        let fill = self.position.next_multiple_of(CLUSTER_BYTES as u64) - self.position;
        self.append(&vec![0; fill as usize])
    }

    /// Appends clusters of their own; gives their offset.
    fn aligned(&mut self, bytes: &[u8]) -> Result<u64> {
        self.align()?;
        let offset = self.position;
        self.append(bytes)?;
        self.align()?;
        self.refcounts.resize((self.position / CLUSTER_BYTES as u64) as usize, 1);
        Ok(offset)
    }

    /// Appends a compressed cluster directly behind what is there; gives its L2 entry.
    fn compressed(&mut self, bytes: &[u8]) -> Result<u64> {
        let (offset, last) = (self.position, self.position + bytes.len() as u64 - 1);
        let first = (offset / CLUSTER_BYTES as u64) as usize;
        let end = (last / CLUSTER_BYTES as u64) as usize + 1;
        self.refcounts.resize(end.max(self.refcounts.len()), 0);
        for refcount in self.refcounts.get_mut(first..end).unwrap_or_default() {
            *refcount += 1;
        }
        self.append(bytes)?;
        let further_sectors = last / 512 - offset / 512;
        Ok(COMPRESSED | further_sectors << COMPRESSED_OFFSET_BITS | offset)
    }

    /// Appends refcount blocks and table, which count themselves; gives offset and clusters of the table.
    fn refcounts(&mut self) -> Result<(u64, u32)> {
        self.align()?;
        let before = self.refcounts.len();
        let (mut blocks, mut table) = (0, 0);
        // Each round may need a cluster more for what the last one added.
        loop {
            let needed = (before + blocks + table).div_ceil(REFCOUNTS);
            if (needed, needed.div_ceil(ENTRIES)) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed.div_ceil(ENTRIES));
        }
        self.refcounts.resize(before + blocks + table, 1);
        let refcounts: Vec<u8> = self.refcounts.iter().flat_map(|count| count.to_be_bytes()).collect();
        let first_block = self.aligned(&refcounts)?;
        let offsets: Vec<u64> = (0..blocks as u64).map(|block| first_block + block * CLUSTER_BYTES as u64).collect();
        Ok((self.aligned(&big_endian(&offsets))?, table as u32))
    }

    fn finish(self, header: &Header) -> Result<()> {
        self.out.rewind().context("rewinding a qcow2 disk")?;
        self.out.write_all(&header.encode()).context("writing the header of a qcow2 disk")
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// A cluster by zlib's deflate without a header, if that saves enough.
fn compressed(cluster: &Bytes) -> Result<Option<Vec<u8>>> {
    let mut out = vec![0; COMPRESSED_MAX];
    let mut compress = Compress::new_with_window_bits(Compression::default(), false, WINDOW_BITS);
    let status = compress.compress(cluster, &mut out, FlushCompress::Finish).context("compressing a cluster")?;
    out.truncate(compress.total_out() as usize);
    Ok((status == Status::StreamEnd).then_some(out))
}
