//! Reports of a small project and its image; the page as a browser shows it.

use std::process::Command;

use super::data::{Because, Change, FileKind, Timeline};
use super::*;
use crate::image::tests::write_iso;
use crate::progress::Silent;
use crate::root::testing::{whole_fetched, whole_project, write};
use crate::timeline::Event;

const MTIME: u32 = 1_700_000_000;

struct Toy {
    dir: tempfile::TempDir,
    fetched: Fetched,
    root: RootTree,
    inventory: Inventory,
}

impl Toy {
    fn new() -> Self {
        Self::of(whole_project())
    }

    fn of(dir: tempfile::TempDir) -> Self {
        let fetched = whole_fetched(&dir);
        let mut root = crate::root::assemble(&fetched, &Silent).unwrap();
        let medium = crate::image::medium(&fetched.locked.checked, &root).unwrap();
        let inventory = Inventory::take(&fetched, &root, &medium, MTIME).unwrap();
        crate::sbom::embed(&inventory, &mut root).unwrap();
        Self { dir, fetched, root, inventory }
    }

    fn image(&self) -> Opened {
        let path = self.dir.path().join("toy.iso");
        write_iso(&self.fetched.locked.checked, &self.root, &path, MTIME).unwrap();
        Opened::read(&path).unwrap()
    }

    fn report(&self, image: Option<&Opened>, old: Option<&Opened>) -> Report {
        of_project(&self.fetched, &self.root, Some(&self.inventory), image, old).unwrap()
    }
}

fn file<'a>(report: &'a Report, path: &str) -> &'a FileRow {
    report.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is not in the report"))
}

#[test]
fn the_parts_are_the_image() {
    let toy = Toy::new();
    let image = toy.image();
    let report = toy.report(Some(&image), None);
    let file = report.image.as_ref().unwrap();
    assert_eq!(file.bytes, std::fs::metadata(toy.dir.path().join("toy.iso")).unwrap().len());
    assert_eq!(file.parts.iter().map(|part| part.bytes).sum::<u64>(), file.bytes);
    let names: Vec<&str> = file.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let stored: u64 = report.files.iter().map(|file| file.stored.unwrap()).sum();
    assert_eq!(stored + file.root_overhead_bytes, file.root_bytes);
    assert_eq!(report.packages.iter().map(|package| package.total.stored.unwrap()).sum::<u64>(), stored);
    assert_eq!((file.compression.as_str(), report.notes.len()), ("zstd", 0));
    assert_eq!((report.name.as_str(), report.version.as_str()), ("toy", "1.2"));
}

#[test]
fn every_file_has_its_reason() {
    let report = Toy::new().report(None, None);
    for (path, kind, package, because, by) in [
        ("/etc/motd", FileKind::Config, "overlay", Because::Overlay, ""),
        ("/bin", FileKind::Link, "recipe base", Because::Recipe, "base"),
        ("/usr/bin/ash", FileKind::Data, "overlay", Because::Overlay, ""),
        ("/usr/share/tool/data", FileKind::Data, "tool", Because::Recipe, "tool"),
        ("/usr/bin/distroctl", FileKind::Program, "mkdistro", Because::Builder, ""),
    ] {
        let file = file(&report, path);
        let found = (file.kind, file.package.as_str(), file.because, file.by.as_str());
        assert_eq!(found, (kind, package, because, by), "{path}");
    }
    assert_eq!(file(&report, "/bin").target.as_deref(), Some("usr/bin"));
    assert_eq!(file(&report, "/etc/motd").sha256, crate::archive::testing::sha256(b"hello\n"));
    assert_eq!(file(&report, "/etc/motd").stored, None);
    let tool = report.packages.iter().find(|package| package.name == "tool").unwrap();
    assert_eq!((tool.version.as_str(), tool.suite.as_str(), tool.total.bytes), ("1.2-3", "trixie", 8));
}

