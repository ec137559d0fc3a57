//! Packs folders of the host into a SquashFS and prints sizes and times, to compare settings and other programs:
//! `squash OUT COMPRESSION BLOCK_SIZE FOLDER...`. Later folders replace files of earlier ones; owners are root's.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use formats::squashfs::{self, Options};
use formats::tree::{Kind, Node, Tree};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out, compression, block_size, folders @ ..] = args.as_slice() else {
        bail!("usage: squash OUT COMPRESSION BLOCK_SIZE FOLDER...");
    };
    let mut tree = Tree::new();
    for folder in folders {
        add(&mut tree, Path::new(folder), Path::new(folder)).with_context(|| format!("reading {folder}"))?;
    }
    let options = Options { compression: compression.parse()?, block_size: block_size.parse()?, mtime: 0 };
    let mut file = std::fs::File::create(out).with_context(|| format!("creating {out}"))?;
    let start = Instant::now();
    let summary = squashfs::write(&tree, &options, None, &mut file, &|_, _| {})?;
    println!("{:.2} s, {} threads, {summary:#?}", start.elapsed().as_secs_f64(), rayon::current_num_threads());
    Ok(())
}

fn add(tree: &mut Tree, base: &Path, folder: &Path) -> anyhow::Result<()> {
    let origin = Arc::from("host");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = path.symlink_metadata()?;
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_symlink() {
            Kind::Symlink(path.read_link()?.into_os_string().into_vec())
        } else if meta.is_file() {
            Kind::File(std::fs::read(&path)?.into())
        } else {
            continue;
        };
        let name = path.strip_prefix(base)?.as_os_str().as_bytes();
        let mut node = Node::new(kind, (meta.permissions().mode() & 0o7777) as u16, &origin);
        node.xattrs = xattrs(&path).unwrap_or_default();
        tree.insert(name, node).map_err(anyhow::Error::msg)?;
        if meta.is_dir() {
            add(tree, base, &path)?;
        }
    }
    Ok(())
}

fn xattrs(path: &Path) -> rustix::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    let mut xattrs = BTreeMap::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
        value.truncate(length);
        xattrs.insert(name.to_vec(), value);
    }
    Ok(xattrs)
}
