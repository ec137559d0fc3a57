//! Small projects, packages and trees for the tests of root and image.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use formats::tree::{Kind, Node, Tree, show};
use tempfile::TempDir;

use super::Packages;
use crate::cache::Store;
use crate::config::{self, Checked};
use crate::fetch::Fetched;
use crate::lock::{Lock, Locked, LockedPackage, LockedSuite};

/// What every project here begins with.
pub(crate) const DISTRO: &str = "schema = 1\n[distro]\nname = \"toy\"\nversion = \"1.2\"\nhostname = \"box\"\n\
                                 [kernel]\nconfig = []\n[console]\nautologin = [\"ttyS0\"]\n";

/// What recipes here begin with.
const RECIPE: &str = "schema = 1\nsummary = \"a test\"\n";

/// Makes a project of recipes (name, text after the summary), all in use, and files at paths of their own.
pub(crate) fn project(recipes: &[(&str, &str)], files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let names: Vec<&str> = recipes.iter().map(|(name, _)| *name).collect();
    write(dir.path(), "distro.toml", &format!("{DISTRO}[root]\nrecipes = {names:?}\ncompression = \"zstd:1\"\n"));
    write(dir.path(), "packages/debian-archive-keyring.asc", "keys");
    for (name, text) in recipes {
        write(dir.path(), &format!("packages/{name}.toml"), &format!("{RECIPE}{text}"));
    }
    for (path, content) in files {
        write(dir.path(), path, content);
    }
    dir
}

/// The same, read and checked. The overlay's files are gone afterwards.
pub(crate) fn checked(recipes: &[(&str, &str)]) -> Checked {
    config::load(project(recipes, &[]).path()).unwrap()
}

pub(crate) fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn file(content: &str, mode: u16) -> Node {
    Node::new(Kind::File(Bytes::from(content.to_string())), mode, &Arc::from("test"))
}

pub(crate) fn folder(mode: u16) -> Node {
    Node::new(Kind::Directory, mode, &Arc::from("test"))
}

pub(crate) fn link(target: &str) -> Node {
    Node::new(Kind::Symlink(target.into()), 0o777, &Arc::from("test"))
}

pub(crate) fn tree(entries: &[(&str, Node)]) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in entries {
        tree.insert(path.as_bytes(), node.clone()).unwrap();
    }
    tree
}

/// Opened packages without a kernel.
pub(crate) fn packages(list: &[(&str, Tree)]) -> Packages {
    Packages {
        trees: list.iter().map(|(name, tree)| ((*name).to_string(), tree.clone())).collect(),
        kernel: Tree::new(),
    }
}

/// Everything in a tree but its root: `/path mode owner what`, where `what` is a file's content or a link's target.
pub(crate) fn shown(tree: &Tree) -> Vec<String> {
    let line = |(path, node): (&[u8], &Node)| {
        let what = match &node.kind {
            Kind::File(content) => format!(" {:?}", String::from_utf8_lossy(content)),
            Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
            Kind::Directory => "/".to_string(),
            other => format!(" {other:?}"),
        };
        format!("{} {:04o} {}{what}", show(path), node.mode, node.uid)
    };
    tree.iter().skip(1).map(line).collect()
}

/// The text of a file in a tree.
pub(crate) fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    std::str::from_utf8(tree.lookup(path.as_bytes()).unwrap().content().unwrap()).unwrap()
}

