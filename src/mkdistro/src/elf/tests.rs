use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use bytes::Bytes;
use formats::tree::Kind;

fn put(tree: &mut Tree, path: &str, kind: Kind, origin: &str) {
    tree.insert(path.as_bytes(), Node::new(kind, 0o755, &Arc::from(origin))).unwrap();
}

fn put_file(tree: &mut Tree, path: &str, content: impl Into<Bytes>, origin: &str) {
    put(tree, path, Kind::File(content.into()), origin);
}

fn put_link(tree: &mut Tree, path: &str, target: &str) {
    put(tree, path, Kind::Symlink(target.into()), "links");
}

/// Compiles C to a shared library or program without the C library; None where there is no compiler.
fn compile(dir: &Path, name: &str, source: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let (input, output) = (dir.join("in.c"), dir.join(name));
    std::fs::write(&input, source).unwrap();
    let mut command = Command::new("cc");
    command.current_dir(dir).args(["-nostdlib", "-fPIC", "-o"]).arg(&output).arg(&input).args(arguments);
    let result = command.output().ok()?;
    assert!(result.status.success(), "{command:?}: {}", String::from_utf8_lossy(&result.stderr));
    Some(std::fs::read(output).unwrap())
}

pub(crate) struct Toys {
    _dir: tempfile::TempDir,
    pub(crate) program: Vec<u8>,
    base_v1: Vec<u8>,
    pub(crate) base_v2: Vec<u8>,
    pub(crate) middle: Vec<u8>,
}

/// A program that needs libmiddle.so.1 through its RUNPATH, which needs libbase.so.0 in version BASE_2.
pub(crate) fn toys() -> Option<Toys> {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let library = |name: &str, soname: &str, source: &str, more: &[&str]| {
        let soname = format!("-Wl,-soname,{soname}");
        compile(at, name, source, &[&["-shared", soname.as_str()][..], more].concat())
    };
    std::fs::write(at.join("v1"), "BASE_1 { global: one; };").unwrap();
    std::fs::write(at.join("v2"), "BASE_1 { global: one; }; BASE_2 { global: two; } BASE_1;").unwrap();
    let base_v1 = library("old.so", "libbase.so.0", "int one(){return 1;}", &["-Wl,--version-script,v1"])?;
    let source = "int one(){return 1;} int two(){return 2;}";
    let base_v2 = library("libbase.so", "libbase.so.0", source, &["-Wl,--version-script,v2"])?;
    let middle = library("libmiddle.so", "libmiddle.so.1", "int two(); int m(){return two();}", &["-L.", "-lbase"])?;
    let arguments =
        ["-pie", "-L.", "-lmiddle", "-Wl,-rpath,$ORIGIN/../lib/toy", "-Wl,--allow-shlib-undefined", "-Wl,-e,start"];
    let program = compile(at, "prog", "int m(); void start(){m();}", &arguments)?;
    Some(Toys { _dir: dir, program, base_v1, base_v2, middle })
}

#[test]
fn follows_needs_links_and_versions() {
    let Some(toys) = toys() else { return eprintln!("skipped: no C compiler") };
    let (mut root, mut packages) = (Tree::new(), Tree::new());
    put_file(&mut root, "usr/bin/prog", toys.program, "prog 1");
    put_file(&mut packages, "usr/lib/x86_64-linux-gnu/ld-real.so", toys.base_v1.clone(), "loader");
    put_link(&mut packages, "usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-real.so");
    put_file(&mut packages, "usr/lib/toy/libmiddle.so.1.5", toys.middle, "middle 1");
    put_link(&mut packages, "usr/lib/toy/libmiddle.so.1", "libmiddle.so.1.5");
    put_file(&mut packages, "usr/lib/libbase.so.0", &b"a linker script"[..], "wrong");
    put_file(&mut packages, "usr/lib/unused.so", toys.base_v1.clone(), "unused");
    let mut good = packages.clone();
    put_file(&mut good, "usr/lib/x86_64-linux-gnu/libbase.so.0.1", toys.base_v2.clone(), "base 2");
    put_link(&mut good, "usr/lib/x86_64-linux-gnu/libbase.so.0", "/lib/x86_64-linux-gnu/libbase.so.0.1");
    let extra = Extra { soname: "libextra.so.9".into(), wanted_by: "packages/x.toml, libraries".into() };
    put_file(&mut good, "usr/lib/libextra.so.9", toys.base_v2, "extra");

    let needed = closure(&root, std::slice::from_ref(&extra), &[&good]).unwrap();
    let found: Vec<_> = needed.iter().map(|needed| (show(&needed.path), needed.wanted_by.as_str())).collect();
    let expected = [
        ("/usr/lib/libextra.so.9", "packages/x.toml, libraries"),
        ("/usr/lib/toy/libmiddle.so.1", "/usr/bin/prog"),
        ("/usr/lib/toy/libmiddle.so.1.5", "/usr/bin/prog"),
        ("/usr/lib/x86_64-linux-gnu/ld-real.so", "/usr/bin/prog"),
        ("/usr/lib/x86_64-linux-gnu/libbase.so.0", "/usr/lib/toy/libmiddle.so.1.5"),
        ("/usr/lib/x86_64-linux-gnu/libbase.so.0.1", "/usr/lib/toy/libmiddle.so.1.5"),
        ("/usr/lib64/ld-linux-x86-64.so.2", "/usr/bin/prog"),
    ];
    assert_eq!(found, expected.map(|(path, by)| (path.to_owned(), by)));

    // With them in the root nothing is left to do.
    for needed in needed {
        root.insert(&needed.path, needed.node).unwrap();
    }
    assert_eq!(closure(&root, &[extra], &[&good]).unwrap(), []);
}

