//! Images that boot from disks too, with an ESP that shares files, read back by our reader and by other people's programs.

use bytes::Bytes;

use super::tests::{compare, file, options, sample, stored, written};
use super::*;
use crate::foreign::run;
use crate::gpt::{self, Guid};
use crate::tree::{Kind, Tree};
use crate::{fat, iso9660};

/// A program of an ESP, three sectors and a bit.
fn program(byte: u8) -> Bytes {
    vec![byte; 3 * SECTOR_BYTES + 7].into()
}

const SHARED: [(&str, u8); 2] = [("EFI/BOOT/BOOTX64.EFI", b's'), ("EFI/BOOT/grubx64.efi", b'g')];

/// [`sample`] with an ESP, whose files are on the image too.
fn hybrid() -> (Tree, Options) {
    let mut esp = Tree::new();
    for (path, byte) in SHARED {
        esp.insert(path.as_bytes(), file(program(byte))).unwrap();
    }
    let plan = fat::plan(&esp, &fat::Options { label: "ESP".into(), ..fat::Options::default() }).unwrap();
    let mut image = Vec::new();
    plan.write(&mut image).unwrap();
    let mut tree = sample();
    let mut options = options();
    options.boot.push(BootEntry {
        platform: Platform::Uefi,
        path: b"boot/esp.img".to_vec(),
        load_blocks: (image.len() / 512) as u16,
        boot_info_table: false,
    });
    tree.insert(b"boot/esp.img", file(image)).unwrap();
    for (path, byte) in SHARED {
        tree.insert(path.as_bytes(), file(program(byte))).unwrap();
        options.inside.push(Inside {
            path: path.into(),
            container: b"boot/esp.img".to_vec(),
            byte_offset: plan.file(path.as_bytes()).unwrap(),
        });
    }
    options.hybrid = Some(Hybrid { code: vec![0x90; 432].into(), boot_path: b"isolinux/isolinux.bin".to_vec() });
    (tree, options)
}

#[test]
fn it_has_mbr_and_partitions() {
    let (tree, options) = hybrid();
    let plan = plan(&tree, &options).unwrap();
    let image = written(&tree, &options);
    let boot_block = plan.file(b"isolinux/isolinux.bin").unwrap().block_512();
    assert_eq!(image[..432], [0x90; 432]);
    assert_eq!(image[432..440], boot_block.to_le_bytes());
    assert_ne!(image[440..444], [0; 4]);

    let table = gpt::read(&image).unwrap().unwrap();
    assert_eq!(table.blocks * gpt::BLOCK_BYTES, image.len() as u64, "the backup is at the very end");
    assert!(image[image.len() - 512..].starts_with(b"EFI PART"));
    let esp = plan.file(b"boot/esp.img").unwrap();
    let [data, second] = table.partitions.as_slice() else { panic!("{table:?}") };
    assert_eq!((data.kind, data.first, data.first + data.blocks), (Guid::LINUX_DATA, 64, esp.block_512()));
    assert_eq!((second.kind, second.first), (Guid::ESP, esp.block_512()));
    assert!(esp.0.is_multiple_of(2));
    let at = esp.byte_offset() as usize;
    let esp_image = &image[at..at + (second.blocks * gpt::BLOCK_BYTES) as usize];
    assert_eq!(tree.get(b"boot/esp.img").unwrap().content().unwrap(), esp_image, "the partition is the boot image");

    let other = Options { volume_id: "other".into(), ..options };
    let other = gpt::read(&written(&tree, &other)).unwrap().unwrap();
    assert_ne!((table.disk, table.partitions[1].id), (other.disk, other.partitions[1].id));
}

#[test]
fn shared_files_are_stored_once() {
    let (tree, options) = hybrid();
    let bytes = written(&tree, &options);
    let image = read(&bytes).unwrap();
    let esp = image.entry(b"boot/esp.img").unwrap();
    for (path, byte) in SHARED {
        let entry = image.entry(path.as_bytes()).unwrap();
        assert_eq!(entry.kind, Kind::File(program(byte)));
        assert!(entry.lba > esp.lba && entry.lba.byte_offset() < esp.lba.byte_offset() + u64::from(esp.size));
    }
    let apart = Options { inside: Vec::new(), ..options };
    assert_eq!(written(&tree, &apart).len(), bytes.len() + 2 * 4 * SECTOR_BYTES);
    assert_eq!((image.boot[1].platform, image.boot[1].lba), (0xef, esp.lba));
}

#[test]
fn xorriso_and_isoinfo_read_it() {
    let (tree, options) = hybrid();
    let image = written(&tree, &options);
    let (dir, path) = stored(&image);
    let report = run("xorriso", &["-indev", &path, "-report_el_torito", "plain", "-report_system_area", "plain"], None);
    let blocks = image.len() / 512;
    for expected in [
        "El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 ".to_string(),
        "El Torito boot img :   2  UEFI  y   none  0x0000  0x00 ".to_string(),
        "El Torito img path :   2  /boot/esp.img".to_string(),
        "System area summary: MBR protective-msdos-label cyl-align-off GPT".to_string(),
        format!("MBR partition      :   1   0x00  0xee            1 {:>12}", blocks - 1),
        "MBR partition      :   2   0x80  0x00            0            1".to_string(),
        "GPT partname local :   2  ESP".to_string(),
        "GPT partition path :   2  /boot/esp.img".to_string(),
    ] {
        assert!(report.contains(&expected), "{expected} is not in\n{report}");
    }
    for bad in ["WARNING", "FAILURE", "SORRY", "FATAL", "Backup GPT", "should be"] {
        assert!(!report.contains(bad), "{report}");
    }
    let out = dir.path().join("out");
    run("xorriso", &["-osirrox", "on", "-indev", &path, "-extract", "/", out.to_str().unwrap()], None);
    compare(&out, &image);
    let description = run("isoinfo", &["-d", "-i", &path], None);
    assert!(description.contains("Volume id: boot2podman-1\n"), "{description}");
}

