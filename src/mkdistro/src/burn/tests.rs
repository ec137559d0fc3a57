use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use contract::exit;

use super::target::{Number, Used};
use super::{Medium, Source, Target, burn};
use crate::problem::{Problem, exit_code};
use crate::progress::Silent;

/// A medium in memory. `stuck`: a byte that does not take what is written. `end`: writing beyond it fails.
struct Stick {
    content: Cursor<Vec<u8>>,
    stuck: Option<usize>,
    end: u64,
    settled: usize,
}

impl Stick {
    fn new(size_bytes: usize) -> Self {
        Self { content: Cursor::new(vec![0xee; size_bytes]), stuck: None, end: u64::MAX, settled: 0 }
    }
}

impl Medium for Stick {
    fn settle(&mut self) -> io::Result<()> {
        self.settled += 1;
        if let Some(at) = self.stuck {
            self.content.get_mut()[at] ^= 1;
        }
        Ok(())
    }
}

impl Read for Stick {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.settled, 1, "read from the cache");
        self.content.read(bytes)
    }
}

impl Write for Stick {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.content.position() + bytes.len() as u64 > self.end {
            return Err(io::Error::other("no answer"));
        }
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Stick {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

/// An image of 5 MiB and a bit, so that the last piece is a short one.
fn source(folder: &Path) -> (Source, Vec<u8>) {
    let mut bytes: Vec<u8> = (0..(5 << 20) + 512_u32).map(|at| (at / 7) as u8).collect();
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let path = folder.join("x.iso");
    fs::write(&path, &bytes).unwrap();
    (Source::open(&path).unwrap(), bytes)
}

#[test]
fn writes_clears_the_end_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut source, bytes) = source(folder.path());
    for size in [bytes.len(), bytes.len() + 512, 8 << 20] {
        let mut stick = Stick::new(size);
        burn(&mut source, &mut stick, size as u64, &Silent).unwrap();
        let found = stick.content.into_inner();
        assert!(found[..bytes.len()] == bytes);
        let cleared = bytes.len().max(size.saturating_sub(1 << 20));
        assert!(found[cleared..].iter().all(|byte| *byte == 0), "{size}");
        assert!(found[bytes.len()..cleared].iter().all(|byte| *byte == 0xee), "{size}");
    }
    let error = burn(&mut source, &mut Stick::new(512), 512, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "an image of 5243392 bytes does not fit on 512");
}

#[test]
fn a_broken_medium_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut source, bytes) = source(folder.path());
    let mut stick = Stick::new(8 << 20);
    stick.stuck = Some(5 << 20);
    let error = burn(&mut source, &mut stick, 8 << 20, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "byte 5242880 of the device is not what was written");
    assert_eq!(exit_code(&error), exit::VERIFY);
    let mut stick = Stick::new(8 << 20);
    stick.end = 4 << 20;
    let error = burn(&mut source, &mut stick, 8 << 20, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "writing byte 4194304 of the device: no answer");
    assert_eq!(exit_code(&error), exit::OUTPUT);
    // An image that became shorter meanwhile.
    fs::write(&source.path, &bytes[..1000]).unwrap();
    let error = burn(&mut source, &mut Stick::new(8 << 20), 8 << 20, &Silent).unwrap_err();
    assert!(error.to_string().starts_with("reading "), "{error:#}");
}

#[test]
fn only_what_boots_from_a_disk_is_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.qcow2");
    for content in [&b"QFI\xfb"[..], &[0; 512], &[0; 511]] {
        fs::write(&path, content).unwrap();
        let error = Source::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{} does not begin as a bootable disk does", path.display()));
    }
    assert!(Source::open(Path::new("/nonexistent.iso")).unwrap_err().to_string().starts_with("opening "));
}

/// Makes `/sys` of a stick `sdb` on USB and a disk `vda` with two partitions.
fn sys(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    };
    for (path, text) in [
        ("pci/usb1/1-1/host/sdb/dev", "8:16"),
        ("pci/usb1/1-1/host/sdb/size", "4096"),
        ("pci/usb1/1-1/host/sdb/removable", "0"),
        ("pci/usb1/1-1/host/sdb/ro", "0"),
        ("pci/usb1/1-1/host/sdb/device/vendor", "SanDisk "),
        ("pci/usb1/1-1/host/sdb/device/model", "Ultra Fit"),
        ("pci/virtio/vda/dev", "254:0"),
        ("pci/virtio/vda/size", "8192"),
        ("pci/virtio/vda/removable", "0"),
        ("pci/virtio/vda/vda1/dev", "254:1"),
        ("pci/virtio/vda/vda1/partition", "1"),
        ("pci/virtio/vda/vda2/dev", "254:2"),
        ("pci/virtio/vda/vda2/partition", "2"),
        ("mmc/mmcblk0/size", "4096"),
        ("mmc/mmcblk0/device/type", "SD"),
        ("mmc/mmcblk0/device/name", "SU02G"),
    ] {
        write(path, text);
    }
}

