//! Whole ISOs of a small project, read back by our readers and by other people's programs.

use std::process::{Command, Stdio};

use formats::cpio;
use formats::iso9660;
use formats::tree::Kind;

use super::*;
use crate::problem::exit_code;
use crate::progress::Silent;
use crate::root::testing::{whole_fetched, whole_project};
use crate::root::{self, RootTree};

const MTIME: u32 = 1_700_000_000;

/// Runs a program that the test set-up installs; its stdout.
pub(crate) fn foreign(program: &str, args: &[&str], stdin: Option<&Path>) -> String {
    let stdin = stdin.map_or(Stdio::null(), |path| File::open(path).unwrap().into());
    let mut command = Command::new(program);
    command.args(args).stdin(stdin).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let output = command.output().unwrap_or_else(|error| panic!("running {program}: {error}; hint: install it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A project, its root, and a folder for outputs.
fn assembled() -> (tempfile::TempDir, Checked, RootTree) {
    let dir = whole_project();
    let fetched = whole_fetched(&dir);
    let root = root::assemble(&fetched, &Silent).unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    (dir, fetched.locked.checked, root)
}

#[test]
fn the_iso_has_what_boots() {
    let (dir, checked, root) = assembled();
    let path = dir.path().join("out/toy.iso");
    let image = write_iso(&checked, &root, &path, MTIME, &Silent).unwrap();
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    assert_eq!((image.path.as_path(), image.size_bytes), (path.as_path(), bytes.len() as u64));
    assert_eq!(image.sha256, crate::archive::testing::sha256(&bytes));
    assert_eq!(image.parts.iter().map(|(_, size)| size).sum::<u64>(), image.size_bytes);

    let iso = iso9660::read(&bytes).unwrap();
    assert_eq!((iso.volume_id.as_str(), iso.application_id.as_str()), ("TOY", "toy 1.2"));
    let mut entries: Vec<String> =
        iso.entries.iter().map(|entry| format!("{} {:o}", String::from_utf8_lossy(&entry.path), entry.mode)).collect();
    entries.sort();
    assert_eq!(
        entries[1..],
        [
            "boot 755",
            "boot/initrd.img 444",
            "boot/vmlinuz 444",
            "isolinux 755",
            "isolinux/isolinux.bin 444",
            "isolinux/isolinux.cfg 444",
            "isolinux/ldlinux.c32 444",
            "isolinux/libcom32.c32 444",
            "isolinux/libutil.c32 444",
            "isolinux/menu.c32 444",
        ]
    );
    let file = |path: &str| match &iso.entry(path.as_bytes()).unwrap().kind {
        Kind::File(content) => content.clone(),
        other => panic!("{path} is {other:?}"),
    };
    assert_eq!(file("boot/vmlinuz"), root.kernel.vmlinuz);
    assert_eq!(iso.boot[0].lba, iso.entry(b"isolinux/isolinux.bin").unwrap().lba);
    assert!(bytes.starts_with(b"/usr/lib/ISOLINUX/isohdpfx.bin"), "the MBR's code");
    assert_eq!(bytes[510..512], [0x55, 0xaa]);

    let segments = cpio::segments(&file("boot/initrd.img"), 64 << 20).unwrap();
    let Kind::File(squashfs) = &segments[0].entries[0].kind else { panic!("{:?}", segments[0].entries) };
    let root_image = dir.path().join("root.squashfs");
    std::fs::write(&root_image, squashfs).unwrap();
    let listing = foreign("unsquashfs", &["-lln", root_image.to_str().unwrap()], None);
    // Owner, size, date and time between mode and path are of no interest here.
    let line = |path: &str| {
        let found = listing.lines().find(|line| line.contains(&format!(" squashfs-root{path}")));
        found.unwrap().split_whitespace().next().unwrap().to_string()
    };
    assert_eq!(
        [line("/usr/bin/mount"), line("/etc/shadow"), line("/proc")],
        ["-rwsr-xr-x", "-rw-------", "dr-xr-xr-x"]
    );
    assert_eq!(listing.lines().filter(|line| line.contains("squashfs-root")).count(), root.tree.len());
}

#[test]
fn other_programs_read_the_iso() {
    let (dir, checked, root) = assembled();
    let path = dir.path().join("out/toy.iso");
    write_iso(&checked, &root, &path, MTIME, &Silent).unwrap();
    let path = path.to_str().unwrap();
    let menu = foreign("isoinfo", &["-R", "-x", "/isolinux/isolinux.cfg", "-i", path], None);
    assert_eq!(menu, isolinux::menu(&checked));
    let report = foreign("xorriso", &["-indev", path, "-report_el_torito", "plain"], None);
    assert!(report.lines().any(|line| line.starts_with("El Torito boot img :   1  BIOS  y   none")), "{report}");
    assert!(report.contains("El Torito img path :   1  /isolinux/isolinux.bin"), "{report}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let write = |folder: &str, mtime: u32| {
        let (dir, checked, root) = assembled();
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        write_iso(&checked, &root, &dir.path().join(folder).join("x.iso"), mtime, &Silent).unwrap().sha256
    };
    let first = write("one", MTIME);
    assert_eq!(first, write("a folder with another name", MTIME));
    assert_ne!(first, write("one", MTIME + 1), "the time is in it");
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let (dir, checked, mut root) = assembled();
    let out = dir.path().join("out");
    let left = || std::fs::read_dir(&out).unwrap().count();
    let isolinux = root.packages.trees.remove("isolinux").unwrap();
    let error = write_iso(&checked, &root, &out.join("x.iso"), MTIME, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "/usr/lib/ISOLINUX/isolinux.bin is not in isolinux or syslinux-common");
    assert_eq!(left(), 0);

    root.packages.trees.insert("isolinux".into(), isolinux);
    let error = write_iso(&checked, &root, &out.join("no/x.iso"), MTIME, &Silent).unwrap_err();
    assert_eq!((exit_code(&error), left()), (contract::exit::OUTPUT, 0));

    let full = write_iso(&checked, &root, Path::new("/dev/full/x.iso"), MTIME, &Silent).unwrap_err();
    assert_eq!(exit_code(&full), contract::exit::OUTPUT);
}
