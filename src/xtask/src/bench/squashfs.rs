//! Our SquashFS writer beside mksquashfs: the default root, the same settings, in turns.

use super::{Figure, ROUNDS, median, seconds};
use crate::run::{Result, cargo};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Compression as ours and as mksquashfs' options; block size in bytes.
const SETTINGS: [(&str, &[&str], &str); 4] = [
    ("zstd:3", &["-comp", "zstd", "-Xcompression-level", "3"], "131072"),
    ("zstd:15", &["-comp", "zstd", "-Xcompression-level", "15"], "131072"),
    ("zstd:17", &["-comp", "zstd", "-Xcompression-level", "17"], "131072"),
    ("xz", &["-comp", "xz"], "1048576"),
];

/// Seconds and megabytes of both.
pub(super) fn figures(folder: &Path, iso: &Path) -> Result<Vec<Figure>> {
    let (packed, tree) = (folder.join("root.squashfs"), folder.join("root"));
    let _ = fs::remove_dir_all(&tree);
    let squash = example("squash", "formats")?;
    seconds(Command::new(example("root", "mkdistro")?).arg(iso).arg(&packed))?;
    seconds(Command::new("unsquashfs").args(["-no-progress", "-d"]).arg(&tree).arg(&packed))?;
    let (ours, theirs) = (folder.join("ours.squashfs"), folder.join("theirs.squashfs"));
    let mut figures = Vec::new();
    for (compression, options, block_size) in SETTINGS {
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            our_times.push(seconds(Command::new(&squash).arg(&ours).args([compression, block_size]).arg(&tree))?);
            let mut command = Command::new("mksquashfs");
            command.arg(&tree).arg(&theirs).args(options).args(["-b", block_size]);
            command.args(["-noappend", "-no-progress", "-quiet", "-all-root", "-all-time", "0", "-no-exports"]);
            their_times.push(seconds(&mut command)?);
        }
        for (who, times, file) in [("ours", our_times, &ours), ("mksquashfs", their_times, &theirs)] {
            let size = fs::metadata(file).map_err(|error| format!("reading {}: {error}", file.display()))?.len();
            figures.push((format!("SquashFS {compression}, {who}"), median(times), "s"));
            figures.push((format!("SquashFS {compression}, {who}: size"), size as f64 / 1e6, "MB"));
        }
    }
    Ok(figures)
}

/// Builds a package's example; where it is.
fn example(name: &str, package: &str) -> Result<std::path::PathBuf> {
    seconds(&mut cargo(&["build", "--release", "--quiet", "--package", package, "--example", name]))?;
    Ok(crate::run::target().join("release/examples").join(name))
}