fn read(root: &Path, path: &str, used: &Used) -> anyhow::Result<Target> {
    Target::read(&Path::new("/dev").join(path.rsplit('/').next().unwrap()), &root.join(path), used)
}

#[test]
fn knows_sticks_cards_and_built_in_disks() {
    let root = tempfile::tempdir().unwrap();
    sys(root.path());
    let read = |path: &str| read(root.path(), path, &Used::default());
    let stick = read("pci/usb1/1-1/host/sdb").unwrap();
    assert_eq!(stick.describe(), "/dev/sdb: SanDisk Ultra Fit, 2.1 MB");
    assert!(stick.is_removable && stick.refusal(2 << 20, false).is_none());
    let small = stick.refusal((2 << 20) + 1, true).unwrap().to_string();
    assert_eq!(small, "/dev/sdb: SanDisk Ultra Fit, 2.1 MB is too small for 2.1 MB");
    let card = read("mmc/mmcblk0").unwrap();
    assert_eq!((card.model.as_str(), card.is_removable), ("SU02G", true));
    let disk = read("pci/virtio/vda").unwrap();
    assert_eq!(
        disk.refusal(512, false).unwrap().to_string(),
        "/dev/vda: unknown model, 4.2 MB is a built-in disk, no stick or card"
    );
    assert!(disk.refusal(512, true).is_none());
    let error = read("pci/virtio/vda/vda2").unwrap_err();
    assert_eq!(error.to_string(), "/dev/vda2 is a partition, an image is for a whole disk");
    assert_eq!(error.downcast_ref::<Problem>().unwrap().hint, "name the disk, /dev/vda");
    fs::write(root.path().join("pci/usb1/1-1/host/sdb/ro"), "1\n").unwrap();
    let protected = read("pci/usb1/1-1/host/sdb").unwrap().refusal(512, true).unwrap().to_string();
    assert_eq!(protected, "/dev/sdb: SanDisk Ultra Fit, 2.1 MB is write-protected");
    assert!(read("none").is_err());
}

#[test]
fn what_is_in_use_is_refused_even_by_force() {
    let root = tempfile::tempdir().unwrap();
    sys(root.path());
    let mounts = "24 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n\
                  30 24 254:1 /home /home\\040of\\040all rw - ext4 /dev/vda1 rw\n\
                  31 24 0:5 / /dev rw - devtmpfs udev rw\n";
    let mounted = Used { mounts: mounts.into(), swaps: Vec::new() };
    let swap = Used { mounts: String::new(), swaps: vec![Number::parse("254:2").unwrap()] };
    let refusal = |used: &Used| read(root.path(), "pci/virtio/vda", used).unwrap().refusal(512, true);
    let what = "/dev/vda: unknown model, 4.2 MB is in use:";
    assert_eq!(refusal(&mounted).unwrap().to_string(), format!("{what} vda1 is mounted at /"));
    assert_eq!(refusal(&swap).unwrap().to_string(), format!("{what} vda2 is swap space"));
    let holders = root.path().join("pci/virtio/vda/vda2/holders");
    fs::create_dir_all(holders.join("dm-0")).unwrap();
    assert_eq!(refusal(&Used::default()).unwrap().to_string(), format!("{what} dm-0 is made of vda2"));
    assert_eq!(exit_code(&refusal(&mounted).unwrap()), exit::OUTPUT);
    let second = mounts.replace("24 1 254:1 / / ", "24 1 9:9 / / ");
    let mounted = Used { mounts: second, swaps: Vec::new() };
    assert_eq!(refusal(&mounted).unwrap().to_string(), format!("{what} vda1 is mounted at /home of all"));
}

#[test]
fn a_file_is_no_device() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Target::inspect(file.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is no block device", file.path().display()));
    assert_eq!(Target::inspect(Path::new("/dev/null")).unwrap_err().to_string(), "/dev/null is no block device");
    let error = Target::inspect(Path::new("/dev/none")).unwrap_err().to_string();
    assert_eq!(error, "looking for /dev/none");
}
