//! Adding and removing against a small archive.

use std::fs;

use formats::tree::Tree;
use tempfile::TempDir;

use super::*;
use crate::archive::testing::{NOW, Server, TestPackage, TestSuite};
use crate::config::load;
use crate::lock::tests::{fetcher, files, key, mirrors};
use crate::problem::exit_code;
use crate::progress::Silent;
use crate::root::testing::{file, project, tree};

const BUILDER: &[&str] = &["isolinux"];

fn package(name: &'static str, depends: &'static str, tree: &Tree) -> TestPackage {
    TestPackage {
        name,
        version: "1.2-3",
        depends,
        content: crate::deb::tests::packed(name, tree),
        ..TestPackage::default()
    }
}

/// A project that uses "shell", an archive with more, and what asks it.
struct World {
    dir: TempDir,
    _server: Server,
    fetcher: Fetcher,
    checked: Checked,
    indices: Indices,
}

impl World {
    fn new() -> Self {
        let dir = project(
            &[("shell", "packages = [\"busybox\"]\nfiles = [\"/usr/bin/busybox\"]\n")],
            &[("packages/spare.toml", "schema = 1\nsummary = \"Not in use\"\nneeds = [\"shell\"]\n")],
        );
        let key_ring = dir.path().join("packages/debian-archive-keyring.asc");
        fs::write(key_ring, key().armoured()).unwrap();
        let tool = tree(&[
            ("usr/bin/tool", file("#!/usr/bin/env python3\n", 0o755)),
            ("usr/share/doc/tool/copyright", file("", 0o644)),
            ("usr/lib/systemd/system/tool.service", file("ExecStart=/usr/bin/tool -d\n", 0o644)),
        ]);
        let library = tree(&[("usr/lib/x86_64-linux-gnu/libtool.so.1", file("", 0o644))]);
        let one = |path: &str| tree(&[(path, file("content", 0o755))]);
        let packages = vec![
            package("busybox", "", &one("usr/bin/busybox")),
            package("isolinux", "", &one("usr/lib/ISOLINUX/isolinux.bin")),
            package("linux-image-amd64", "", &one("boot/vmlinuz-1")),
            TestPackage { source: "tool", ..package("tool-data", "", &one("usr/share/tool/data")) },
            package("tool", "tool-data, adduser, python3 | perl, busybox", &tool),
            TestPackage { section: "libs", ..package("libtool1", "", &library) },
            package("python3", "", &one("usr/bin/python3")),
            package("adduser", "", &one("usr/sbin/adduser")),
            package("nothing", "", &one("usr/share/doc/nothing/README")),
        ];
        let suite = |name, packages| TestSuite::new(name, packages);
        let suites =
            [suite("trixie", packages), suite("trixie-updates", Vec::new()), suite("trixie-security", Vec::new())];
        let server = Server::start(files(&suites));
        let fetcher = fetcher(&dir.path().join("cache"), mirrors(&[&server.url]));
        let checked = load(dir.path()).unwrap();
        let indices = Indices::read(&checked, &fetcher, None, NOW, &Silent).unwrap();
        Self { dir, _server: server, fetcher, checked, indices }
    }

    fn plan(&self, names: &[&str], previous: Option<&Lock>) -> Result<Plan> {
        let archive = Archive { indices: &self.indices, fetcher: &self.fetcher, builder: BUILDER };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        plan(&self.checked, &names, previous, &archive, &Silent)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap()
    }
}

