//! Builds the guest's programs (PID 1 and distroctl), statically linked, so that mkdistro carries them, and lists the
//! project's own files (recipes, fragments, key ring, overlay, templates) so that it carries those too.
//!
//! The programs are built by a nested cargo with its own target folder: cargo has no stable way to depend on
//! another package's binary for another profile. Paths are mapped away, so that the same sources give the same bytes in any folder.

mod build_crates;

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let workspace = manifest_dir.join("../..").canonicalize().expect("the workspace's folder exists");
    for source in ["src/init", "src/distroctl", "src/contract", "src/document", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    for source in ["build.rs", "build_crates.rs", "Cargo.toml", "../formats/Cargo.toml", "../vm/Cargo.toml"] {
        println!("cargo::rerun-if-changed={source}");
    }
    build_crates::write(&workspace, TARGET, &out_dir.join("crates.txt"));

    embed(&workspace, &out_dir.join("builtin.rs"));

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

/// Writes the table of the files that `src/builtin.rs` includes: path in the project, content.
fn embed(workspace: &Path, table: &Path) {
    let templates = workspace.join("src/mkdistro/templates");
    let mut files = vec![("distro.toml".to_string(), workspace.join("distro.toml"))];
    for folder in ["packages", "kernel-config", "overlay"] {
        walk(&workspace.join(folder), folder, &mut files);
    }
    walk(&templates, "templates", &mut files);
    let mut text = "&[\n".to_string();
    files.sort();
    for (name, path) in &files {
        writeln!(text, "    ({name:?}, include_bytes!({path:?})),").expect("a String takes everything");
    }
    text.push_str("]\n");
    // Unchanged, it keeps its time, so that nothing is compiled again.
    if fs::read_to_string(table).ok().as_deref() != Some(&text) {
        fs::write(table, text).expect("OUT_DIR can be written");
    }
    for source in ["distro.toml", "packages", "kernel-config", "overlay", "src/mkdistro/templates"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
}

fn walk(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("the project's folders can be read") {
        let entry = entry.expect("the project's folders can be read");
        let file_name = entry.file_name().into_string().expect("the project's names are UTF-8");
        let path = format!("{name}/{file_name}");
        if entry.file_type().expect("the kind of a file can be read").is_dir() {
            walk(&entry.path(), &path, files);
        } else if !file_name.starts_with('.') {
            files.push((path, entry.path()));
        }
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
