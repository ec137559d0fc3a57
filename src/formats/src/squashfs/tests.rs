//! Images are read back by `unsquashfs`, which the test set-up installs.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::tree::{Kind, Node, show};

const BLOCK: usize = 128 * 1024;

pub(super) fn node(kind: Kind, mode: u16) -> Node {
    Node::new(kind, mode, &Arc::from("test"))
}

pub(super) fn file(content: impl Into<Bytes>) -> Node {
    node(Kind::File(content.into()), 0o644)
}

pub(super) fn tree(nodes: impl IntoIterator<Item = (String, Node)>) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in nodes {
        tree.insert(path.as_bytes(), node).unwrap();
    }
    tree
}

/// Bytes that no compressor makes smaller.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that every compressor makes smaller.
pub(super) fn prose(length: usize, seed: u64) -> Vec<u8> {
    let words = noise(length / 4 + 1, seed);
    let text: String = words.iter().map(|word| ["the ", "of ", "block ", "root "][usize::from(word % 4)]).collect();
    text.bytes().cycle().take(length).collect()
}

pub(super) fn fast(compression: &str, block_size: usize) -> Options {
    Options { compression: compression.parse().unwrap(), block_size: block_size as u32, mtime: 1_700_000_000 }
}

pub(super) fn squash(tree: &Tree, options: &Options) -> (Vec<u8>, Summary) {
    let mut out = Cursor::new(Vec::new());
    let summary = write(tree, options, None, &mut out, &|_, _| {}).unwrap();
    assert_eq!(out.get_ref().len() as u64, summary.total_bytes);
    assert_eq!(out.position(), summary.total_bytes);
    (out.into_inner(), summary)
}

