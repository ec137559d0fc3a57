//! Writes an image to a USB stick or card, and reads it back.
//!
//! [`Target::inspect`] looks at the device, [`Target::refusal`] says why it must not be written, [`burn`] writes. Nothing is
//! opened for writing before every check has passed, and the kernel has the last word: it grants the device exclusively
//! (`O_EXCL` of open(2)) or not.

mod medium;
mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::image::megabytes;
use crate::problem::{Class, Problem};
use crate::progress::Progress;
pub use medium::{Device, Medium};
pub use target::Target;

/// Bytes that are written or read at once.
const PIECE_BYTES: usize = 4 << 20;
/// So much of the device's end is cleared if the image does not reach it: an old disk's backup partition table is there.
const END_BYTES: u64 = 1 << 20;
/// What a BIOS and a partition table for one want at the end of the first sector.
const BOOTABLE: (usize, [u8; 2]) = (510, [0x55, 0xaa]);

/// An image that can be written to a device as it is.
#[derive(Debug)]
pub struct Source {
    file: File,
    /// Its file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Source {
    /// Opens an ISO or a raw disk.
    ///
    /// # Errors
    /// If it is something else.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let size_bytes = file.metadata().with_context(|| format!("asking for the size of {}", path.display()))?.len();
        let mut head = [0; 512];
        let read = file.read_exact(&mut head).and_then(|()| file.rewind());
        let (at, mark) = BOOTABLE;
        let is_bootable = read.is_ok() && head.get(at..) == Some(&mark[..]);
        if !is_bootable {
            return Err(Problem::error(
                Class::Verify,
                format!("{} does not begin as a bootable disk does", path.display()),
                "\"mkdistro build\" makes an ISO, and with --format disk a raw disk; other formats are for virtual machines",
            ));
        }
        Ok(Self { file, path: path.to_path_buf(), size_bytes })
    }
}

/// Writes the image to the start of `medium`, which has `medium_bytes`, clears the medium's end, and compares what can be read
/// back.
///
/// # Errors
/// Class `Output`: it cannot be written. Class `Verify`: what is read is not what was written.
pub fn burn(source: &mut Source, medium: &mut impl Medium, medium_bytes: u64, progress: &dyn Progress) -> Result<()> {
    let size = source.size_bytes;
    ensure!(size <= medium_bytes, "an image of {size} bytes does not fit on {medium_bytes}");
    let output = |error: std::io::Error, what: &str, at: u64| {
        Problem::error(Class::Output, format!("{what} byte {at} of the device: {error}"), "try another device or port")
    };

    let task = progress.start("writing", size);
    medium.rewind().map_err(|error| output(error, "going to", 0))?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < size {
        let piece = source.piece(&mut buffer, done)?;
        medium.write_all(piece).map_err(|error| output(error, "writing", done))?;
        done += piece.len() as u64;
        task.set(done);
    }
    let end_at = size.max(medium_bytes.saturating_sub(END_BYTES));
    medium
        .seek(std::io::SeekFrom::Start(end_at))
        .and_then(|_| medium.write_all(&vec![0; (medium_bytes - end_at) as usize]))
        .and_then(|()| medium.settle())
        .map_err(|error| output(error, "writing up to", medium_bytes))?;
    task.finish(&megabytes(size));

    let task = progress.start("reading back", size);
    medium.rewind().map_err(|error| output(error, "going to", 0))?;
    let mut found = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < size {
        let piece = source.piece(&mut buffer, done)?;
        let found = &mut found[..piece.len()];
        medium.read_exact(found).map_err(|error| output(error, "reading back", done))?;
        if piece != found {
            let at = piece.iter().zip(found.iter()).take_while(|(wanted, found)| wanted == found).count();
            return Err(Problem::error(
                Class::Verify,
                format!("byte {} of the device is not what was written", done + at as u64),
                "the device is broken, or smaller than it says; use another",
            ));
        }
        done += piece.len() as u64;
        task.set(done);
    }
    task.finish("the same");
    Ok(())
}

impl Source {
    /// The piece of the image at `at`; as many bytes as are left, at most those of the buffer.
    fn piece<'a>(&mut self, buffer: &'a mut [u8], at: u64) -> Result<&'a [u8]> {
        let context = || format!("reading {} at byte {at}", self.path.display());
        let length = (self.size_bytes - at).min(buffer.len() as u64) as usize;
        let piece = &mut buffer[..length];
        if at == 0 {
            self.file.rewind().with_context(context)?;
        }
        self.file.read_exact(piece).with_context(context)?;
        Ok(piece)
    }
}
