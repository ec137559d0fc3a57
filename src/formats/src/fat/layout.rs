//! Where the regions of a FAT file system lie: boot sector, two tables, root, clusters.

use anyhow::{Context, Result, ensure};

use super::directory::ENTRY_BYTES;
use super::{Options, Run, SECTOR_BYTES, Sizes};

/// Smallest and largest cluster, in bytes: a sector of an ISO image, and what every implementation takes.
const MIN_CLUSTER_BYTES: u64 = 2048;
const MAX_CLUSTER_BYTES: u64 = 32768;
/// With fewer clusters it is FAT12, with as many or more FAT16 ("FAT Type Determination").
const FAT16_FROM: u32 = 4085;
/// With as many it is FAT32.
const FAT32_FROM: u32 = 65525;
/// As the specification advises, for implementations that count wrong.
const DISTANCE: u32 = 16;
/// Entries that the root has at least: two clusters of them.
const MIN_ROOT_ENTRIES: usize = 128;
/// "Fixed disk"; the first byte of the tables repeats it.
const MEDIA: u8 = 0xf8;
/// What a BIOS does with the boot sector: the next boot device (`int 18h`), or else halt for ever.
const BOOT_CODE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// The regions' sizes.
#[derive(Debug)]
pub(super) struct Layout {
    cluster_bytes: u64,
    clusters: u32,
    reserved_sectors: u16,
    table_sectors: u16,
    root_entries: u16,
}

impl Layout {
    /// The smallest clusters with which everything fits.
    pub(super) fn choose(sizes: &Sizes, options: &Options) -> Result<Self> {
        let used = || sizes.folders.iter().chain(&sizes.files).map(|(_, bytes)| *bytes);
        let root_entries =
            (sizes.root / ENTRY_BYTES).max(MIN_ROOT_ENTRIES).next_multiple_of(SECTOR_BYTES / ENTRY_BYTES);
        let root_entries = u16::try_from(root_entries).context("root of a FAT file system: more than 65535 entries")?;
        let mut cluster_bytes = MIN_CLUSTER_BYTES;
        while cluster_bytes <= MAX_CLUSTER_BYTES {
            let needed: u64 = used().map(|bytes| bytes.div_ceil(cluster_bytes)).sum();
            // What is in front of the clusters counts for the whole, so this is never too small.
            let clusters = needed.max(options.size_bytes.div_ceil(cluster_bytes)).max(1);
            if clusters <= u64::from(FAT32_FROM - DISTANCE) {
                return Self::with(cluster_bytes, clusters as u32, root_entries);
            }
            cluster_bytes *= 2;
        }
        let bytes: u64 = used().sum::<u64>().max(options.size_bytes);
        anyhow::bail!("{bytes} bytes are more than a FAT16 file system holds")
    }

    fn with(cluster_bytes: u64, clusters: u32, root_entries: u16) -> Result<Self> {
        let near = FAT16_FROM - DISTANCE..FAT16_FROM + DISTANCE;
        let clusters = if near.contains(&clusters) { near.end } else { clusters };
        let mut layout = Self { cluster_bytes, clusters, reserved_sectors: 1, table_sectors: 0, root_entries };
        let table_bytes =
            if layout.is_fat12() { (clusters + 2) as usize * 3 / 2 + 1 } else { (clusters + 2) as usize * 2 };
        layout.table_sectors = u16::try_from(table_bytes.div_ceil(SECTOR_BYTES)).context("sectors of a FAT")?;
        // The boot sector's region fills up to where the clusters can begin.
        let sector = SECTOR_BYTES as u64;
        let front = layout.data_at() / sector;
        layout.reserved_sectors += (front.next_multiple_of(cluster_bytes / sector) - front) as u16;
        ensure!(layout.size_bytes() / sector <= u64::from(u32::MAX), "sectors of a FAT file system");
        Ok(layout)
    }

    fn is_fat12(&self) -> bool {
        self.clusters < FAT16_FROM
    }

    /// Clusters that so many bytes take.
    pub(super) fn clusters_for(&self, bytes: u64) -> u32 {
        bytes.div_ceil(self.cluster_bytes) as u32
    }

    /// Offset in bytes of the first or second table.
    pub(super) fn table_at(&self, copy: u64) -> u64 {
        let table_sectors = u64::from(self.table_sectors);
        (u64::from(self.reserved_sectors) + copy * table_sectors) * SECTOR_BYTES as u64
    }

