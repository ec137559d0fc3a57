//! What a project's kernel fragments cost: `kernel PROJECT linux-image.deb [FOLDER]` prints the size of the modules by
//! subject, the largest ones, and what they ask for besides modules. With FOLDER it writes `usr/lib/modules` there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use formats::tree::{Kind, Tree};
use mkdistro::kernel::{self, KernelFiles};
use mkdistro::{config, deb};

/// How many of the largest modules are listed.
const LARGEST: usize = 25;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (project, package, folder) = match args.as_slice() {
        [project, package] => (project, package, None),
        [project, package, folder] => (project, package, Some(folder)),
        _ => bail!("usage: kernel PROJECT linux-image.deb [FOLDER]"),
    };
    let checked = config::load(Path::new(project))?;
    let start = Instant::now();
    let package = deb::open(Path::new(package), &Arc::from("linux"), &kernel::is_wanted)?;
    println!("package read after {:.1} s, {} entries", start.elapsed().as_secs_f64(), package.tree.len());
    let start = Instant::now();
    let files = kernel::select(&checked, &package.tree)?;
    println!("{} modules after {:.1} s", files.modules.len(), start.elapsed().as_secs_f64());
    print(&files);
    folder.map_or(Ok(()), |folder| write(&files.tree, Path::new(folder)))
}

fn print(files: &KernelFiles) {
    let mut subjects: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for module in &files.modules {
        let (count, bytes) = subjects.entry(&module.subject).or_default();
        *count += 1;
        *bytes += module.content.len();
    }
    for (subject, (count, bytes)) in &subjects {
        println!("{bytes:9} bytes in {count:3} modules for {subject}");
    }
    let total: usize = subjects.values().map(|(_, bytes)| bytes).sum();
    println!("{total:9} bytes in all");
    let mut largest: Vec<_> = files.modules.iter().collect();
    largest.sort_by_key(|module| std::cmp::Reverse(module.content.len()));
    for module in largest.iter().take(LARGEST) {
        println!("{:9} {:20} {}", module.content.len(), module.name, module.asked_by);
    }
    for module in &files.modules {
        for (what, names) in [("softdep", &module.info.soft_before), ("firmware", &module.info.firmware)] {
            if !names.is_empty() {
                println!("{} {what} {}", module.name, names.join(" "));
            }
        }
    }
}

fn write(tree: &Tree, folder: &Path) -> Result<()> {
    for (path, node) in tree.iter() {
        let path = folder.join(String::from_utf8_lossy(path).as_ref());
        match &node.kind {
            Kind::File(content) => std::fs::write(&path, content),
            _ => std::fs::create_dir_all(&path),
        }
        .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