/// Runs `unsquashfs` and gives back its stdout.
fn unsquashfs(image: &[u8], folder: &Path, args: &[&str]) -> String {
    let path = folder.join("image.squashfs");
    std::fs::write(&path, image).unwrap();
    let mut command = Command::new("unsquashfs");
    command.args(["-no-progress", "-UTC"]).args(args).arg(&path).current_dir(folder);
    let output = command.output().expect("unsquashfs of squashfs-tools can be run");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Files of all shapes for blocks of `block` bytes.
pub(super) fn shapes(block: usize) -> Tree {
    let sparse = [vec![0; 2 * block], prose(block, 1), vec![0; block], prose(100, 2)].concat();
    let mut files = vec![
        ("empty".to_owned(), Vec::new()),
        ("one".to_owned(), b"1".to_vec()),
        ("zero".to_owned(), vec![0]),
        ("less".to_owned(), prose(block - 1, 3)),
        ("exact".to_owned(), prose(block, 4)),
        ("more".to_owned(), prose(block + 1, 5)),
        ("three".to_owned(), prose(3 * block, 6)),
        ("three-noise".to_owned(), noise(3 * block + 7, 7)),
        ("noise".to_owned(), noise(1000, 8)),
        ("zeros".to_owned(), vec![0; 3 * block + 7]),
        ("sparse".to_owned(), sparse),
        ("sparse-end".to_owned(), [prose(block, 9), vec![0; block + 9]].concat()),
        ("again/more".to_owned(), prose(block + 1, 5)),
        ("again/noise".to_owned(), noise(1000, 8)),
        ("again/empty".to_owned(), Vec::new()),
    ];
    for number in 0..200 {
        files
            .push((format!("small/{number}.{}", ["conf", "so", "txt"][number % 3]), prose(number * 37, number as u64)));
    }
    let mut tree = tree(files.into_iter().map(|(path, content)| (path, file(content))));
    tree.insert(b"small/link", node(Kind::Symlink(b"../one".to_vec()), 0o777)).unwrap();
    tree.insert(b"nothing/here", node(Kind::Directory, 0o700)).unwrap();
    tree
}

/// Unpacks the image and compares kinds, contents and permission bits.
fn assert_extracts(tree: &Tree, image: &[u8]) {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    unsquashfs(image, folder.path(), &["-quiet", "-no-xattrs", "-dest", "root"]);
    let root = folder.path().join("root");
    for (path, node) in tree.iter() {
        let real = root.join(std::ffi::OsStr::from_bytes(path));
        let meta = real.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", show(path)));
        match &node.kind {
            Kind::Directory => {
                let names = std::fs::read_dir(&real).unwrap().count();
                assert_eq!(names, tree.children(path).count(), "names in {}", show(path));
            }
            Kind::File(content) => assert!(std::fs::read(&real).unwrap() == *content, "content of {}", show(path)),
            Kind::Symlink(target) => assert_eq!(&real.read_link().unwrap().into_os_string().into_vec(), target),
            other => panic!("{} is {other:?}", show(path)),
        }
        if !meta.is_symlink() {
            assert_eq!(meta.permissions().mode() & 0o7777, u32::from(node.mode), "mode of {}", show(path));
        }
    }
}

#[test]
fn extracts_unchanged() {
    for (compression, block) in
        [("zstd:1", BLOCK), ("xz:0", BLOCK), ("zstd:19", 4096), ("xz:6", 4096), ("xz:0", 1 << 20)]
    {
        let tree = shapes(block);
        let (image, summary) = squash(&tree, &fast(compression, block));
        assert_extracts(&tree, &image);
        assert_eq!(summary.inodes as usize, tree.len());
        assert_eq!(summary.total_bytes % 4096, 0);
        assert_eq!(summary.duplicate_bytes as usize, block + 1 + 1000, "{compression} {block}");
        // exact, more, three, three-noise, sparse, sparse-end; ends and small files are in fragments.
        let small = (0..200).filter(|number| number * 37 >= block).count();
        assert_eq!(summary.data_blocks as usize, 1 + 1 + 3 + 3 + 1 + 1 + small);
    }
}

#[test]
fn an_empty_tree_is_an_image() {
    for compression in ["zstd", "xz"] {
        let (image, summary) = squash(&Tree::new(), &fast(compression, BLOCK));
        assert_extracts(&Tree::new(), &image);
        assert_eq!((summary.inodes, summary.total_bytes), (1, 4096));
    }
}

#[test]
fn lists_modes_owners_and_devices() {
    let owned = |mut node: Node, uid, gid| {
        (node.uid, node.gid) = (uid, gid);
        node
    };
    let tree = tree([
        ("bin/sudo".to_owned(), node(Kind::File(Bytes::from_static(b"x")), 0o4755)),
        ("bin-old".to_owned(), node(Kind::Directory, 0o2755)),
        ("bin/sh".to_owned(), node(Kind::Symlink(b"busybox".to_vec()), 0o777)),
        ("dev/console".to_owned(), node(Kind::CharDevice(5, 1), 0o600)),
        ("dev/nvme".to_owned(), owned(node(Kind::BlockDevice(259, 7), 0o660), 0, 6)),
        ("dev/initctl".to_owned(), node(Kind::Fifo, 0o600)),
        ("home/core".to_owned(), owned(node(Kind::Directory, 0o700), 1000, 1000)),
        ("home/core/big-id".to_owned(), owned(file("12345"), 4_000_000_000, 1000)),
        ("tmp".to_owned(), node(Kind::Directory, 0o1777)),
    ]);
    let (image, _) = squash(&tree, &fast("zstd:3", BLOCK));
    let folder = tempfile::tempdir().unwrap();
    let listing = unsquashfs(&image, folder.path(), &["-lln", "-dest", ""]);
    let lines: Vec<String> = listing
        .lines()
        .filter(|line| line.contains("2023-11-14"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "drwxr-xr-x 0/0 75 2023-11-14 22:13",
        "drwxr-xr-x 0/0 37 2023-11-14 22:13 /bin",
        "lrwxrwxrwx 0/0 7 2023-11-14 22:13 /bin/sh -> busybox",
        "-rwsr-xr-x 0/0 1 2023-11-14 22:13 /bin/sudo",
        "drwxr-sr-x 0/0 3 2023-11-14 22:13 /bin-old",
        "drwxr-xr-x 0/0 57 2023-11-14 22:13 /dev",
        "crw------- 0/0 5, 1 2023-11-14 22:13 /dev/console",
        "prw------- 0/0 0 2023-11-14 22:13 /dev/initctl",
        "brw-rw---- 0/6 259, 7 2023-11-14 22:13 /dev/nvme",
        "drwxr-xr-x 0/0 27 2023-11-14 22:13 /home",
        "drwx------ 1000/1000 29 2023-11-14 22:13 /home/core",
        "-rw-r--r-- 4000000000/1000 5 2023-11-14 22:13 /home/core/big-id",
        "drwxrwxrwt 0/0 3 2023-11-14 22:13 /tmp",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn superblock_tells_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let stat = |compression: &str, block: usize| {
        let (image, _) = squash(&shapes(4096), &fast(compression, block));
        unsquashfs(&image, folder.path(), &["-stat"])
    };
    let zstd = stat("zstd:7", BLOCK);
    for line in [
        "Found a valid SQUASHFS 4:0 superblock",
        "Tue Nov 14 22:13:20 2023",
        "Compression zstd",
        "compression-level 7",
        "Block size 131072",
        "not exportable via NFS",
        "Number of inodes 221",
    ] {
        assert!(zstd.contains(line), "{line:?} is not in:\n{zstd}");
    }
    let xz = stat("xz", 1 << 20);
    assert!(xz.contains("Compression xz\n") && xz.contains("Block size 1048576\n"), "{xz}");
    assert!(!stat("zstd:15", 4096).contains("compression-level 19"));
}

#[test]
fn a_large_folder_has_an_index() {
    let long = "x".repeat(200);
    let tree = tree((0..3000).map(|number| (format!("many/{number:05}-{}", &long[..number % 200]), file("same"))));
    let (image, summary) = squash(&tree, &fast("xz:0", BLOCK));
    assert_extracts(&tree, &image);
    assert_eq!(summary.duplicate_bytes, 2999 * 4);
}

#[test]
fn stores_extended_attributes() {
    let mut ping = file("ping");
    ping.xattrs.insert(b"user.note".to_vec(), b"first".to_vec());
    ping.xattrs.insert(b"user.empty".to_vec(), Vec::new());
    // cap_net_raw+ep as `struct vfs_ns_cap_data`, revision 2.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ping.xattrs.insert(b"security.capability".to_vec(), capability.to_vec());
    ping.xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    let mut folder_node = node(Kind::Directory, 0o755);
    folder_node.xattrs = ping.xattrs.clone();
    let mut tree =
        tree([("bin/ping".to_owned(), ping.clone()), ("bin/ping6".to_owned(), ping), ("d".to_owned(), folder_node)]);
    for number in 0..700_u32 {
        let mut node = file(number.to_string());
        node.xattrs.insert(b"user.number".to_vec(), number.to_le_bytes().to_vec());
        tree.insert(format!("many/{number}").as_bytes(), node).unwrap();
    }
    for compression in ["zstd:1", "xz:0"] {
        let (image, _) = squash(&tree, &fast(compression, BLOCK));
        let folder = tempfile::tempdir().unwrap();
        // Only root may set the others; they are stored no differently.
        let root = rustix::process::getuid().is_root();
        unsquashfs(&image, folder.path(), &["-quiet", if root { "-xattrs" } else { "-user-xattrs" }, "-dest", "root"]);
        for (path, node) in tree.iter() {
            let real = folder.path().join("root").join(std::str::from_utf8(path).unwrap());
            for (name, value) in node.xattrs.iter().filter(|(name, _)| root || name.starts_with(b"user.")) {
                let mut buffer = [0; 64];
                let length = rustix::fs::lgetxattr(&real, name.as_slice(), &mut buffer[..]).unwrap();
                assert_eq!(&buffer[..length], value, "{} of {}", String::from_utf8_lossy(name), show(path));
            }
        }
    }
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let tree = shapes(4096);
    for compression in ["zstd:19", "xz:6"] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| squash(&tree, &fast(compression, 4096)))
        };
        assert!(on(1) == on(4), "{compression}");
    }
}