/// A whole small project: a skeleton, busybox, a tool with a folder of data.
pub(crate) fn whole_project() -> TempDir {
    project(
        &[
            (
                "base",
                "[links]\n\"/bin\" = \"usr/bin\"\n\"/sbin\" = \"usr/bin\"\n[[directory]]\npath = \"/usr/bin\"\n\
                 [[directory]]\npath = \"/proc\"\nmode = \"0555\"\n",
            ),
            (
                "busybox",
                "packages = [\"busybox-static\"]\nfiles = [\"/bin/busybox\", \"/usr/bin/busybox\"]\n\
                 [applets]\nprogram = \"/usr/bin/busybox\"\nfolder = \"/usr/bin\"\n",
            ),
            (
                "tool",
                "packages = [\"tool\"]\nfiles = [\"/usr/share/tool/**\"]\nrename = { \"/usr/bin/mount\" = \"/bin/tool\" }\n\
                 modes = { \"/bin/mount\" = \"4755\" }\nload-modules = [\"helper\"]\n",
            ),
        ],
        &[("overlay/etc/motd", "hello\n"), ("overlay/usr/bin/ash", "#!/bin/sh\n")],
    )
}

/// Of the package `tool`, and by a link of `busybox-static` too.
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
                         License: GPL-2+ or odd\n\nLicense: odd\n Odd text.\n";

/// [`whole_project`] with packages that are on this machine: its own, a kernel, the boot loader's.
pub(crate) fn whole_fetched(dir: &TempDir) -> Fetched {
    let isolinux = [vec![0; 64], MARK.to_vec(), vec![b'i'; 4000]].concat();
    let isolinux = Node::new(Kind::File(isolinux.into()), 0o644, &Arc::from("test"));
    let boot: Vec<(&str, Node)> = crate::image::boot_files()
        .map(|path| match path {
            _ if path.ends_with("isolinux.bin") => (path, isolinux.clone()),
            _ if path.ends_with(".efi.stub") => {
                (path, Node::new(Kind::File(crate::signing::tests::stub().into()), 0o644, &Arc::from("test")))
            }
            _ => (path, file(path, 0o644)),
        })
        .collect();
    let trees = [
        (
            "busybox-static",
            tree(&[
                ("usr/bin/busybox", file("ELF..\0[\0[[\0ash\0cat\0mount\0\0", 0o755)),
                ("usr/share/doc/busybox-static", link("tool")),
            ]),
        ),
        ("isolinux", tree(&boot)),
        ("linux-image-toy", crate::kernel::tests::package()),
        (
            "tool",
            tree(&[
                ("usr/bin/tool", file("tool", 0o755)),
                ("usr/share/tool/data", file("data", 0o640)),
                ("usr/share/doc/tool/copyright", file(COPYRIGHT, 0o644)),
            ]),
        ),
    ];
    fetched(config::load(dir.path()).unwrap(), dir.path(), &trees)
}

/// The mark of an isolinux.bin that can be started from an MBR (syslinux `core/isolinux.asm`).
const MARK: [u8; 4] = 0x7078_c0fb_u32.to_le_bytes();

/// Packs packages into `dir` and locks them; the one whose name begins with `linux-image-` is the kernel's.
fn fetched(checked: Checked, dir: &Path, trees: &[(&str, Tree)]) -> Fetched {
    let mut files = BTreeMap::new();
    let mut packages = Vec::new();
    for (name, tree) in trees {
        let bytes = crate::deb::tests::packed(name, tree);
        let path = dir.join(format!("{name}.deb"));
        packages.push(LockedPackage {
            name: (*name).to_string(),
            version: "1.2-3".into(),
            suite: "trixie".into(),
            source: (*name).to_string(),
            path: format!("pool/{name}.deb"),
            size: bytes.len() as u64,
            sha256: crate::archive::testing::sha256(&bytes),
            flavours: Vec::new(),
        });
        fs::write(&path, bytes).unwrap();
        files.insert((*name).to_string(), path);
    }
    let kernel = packages.iter().find(|package| package.name.starts_with("linux-image-")).unwrap().name.clone();
    let suites = vec![LockedSuite { name: "trixie".into(), date: "2025-01-01T00:00:00Z".into() }];
    let lock = Lock { schema: 1, request: String::new(), kernel, suites, packages, images: Vec::new() };
    Fetched {
        locked: Locked { checked, lock },
        files,
        images: Vec::new(),
        store: Store::none(),
        cache: dir.join("cache"),
    }
}
