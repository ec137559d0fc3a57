//! `cargo xtask test`: set-up, format, lints, unit tests, an image, boot tests.

use crate::run::{Result, cargo, create_folder, root, shown, succeeds, target};
use crate::setup::setup;
use crate::slowest::Runs;
use crate::tally::Tally;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Machines at a time. A test waits for its machine now and then, so two do not keep two processors busy.
const MACHINES: usize = 3;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    only: Option<Kind>,
    filter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lint,
    Unit,
    Boot,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--only" => {
                    options.only = Some(match words.next() {
                        Some(&"lint") => Kind::Lint,
                        Some(&"unit") => Kind::Unit,
                        Some(&"boot") => Kind::Boot,
                        other => return Err(format!("--only: expected lint, unit or boot, found {other:?}")),
                    });
                }
                _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
                _ if options.filter.is_some() => return Err(format!("a second filter: {word}")),
                _ => options.filter = Some(word.into()),
            }
        }
        Ok(options)
    }

    /// Lints have no names to filter by, so a filter leaves them out.
    fn wants(&self, kind: Kind) -> bool {
        match self.only {
            Some(only) => only == kind,
            None => kind != Kind::Lint || self.filter.is_none(),
        }
    }
}

/// Runs the tests; false if one failed.
pub(crate) fn test(options: &Options) -> Result<bool> {
    let mut tally = Tally::default();
    timed(&mut tally, "set-up", |tally| {
        // A machine that could not be set up shows in the tests that need what is missing.
        let done = setup().unwrap_or_else(|message| {
            println!("{message}");
            false
        });
        if !done {
            tally.check("set-up", false);
        }
        Ok(())
    })?;
    if options.wants(Kind::Lint) {
        timed(&mut tally, "lints", lints)?;
    }
    let filter = options.filter.as_deref();
    if options.wants(Kind::Unit) {
        timed(&mut tally, "unit tests", |tally| {
            let arguments = ["test", "--workspace", "--exclude", "qemu-tests", "--no-fail-fast"];
            libtest(tally, "unit tests", cargo(&arguments).args(["--"]).args(filter)).map(drop)
        })?;
    }
    if options.wants(Kind::Boot) {
        timed(&mut tally, "boot tests", |tally| boot_tests(tally, filter))?;
    }
    print!("{}", tally.summary());
    Ok(tally.failed == 0)
}

fn timed(tally: &mut Tally, name: &str, phase: impl FnOnce(&mut Tally) -> Result<()>) -> Result<()> {
    println!("== {name}");
    let begin = Instant::now();
    phase(tally)?;
    tally.phase(name, begin.elapsed());
    Ok(())
}

fn lints(tally: &mut Tally) -> Result<()> {
    tally.check("cargo fmt", succeeds(&mut cargo(&["fmt", "--all", "--check"]))?);
    let arguments = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    tally.check("cargo clippy", succeeds(&mut cargo(&arguments))?);
    crate::deps::check(tally)?;
    other_targets(tally)
}

/// The builder for other targets that rustup has here. Its C libraries are compiled by `cargo check` too.
fn other_targets(tally: &mut Tally) -> Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let installed = installed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let others: Vec<&str> = installed.lines().filter(|target| *target != host && !target.is_empty()).collect();
    if others.is_empty() {
        println!("other targets: none is installed (rustup target add aarch64-unknown-linux-gnu)");
    }
    for target in others {
        let checked = succeeds(&mut cargo(&["check", "--quiet", "--package", "mkdistro", "--target", target]))?;
        tally.check(&format!("cargo check --target {target}"), checked);
    }
    Ok(())
}

/// Builds the program and with it an image; the image's path, if both worked.
pub(crate) fn build_image(tally: &mut Tally, folder: &Path) -> Result<Option<PathBuf>> {
    create_folder(folder)?;
    let mut built = false;
    timed(tally, "mkdistro", |tally| {
        built = succeeds(&mut cargo(&["build", "--release", "--quiet", "--package", "mkdistro"]))?;
        tally.check("building mkdistro", built);
        Ok(())
    })?;
    if !built {
        return Ok(None);
    }
    let iso = folder.join("out.iso");
    timed(tally, "image", |tally| {
        built = succeeds(&mut image_command(&iso))?;
        tally.check("mkdistro build", built);
        Ok(())
    })?;
    Ok(built.then_some(iso))
}

/// `mkdistro build` of the workspace's own distro.toml.
pub(crate) fn image_command(iso: &Path) -> Command {
    let mut command = Command::new(target().join("release/mkdistro"));
    command.arg("build").arg("--output").arg(iso).current_dir(root());
    command
}

fn boot_tests(tally: &mut Tally, filter: Option<&str>) -> Result<()> {
    let Some(iso) = build_image(tally, &target().join("qemu-tests"))? else { return Ok(()) };
    let mut command = cargo(&["test", "--package", "qemu-tests", "--no-fail-fast", "--"]);
    command.args([format!("--test-threads={MACHINES}").as_str()]).args(filter).env("MKDISTRO_TEST_ISO", iso);
    let runs = libtest(tally, "boot tests", &mut command)?;
    print!("-- the slowest:\n{}", runs.slowest(MACHINES));
    Ok(())
}

/// Runs `cargo test` and counts. One that fails without a failed test (it does not compile, say) is a failure itself.
fn libtest(tally: &mut Tally, name: &str, command: &mut Command) -> Result<Runs> {
    println!("$ {}", shown(command));
    let mut runs = Runs::default();
    let failed_before = tally.failed;
    let context = |error: std::io::Error| format!("running {name}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(context)?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.line(line.trim_end());
            runs.line(line.trim_end());
        }
    }
    let status = child.wait().map_err(context)?;
    if !status.success() && tally.failed == failed_before {
        tally.check(name, false);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Options};

    #[test]
    fn options() {
        assert_eq!(Options::parse(&[]), Ok(Options::default()));
        let options = Options::parse(&["--only", "boot", "containers"]).unwrap();
        assert_eq!(options, Options { only: Some(Kind::Boot), filter: Some("containers".into()) });
        assert!(options.wants(Kind::Boot) && !options.wants(Kind::Unit));
        let filtered = Options::parse(&["x"]).unwrap();
        assert!(filtered.wants(Kind::Unit) && filtered.wants(Kind::Boot) && !filtered.wants(Kind::Lint));
        for bad in [&["--only"][..], &["--only", "x"], &["--fast"], &["a", "b"]] {
            assert!(Options::parse(bad).is_err(), "{bad:?}");
        }
    }
}