    /// Offset in bytes of the root.
    pub(super) fn root_at(&self) -> u64 {
        self.table_at(2)
    }

    fn data_at(&self) -> u64 {
        self.root_at() + u64::from(self.root_entries) * ENTRY_BYTES as u64
    }

    /// Offset in bytes of a cluster; they count from 2.
    pub(super) fn cluster_at(&self, cluster: u32) -> u64 {
        self.data_at() + u64::from(cluster.saturating_sub(2)) * self.cluster_bytes
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.cluster_at(self.clusters + 2)
    }

    /// Boot sector with BIOS parameter block. Offset, size in bytes, field:
    ///
    /// | at | size | field                                | at | size | field                          |
    /// |----|------|--------------------------------------|----|------|--------------------------------|
    /// | 0  | 3    | jump to byte 62                      | 26 | 2    | heads                          |
    /// | 3  | 8    | who made it                          | 28 | 4    | sectors before the partition   |
    /// | 11 | 2    | bytes of a sector                    | 32 | 4    | sectors, if 65536 or more      |
    /// | 13 | 1    | sectors of a cluster                 | 36 | 1    | BIOS number of the drive       |
    /// | 14 | 2    | sectors before the tables            | 38 | 1    | 29h: the next three are there  |
    /// | 16 | 1    | tables                               | 39 | 4    | serial number                  |
    /// | 17 | 2    | entries of the root                  | 43 | 11   | label                          |
    /// | 19 | 2    | sectors, if fewer than 65536         | 54 | 8    | `FAT12` or `FAT16`             |
    /// | 21 | 1    | media                                | 62 | 448  | boot code                      |
    /// | 22 | 2    | sectors of a table                   | 510| 2    | 55 AA                          |
    /// | 24 | 2    | sectors of a track                   |    |      |                                |
    pub(super) fn boot_sector(&self, options: &Options, label: &[u8; 11], serial: u32) -> Vec<u8> {
        let sectors = (self.size_bytes() / SECTOR_BYTES as u64) as u32;
        let mut sector = vec![0; SECTOR_BYTES];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, 0x3c, 0x90]);
        put(3, b"mkdistro");
        put(11, &(SECTOR_BYTES as u16).to_le_bytes());
        put(13, &[(self.cluster_bytes / SECTOR_BYTES as u64) as u8]);
        put(14, &self.reserved_sectors.to_le_bytes());
        put(16, &[2]);
        put(17, &self.root_entries.to_le_bytes());
        match u16::try_from(sectors) {
            Ok(sectors) => put(19, &sectors.to_le_bytes()),
            Err(_) => put(32, &sectors.to_le_bytes()),
        }
        put(21, &[MEDIA]);
        put(22, &self.table_sectors.to_le_bytes());
        // The geometry that BIOSes make up for a disk of this size.
        put(24, &32u16.to_le_bytes());
        put(26, &64u16.to_le_bytes());
        put(28, &options.hidden_sectors.to_le_bytes());
        put(36, &[0x80]);
        put(38, &[0x29]);
        put(39, &serial.to_le_bytes());
        put(43, if label == &[b' '; 11] { b"NO NAME    " } else { label });
        put(54, if self.is_fat12() { b"FAT12   " } else { b"FAT16   " });
        put(62, &BOOT_CODE);
        put(510, &[0x55, 0xaa]);
        sector
    }

    /// A table: 12 or 16 bits for each cluster, the next one of its chain. The first two say media and "clean".
    pub(super) fn table<'a>(&self, runs: impl Iterator<Item = &'a Run>) -> Vec<u8> {
        let mut next = vec![0u16; self.clusters as usize + 2];
        next[0] = 0xff00 | u16::from(MEDIA);
        next[1] = 0xffff;
        for run in runs.filter(|run| run.clusters > 0) {
            let last = run.first + run.clusters - 1;
            for cluster in run.first..last {
                next[cluster as usize] = (cluster + 1) as u16;
            }
            next[last as usize] = 0xffff;
        }
        if self.is_fat12() {
            let pair = |pair: &[u16]| {
                let (low, high) = (pair[0] & 0xfff, pair.get(1).copied().unwrap_or(0) & 0xfff);
                [low as u8, (low >> 8) as u8 | (high << 4) as u8, (high >> 4) as u8]
            };
            next.chunks(2).flat_map(pair).collect()
        } else {
            next.iter().flat_map(|cluster| cluster.to_le_bytes()).collect()
        }
    }
}
