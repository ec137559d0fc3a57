//! `distroctl memory`: swap. Compressed in RAM (zram) from the start, so that programs that sleep leave room for those that
//! run; with `--disk`, when the data disk is there, its swap partitions and a swap file too, which are used after it.

mod swap;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::paths;

use crate::console::log;
use crate::guest::{Guest, memory_kib};
use crate::provision::Root;
use crate::{file, modules};

const ZRAM: &str = "/sys/block/zram0";
const ZRAM_NODE: &str = "/dev/zram0";
/// What is compressed in RAM is used first: swapon(2) takes the highest first.
const ZRAM_PRIORITY: u16 = 100;
const DISK_PRIORITY: u16 = 10;
/// On the data disk.
const SWAP_FILE: &str = "swapfile";
/// In order of preference: lz4 costs the processor least, zstd saves most.
const ALGORITHMS: [&str; 3] = ["lz4", "zstd", "lzo-rle"];
/// More is of no use: the tables of a device cost memory too.
const ZRAM_MAX_KIB: u64 = 4 << 20;

/// Sets up zram. A kernel without it is no failure.
pub(crate) fn compressed() -> Result<ExitCode> {
    let guest = Guest::load();
    let total_kib = memory_kib(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal").unwrap_or(0);
    let size_kib = zram_kib(total_kib, guest.settings.zram_percent);
    if size_kib == 0 {
        log("no zram: zram-percent is 0");
        return Ok(ExitCode::SUCCESS);
    }
    if !Path::new(ZRAM).exists() {
        modules::load("zram");
    }
    if !Path::new(ZRAM).exists() {
        log("no zram: the kernel has none");
        return Ok(ExitCode::SUCCESS);
    }
    let known = file::first_line(Path::new(ZRAM).join("comp_algorithm"));
    if let Some(algorithm) = algorithm(&known) {
        set("comp_algorithm", algorithm)?;
    }
    set("disksize", &format!("{size_kib}K"))?;
    swap::format(Path::new(ZRAM_NODE), size_kib << 10)?;
    swap::on(Path::new(ZRAM_NODE), ZRAM_PRIORITY)?;
    // Reading ahead is for disks that turn. And what is not in use may go before pages of files are dropped, which would
    // have to be decompressed from the root, at a higher price: see vm.rst, "swappiness".
    for (key, value) in [("page-cluster", "0"), ("swappiness", "100")] {
        let path = format!("/proc/sys/vm/{key}");
        std::fs::write(&path, value).with_context(|| format!("writing {value} to {path}"))?;
    }
    log(&format!("zram: {} MiB, {}", size_kib >> 10, file::first_line(Path::new(ZRAM).join("comp_algorithm"))));
    Ok(ExitCode::SUCCESS)
}

fn set(key: &str, value: &str) -> Result<()> {
    let path = Path::new(ZRAM).join(key);
    std::fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
}

fn zram_kib(total_kib: u64, percent: u16) -> u64 {
    (total_kib.saturating_mul(percent.into()) / 100).min(ZRAM_MAX_KIB) & !3
}

/// The best of those that `comp_algorithm` names; the one in brackets is the kernel's choice.
fn algorithm(known: &str) -> Option<&'static str> {
    let has = |name: &str| known.split_whitespace().any(|word| word.trim_matches(['[', ']']) == name);
    ALGORITHMS.into_iter().find(|name| has(name))
}

/// Whether the swap file is in use.
pub(crate) fn has_swap_file(root: &Root) -> bool {
    root.text("/proc/swaps").lines().any(|line| line.starts_with(&format!("{}/{SWAP_FILE} ", paths::DATA_MOUNT)))
}

/// Uses swap on the data disk. What does not work is reported; nothing depends on it.
pub(crate) fn on_disk() -> Result<ExitCode> {
    let guest = Guest::load();
    let state = file::first_line(paths::DATA_STATE);
    let Some(device) = state.strip_prefix("device ").filter(|device| !device.ends_with(" read-only")) else {
        return Ok(ExitCode::SUCCESS);
    };
    for node in swap::partitions_beside(device) {
        match swap::on(&node, DISK_PRIORITY) {
            Ok(()) => log(&format!("swap on {}", node.display())),
            Err(error) => guest.warn(&format!("{error:#}")),
        }
    }
    let path = Path::new(paths::DATA_MOUNT).join(SWAP_FILE);
    let size = u64::from(guest.settings.swap_file_mib) << 20;
    if size == 0 {
        // One of an earlier setting is of no more use.
        if path.exists() {
            let _ = std::fs::remove_file(&path);
        }
    } else if let Err(error) = swap::make_file(&path, size).and_then(|()| swap::on(&path, DISK_PRIORITY)) {
        guest.warn(&format!("swap file: {error:#}"));
    } else {
        log(&format!("swap on {}, {} MiB", path.display(), size >> 20));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::{ZRAM_MAX_KIB, algorithm, zram_kib};

    #[test]
    fn sizes_by_ram() {
        assert_eq!(zram_kib(107_123, 100), 107_120);
        assert_eq!(zram_kib(107_123, 0), 0);
        assert_eq!(zram_kib(64 << 20, 100), ZRAM_MAX_KIB);
        assert_eq!(zram_kib(1000, 300), 3000);
    }

    #[test]
    fn takes_what_the_kernel_has() {
        assert_eq!(algorithm("lzo [lzo-rle] lz4 lz4hc zstd deflate 842"), Some("lz4"));
        assert_eq!(algorithm("[lzo-rle] zstd"), Some("zstd"));
        assert_eq!(algorithm("[842]"), None);
    }
}
