//! Boot tests, one file per subject. `cargo xtask test` builds the image they test and names it in `MKDISTRO_TEST_ISO`.

mod access;
mod boot_media;
mod broken_media;
mod builder;
mod containers;
mod data_disk;
mod direct_boot;
mod disk_image;
mod foreign_disks;
mod format_me;
mod hardware;
mod logs;
mod matrix;
mod network;
mod output;
mod provisioning;
mod quadlet;
mod rebuild;
mod robust;
mod sbom;
mod services;
mod shutdown;
