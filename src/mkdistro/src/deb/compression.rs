//! Decompressors of package members and kernel modules, by file name, with a limit on what comes out.

use std::io::{self, BufReader, Read};

use anyhow::{Context, Result, bail};

/// liblzma's memory limit: presets up to -9 need 65 MiB per thread, dpkg knows no larger dictionary.
const XZ_MEMORY_BYTES: u64 = 1 << 30;

/// A reader of the content of `name` (`data.tar.xz`). After `limit` bytes it fails instead of ending. Blocks of xz are
/// decoded by up to `threads` threads: dpkg writes large members as several.
pub(crate) fn decoder<'a>(name: &str, data: &'a [u8], limit: u64, threads: u32) -> Result<Box<dyn Read + 'a>> {
    let inner: Box<dyn Read + 'a> = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("tar" | "ko") => Box::new(data),
        Some("gz") => Box::new(flate2::read::GzDecoder::new(data)),
        Some("xz") => Box::new(xz(data, threads)?),
        Some("zst") => Box::new(zstd::Decoder::new(data).context("starting zstd")?),
        _ => bail!("{name}: expected no compression, gz, xz or zst"),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 17, Capped { inner, left: limit })))
}

fn xz(data: &[u8], threads: u32) -> Result<liblzma::bufread::XzDecoder<&[u8]>> {
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(XZ_MEMORY_BYTES)
        .memlimit_stop(XZ_MEMORY_BYTES)
        .decoder()
        .context("starting xz")?;
    Ok(liblzma::bufread::XzDecoder::new_stream(data, stream))
}

struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other("unpacks to more than allowed"))?;
        Ok(count)
    }
}