#[test]
fn starts_where_the_output_stands() {
    let (image, _) = squash(&shapes(4096), &fast("zstd:1", 4096));
    let mut out = Cursor::new(b"head".to_vec());
    out.set_position(4);
    write(&shapes(4096), &fast("zstd:1", 4096), None, &mut out, &|_, _| {}).unwrap();
    assert!(out.into_inner() == [b"head", image.as_slice()].concat());
}

#[test]
fn tells_progress_to_the_end() {
    let calls = Mutex::new(Vec::new());
    let report = |done, total| calls.lock().unwrap().push((done, total));
    write(&shapes(4096), &fast("zstd:1", 4096), None, &mut Cursor::new(Vec::new()), &report).unwrap();
    let calls = calls.into_inner().unwrap();
    let (done, total) = *calls.iter().max().unwrap();
    assert!(done == total && total > 10 * 4096 && calls.iter().all(|call| call.1 == total), "{calls:?}");
}

#[derive(Default)]
struct Kept(Mutex<HashMap<[u8; 32], Vec<u8>>>);

impl BlockCache for Kept {
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn put(&self, key: &[u8; 32], value: &[u8]) {
        assert!(self.0.lock().unwrap().insert(*key, value.to_vec()).is_none(), "put although it was there");
    }
}

#[test]
fn a_cache_saves_work_and_changes_nothing() {
    let tree = shapes(BLOCK);
    let options = fast("zstd:1", BLOCK);
    let (image, summary) = squash(&tree, &options);
    let cache = Kept::default();
    for _ in 0..2 {
        let mut out = Cursor::new(Vec::new());
        write(&tree, &options, Some(&cache), &mut out, &|_, _| {}).unwrap();
        assert!(out.into_inner() == image);
        assert_eq!(cache.0.lock().unwrap().len() as u32, summary.data_blocks + summary.fragments);
    }
    // Other settings find nothing.
    write(&tree, &fast("zstd:2", BLOCK), Some(&cache), &mut Cursor::new(Vec::new()), &|_, _| {}).unwrap();
    assert_eq!(cache.0.lock().unwrap().len() as u32, 2 * (summary.data_blocks + summary.fragments));
}

