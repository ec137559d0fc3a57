//! Writes what boots: SquashFS root, initramfs, and the images that hold them, one file here for each format.

mod compose;
mod disk;
mod esp;
mod format;
mod grub;
mod initramfs;
mod iso;
mod isolinux;
mod kernel;
mod loader;
mod menu;
mod oci;
mod output;
mod pxe;
mod systemd_boot;
#[cfg(test)]
pub(crate) mod tests;
mod uki;

pub use compose::{BootFiles, Image, Written, write, write_boot_files};
pub use disk::is_disk;
pub use format::{Format, Target, check_images};
pub use iso::{is_loader, medium};
pub use loader::{BOOT_PACKAGES, boot_files};
pub use oci::is_of_kernel;
pub use output::{check as check_output, check_target, folder_of, write_file};

/// Megabytes with one decimal, for people.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
