//! Builds PID 1 and distroctl, statically linked.
//!
//! By a nested cargo with its own target folder: cargo has no stable way to depend on another package's binary for another
//! profile. Paths are mapped away, so that the same sources give the same bytes in any folder.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let workspace = manifest_dir.join("../..").canonicalize().expect("the workspace's folder exists");
    for source in
        ["src/init", "src/distroctl", "src/contract", "src/document", "src/quadlet", "Cargo.lock", "Cargo.toml"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    // Beside the profiles' folders (target/PROFILE/build/PACKAGE-HASH/out), so that all of them share one build.
    let target_dir = out_dir.ancestors().nth(4).unwrap_or(&out_dir).join("guest");
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_string()];
    flags.extend(remaps(&workspace));
    let status = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .current_dir(&workspace)
        .args(["build", "--quiet", "--locked", "--profile", "guest", "--package", "init", "--package", "distroctl"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // What the outer cargo set for this package must not reach the inner one.
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "building the guest's programs failed");

    let programs = target_dir.join(TARGET).join("guest");
    for name in ["init", "distroctl"] {
        println!("cargo::rustc-env=GUEST_{}={}", name.to_uppercase(), programs.join(name).display());
    }
}

/// Source paths end up in panic messages; they must not tell where it was built.
fn remaps(workspace: &Path) -> Vec<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cargo"))
    });
    let mut remaps = vec![format!("--remap-path-prefix={}=/mkdistro", workspace.display())];
    if let Some(cargo_home) = cargo_home {
        remaps.push(format!("--remap-path-prefix={}=/cargo", cargo_home.display()));
    }
    remaps
}