#[test]
fn refuses_what_the_format_cannot_hold() {
    let fails = |path: &str, change: &dyn Fn(&mut Node), options: Options| {
        let mut node = file("x");
        change(&mut node);
        let tree = tree([(path.to_owned(), node)]);
        let error = write(&tree, &options, None, &mut Cursor::new(Vec::new()), &|_, _| {}).unwrap_err();
        format!("{error:#}")
    };
    let unchanged = |_: &mut Node| {};
    let acl = |node: &mut Node| drop(node.xattrs.insert(b"system.posix_acl_access".to_vec(), vec![1]));
    let cases = [
        (
            fails("x", &acl, Options::default()),
            "storing /x in the SquashFS: storing extended attribute system.posix_acl_access: \
             a SquashFS holds only user.*, trusted.* and security.* attributes",
        ),
        (
            fails("dev/x", &|node| node.kind = Kind::CharDevice(5, 1 << 20), Options::default()),
            "storing /dev/x in the SquashFS: device 5:1048576 does not fit 12 and 20 bits",
        ),
        (
            fails("x", &|node| node.kind = Kind::Symlink(Vec::new()), Options::default()),
            "storing /x in the SquashFS: the link's target has 0 bytes",
        ),
        (
            fails("x", &unchanged, Options { block_size: 100_000, ..Options::default() }),
            "SquashFS block size 100000 is not possible\n\
             hint: take a power of two of 4096 to 1048576, such as 131072",
        ),
    ];
    for (is, expected) in cases {
        assert_eq!(is, expected);
    }
    let name = "n".repeat(256);
    assert!(fails(&name, &unchanged, Options::default()).ends_with(" has 256 bytes, Linux allows 255"));
}

#[test]
fn hard_links_whiteouts_and_own_times() {
    use std::os::unix::fs::MetadataExt;
    let linked = |link| Node { link: Some(link), mtime: Some(1_600_000_000), ..file(prose(BLOCK + 9, 1)) };
    let mut tree = tree([
        ("a/one".to_owned(), linked(7)),
        ("a/three".to_owned(), linked(7)),
        ("two".to_owned(), linked(7)),
        ("z/copy".to_owned(), file(prose(BLOCK + 9, 1))),
        ("z/alone".to_owned(), Node { link: Some(9), ..file("alone") }),
        ("gone".to_owned(), node(Kind::CharDevice(0, 0), 0)),
    ]);
    for number in 0..600 {
        tree.insert(format!("m/{number}").as_bytes(), linked(7)).unwrap();
    }
    tree.get_mut(b"z").unwrap().xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    tree.get_mut(b"z").unwrap().mtime = Some(1_500_000_000);
    let (image, summary) = squash(&tree, &fast("zstd:1", BLOCK));
    // root, a, m, z, gone, and of the files one, copy and alone.
    assert_eq!(summary.inodes, 8);
    let folder = tempfile::tempdir().unwrap();
    let list = unsquashfs(&image, folder.path(), &["-lln"]);
    let line = |name: &str| list.lines().find(|line| line.ends_with(name)).unwrap_or_default().to_owned();
    assert!(line("/gone").starts_with("c--------- 0/0") && line("/gone").contains("0,  0"), "{}", line("/gone"));
    assert!(line("squashfs-root/z").contains("2017-07-14 02:40"), "{}", line("squashfs-root/z"));
    assert!(line("/z/copy").contains("2023-11-14 22:13"), "{}", line("/z/copy"));
    // Devices are for root to make.
    tree.remove(b"gone");
    let (image, _) = squash(&tree, &fast("zstd:1", BLOCK));
    unsquashfs(&image, folder.path(), &["-quiet", "-no-xattrs", "-dest", "root"]);
    let stat = |name: &str| std::fs::metadata(folder.path().join("root").join(name)).unwrap();
    let first = stat("a/one");
    assert_eq!((first.nlink(), first.mtime()), (603, 1_600_000_000));
    for name in ["a/three", "two", "m/0", "m/599"] {
        assert_eq!(stat(name).ino(), first.ino(), "{name}");
    }
    assert_ne!(stat("z/copy").ino(), first.ino());
    let again = read::Image::open(&Bytes::from(image)).unwrap().tree(1 << 30, &Arc::from("again")).unwrap();
    assert_eq!(again.len(), tree.len());
    assert_eq!(again.get(b"m/599").and_then(Node::content), tree.get(b"two").and_then(Node::content));
}
