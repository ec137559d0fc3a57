//! Lists the project's own files (recipes, fragments, key ring, overlay, templates) and the crates of all programs, so that
//! mkdistro carries both.

mod build_crates;

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let workspace = manifest_dir.join("../..").canonicalize().expect("the workspace's folder exists");
    println!("cargo::rerun-if-changed={}", workspace.join("Cargo.lock").display());
    for package in ["mkdistro", "contract", "distroctl", "document", "formats", "guest", "init", "quadlet", "vm"] {
        println!("cargo::rerun-if-changed=../{package}/Cargo.toml");
    }
    for source in ["build.rs", "build_crates.rs"] {
        println!("cargo::rerun-if-changed={source}");
    }
    build_crates::write(&workspace, TARGET, &out_dir.join("crates.txt"));

    embed(&workspace, &out_dir.join("builtin.rs"));
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
