//! Readers of outside bytes, fed with broken ones: none may panic, hang or take memory without bounds. What each refuses
//! and why is tested beside it. `cargo xtask soak fuzz` runs these for minutes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};
use fuzz::{Fuzz, fix_tar};

use crate::archive::keyring::Keyring;
use crate::archive::testing::{NOW, TestKey, TestPackage, TestSuite};
use crate::archive::{apt, date, packages, relation, version};
use crate::deb::{self, tests as deb_tests};
use crate::kernel::ModInfo;
use crate::pattern::Pattern;
use crate::sbom::copyright;
use crate::{config, elf, inspect, kernel, lock};

const DISTRO: &str = include_str!("../../../distro.toml");
const PODMAN: &str = include_str!("../../../packages/podman.toml");
const BASE: &str = include_str!("../../../packages/base.toml");
const FRAGMENT: &str =
    "# Image layers.\n# modules: overlay zram\nCONFIG_OVERLAY_FS=m\n# CONFIG_X is not set\nCONFIG_HZ=250\n";

/// Looked at, so that the optimizer does not leave the reading out.
fn use_it<T>(result: T) {
    drop(std::hint::black_box(result));
}

fn read_deb(bytes: &[u8]) {
    use_it(deb::read(&Bytes::copy_from_slice(bytes), &Arc::from("toy"), &|_| true));
    // Without most files, so that hard links lead to what was left out.
    use_it(deb::read(&Bytes::copy_from_slice(bytes), &Arc::from("toy"), &|path| path.len() % 2 == 0));
}

#[test]
fn fuzz_deb() {
    let mut fuzz =
        Fuzz::new("fuzz_deb").tokens(&["!<arch>\n", "debian-binary", "control.tar.xz", "data.tar.zst", "`\n"]);
    for extension in ["", ".gz", ".xz", ".zst"] {
        fuzz = fuzz.seed(deb_tests::deb(extension, &deb_tests::data_tar()));
    }
    fuzz.iterations(1500).memory_mib(256).run(read_deb);
}

#[test]
fn fuzz_tar_in_deb() {
    let tokens =
        ["ustar\0", "ustar  \0", "././@LongLink", "./../x", "30 path=usr/share/a\n", "\0", "20 size=99999999999\n"];
    let fuzz = Fuzz::new("fuzz_tar_in_deb").seed(deb_tests::data_tar()).seed(deb_tests::control_tar()).tokens(&tokens);
    fuzz.iterations(1500).memory_mib(256).run(|bytes| {
        let mut bytes = bytes.to_vec();
        if bytes.len() % 4 != 0 {
            fix_tar(&mut bytes);
        }
        let control = deb_tests::control_tar();
        let data: [(&str, &[u8]); 3] = [("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &bytes)];
        read_deb(&deb_tests::ar(&data));
        let both: [(&str, &[u8]); 3] = [("debian-binary", b"2.0\n"), ("control.tar", &bytes), ("data.tar", &bytes)];
        read_deb(&deb_tests::ar(&both));
    });
}

/// An index of two packages.
fn index() -> String {
    let package = |name, depends| TestPackage { name, version: "1:5.4.2+ds1-2", depends, ..TestPackage::default() };
    let depends = "libc6 (>= 2.38), conmon [amd64] <!nocheck> | crun:any (<< 1.0~), netavark";
    TestSuite::new("trixie", vec![package("podman", depends), package("conmon", "")]).index()
}

#[test]
fn fuzz_deb822() {
    let tokens = ["Package: ", "Depends: ", "\n\n", "\n ", ": ", "(>= ", ")", " | ", ", ", "[!amd64]", "~", "ü"];
    Fuzz::new("fuzz_deb822").seed(index()).seed("Package: a\nVersion: 1\n").tokens(&tokens).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(stanzas) = packages::parse(&text) else { return };
        for stanza in &stanzas {
            use_it(stanza.source_and_version());
        }
        for line in text.lines() {
            use_it(relation::parse(line.split_once(": ").map_or(line, |(_, value)| value)));
        }
    });
}

#[test]
fn fuzz_versions_are_ordered() {
    Fuzz::new("fuzz_versions").seed("1:2.0~rc1-3\n2.0").seed("0\n").tokens(&["~", "+b1", ":", "-"]).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (one, other) = text.split_once('\n').unwrap_or((&text, ""));
        assert_eq!(version::compare(one, other), version::compare(other, one).reverse());
        assert!(version::compare(one, one).is_eq());
    });
}