#[test]
fn modules_have_their_subjects_and_recipes_their_modules() {
    let report = Toy::new().report(None, None);
    let subjects: Vec<(&str, u32)> =
        report.kernel.subjects.iter().map(|subject| (subject.name.as_str(), subject.total.files)).collect();
    assert_eq!(subjects.iter().map(|(_, count)| count).sum::<u32>(), report.kernel.modules.files);
    assert!(subjects.iter().any(|(name, _)| *name == "recipe tool"), "{subjects:?}");
    let tool = report.recipes.iter().find(|cost| cost.name == "tool").unwrap();
    let modules: u64 = report.kernel.subjects.iter().find(|one| one.name == "recipe tool").unwrap().total.bytes;
    assert_eq!(tool.own.bytes, 8 + modules);
    assert_eq!(tool.dropped, tool.own);
}

#[test]
fn an_image_of_another_build_is_told() {
    let toy = Toy::new();
    let image = toy.image();
    write(toy.dir.path(), "overlay/etc/motd", "hello again\n");
    let toy = Toy::of(toy.dir);
    let report = toy.report(Some(&image), None);
    // The file, its copy in the project that the image carries, the bill of materials, and the build id.
    let expected = "toy.iso is of another build; compressed sizes are estimated for 4 of the project's files";
    assert_eq!(report.notes, [expected]);
    let stored = |path: &str| file(&report, path).stored.unwrap();
    assert!(stored("/etc/motd") > 0 && stored("/usr/bin/distroctl") > 0);
}

#[test]
fn differences_are_named() {
    let toy = Toy::new();
    let old = toy.image();
    write(toy.dir.path(), "overlay/etc/motd", "hello again\n");
    write(toy.dir.path(), "overlay/etc/new", "new\n");
    std::fs::remove_file(toy.dir.path().join("overlay/usr/bin/ash")).unwrap();
    std::fs::rename(toy.dir.path().join("toy.iso"), toy.dir.path().join("old.iso")).unwrap();
    let toy = Toy::of(toy.dir);
    let report = toy.report(None, Some(&old));
    let difference = report.difference.unwrap();
    // The overlay is in the image a second time, as part of its recipe.
    let files = difference.files.iter().filter(|file| !file.path.starts_with(contract::paths::RECIPE_DIR));
    let shown: Vec<_> = files.map(|file| (file.path.as_str(), file.change, file.old_bytes, file.new_bytes)).collect();
    assert_eq!(
        shown,
        [
            ("/etc/motd", Change::Changed, 6, 12),
            ("/etc/new", Change::Added, 0, 4),
            // It has the build id.
            ("/etc/os-release", Change::Changed, 128, 128),
            // The applet's link is there instead.
            ("/usr/bin/ash", Change::Changed, 10, 0),
        ]
    );
    // Nothing differs from itself, and that is said in all forms.
    let same = toy.report(None, Some(&toy.image())).difference.unwrap();
    assert_eq!((same.files.len(), same.packages.len()), (0, 0));
}

#[test]
fn an_image_tells_what_its_project_does() {
    let toy = Toy::new();
    let image = toy.image();
    let (told, known) = (of_image(&image, None).unwrap(), toy.report(Some(&image), None));
    assert_eq!((told.name.as_str(), told.version.as_str()), ("toy", "1.2"));
    assert_eq!(told.image, known.image);
    assert_eq!((told.kernel.release.as_str(), told.kernel.bytes), (known.kernel.release.as_str(), known.kernel.bytes));
    assert_eq!(told.notes, [""; 0]);
    let files = |report: &Report| -> Vec<(String, Because, String, Option<String>)> {
        let files = report.files.iter().filter(|file| file.target.is_none() && !file.path.contains("/sbom."));
        files.map(|file| (file.path.clone(), file.because, file.by.clone(), file.recipe.clone())).collect()
    };
    assert_eq!(files(&told), files(&known));
    let costs = |report: &Report| -> Vec<(String, u64, u64)> {
        report.recipes.iter().map(|cost| (cost.name.clone(), cost.own.bytes, cost.dropped.bytes)).collect()
    };
    // A bill has no links; they weigh nothing.
    assert_eq!(costs(&told), costs(&known));
}

