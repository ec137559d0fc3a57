use std::sync::Mutex;

use super::testing::{shown, text, whole_fetched, whole_project};
use super::*;
use crate::progress::{Silent, Task};
use formats::tree::split;

#[test]
fn assembles_a_root() {
    let dir = whole_project();
    let root = assemble(&whole_fetched(&dir), &Silent).unwrap();
    // The guest's programs and the generated files of etc are long; their own tests have them.
    let long = |line: &String| ["/init ", "/distroctl ", "modules.", "/config "].iter().any(|part| line.contains(part));
    let lines: Vec<String> = shown(&root.tree)
        .into_iter()
        .filter(|line| !long(line) && !line.ends_with('/') && !line.contains(".ko"))
        .filter(|line| !line.starts_with(paths::RECIPE_DIR))
        .filter(|line| !line.starts_with("/etc") || line.starts_with("/etc/motd"))
        .collect();
    assert_eq!(
        lines,
        [
            "/bin 0777 0 -> usr/bin",
            "/etc/motd 0644 0 \"hello\\n\"",
            "/sbin 0777 0 -> usr/bin",
            "/usr/bin/[ 0777 0 -> busybox",
            "/usr/bin/[[ 0777 0 -> busybox",
            "/usr/bin/ash 0644 0 \"#!/bin/sh\\n\"",
            "/usr/bin/busybox 0755 0 \"ELF..\\0[\\0[[\\0ash\\0cat\\0mount\\0\\0\"",
            "/usr/bin/cat 0777 0 -> busybox",
            "/usr/bin/mount 4755 0 \"tool\"",
            "/usr/share/tool/data 0640 0 \"data\"",
        ]
    );
    assert_eq!(root.tree.lookup(paths::INIT.as_bytes()).unwrap().content().unwrap(), guest::INIT);
    assert_eq!(root.tree.lookup(b"bin/distroctl").unwrap().content().unwrap(), guest::DISTROCTL);
    assert_eq!(text(&root.tree, "etc/hostname"), "box\n");
    let modules = root.tree.iter().filter(|(path, _)| path.ends_with(b".ko"));
    let modules: Vec<&[u8]> = modules.map(|(path, _)| split(path).1).collect();
    assert_eq!(modules, [&b"loop.ko"[..], b"overlay.ko", b"squashfs.ko", b"base-one.ko", b"helper.ko"]);
    // The kernel's package is apart: no recipe takes files from it.
    assert_eq!(root.packages.trees.keys().collect::<Vec<_>>(), ["busybox-static", "isolinux", "tool"]);
}

#[test]
fn errors_name_what_was_being_done() {
    let dir = whole_project();
    let mut fetched = whole_fetched(&dir);
    let recipes = &mut fetched.locked.checked.recipes;
    recipes.get_mut("tool").unwrap().libraries = vec!["libnone.so.1".into()];
    let error = assemble(&fetched, &Silent).err().unwrap();
    let expected = "finding shared libraries: looking for shared libraries:\n  packages/tool.toml, libraries names \
                    libnone.so.1, which no package has";
    assert_eq!(format!("{error:#}"), expected);

    fetched.locked.checked.recipes.get_mut("tool").unwrap().files = vec!["/usr/bin/none".into()];
    let error = assemble(&fetched, &Silent).err().unwrap();
    let expected = "applying packages/tool.toml: packages/tool.toml: /usr/bin/none is in none of its packages (tool)";
    assert_eq!(format!("{error:#}"), expected);

    std::fs::write(&fetched.files["tool"], "<html>").unwrap();
    let error = assemble(&fetched, &Silent).err().unwrap();
    let expected = format!(
        "reading package {}: reading magic of an ar archive at byte 0: expected 8 bytes, found 6",
        dir.path().join("tool.deb").display()
    );
    assert_eq!(format!("{error:#}"), expected);

    fetched.files.remove("tool");
    assert_eq!(format!("{:#}", assemble(&fetched, &Silent).err().unwrap()), "tool is not fetched");
}

/// Steps and their results.
#[derive(Default)]
struct Steps(Arc<Mutex<Vec<String>>>);

struct Step(String, Arc<Mutex<Vec<String>>>);

impl Task for Step {
    fn set(&self, _done: u64) {}
    fn finish(&self, result: &str) {
        self.1.lock().unwrap().push(format!("{}: {result}", self.0));
    }
}

impl Progress for Steps {
    fn start(&self, what: &str, _total: u64) -> Box<dyn Task> {
        Box::new(Step(what.into(), Arc::clone(&self.0)))
    }
    fn say(&self, _message: &str) {}
    fn warn(&self, _message: &str) {}
}

#[test]
fn tells_its_steps() {
    let steps = Steps::default();
    let root = assemble(&whole_fetched(&whole_project()), &steps);
    drop(root);
    let steps = steps.0.lock().unwrap();
    assert_eq!(steps[0], "reading packages: 4 packages");
    assert!(steps[1].starts_with("assembling the root: "));
}

#[test]
fn grafts_below_links_and_keeps_folders() {
    let mut tree = testing::tree(&[("usr/lib", testing::folder(0o711)), ("lib", testing::link("usr/lib"))]);
    let other = testing::tree(&[("lib", testing::folder(0o700)), ("lib/modules/a.ko", testing::file("x", 0o644))]);
    graft(&mut tree, &other).unwrap();
    let expected = [
        "/lib 0777 0 -> usr/lib",
        "/usr 0755 0/",
        "/usr/lib 0711 0/",
        "/usr/lib/modules 0755 0/",
        "/usr/lib/modules/a.ko 0644 0 \"x\"",
    ];
    assert_eq!(shown(&tree), expected);
}
