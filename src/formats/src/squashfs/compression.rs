//! The compressors of data and metadata blocks, their names in distro.toml and their on-disk options.
//!
//! The kernel's xz reader takes single streams with no or a CRC32 check and a dictionary of at most the block size
//! (Linux `fs/squashfs/xz_wrapper.c`, `lib/xz/`); its zstd reader takes any frame whose window fits the block size
//! (`zstd_wrapper.c`), which holds because the encoder is told the size of its input.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use sha2::{Digest, Sha256};

/// zstd's level that squashfs-tools take when no option block says another.
const ZSTD_UNSAID_LEVEL: i32 = 15;
/// xz's least dictionary, `LZMA_DICT_SIZE_MIN`.
const XZ_LEAST_DICTIONARY: u32 = 4096;
/// The crate that brings xz, for the keys of cached blocks; a test holds it to Cargo.lock.
const XZ_VERSION: &str = "liblzma-sys 0.4.9";

/// Algorithm and effort. As text: `zstd:17`, `xz:6`; `zstd` and `xz` alone mean these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Fast to read, levels 1 to 22.
    Zstd {
        /// zstd's level.
        level: i32,
    },
    /// About a tenth smaller and several times slower to read, presets 0 to 9 (6 to 9 are the same for blocks).
    Xz {
        /// xz's preset.
        preset: u32,
    },
}

impl FromStr for Compression {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, effort) = text.split_once(':').unzip();
        let effort: Option<u8> = effort
            .map(|digits| digits.parse().with_context(|| format!("compression {text:?}: {digits:?} is no number")))
            .transpose()?;
        let compression = match name.unwrap_or(text) {
            "zstd" => Self::Zstd { level: effort.unwrap_or(17).into() },
            "xz" => Self::Xz { preset: effort.unwrap_or(6).into() },
            other => {
                anyhow::bail!("compression {other:?} is unknown\nhint: zstd, zstd:1 to zstd:22, xz or xz:0 to xz:9")
            }
        };
        compression.check()?;
        Ok(compression)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd { level } => write!(out, "zstd:{level}"),
            Self::Xz { preset } => write!(out, "xz:{preset}"),
        }
    }
}

impl Compression {
    /// Whether the effort is one the algorithm has.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Zstd { level } => ensure!((1..=22).contains(level), "zstd has levels 1 to 22, not {level}"),
            Self::Xz { preset } => ensure!(*preset <= 9, "xz has presets 0 to 9, not {preset}"),
        }
        Ok(())
    }

    /// `XZ_COMPRESSION`, `ZSTD_COMPRESSION` of `squashfs_fs.h`.
    pub(super) fn id(&self) -> u16 {
        match self {
            Self::Xz { .. } => 4,
            Self::Zstd { .. } => 6,
        }
    }

    /// The metadata block behind the superblock that tells the compressor's options, empty when they are the usual
    /// ones. Always stored as it is. zstd: the level (u32). xz needs none as long as the dictionary fits the block size.
    pub(super) fn options_block(&self) -> Vec<u8> {
        match *self {
            Self::Zstd { level } if level != ZSTD_UNSAID_LEVEL => {
                [&(0x8000_u16 | 4).to_le_bytes()[..], &(level as u32).to_le_bytes()].concat()
            }
            _ => Vec::new(),
        }
    }
}

/// One compressor with its tables, used again for block after block.
pub(super) struct Encoder {
    codec: Codec,
    scratch: Vec<u8>,
}

enum Codec {
    Zstd(zstd::bulk::Compressor<'static>),
    Xz { preset: u32, dictionary_limit: u32 },
}

impl Encoder {
    /// The compressed block, or nothing if it would not be smaller than `input`.
    pub(super) fn encode(&mut self, input: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        self.scratch.clear();
        let smaller = match &mut self.codec {
            Codec::Zstd(compressor) => {
                self.scratch.reserve(zstd::zstd_safe::compress_bound(input.len()));
                let length = compressor.compress_to_buffer(input, &mut self.scratch).context("compressing by zstd")?;
                length < input.len()
            }
            Codec::Xz { preset, dictionary_limit } => {
                // A dictionary larger than the input only costs time and memory.
                let wanted = u32::try_from(input.len().next_power_of_two()).unwrap_or(u32::MAX);
                let dictionary = wanted.min(*dictionary_limit).max(XZ_LEAST_DICTIONARY);
                let mut stream = xz_stream(*preset, dictionary).context("setting up xz")?;
                self.scratch.reserve_exact(input.len());
                let limit = self.scratch.capacity();
                let status =
                    stream.process_vec(input, &mut self.scratch, Action::Finish).context("compressing by xz")?;
                debug_assert!(self.scratch.capacity() == limit, "xz fills the buffer and does not enlarge it");
                status == Status::StreamEnd && self.scratch.len() < input.len()
            }
        };
        Ok(smaller.then(|| self.scratch.clone()))
    }
}

fn xz_stream(preset: u32, dictionary: u32) -> Result<Stream, liblzma::stream::Error> {
    let mut options = LzmaOptions::new_preset(preset)?;
    options.dict_size(dictionary);
    Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32)
}

