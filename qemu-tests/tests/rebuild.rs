//! The second build of a project: nothing is done when nothing has changed, what is done again gives the same bytes, and
//! nothing that the cache holds can make them others.

#![expect(clippy::unwrap_used, reason = "in a test's own functions too, a panic is the verdict")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builder::{Outcome, Project, program, run};

/// A project with a cache of its own, whose packages come from a folder beside it.
struct Again {
    project: Project,
}

impl Again {
    fn new() -> Self {
        let project = Project::new();
        project.link_mirror();
        project.name_mirror(&format!("file://{}", project.path("mirror").display()));
        Self { project }
    }

    fn build(&self, cache: &str) -> Outcome {
        let mut command = Command::new(program());
        command.args(["build", "--cache"]).arg(self.project.path(cache)).current_dir(self.project.path(""));
        let outcome = run(&mut command);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome
    }

    fn image(&self) -> Vec<u8> {
        fs::read(self.project.path("out.iso")).unwrap()
    }

    /// Flips a bit in the middle of every file that builds have put into a cache; their number.
    fn damage(&self, cache: &str) -> usize {
        let files: Vec<PathBuf> = ["blocks", "unpacked", "pieces"]
            .iter()
            .flat_map(|folder| files(&self.project.path(cache).join(folder)))
            .collect();
        for file in &files {
            let mut content = fs::read(file).unwrap();
            let middle = content.len() / 2;
            content[middle] ^= 0x10;
            fs::write(file, content).unwrap();
        }
        files.len()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_second_build_does_nothing_or_the_same_again() {
    let again = Again::new();
    let (first, image) = (again.build("cache"), again.image());
    assert!(first.stderr.contains("compressing the root"), "{}", first.stderr);
    let unchanged = |expected: bool| {
        let outcome = again.build("cache");
        assert_eq!(outcome.stdout, first.stdout);
        assert_eq!(outcome.stderr.contains("unchanged: out.iso\n"), expected, "{}", outcome.stderr);
        assert!(again.image() == image, "the image differs");
    };
    unchanged(true);
    let mut altered = image.clone();
    altered[40_000] ^= 1;
    fs::write(again.project.path("out.iso"), altered).unwrap();
    unchanged(false);
    unchanged(true);
    fs::remove_file(again.project.path("out.iso")).unwrap();
    unchanged(false);
    assert!(again.damage("cache") > 100);
    fs::remove_file(again.project.path("out.iso")).unwrap();
    unchanged(false);
}

#[test]
fn a_changed_file_gives_the_image_of_a_build_from_nothing() {
    let again = Again::new();
    again.build("cache");
    let old = again.image();
    fs::write(again.project.path("overlay/etc/motd"), "another word\n").unwrap();
    let outcome = again.build("cache");
    assert!(!outcome.stderr.contains("unchanged"), "{}", outcome.stderr);
    let new = again.image();
    assert!(old != new);
    again.build("other");
    assert!(again.image() == new, "the cache made a difference");
}
