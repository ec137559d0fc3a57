//! Which libraries programs need: `libraries PROGRAM... -- PACKAGE.deb...` takes the programs (paths as in the packages,
//! `usr/bin/podman`) and what they need out of the packages, and prints size, path, package and who needs it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use formats::tree::{Tree, show};
use mkdistro::{deb, elf};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(at) = args.iter().position(|arg| arg == "--") else {
        bail!("usage: libraries PROGRAM... -- PACKAGE.deb...");
    };
    let (programs, packages) = (&args[..at], &args[at + 1..]);
    let start = Instant::now();
    let mut trees = Vec::new();
    for package in packages {
        let path = Path::new(package);
        let origin: Arc<str> = Arc::from(path.file_stem().unwrap_or_default().to_string_lossy());
        trees.push(deb::open(path, &origin, &|path| !path.starts_with(b"usr/share"))?.tree);
    }
    println!("{} packages read after {:.1} s", trees.len(), start.elapsed().as_secs_f64());
    let mut root = Tree::new();
    for program in programs {
        let node = trees.iter().find_map(|tree| tree.get(program.as_bytes()));
        let node = node.with_context(|| format!("{program} is in none of the packages"))?;
        root.insert(program.as_bytes(), node.clone()).map_err(anyhow::Error::msg)?;
    }
    let candidates: Vec<&Tree> = trees.iter().collect();
    let start = Instant::now();
    let needed = elf::closure(&root, &[], &candidates)?;
    println!("{} entries found after {:.3} s", needed.len(), start.elapsed().as_secs_f64());
    for needed in &needed {
        let bytes = needed.node.content().map_or(0, |content| content.len());
        println!("{bytes:9} {:60} {:30} {}", show(&needed.path), needed.node.origin, needed.wanted_by);
    }
    Ok(())
}
