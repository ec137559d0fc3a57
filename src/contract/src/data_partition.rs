//! The data partition of a disk image: how the guest knows that it may format it, and grow it.
//!
//! A partition of [`TYPE`] whose name is the data disk's label is ours. The builder leaves its content zero; at the first boot
//! the guest makes a file system in it, if its first and its last [`BLANK_BYTES`] are still zero. From then on its file
//! system's label counts, as on any data disk.

/// Type GUID in the partition table, 8607f032-68b1-82ea-b937-b7c1c1c3c614, as it lies on the disk: the first three fields are
/// little-endian. It is of version 8 (RFC 9562), made from the words "mkdistro data partition".
pub const TYPE: [u8; 16] =
    [0x32, 0xf0, 0x07, 0x86, 0xb1, 0x68, 0xea, 0x82, 0xb9, 0x37, 0xb7, 0xc1, 0xc1, 0xc3, 0xc6, 0x14];

/// What data partitions begin and end at a multiple of.
pub const ALIGNMENT_BYTES: u64 = 1 << 20;

/// So many bytes at start and end are zero in a partition that may be formatted.
pub const BLANK_BYTES: u64 = 1 << 20;

/// While the guest formats the partition, its last [`BLANK_BYTES`] begin with this, and the file system that is being made ends
/// before: a boot that finds it, and no labelled file system, starts over. The user's SSH keys may follow it.
pub const FORMATTING_MARK: &[u8] = b"mkdistro: this data partition is being formatted\n";

/// Label of the file system as long as it is not finished; the data disk's label comes last.
pub const UNFINISHED_LABEL: &str = "mkdistro-new";
