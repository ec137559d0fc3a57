//! On-disk formats: bytes in, bytes out. No paths of the host, processes, network, clock or randomness, so that the same
//! input always gives the same bytes.

pub mod ar;
mod civil;
pub mod cpio;
pub mod disk;
pub mod fat;
pub mod gpt;
pub mod iso9660;
pub mod pe;
pub mod squashfs;
pub mod tree;
mod view;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod fuzz_tests;