#[test]
fn fuzz_apt() {
    let one_line = "deb [arch=amd64 signed-by=/k.gpg] http://a.test/debian trixie main contrib # x\n";
    let deb822 = "Types: deb\nURIs: http://a.test/debian\nSuites: trixie trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n\nTypes: deb\n";
    let options = "Acquire { http { Proxy \"http://p:1\"; Proxy::a.test \"DIRECT\"; }; };\n// x\n#clear A;\nA::B:: \"x\";\n/* c */";
    let tokens = ["{", "}", ";", "\"", "::", "//", "/*", "*/", "#include", "[", "]"];
    Fuzz::new("fuzz_apt").seed(one_line).seed(deb822).seed(options).tokens(&tokens).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        use_it(apt::parse_one_line(&text));
        use_it(apt::parse_deb822(&text));
        use_it(apt::parse_mirror_list(&text));
        use_it(apt::parse_options(&text));
    });
}

#[test]
fn fuzz_dates() {
    let seeds = Fuzz::new("fuzz_dates").seed("Thu, 10 Sep 2026 00:00:00 UTC").seed("2026-09-10T00:00:00Z");
    seeds.tokens(&["+0000", "99999", "Feb", "29", "-", ":"]).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        use_it(date::parse_release(&text));
        if let Some(seconds) = date::parse_rfc3339(&text) {
            assert_eq!(date::parse_rfc3339(&date::format_rfc3339(seconds)), Some(seconds), "{text}");
        }
    });
}

#[test]
fn fuzz_signed_message_and_key_ring() {
    let key = TestKey::new();
    let keyring = Keyring::parse(key.armoured().as_bytes()).unwrap();
    let message = key.sign("Suite: x\n- dash\nDate: y\n");
    let tokens =
        ["-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----", "Hash: SHA256\n", "- ", "\r\n", "=AAAA"];
    // Most are refused before a key is used, but those that are not take milliseconds.
    let fuzz = Fuzz::new("fuzz_signed_message_and_key_ring").seed(message.clone()).seed(key.armoured()).tokens(&tokens);
    fuzz.iterations(400).run(|bytes| {
        use_it(Keyring::parse(bytes));
        let text = String::from_utf8_lossy(bytes);
        if let Ok(signed) = keyring.verify(&text, NOW) {
            assert_eq!(signed, "Suite: x\n- dash\nDate: y\n", "{text}");
        }
    });
}

