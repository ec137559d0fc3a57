use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::config::{Distro, Fragment, KernelOption, OptionValue, Recipe, parse_fragment};

const RELEASE: &str = "6.1-toy";
const PVH_ENTRY: u32 = 0x100_0640;

/// A relocatable ELF file with the sections "", ".modinfo" and ".shstrtab".
pub(crate) fn module(info: &[&str]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
    let modinfo: Vec<u8> = info.iter().flat_map(|field| [field.as_bytes(), b"\0"].concat()).collect();
    let names_at = 64 + modinfo.len();
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend([1, 0, 62, 0, 1, 0, 0, 0]);
    out.extend([0; 16]);
    out.extend((sections_at as u64).to_le_bytes());
    out.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    out.extend(&modinfo);
    out.extend(NAMES);
    out.resize(sections_at + 64, 0);
    for (name, kind, at, size) in [(1_u32, 1_u32, 64, modinfo.len()), (10, 3, names_at, NAMES.len())] {
        out.extend(name.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend([0; 16]);
        out.extend((at as u64).to_le_bytes());
        out.extend((size as u64).to_le_bytes());
        out.extend([0; 24]);
    }
    out
}

/// An ELF file with a note that says where virtual machine monitors enter it.
pub(crate) fn vmlinux(pvh_entry: u32) -> Vec<u8> {
    let mut note = Vec::new();
    for number in [4_u32, 8, 18] {
        note.extend(number.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(u64::from(pvh_entry).to_le_bytes());
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    out.extend([0; 8]);
    out.extend(64_u64.to_le_bytes());
    out.extend([0; 12]);
    out.extend([64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // PT_NOTE, readable: offset, two addresses, two sizes, alignment.
    out.extend(4_u32.to_le_bytes());
    out.extend(4_u32.to_le_bytes());
    let size = note.len() as u64;
    for number in [120_u64, 0, 0, size, size, 4] {
        out.extend(number.to_le_bytes());
    }
    out.extend(note);
    out
}

/// A bootable kernel: a header, and a compressed payload.
pub(crate) fn bzimage(release: &str, payload: &[u8]) -> Bytes {
    let mut packed = zstd::encode_all(payload, 1).unwrap();
    packed.extend((payload.len() as u32).to_le_bytes());
    let mut bytes = vec![0; 0x600];
    bytes[0x1f1] = 1;
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&[0x0f, 0x02]);
    bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    bytes[0x248..0x24c].copy_from_slice(&0x200_u32.to_le_bytes());
    bytes[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    let text = format!("{release} (test) #1 SMP\0");
    bytes[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
    bytes.extend(packed);
    bytes.into()
}

fn put(tree: &mut Tree, path: &str, content: impl Into<Bytes>) {
    tree.insert(path.as_bytes(), Node::new(Kind::File(content.into()), 0o644, &Arc::from("linux 6.1"))).unwrap();
}

/// A kernel package with the modules that the initramfs needs.
pub(crate) fn package() -> Tree {
    let mut tree = Tree::new();
    put(&mut tree, "boot/vmlinuz-6.1-toy", bzimage(RELEASE, &[vmlinux(PVH_ENTRY), vec![7; 40]].concat()));
    let config =
        "# c\nCONFIG_A=y\nCONFIG_OVERLAY_FS=m\nCONFIG_NAT=m\n# CONFIG_NO is not set\nCONFIG_HZ=250\nCONFIG_STR=\"x\"\n";
    put(&mut tree, "boot/config-6.1-toy", config);
    let folder = "usr/lib/modules/6.1-toy";
    put(&mut tree, &format!("{folder}/modules.builtin"), "kernel/lib/core-thing.ko\n");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&module(&["alias=fs-squashfs", "depends="])).unwrap();
    put(&mut tree, &format!("{folder}/kernel/fs/squashfs.ko.xz"), xz.finish().unwrap());
    let zst = zstd::encode_all(&module(&["depends=base-one,core_thing"])[..], 1).unwrap();
    put(&mut tree, &format!("{folder}/kernel/fs/overlay.ko.zst"), zst);
    let loop_info = ["alias=char-major-10-237", "alias=devname:loop-control", "depends="];
    put(&mut tree, &format!("{folder}/kernel/block/loop.ko"), module(&loop_info));
    put(&mut tree, &format!("{folder}/kernel/net/base-one.ko"), module(&["depends=", "alias=net-pf-1"]));
    let nat = ["depends=middle,base_one", "softdep=pre: helper nowhere post: later", "alias=nat*"];
    put(&mut tree, &format!("{folder}/kernel/net/nat_mod.ko"), module(&nat));
    put(&mut tree, &format!("{folder}/kernel/net/middle.ko"), module(&["depends=base-one"]));
    put(&mut tree, &format!("{folder}/kernel/net/helper.ko"), module(&["depends="]));
    put(&mut tree, &format!("{folder}/kernel/net/unwanted.ko"), &b"not even ELF"[..]);
    tree
}

fn option(line: usize, name: &str, value: OptionValue, modules: &[&str]) -> KernelOption {
    let modules = modules.iter().map(|name| (*name).to_owned()).collect();
    KernelOption { name: format!("CONFIG_{name}"), value, line, reason: String::new(), modules, only: None }
}

pub(super) fn checked(options: Vec<KernelOption>, distro_modules: &[&str], recipe_modules: &[&str]) -> Checked {
    let mut distro: Distro = toml::from_str(
        "schema = 1\n[distro]\nname = \"toy\"\nversion = \"1\"\n[root]\nrecipes = []\n[kernel]\nmodules = []\n",
    )
    .unwrap();
    distro.kernel.modules = distro_modules.iter().map(|name| (*name).to_owned()).collect();
    let load_modules = recipe_modules.iter().map(|name| (*name).to_owned()).collect();
    let recipe = Recipe { load_modules, ..Recipe::default() };
    let path = PathBuf::from("/p/kernel-config/net.config");
    Checked {
        dir: "/p".into(),
        distro,
        recipes: BTreeMap::from([("tool".to_owned(), recipe)]),
        fragments: vec![Fragment { name: "net".into(), path, options }],
        overlay: Vec::new(),
        flavour: None,
        flavours: Vec::new(),
        flattened: None,
        others: Vec::new(),
    }
}

/// A project with fragments: name and text.
pub(super) fn checked_fragments(fragments: &[(&str, &str)]) -> Checked {
    let parse = |(name, text): &(&str, &str)| {
        parse_fragment(name, &PathBuf::from(format!("/p/kernel-config/{name}.config")), text).unwrap()
    };
    Checked { fragments: fragments.iter().map(parse).collect(), ..checked(Vec::new(), &[], &[]) }
}

fn read_text(files: &KernelFiles, name: &str) -> String {
    text(&files.tree, &format!("usr/lib/modules/{RELEASE}/{name}")).unwrap()
}

#[test]
fn selects_modules_with_their_dependencies() {
    let options = vec![
        option(1, "A", OptionValue::BuiltIn, &[]),
        option(2, "NAT", OptionValue::Module, &["nat-mod"]),
        option(3, "NO", OptionValue::Unset, &[]),
        option(4, "HZ", OptionValue::Exactly("250".into()), &[]),
        option(5, "A", OptionValue::Module, &["gone_in_this_kernel"]),
    ];
    let files = select(&checked(options, &["core-thing"], &["helper"]), &package()).unwrap();
    assert_eq!(files.release, RELEASE);
    assert_eq!(bzimage::release(&files.vmlinuz).as_deref(), Some(RELEASE));
    let modules: Vec<_> =
        files.modules.iter().map(|m| (m.path.as_str(), m.subject.as_str(), m.asked_by.as_str())).collect();
    let expected = [
        ("kernel/block/loop.ko", "boot", "the initramfs"),
        ("kernel/fs/overlay.ko", "boot", "the initramfs"),
        ("kernel/fs/squashfs.ko", "boot", "the initramfs"),
        ("kernel/net/base-one.ko", "boot", "the module overlay"),
        ("kernel/net/helper.ko", "tool", "packages/tool.toml, load-modules"),
        ("kernel/net/middle.ko", "net", "the module nat_mod"),
        ("kernel/net/nat_mod.ko", "net", "kernel-config/net.config:2"),
    ];
    assert_eq!(modules, expected);
    let boot: Vec<&str> = files.boot.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(boot, ["loop.ko", "squashfs.ko", "base-one.ko", "overlay.ko"]);
    let dep = "kernel/block/loop.ko:\nkernel/fs/overlay.ko: kernel/net/base-one.ko\nkernel/fs/squashfs.ko:\n\
               kernel/net/base-one.ko:\nkernel/net/helper.ko:\nkernel/net/middle.ko: kernel/net/base-one.ko\n\
               kernel/net/nat_mod.ko: kernel/net/middle.ko kernel/net/base-one.ko\n";
    assert_eq!(read_text(&files, "modules.dep"), dep);
    let alias = "# Aliases extracted from modules themselves.\nalias char-major-10-237 loop\nalias devname:loop-control loop\n\
                 alias fs-squashfs squashfs\nalias net-pf-1 base_one\nalias nat* nat_mod\n";
    assert_eq!(read_text(&files, "modules.alias"), alias);
    assert!(read_text(&files, "modules.softdep").ends_with(".\nsoftdep nat_mod pre: helper nowhere post: later\n"));
    assert!(read_text(&files, "modules.devname").ends_with(".\nloop loop-control c10:237\n"));
    assert_eq!(read_text(&files, "modules.builtin"), "kernel/lib/core-thing.ko\n");
    let overlay = files.tree.get(b"usr/lib/modules/6.1-toy/kernel/fs/overlay.ko").unwrap();
    assert_eq!(overlay.content().unwrap()[..], module(&["depends=base-one,core_thing"]));
    assert_eq!(&*overlay.origin, "linux 6.1");
}

#[test]
fn reports_all_that_is_missing() {
    let mut reasoned = option(9, "ABSENT", OptionValue::Module, &[]);
    reasoned.reason = "for tests".into();
    let options = vec![
        option(2, "OVERLAY_FS", OptionValue::BuiltIn, &[]),
        option(3, "A", OptionValue::Unset, &[]),
        option(4, "HZ", OptionValue::Exactly("100".into()), &[]),
        option(5, "NAT", OptionValue::Module, &[]),
        option(6, "NAT", OptionValue::Module, &["nat-mode"]),
        option(7, "NO", OptionValue::BuiltIn, &[]),
        reasoned,
    ];
    let error = select(&checked(options, &["qqqqqqqqqqqq"], &[]), &package()).unwrap_err();
    assert_eq!(crate::problem::exit_code(&error), contract::exit::CONFIG);
    let expected = "kernel 6.1-toy lacks what the project asks for:
  kernel-config/net.config:2: CONFIG_OVERLAY_FS: expected =y, found =m
  kernel-config/net.config:3: CONFIG_A: expected it not to be set, found =y
  kernel-config/net.config:4: CONFIG_HZ: expected =100, found =250
  kernel-config/net.config:5: CONFIG_NAT: a module here, but the fragment does not say which: expected a line \
                    \"# modules: NAME\" above it, found no module called nat
  kernel-config/net.config:7: CONFIG_NO: expected =y, found it is not set
  kernel-config/net.config:9: CONFIG_ABSENT (for tests): expected =y or =m, found it is not set
  kernel-config/net.config:6: the package has no module nat_mode; the nearest is nat_mod
  distro.toml, kernel.modules: the package has no module qqqqqqqqqqqq";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names_a_broken_module() {
    let error = select(&checked(Vec::new(), &["unwanted"], &[]), &package()).unwrap_err();
    assert!(format!("{error:#}").starts_with("reading kernel/net/unwanted.ko: reading the ELF header"), "{error:#}");
    let whole = module(&["depends=a"]);
    for length in 0..whole.len() {
        assert!(ModInfo::of_module(&whole[..length]).is_err(), "{length}");
        let mut changed = whole.clone();
        changed[length] ^= 0xff;
        let _ = ModInfo::of_module(&changed);
    }
}

#[test]
fn the_uncompressed_kernel_has_its_entry() {
    let kernel = bzimage(RELEASE, &[vmlinux(PVH_ENTRY), b"relocations".to_vec()].concat());
    assert_eq!(bzimage::vmlinux(&kernel).unwrap(), vmlinux(PVH_ENTRY));
    assert_eq!(bzimage::pvh_entry(&vmlinux(PVH_ENTRY)).unwrap(), Some(PVH_ENTRY));
    let mut other = vmlinux(PVH_ENTRY);
    other[132] = b'Y';
    assert_eq!(bzimage::pvh_entry(&other).unwrap(), None);
    assert_eq!(bzimage::pvh_entry(&module(&[])).unwrap(), None);

    for length in 0..kernel.len() {
        bzimage::vmlinux(&kernel[..length]).unwrap_err();
    }
    let message = |payload: &[u8]| format!("{:#}", bzimage::vmlinux(&bzimage(RELEASE, payload)).unwrap_err());
    let cut = message(&vmlinux(PVH_ENTRY)[..130]);
    assert_eq!(cut, "reading the kernel's ELF headers: a part of it is beyond its end");
    assert!(message(b"no ELF").starts_with("reading the kernel's ELF headers: "));
    let mut lz4 = kernel.to_vec();
    lz4[0x600..0x604].copy_from_slice(b"\x02\x21\x4c\x18");
    let error = bzimage::vmlinux(&lz4).unwrap_err();
    assert_eq!(error.to_string(), "the kernel's payload is compressed by lz4, expected gzip, xz or zstd");
}