#[test]
fn partition_tools_are_content() {
    let (tree, options) = hybrid();
    let image = written(&tree, &options);
    let (dir, path) = stored(&image);
    let verdict = run("sgdisk", &["-v", &path], None);
    assert!(verdict.contains("No problems found.") && !verdict.contains("Warning"), "{verdict}");
    let table = gpt::read(&image).unwrap().unwrap();
    let dump = run("sfdisk", &["-d", &path], None);
    for expected in [
        "label: gpt".to_string(),
        format!("label-id: {}", table.disk.to_string().to_uppercase()),
        format!("start=          64, size= {:>11}, type=0FC63DAF", table.partitions[0].blocks),
        format!("size= {:>11}, type=C12A7328", table.partitions[1].blocks),
        "attrs=\"GUID:60,63\"".to_string(),
    ] {
        assert!(dump.contains(&expected), "{expected} is not in\n{dump}");
    }
    let list = run("fdisk", &["-l", &path], None);
    assert!(list.contains("Disklabel type: gpt") && list.contains("EFI System"), "{list}");
    let kind = run("file", &["-b", &path], None);
    assert!(kind.starts_with("ISO 9660 CD-ROM filesystem data (DOS/MBR boot sector) 'boot2podman-1'"), "{kind}");

    // A stick is larger: after the backup has been moved to its end, it is a disk like any other.
    let stick = dir.path().join("stick");
    std::fs::write(&stick, [&image[..], &vec![0; 8 << 20]].concat()).unwrap();
    let stick = stick.to_str().unwrap();
    run("sgdisk", &["-e", "-n", "3:0:+1M", stick], None);
    let verdict = run("sgdisk", &["-v", stick], None);
    assert!(verdict.contains("No problems found."), "{verdict}");
    assert_eq!(read(&std::fs::read(stick).unwrap().into()).unwrap().entries.len(), read(&image).unwrap().entries.len());
}

#[test]
fn the_partition_is_a_fat_file_system() {
    let (tree, options) = hybrid();
    let image = written(&tree, &options);
    let (dir, path) = stored(&image);
    let esp = &gpt::read(&image).unwrap().unwrap().partitions[1];
    let at = (esp.first * gpt::BLOCK_BYTES) as usize;
    let part = dir.path().join("esp");
    std::fs::write(&part, &image[at..at + (esp.blocks * gpt::BLOCK_BYTES) as usize]).unwrap();
    run("fsck.fat", &["-n", part.to_str().unwrap()], None);
    let inner = format!("{path}@@{at}");
    let list = run("mdir", &["-b", "-/", "-i", &inner, "::"], None);
    assert!(SHARED.iter().all(|(path, _)| list.contains(&format!("::/{path}\n"))), "{list}");
}

#[test]
fn seven_zip_tests_it() {
    let (mut tree, options) = hybrid();
    for path in [b"pipe".as_slice(), b"link", b"root", b"long link", &[b'n'; 255]] {
        tree.remove(path); // As in the other test with it.
    }
    let (_dir, path) = stored(&written(&tree, &options));
    let verdict = run("7z", &["t", "-tiso", &path], None);
    assert!(verdict.contains("Everything is Ok") && !verdict.contains("Warnings"), "{verdict}");
}

#[test]
fn refuses_what_cannot_be() {
    let error = |change: fn(&mut Tree, &mut Options)| {
        let (mut tree, mut options) = hybrid();
        change(&mut tree, &mut options);
        format!("{:#}", iso9660::plan(&tree, &options).unwrap_err())
    };
    let found = error(|_, options| options.hybrid.as_mut().unwrap().boot_path = b"boot/vmlinuz".to_vec());
    assert!(found.starts_with("/boot/vmlinuz cannot be started from an MBR"), "{found}");
    let found = error(|_, options| options.hybrid.as_mut().unwrap().code = vec![0; 433].into());
    assert_eq!(found, "MBR code has 433 bytes, at most 432 fit");
    let shared = "/EFI/BOOT/BOOTX64.EFI inside /boot/esp.img of an ISO image";
    let found = error(|_, options| options.inside[0].byte_offset += 2048);
    assert!(found.starts_with(&format!("{shared}: it is not at byte ")), "{found}");
    let found = error(|_, options| options.inside[0].byte_offset = u64::MAX);
    assert!(found.starts_with(&format!("{shared}: it is not at byte ")), "{found}");
    let found = error(|tree, _| tree.remove(b"EFI/BOOT/BOOTX64.EFI"));
    assert_eq!(found, format!("{shared}: not both of them are files with content"));
    let found = error(|tree, options| {
        let at = options.inside[0].byte_offset + 1;
        tree.insert(b"EFI/BOOT/BOOTX64.EFI", file(vec![b's'; 100])).unwrap();
        options.inside[0].byte_offset = at;
    });
    assert!(found.ends_with("is within a sector"), "{found}");
}