#[test]
fn a_recipe_is_made_from_a_package() {
    let world = World::new();
    let before = world.text("distro.toml");
    let plan = world.plan(&["tool"], None).unwrap();
    assert_eq!(
        plan.draft["packages/tool.toml"],
        "# Made by \"mkdistro add tool\" from tool 1.2-3: yours to change.\n\
         schema = 1\n\
         summary = \"A tool\"\n\
         # Debian's package also depends on python3.\n\
         packages = [\"tool\", \"tool-data\"]\n\
         files = [\"/usr/bin/tool\", \"/usr/share/tool/data\"]\n\
         \n\
         # Debian's tool.service runs: /usr/bin/tool -d\n\
         # A service must stay in the foreground.\n\
         # [[service]]\n\
         # name = \"tool\"\n\
         # command = [\"/…\"]\n\
         # after = [\"network\"]\n"
    );
    assert_eq!(plan.draft["distro.toml"], before.replace("[\"shell\"]", "[\"shell\", \"tool\"]"));
    let made = plan.components[0].made.as_ref().unwrap();
    assert_eq!((made.files, made.left_out, made.depends.as_slice()), (2, 2, &["python3".to_string()][..]));
    assert_eq!((plan.cost.files, plan.cost.unpacked), (2, 30));
    assert_eq!(plan.cost.missing_interpreters, [("/usr/bin/tool".to_string(), "/usr/bin/python3".to_string())]);
    let names: Vec<&str> = plan.lock.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["busybox", "isolinux", "linux-image-amd64", "tool", "tool-data"]);

    // Until it is written nothing has changed; then everything fits.
    assert_eq!(world.text("distro.toml"), before);
    plan.write(world.dir.path()).unwrap();
    let checked = load(world.dir.path()).unwrap();
    assert!(checked.recipes.contains_key("tool"));
    lock::check(checked, Lock::read(world.dir.path()).unwrap(), BUILDER).unwrap();
}

#[test]
fn an_existing_recipe_is_used() {
    let world = World::new();
    let old = world.plan(&["shell"], None).unwrap().lock;
    let plan = world.plan(&["spare", "shell"], Some(&old)).unwrap();
    assert_eq!(plan.draft.keys().collect::<Vec<_>>(), ["distro.toml"]);
    assert!(plan.draft["distro.toml"].contains("recipes = [\"shell\", \"spare\"]"));
    assert!(plan.components.iter().all(|component| component.made.is_none()));
    assert_eq!(plan.components[0].file, "packages/spare.toml");
    assert_eq!((plan.cost, plan.lock.diff(&old)), (Cost::default(), Vec::new()));
    // One that is built in, and does not fit: its packages are in no suite here.
    let error = world.plan(&["e2fsprogs"], None).err().unwrap();
    assert_eq!(
        error.to_string(),
        "built-in packages/e2fsprogs.toml: no package \"e2fsprogs\" in trixie, trixie-updates, trixie-security (main)"
    );
}

#[test]
fn what_cannot_be_added_is_refused() {
    let world = World::new();
    for (name, message) in [
        ("tol", "adding tol: neither a recipe nor a package of the suites"),
        ("libtool1", "adding libtool1: the package has no program or data to take"),
        ("nothing", "adding nothing: the package has no program or data to take"),
    ] {
        let error = world.plan(&[name], None).err().unwrap();
        assert_eq!((error.to_string().as_str(), exit_code(&error)), (message, contract::exit::CONFIG));
    }
    assert_eq!(fs::read_dir(world.dir.path().join("packages")).unwrap().count(), 3);
}

#[test]
fn a_recipe_is_taken_out() {
    let mut world = World::new();
    world.plan(&["spare"], None).unwrap().write(world.dir.path()).unwrap();
    world.checked = load(world.dir.path()).unwrap();
    let (draft, after) = plan_removal(&world.checked, &["shell".into()]).unwrap();
    // spare still needs it.
    assert!(draft["distro.toml"].contains("recipes = [\"spare\"]"));
    assert!(after.recipes.contains_key("shell"));
    write(world.dir.path(), &draft).unwrap();
    let checked = load(world.dir.path()).unwrap();
    let error = plan_removal(&checked, &["shell".into()]).err().unwrap();
    assert_eq!(error.to_string(), "removing shell: it is not in root.recipes of distro.toml");
    let hint = &error.downcast_ref::<Problem>().unwrap().hint;
    assert_eq!(hint, "packages/spare.toml needs it");
    assert_eq!(exit_code(&plan_removal(&checked, &["spare".into()]).err().unwrap()), contract::exit::CONFIG);
}