#[test]
fn reports_all_that_is_missing() {
    let Some(toys) = toys() else { return eprintln!("skipped: no C compiler") };
    let (mut root, mut packages) = (Tree::new(), Tree::new());
    put_file(&mut root, "usr/bin/prog", toys.program, "prog 1");
    put_file(&mut root, "opt/lost", toys.middle.clone(), "x");
    put_file(&mut packages, "usr/lib/toy/libmiddle.so.1", toys.middle, "middle 1");
    put_file(&mut packages, "usr/lib/x86_64-linux-gnu/libbase.so.0", toys.base_v1, "base 1");
    put_link(&mut packages, "usr/lib/x86_64-linux-gnu/libturn.so", "libturn.so");
    let extras = ["libturn.so", "/usr/lib/none.so"].map(|name| Extra { soname: name.into(), wanted_by: "r".into() });
    let error = closure(&root, &extras, &[&packages]).unwrap_err();
    let expected = "looking for shared libraries:
  /opt/lost (x) needs version BASE_2 of libbase.so.0, which /usr/lib/x86_64-linux-gnu/libbase.so.0 (base 1) does not have
  /usr/bin/prog (prog 1) needs /lib64/ld-linux-x86-64.so.2, which no package has
  /usr/lib/toy/libmiddle.so.1 (middle 1) needs version BASE_2 of libbase.so.0, which \
                    /usr/lib/x86_64-linux-gnu/libbase.so.0 (base 1) does not have
  r names /usr/lib/none.so, which no package has
  r names libturn.so, which no package has";
    assert_eq!(error.to_string(), expected);
    assert_eq!(crate::problem::exit_code(&error), contract::exit::CONFIG);
}

/// The libraries of the host, loaded from its usual folder.
fn host_libraries(tree: &mut Tree) {
    for (folder, target) in [("/usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"), ("/usr/lib64", "usr/lib64")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if !["libc.", "libc-", "libpcre2-8", "libselinux", "ld-linux"].iter().any(|prefix| name.starts_with(prefix))
            {
                continue;
            }
            let path = format!("{target}/{name}");
            match std::fs::read_link(entry.path()) {
                Ok(link) => put_link(tree, &path, &link.to_string_lossy()),
                Err(_) => put_file(tree, &path, std::fs::read(entry.path()).unwrap(), "host"),
            }
        }
    }
}

#[test]
fn finds_the_libraries_of_ls() {
    if !Path::new("/usr/lib/x86_64-linux-gnu/libc.so.6").exists() {
        return eprintln!("skipped: no Debian on x86-64");
    }
    let (mut root, mut packages) = (Tree::new(), Tree::new());
    put_file(&mut root, "usr/bin/ls", std::fs::read("/usr/bin/ls").unwrap(), "coreutils");
    host_libraries(&mut packages);
    let needed = closure(&root, &[], &[&packages]).unwrap();
    let paths: Vec<String> = needed.iter().map(|needed| show(&needed.path)).collect();
    let ldd = Command::new("ldd").arg("/usr/bin/ls").output().unwrap();
    let ldd = String::from_utf8(ldd.stdout).unwrap();
    let expected: Vec<&str> = ldd.lines().filter_map(|line| line.split("=> ").nth(1)?.split(' ').next()).collect();
    assert!(expected.len() >= 2, "{ldd}");
    for path in expected {
        let name = path.rsplit('/').next().unwrap();
        assert!(paths.iter().any(|other| other.ends_with(name)), "{name} is not in {paths:?}");
    }
}

#[test]
fn garbage_is_no_panic() {
    let program = std::env::current_exe().unwrap();
    let mut whole = std::fs::read("/usr/bin/true").unwrap_or_else(|_| std::fs::read(&program).unwrap());
    whole.truncate(1 << 20);
    for length in (0..whole.len()).step_by(61) {
        let _ = ElfFile::read(&whole[..length]);
    }
    for at in 0..whole.len().min(8192) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let _ = ElfFile::read(&bytes);
    }
    assert_eq!(ElfFile::read(b"#!/bin/sh\n").unwrap(), None);
    assert_eq!(ElfFile::read(b"").unwrap(), None);
}

#[test]
fn a_loader_tells_each_need_on_its_own() {
    let Some(toys) = toys() else { return eprintln!("skipped: no C compiler") };
    let mut root = Tree::new();
    put_file(&mut root, "usr/bin/prog", toys.program, "prog 1");
    put_file(&mut root, "usr/lib/toy/libmiddle.so.1.5", toys.middle, "middle 1");
    put_link(&mut root, "usr/lib/toy/libmiddle.so.1", "libmiddle.so.1.5");
    put_file(&mut root, "usr/lib/libbase.so.0", toys.base_v2, "base 2");
    let loader = Loader::new(&root);
    let shown = |paths: Vec<Vec<u8>>| paths.iter().map(|path| show(path)).collect::<Vec<_>>();
    // The interpreter is not in this root.
    let middle = ["/usr/lib/toy/libmiddle.so.1", "/usr/lib/toy/libmiddle.so.1.5"];
    assert_eq!(shown(loader.needs(b"usr/bin/prog").unwrap()), middle);
    assert_eq!(shown(loader.needs(b"usr/lib/toy/libmiddle.so.1.5").unwrap()), ["/usr/lib/libbase.so.0"]);
    assert_eq!(shown(loader.needs(b"usr/lib/libbase.so.0").unwrap()), [""; 0]);
    assert_eq!(shown(loader.needs(b"usr/bin/absent").unwrap()), [""; 0]);
    assert_eq!(shown(loader.named("libbase.so.0")), ["/usr/lib/libbase.so.0"]);
    assert_eq!(shown(loader.named("/lib/toy/libmiddle.so.1")), middle);
    assert_eq!(shown(loader.named("libnone.so")), [""; 0]);
}