/// Makes encoders and keeps those not in use, so that there are never more than workers.
pub(super) struct Encoders {
    compression: Compression,
    block_size: u32,
    idle: Mutex<Vec<Encoder>>,
}

impl Encoders {
    /// For blocks of at most `block_size` bytes.
    pub(super) fn new(compression: &Compression, block_size: u32) -> Self {
        Self { compression: *compression, block_size, idle: Mutex::default() }
    }

    /// A new encoder.
    pub(super) fn make(&self) -> anyhow::Result<Encoder> {
        let codec = match self.compression {
            Compression::Zstd { level } => Codec::Zstd(zstd::bulk::Compressor::new(level).context("setting up zstd")?),
            // Metadata blocks are 8 KiB, also when data blocks are smaller; the kernel's reader allows for that.
            Compression::Xz { preset } => {
                Codec::Xz { preset, dictionary_limit: self.block_size.max(super::metadata::SIZE as u32) }
            }
        };
        Ok(Encoder { codec, scratch: Vec::new() })
    }

    /// Compresses by an idle encoder.
    pub(super) fn encode(&self, input: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut encoder = match taken {
            Some(encoder) => encoder,
            None => self.make()?,
        };
        let result = encoder.encode(input);
        idle().push(encoder);
        result
    }

    /// Name of the compressed form of `input`: sha256 over everything its bytes depend on.
    pub(super) fn key(&self, input: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        let settings = format!(
            "squashfs block 1, {}, block size {}, zstd {}, {}\n",
            self.compression,
            self.block_size,
            zstd::zstd_safe::version_number(),
            XZ_VERSION,
        );
        hash.update(settings);
        hash.update(input);
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, compression, full) in [
            ("zstd", Compression::Zstd { level: 17 }, "zstd:17"),
            ("zstd:1", Compression::Zstd { level: 1 }, "zstd:1"),
            ("xz", Compression::Xz { preset: 6 }, "xz:6"),
            ("xz:9", Compression::Xz { preset: 9 }, "xz:9"),
        ] {
            let parsed: Compression = text.parse().unwrap();
            assert_eq!((parsed, parsed.to_string().as_str()), (compression, full));
        }
        for (text, message) in [
            ("gzip", "compression \"gzip\" is unknown\nhint: zstd, zstd:1 to zstd:22, xz or xz:0 to xz:9"),
            ("zstd:", "compression \"zstd:\": \"\" is no number: cannot parse integer from empty string"),
            ("zstd:23", "zstd has levels 1 to 22, not 23"),
            ("xz:10", "xz has presets 0 to 9, not 10"),
        ] {
            assert_eq!(format!("{:#}", text.parse::<Compression>().unwrap_err()), message);
        }
    }

    #[test]
    fn cached_blocks_follow_the_xz_in_use() {
        let lock = include_str!("../../../../Cargo.lock");
        let (name, version) = XZ_VERSION.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "set XZ_VERSION anew");
    }

    #[test]
    fn what_does_not_shrink_is_refused() {
        for compression in ["zstd:22", "xz:9", "xz:0"] {
            let encoders = Encoders::new(&compression.parse().unwrap(), 1 << 20);
            for input in [&b""[..], b"a", b"abcdefgh"] {
                assert_eq!(encoders.encode(input).unwrap(), None, "{compression}");
            }
            let packed = encoders.encode(&[7; 100_000]).unwrap().unwrap();
            assert!(packed.len() < 200, "{compression}: {}", packed.len());
        }
    }
}