#[test]
fn a_bare_root_tells_of_files() {
    let toy = Toy::new();
    let image = toy.image();
    let bare = Opened { bill: None, ..image };
    let report = of_image(&bare, None).unwrap();
    assert_eq!(report.files.len(), toy.report(None, None).files.len());
    assert_eq!(report.recipes, []);
    assert!(text::render(&report).contains("note: The image does not tell"));
}

#[test]
fn the_text_has_all_tables() {
    let toy = Toy::new();
    let image = toy.image();
    let mut report = toy.report(Some(&image), Some(&image));
    report.boot = Some(timeline());
    let text = text::render(&report);
    for part in [
        "toy 1.2\n  toy.iso ",
        "\n    root (SquashFS) ",
        "\n  packages ",
        "\n  recipes ",
        "\n  kernel modules ",
        "\n  boot ",
        "\nsince toy.iso (",
        "0 files added, 0 removed, 0 changed\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
}

fn timeline() -> Timeline {
    let events = vec![Event::new("kernel", "kernel", 0, 800), Event::new("service", "</script>", 800, 2000)];
    Timeline { title: "boot".into(), events, figures: [("ready-ms".to_owned(), 2000)].into() }
}

/// A page with everything in it.
fn page() -> String {
    let toy = Toy::new();
    let image = toy.image();
    let mut report = toy.report(Some(&image), Some(&image));
    (report.build, report.boot) = (Some(timeline()), Some(timeline()));
    page::render(&report, &serde_json::to_string(&report).unwrap())
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page();
    assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"), "the policy");
    for forbidden in ["http://", "https://", "url(", "@import", "unsafe-inline", "eval(", "innerHTML", " src="] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(!page.contains("</script>\""), "data cannot end its element");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains('@') || !page.contains("@DATA@"));
}

/// What stands on the document's root after the page has run: `name="value"`, in Chromium without a network.
fn shown(page: &std::path::Path, hash: &str, window: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(format!("--window-size={window}"));
    command.arg("--dump-dom").arg(format!("file://{}{hash}", page.display()));
    let output = command.output().unwrap_or_else(|error| panic!("running chromium: {error}; hint: install it"));
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let root = dom.split_once("<html").and_then(|(_, rest)| rest.split_once('>')).map(|(root, _)| root.to_owned());
    root.unwrap_or_else(|| panic!("no document: {dom}"))
}

#[test]
fn a_browser_shows_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, page()).unwrap();
    let value = |root: &str, name: &str| -> Option<String> {
        let (_, rest) = root.split_once(&format!("data-{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let packages = Toy::new().report(None, None).packages.len();
    for (hash, window, theme, found) in [
        ("", "1280,900", None, format!("{packages} of {packages}")),
        (
            "#theme=dark&by=recipe&size=bytes&zoom=mkdistro",
            "390,844",
            Some("dark"),
            format!("{packages} of {packages}"),
        ),
        ("#tab=files&q=tool+from%3Atool&theme=light", "390,844", Some("light"), "2 of ".into()),
    ] {
        let root = shown(&path, hash, window);
        assert_eq!(value(&root, "ready").as_deref(), Some("true"), "{hash}: {root}");
        assert_eq!(value(&root, "errors"), None, "{hash}: {root}");
        assert_eq!(value(&root, "theme").as_deref(), theme, "{hash}: {root}");
        assert_eq!(value(&root, "overflow").as_deref(), Some("0"), "{hash}: {root}");
        assert!(value(&root, "found").unwrap().starts_with(&found), "{hash}: {root}");
        let rows = found.split(' ').next().map(str::to_owned);
        assert_eq!(value(&root, "rows"), rows, "{hash}: {root}");
        assert!(value(&root, "tiles").unwrap().parse::<u32>().unwrap() > 0, "{hash}: {root}");
    }
}
