//! Whole ISOs of a small project, read back by our readers and by other people's programs.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use bytes::Bytes;
use formats::cpio;
use formats::iso9660;
use formats::tree::Kind;

use super::*;
use crate::config::{Checked, Uefi};
use crate::problem::exit_code;
use crate::progress::Silent;
use crate::root::testing::{whole_fetched, whole_project};
use crate::root::{self, RootTree};
use crate::signing::Signer;

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

/// Writes an ISO.
pub(crate) fn write_iso(checked: &Checked, root: &RootTree, path: &Path, mtime: u32) -> Result<Written> {
    let target = Target { format: Format::Iso, path: path.to_path_buf() };
    let mut images = write(checked, root, &[target], mtime, None, &Silent)?;
    assert_eq!(images[0].parts.iter().map(|(_, size)| size).sum::<u64>(), images[0].size_bytes());
    Ok(images.remove(0).files.remove(0))
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
    let image = write_iso(&checked, &root, &path, MTIME).unwrap();
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    assert_eq!((image.path.as_path(), image.size_bytes), (path.as_path(), bytes.len() as u64));
    assert_eq!(image.sha256, crate::archive::testing::sha256(&bytes));

    let iso = iso9660::read(&bytes).unwrap();
    assert_eq!((iso.volume_id.as_str(), iso.application_id.as_str()), ("TOY", "toy 1.2"));
    assert_eq!(iso.volume_set_id, root.build_id);
    let mut entries: Vec<String> =
        iso.entries.iter().map(|entry| format!("{} {:o}", String::from_utf8_lossy(&entry.path), entry.mode)).collect();
    entries.sort();
    assert_eq!(
        entries[1..],
        [
            "EFI 755",
            "EFI/BOOT 755",
            "EFI/BOOT/BOOTX64.EFI 444",
            "EFI/BOOT/grubx64.efi 444",
            "EFI/BOOT/mmx64.efi 444",
            "boot 755",
            "boot/esp.img 444",
            "boot/grub 755",
            "boot/grub/grub.cfg 444",
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
    let esp = iso.entry(b"boot/esp.img").unwrap();
    assert_eq!((iso.boot[1].platform, iso.boot[1].lba), (0xef, esp.lba));
    assert!(iso.entry(b"EFI/BOOT/BOOTX64.EFI").unwrap().lba > esp.lba, "it is inside the ESP");
    assert!(bytes.starts_with(b"/usr/lib/ISOLINUX/isohdpfx.bin"), "the MBR's code");
    assert_eq!(bytes[510..512], [0x55, 0xaa]);

    let segments = cpio::segments(&file("boot/initrd.img"), 64 << 20).unwrap();
    let mut contents = segments.iter().flat_map(|segment| &segment.entries).filter_map(|entry| match &entry.kind {
        Kind::File(content) => Some(content),
        _ => None,
    });
    let squashfs = contents.find(|content| content.starts_with(b"hsqs")).unwrap();
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
    write_iso(&checked, &root, &path, MTIME).unwrap();
    let path = path.to_str().unwrap();
    let menu = foreign("isoinfo", &["-R", "-x", "/isolinux/isolinux.cfg", "-i", path], None);
    assert_eq!(menu, isolinux::config(&menu::Menu::of(&checked)));
    let bytes = std::fs::read(path).unwrap();
    let esp = &formats::gpt::read(&bytes).unwrap().unwrap().partitions[1];
    let esp = format!("{path}@@{}", esp.first * formats::gpt::BLOCK_BYTES);
    let menu = foreign("mtype", &["-i", &esp, "::/boot/grub/grub.cfg"], None);
    assert_eq!(menu, grub::config(&menu::Menu::of(&checked), &checked.distro.volume_id()));
    let report = foreign("xorriso", &["-indev", path, "-report_el_torito", "plain"], None);
    assert!(report.contains("El Torito img path :   2  /boot/esp.img"), "{report}");
    assert!(report.lines().any(|line| line.starts_with("El Torito boot img :   1  BIOS  y   none")), "{report}");
    assert!(report.contains("El Torito img path :   1  /isolinux/isolinux.bin"), "{report}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let write = |folder: &str, mtime: u32| {
        let (dir, checked, root) = assembled();
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        write_iso(&checked, &root, &dir.path().join(folder).join("x.iso"), mtime).unwrap().sha256
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
    let error = write_iso(&checked, &root, &out.join("x.iso"), MTIME).unwrap_err();
    assert!(error.to_string().starts_with("/usr/lib/ISOLINUX/isolinux.bin is in none of "), "{error}");
    assert_eq!(left(), 0);

    root.packages.trees.insert("isolinux".into(), isolinux);
    let error = write_iso(&checked, &root, &out.join("no/x.iso"), MTIME).unwrap_err();
    assert_eq!((exit_code(&error), left()), (contract::exit::OUTPUT, 0));

    let full = write_iso(&checked, &root, Path::new("/dev/full/x.iso"), MTIME).unwrap_err();
    assert_eq!(exit_code(&full), contract::exit::OUTPUT);
}

#[test]
fn all_formats_at_once_share_their_parts() {
    let (dir, checked, root) = assembled();
    let out = dir.path().join("out");
    let targets = Target::all(&Format::ALL, &out.join("toy.iso"));
    let images = write(&checked, &root, &targets, MTIME, None, &Silent).unwrap();
    let read = |name: &str| Bytes::from(std::fs::read(out.join(name)).unwrap());
    let iso = iso9660::read(&read("toy.iso")).unwrap();
    for (name, inside) in [("vmlinuz", "boot/vmlinuz"), ("initrd.img", "boot/initrd.img")] {
        let Kind::File(content) = &iso.entry(inside.as_bytes()).unwrap().kind else { panic!("{inside}") };
        assert_eq!(*content, read(&format!("toy.kernel/{name}")));
    }
    assert_eq!(read("toy.kernel/cmdline"), format!("{}\n", menu::command_line(&checked)));
    let vmlinux = read("toy.kernel/vmlinux");
    assert_eq!(crate::kernel::bzimage::vmlinux(&root.kernel.vmlinuz).unwrap(), vmlinux);
    for image in &images {
        for file in &image.files {
            let content = std::fs::read(&file.path).unwrap();
            assert_eq!(file.size_bytes, content.len() as u64);
            assert_eq!(file.sha256, crate::archive::testing::sha256(&content));
        }
    }
    // Again, over what is there.
    let again = write(&checked, &root, &targets, MTIME, None, &Silent).unwrap();
    assert!(again.iter().zip(&images).all(|(again, before)| again.files == before.files));
}

#[test]
fn a_unified_kernel_image_has_all_in_sections() {
    let (dir, checked, root) = assembled();
    let keys = crate::signing::tests::keys();
    let read = |name: &str| std::fs::read(keys.path().join(name)).unwrap();
    let pair = crate::signing::Pair::parse(&read("db.key"), &read("db.crt")).unwrap();
    let signer = Signer::Key(Box::new(pair));
    let uki = |name: &str, signer| {
        let target = Target { format: Format::Uki, path: dir.path().join("out").join(name) };
        write(&checked, &root, &[target], MTIME, signer, &Silent).unwrap();
        crate::verify::Subject::read(&dir.path().join("out").join(name)).unwrap()
    };
    let plain = uki("plain.efi", None);
    let sections = formats::pe::sections(&plain.bytes).unwrap();
    let content = |name: &str| sections.iter().find(|section| section.name == name).unwrap().content.clone();
    assert_eq!(content(".linux"), root.kernel.vmlinuz);
    assert_eq!(content(".cmdline"), menu::command_line(&checked));
    assert_eq!(content(".uname"), "6.1-toy");
    assert!(content(".osrel").starts_with(b"ID=toy\n") && cpio::is_initramfs(&content(".initrd")));
    assert!(plain.signer().unwrap().is_none() && plain.format == Format::Uki);

    let parts = crate::inspect::Parts::of(&plain.bytes).unwrap().unwrap();
    let names: Vec<(&str, &str)> = parts.0.iter().map(|part| (part.name.as_str(), part.path.as_str())).collect();
    let inside = format!(".initrd{}", contract::paths::ROOT_IMAGE);
    assert_eq!(names, [("uki", ""), ("initramfs", "/.initrd"), ("root", &format!("/{inside}")), ("kernel", "/.linux")]);

    // The signature of a signed one, without the key, on what is built again.
    let signed = uki("signed.efi", Some(&signer));
    assert!(signed.bytes != plain.bytes);
    assert!(uki("again.efi", signed.signer().unwrap().as_ref()).bytes == signed.bytes);
}

#[test]
fn kernel_and_initramfs_are_stored_once_whatever_starts_them() {
    let (dir, mut checked, root) = assembled();
    for (uefi, inside) in [(Uefi::Shim, false), (Uefi::SystemdBoot, true), (Uefi::Uki, true)] {
        checked.distro.boot.uefi = uefi;
        let path = dir.path().join(format!("out/{uefi:?}.iso"));
        write_iso(&checked, &root, &path, MTIME).unwrap();
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let iso = iso9660::read(&bytes).unwrap();
        let file = |path: &str| {
            let entry = iso.entry(path.as_bytes()).unwrap_or_else(|| panic!("{uefi:?}: no {path}"));
            let Kind::File(content) = &entry.kind else { panic!("{path}") };
            (entry.lba.byte_offset() as usize, content.clone())
        };
        let (esp_at, esp) = file("boot/esp.img");
        let initramfs = file("boot/initrd.img");
        assert!(cpio::is_initramfs(&initramfs.1));
        let kernel = file("boot/vmlinuz");
        assert_eq!(kernel.1, root.kernel.vmlinuz);
        for (at, content) in [&kernel, &initramfs] {
            assert_eq!((esp_at..esp_at + esp.len()).contains(at), inside, "{uefi:?}");
            assert_eq!(bytes[*at..at + content.len()], content[..]);
        }
        let image = dir.path().join("esp.img");
        std::fs::write(&image, &esp).unwrap();
        foreign("/usr/sbin/fsck.fat", &["-n", image.to_str().unwrap()], None);
        let program = file("EFI/BOOT/BOOTX64.EFI").1;
        let copied = dir.path().join("program.efi");
        let arguments = ["-n", "-i", image.to_str().unwrap(), "::EFI/BOOT/BOOTX64.EFI", copied.to_str().unwrap()];
        foreign("mcopy", &arguments, None);
        assert!(std::fs::read(&copied).unwrap() == program);
        let parts = crate::inspect::Parts::of(&bytes).unwrap().unwrap();
        assert_eq!(parts.get("uki").map(|part| &part.bytes), (uefi == Uefi::Uki).then_some(&program), "{uefi:?}");
    }
}

#[test]
fn one_format_that_fails_leaves_none() {
    let (dir, checked, mut root) = assembled();
    let out = dir.path().join("out");
    root.packages.trees.remove("isolinux").unwrap();
    let targets = Target::all(&[Format::Kernel, Format::Iso], &out.join("toy.iso"));
    write(&checked, &root, &targets, MTIME, None, &Silent).unwrap_err();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
}