/// The smallest library that the closure looks into: one PT_LOAD, one PT_DYNAMIC with NEEDED, RUNPATH and strings.
fn library() -> Vec<u8> {
    const STRINGS: &[u8] = b"\0libc.so.6\0$ORIGIN/../x:/usr/lib\0";
    let (load_at, dynamic_at, strings_at) = (64, 64 + 2 * 56, 64 + 2 * 56 + 5 * 16);
    let size = strings_at + STRINGS.len();
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    out.extend([0; 8]);
    out.extend((load_at as u64).to_le_bytes());
    out.extend([0; 12]);
    out.extend([64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    for (kind, at, bytes) in [(1_u32, 0, size), (2, dynamic_at, 5 * 16)] {
        out.extend(kind.to_le_bytes());
        out.extend(4_u32.to_le_bytes());
        for field in [at, at, at, bytes, bytes, 8] {
            out.extend((field as u64).to_le_bytes());
        }
    }
    for (tag, value) in [(1, 1), (29, 11), (5, strings_at), (10, STRINGS.len()), (0, 0)] {
        out.extend((tag as u64).to_le_bytes());
        out.extend((value as u64).to_le_bytes());
    }
    out.extend(STRINGS);
    out
}

fn closure(bytes: &[u8]) -> anyhow::Result<Vec<elf::Needed>> {
    let mut root = Tree::new();
    let node = Node::new(Kind::File(Bytes::copy_from_slice(bytes)), 0o755, &Arc::from("toy"));
    root.insert(b"usr/bin/toy", node).map_err(anyhow::Error::msg)?;
    elf::closure(&root, &[], &[])
}

#[test]
fn fuzz_elf() {
    let refused = closure(&library()).unwrap_err().to_string();
    assert!(refused.contains("libc.so.6"), "{refused}");
    let mut fuzz = Fuzz::new("fuzz_elf").seed(library()).tokens(&["\x7fELF", "$ORIGIN", "/"]);
    // One of a real linker, with versions and sections, where there is one.
    if let Some(toys) = elf::tests::toys() {
        fuzz = fuzz.seed(toys.program).seed(toys.base_v2).seed(toys.middle);
    }
    fuzz.run(|bytes| use_it(closure(bytes)));
}

#[test]
fn fuzz_modinfo() {
    let module = kernel::tests::module(&["alias=fs-ext4", "depends=jbd2,nls-base", "softdep=pre: a b post: c"]);
    let tokens = ["depends=", "softdep=pre: ", "post: ", "alias=", ",", "\0", ".modinfo\0"];
    Fuzz::new("fuzz_modinfo").seed(module).tokens(&tokens).run(|bytes| {
        use_it(ModInfo::of_module(bytes));
        use_it(ModInfo::parse(bytes));
    });
}

#[test]
fn fuzz_lock() {
    let text = include_str!("../../../packages/lock.toml");
    // The head and a few packages: the rest is more of the same.
    let packages: Vec<&str> = text.split("[[package]]").collect();
    let kernel = packages.iter().skip(1).find(|package| package.contains("name = \"linux-image-"));
    let short = [&packages[..3], &[kernel.unwrap()]].concat().join("[[package]]");
    lock::Lock::parse(&short).unwrap();
    let tokens =
        ["[[package]]", "[[suite]]", "name = ", "\"\"\"", "../", "[", "{", "= 99999999999999999999\n", "\\u0000"];
    Fuzz::new("fuzz_lock").seed(short).tokens(&tokens).run(|bytes| {
        use_it(lock::Lock::parse(&String::from_utf8_lossy(bytes)));
    });
}

#[test]
fn fuzz_configuration() {
    let tokens = [
        "[root]\n",
        "[[service]]\n",
        "[[write]]\n",
        "schema = 1\n",
        "recipes = [",
        "\"\"\"",
        "'''",
        "{",
        "}",
        "[",
        "]",
        "=",
        "\"**\"",
        "\"[a\"",
        "1979-05-27",
        "nan",
        "\u{feff}",
        "\r\n",
        "../",
        "${user}",
        "\\",
        "ü",
    ];
    let fuzz = Fuzz::new("fuzz_configuration").seed(DISTRO).seed(PODMAN).seed(BASE).seed(FRAGMENT).tokens(&tokens);
    fuzz.iterations(2000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Err(problems) = config::parse_distro(&text) {
            use_it(problems.to_string());
        }
        if let Err(problems) = config::parse_recipe("packages/x.toml", &text) {
            use_it(problems.to_string());
        }
        use_it(config::parse_fragment("x", Path::new("kernel-config/x.config"), &text));
    });
}

#[test]
fn fuzz_patterns() {
    let seeds =
        Fuzz::new("fuzz_patterns").seed("/usr/{bin,sbin}/[!a-c]*/**/x?\n/usr/bin/da/e/xy").seed("/**/*.so*\n/a/b.so.6");
    seeds.tokens(&["**", "*", "?", "[", "]", "{", "}", ",", "\\", "/", "ü", "\n"]).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (pattern, path) = text.split_once('\n').unwrap_or((&text, "/a"));
        if let Ok(pattern) = Pattern::parse(pattern) {
            use_it(pattern.is_match(path));
        }
    });
}

#[test]
fn fuzz_copyright() {
    let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2001 A\n\
                License: GPL-2+ and (MIT or Expat)\n\nFiles: debian/*\nLicense: MIT\n text\n .\n\nLicense: GPL-2+\n long\n";
    let tokens = ["Files: ", "License: ", " or ", " and ", ", ", "(", ")", " with ", "\n .\n", "\n\n"];
    Fuzz::new("fuzz_copyright").seed(text).tokens(&tokens).run(|bytes| {
        use_it(copyright::read(&String::from_utf8_lossy(bytes), "toy"));
    });
}

#[test]
fn fuzz_inspect() {
    let mut small = Tree::new();
    let node = Node::new(Kind::File(Bytes::from_static(b"content")), 0o644, &Arc::from("toy"));
    small.insert(b"usr/share/x", node).unwrap();
    let kernel = inspect::tests::kernel("6.1-toy", Some("CONFIG_X=y\n"));
    let tokens = ["HdrS", "IKCFG_ST", "hsqs", "070701", "!<arch>\n"];
    let seeds = Fuzz::new("fuzz_inspect")
        .seed(inspect::tests::squash(&small, "zstd:1"))
        .seed(kernel)
        .seed(library())
        .tokens(&tokens);
    let deb = deb_tests::deb(".xz", &deb_tests::data_tar());
    seeds.seed(deb).iterations(600).memory_mib(256).run(|bytes| {
        use_it(inspect::summarize(&Bytes::copy_from_slice(bytes)));
    });
}
