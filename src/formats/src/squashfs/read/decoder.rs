//! The decompressors, each into a buffer of the size that must suffice.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use flate2::{Decompress, FlushDecompress};
use liblzma::stream::{Action, Status, Stream};

/// More than any block needs: its dictionary is at most the block size, 1 MiB.
const XZ_MEMORY_BYTES: u64 = 16 << 20;

/// Unpacks blocks of one algorithm; decoders that are costly to set up are kept.
pub(super) enum Decoder {
    Gzip,
    Xz,
    Zstd(Mutex<Vec<zstd::bulk::Decompressor<'static>>>),
}

impl Decoder {
    /// By the superblock's number, `ZLIB_COMPRESSION` and so on of `squashfs_fs.h`.
    pub(super) fn new(id: u16) -> Result<Self> {
        let name = match id {
            1 => return Ok(Self::Gzip),
            4 => return Ok(Self::Xz),
            6 => return Ok(Self::Zstd(Mutex::default())),
            2 => "lzma",
            3 => "lzo",
            5 => "lz4",
            _ => bail!("a SquashFS compressed by the unknown algorithm {id}"),
        };
        bail!("a SquashFS compressed by {name}: this reader knows zstd, xz and gzip");
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd(_) => "zstd",
        }
    }

    /// Unpacks one block into the start of `out`; gives back its length.
    pub(super) fn unpack(&self, packed: &[u8], out: &mut [u8]) -> Result<usize> {
        match self {
            Self::Gzip => {
                let mut stream = Decompress::new(true);
                let status = stream.decompress(packed, out, FlushDecompress::Finish).context("unpacking by gzip")?;
                complete(status == flate2::Status::StreamEnd, stream.total_out(), out.len())
            }
            Self::Xz => {
                let mut stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).context("setting up xz")?;
                let status = stream.process(packed, out, Action::Finish).context("unpacking by xz")?;
                complete(status == Status::StreamEnd, stream.total_out(), out.len())
            }
            Self::Zstd(idle) => {
                let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = idle().pop();
                let mut decoder = match taken {
                    Some(decoder) => decoder,
                    None => zstd::bulk::Decompressor::new().context("setting up zstd")?,
                };
                let length = decoder.decompress_to_buffer(packed, out).context("unpacking by zstd")?;
                idle().push(decoder);
                Ok(length)
            }
        }
    }
}

fn complete(is_end: bool, length: u64, limit: usize) -> Result<usize> {
    if !is_end {
        bail!("the block is truncated or holds more than {limit} bytes");
    }
    Ok(length as usize)
}
