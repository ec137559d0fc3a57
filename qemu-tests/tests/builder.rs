//! What `mkdistro build` does when something is wrong, on the real project and its real packages: every failure has its
//! exit code, names what is wrong, and leaves no output behind; and twice the same input gives the same bytes.
//!
//! No guest is started. The packages come from the cache that building the ISO under test has filled.
#![expect(clippy::unwrap_used, reason = "in a test's own functions too, a panic is the verdict")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::exit;
use mkdistro::lock::{Lock, LockedPackage};
use tempfile::TempDir;

/// A copy of the repository's project in a folder of its own, with a fast compression.
pub(crate) struct Project {
    folder: TempDir,
}

pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self::with_compression("zstd:3")
    }

    fn with_compression(compression: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["distro.toml", "packages", "kernel-config", "overlay"] {
            let status = Command::new("cp").arg("-r").arg(repository().join(name)).arg(folder.path()).status().unwrap();
            assert!(status.success());
        }
        let project = Self { folder };
        project.replace("distro.toml", "zstd:17", compression);
        project.keep_default_flavour();
        project
    }

    /// Leaves the other flavours away, and what they alone have locked.
    fn keep_default_flavour(&self) {
        let checked = mkdistro::config::load(self.folder.path()).unwrap();
        let lock = self.lock().narrowed(&checked, mkdistro::image::BOOT_PACKAGES);
        let text = fs::read_to_string(self.path("distro.toml")).unwrap();
        let (text, _) = text.split_once("\n# Variants").unwrap();
        fs::write(self.path("distro.toml"), text).unwrap();
        lock.write(self.folder.path()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old:?}");
        fs::write(self.path(name), text.replacen(old, new, 1)).unwrap();
    }

    /// No mirror but the folder `mirror` of the project, and an empty cache.
    fn build_from_folder(&self) -> Outcome {
        self.name_mirror(&format!("file://{}", self.path("mirror").display()));
        self.build(&["--cache", self.path("cache").to_str().unwrap()])
    }

    /// The one mirror that is asked.
    pub(crate) fn name_mirror(&self, url: &str) {
        let sources = format!("[sources]\nmirrors = [{url:?}]\nsecurity-mirrors = [{url:?}]\n\n[root]");
        self.replace("distro.toml", "[root]", &sources);
    }

    pub(crate) fn build(&self, arguments: &[&str]) -> Outcome {
        run(Command::new(program()).arg("build").args(arguments).current_dir(self.folder.path()))
    }

    pub(crate) fn lock(&self) -> Lock {
        Lock::read(self.folder.path()).unwrap()
    }

    /// The same for tests that change nothing in it: without copying where that is possible.
    pub(crate) fn link_mirror(&self) {
        for package in self.lock().packages {
            let target = self.path("mirror").join(&package.path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::hard_link(cached(&package), &target)
                .or_else(|_| fs::copy(cached(&package), &target).map(drop))
                .unwrap();
        }
    }

    /// Fills the folder `mirror` from the cache with every locked package.
    fn fill_mirror(&self) {
        for package in self.lock().packages {
            let target = self.path("mirror").join(&package.path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(cached(&package), &target).unwrap();
        }
    }

    #[track_caller]
    pub(crate) fn assert_no_output(&self) {
        let left: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(".iso") || name.contains(".part"))
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

pub(crate) fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: u8, texts: &[&str]) {
        assert_eq!(self.code, Some(i32::from(code)), "{}", self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        }
        assert_eq!(self.stdout, "");
    }
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The release build, which `cargo xtask test` makes first.
pub(crate) fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let program = target.join("release/mkdistro");
    assert!(program.exists(), "{} does not exist\nhint: run \"cargo xtask test\"", program.display());
    program
}

fn cached(package: &LockedPackage) -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    base.join("mkdistro/sha256").join(&package.sha256[..2]).join(&package.sha256)
}

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_name() {
    let project = Project::new();
    project.replace("distro.toml", "[user]\n", "[user]\nautorized-keys = []\n");
    let text = fs::read_to_string(project.path("distro.toml")).unwrap();
    let line = text.lines().position(|line| line.starts_with("autorized")).unwrap() + 1;
    let outcome = project.build(&[]);
    outcome
        .assert_failed(exit::CONFIG, &[&format!("distro.toml:{line}:"), "autorized-keys", "authorized-keys", "hint:"]);
    project.assert_no_output();
}

#[test]
fn a_lock_for_other_recipes_is_refused() {
    let project = Project::new();
    project.replace("distro.toml", "\"sudo\"", "\"sudo\", \"xfsprogs\"");
    project.build(&[]).assert_failed(exit::LOCK, &["packages/lock.toml", "xfsprogs", "hint:", "mkdistro lock"]);
    project.assert_no_output();
}

#[test]
fn a_missing_mirror_is_named_with_the_package() {
    let project = Project::new();
    let outcome = project.build_from_folder();
    let package = &project.lock().packages[0];
    outcome.assert_failed(exit::NETWORK, &[&package.name, &package.version, "file://", "hint:", "snapshot"]);
    project.assert_no_output();
}

#[test]
fn a_tampered_package_is_refused() {
    let project = Project::new();
    project.fill_mirror();
    let package = project.lock().packages.into_iter().find(|package| package.name == "conmon").unwrap();
    let path = project.path("mirror").join(&package.path);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let outcome = project.build_from_folder();
    outcome.assert_failed(exit::VERIFY, &["sha256", "conmon", &package.sha256[..8], "lock.toml", "hint:"]);
    project.assert_no_output();
}

#[test]
fn a_truncated_package_is_refused() {
    let project = Project::new();
    project.fill_mirror();
    let package = project.lock().packages.into_iter().find(|package| package.name == "conmon").unwrap();
    let file = fs::File::options().write(true).open(project.path("mirror").join(&package.path)).unwrap();
    file.set_len(package.size / 2).unwrap();
    let outcome = project.build_from_folder();
    outcome.assert_failed(exit::VERIFY, &["conmon", "hint:"]);
    project.assert_no_output();
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let project = Project::new();
    fs::create_dir(project.path("small")).unwrap();
    // A file system of 8 MB in a mount namespace of its own.
    let script = "mount -t tmpfs -o size=8m none small && \"$0\" build --output small/out.iso; code=$?; \
                  ls -A small; exit $code";
    let outcome = run(Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(program())
        .current_dir(project.folder.path()));
    outcome.assert_failed(exit::OUTPUT, &["small/out.iso", "hint:", "disk is full"]);
}

/// What may differ between two builds that give the same bytes.
struct Surroundings<'a> {
    umask: &'a str,
    zone: &'a str,
    locale: &'a str,
    /// One core instead of all, and an ordinary user instead of root.
    is_humble: bool,
    /// A cache of its own, filled from the folder `mirror`, instead of the usual one.
    has_own_cache: bool,
}

/// An ordinary user that every Debian has: nobody.
const NOBODY: &str = "65534";

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Project {
    fn build_in(&self, surroundings: &Surroundings<'_>) -> Vec<u8> {
        let Surroundings { umask, zone, locale, is_humble, has_own_cache } = surroundings;
        let folder = self.folder.path();
        let own_program = self.path("mkdistro");
        let mut words: Vec<&str> = Vec::new();
        if *is_humble {
            words.extend(["taskset", "--cpu-list", "0"]);
            if is_root() {
                words.extend(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
            }
        }
        words.extend(["sh", "-c", "umask $1; shift; exec \"$@\"", "sh", umask]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        if *is_humble {
            // Where the program lies an ordinary user may not look.
            fs::copy(program(), &own_program).unwrap();
            command.arg(&own_program);
        } else {
            command.arg(program());
        }
        command.args(["build", "--output", "out.iso"]);
        if *has_own_cache {
            let mirror = format!("file://{}", self.path("mirror").display());
            command.args(["--mirror", &mirror, "--cache", "cache"]).env("HOME", folder);
        }
        if *is_humble && is_root() {
            let status = Command::new("chown").args(["-R", NOBODY]).arg(folder).status().unwrap();
            assert!(status.success());
        }
        command.env("TZ", zone).env("LANG", locale).env("LC_ALL", locale).env_remove("SOURCE_DATE_EPOCH");
        let outcome = run(command.current_dir(folder));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        fs::read(self.path("out.iso")).unwrap()
    }
}

/// Another folder, user, umask, time zone, locale, number of cores, state of the caches, and a later time.
#[test]
fn the_distribution_has_no_lint_findings() {
    let project = Project::new();
    let outcome = run(Command::new(program()).args(["lint", "--json"]).current_dir(project.folder.path()));
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&report["fatal"], &report["warnings"]), (&0.into(), &0.into()), "{report:#}");
}

#[test]
fn a_fatal_lint_finding_stops_the_build() {
    let project = Project::new();
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n";
    fs::write(project.path("overlay/etc/key.pem"), key).unwrap();
    let outcome = project.build(&[]);
    outcome.assert_failed(exit::CONFIG, &["fatal: /etc/key.pem (overlay): secret: a private key", "hint:", "allow"]);
    project.assert_no_output();
}

#[test]
fn sums_and_signature_are_right() {
    let project = Project::new();
    let shell =
        |script: &str| run(Command::new("sh").args(["-ec", script]).arg(program()).current_dir(project.folder.path()));
    let outcome = shell("\"$0\" keygen && \"$0\" build --key mkdistro.key && sha256sum --strict -c SHA256SUMS");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("\nout.iso: OK\n"), "{}", outcome.stdout);
    let outcome = shell("minisign -Vm SHA256SUMS -p mkdistro.pub");
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let one = Project::with_compression("zstd:1");
    let plain = Surroundings { umask: "022", zone: "UTC", locale: "C", is_humble: false, has_own_cache: false };
    let first = one.build_in(&plain);

    let two = Project::with_compression("zstd:1");
    two.fill_mirror();
    // Files checked out under another umask have other modes.
    let status = Command::new("chmod").args(["-R", "go-rwx"]).arg(two.folder.path()).status().unwrap();
    assert!(status.success());
    let other = Surroundings {
        umask: "077",
        zone: "Asia/Kathmandu",
        locale: "de_DE.UTF-8",
        is_humble: true,
        has_own_cache: true,
    };
    for cache in ["cold", "warm"] {
        assert!(two.build_in(&other) == first, "the image of the other build, cache {cache}, differs");
    }
}

#[test]
fn an_image_is_verified_by_the_recipe_inside_of_it() {
    let project = Project::with_compression("zstd:1");
    let build = run(Command::new(program())
        .args(["build", "--offline"])
        .env("SOURCE_DATE_EPOCH", "1000000000")
        .current_dir(project.folder.path()));
    assert_eq!(build.code, Some(0), "{}", build.stderr);
    let verify = |file: &str| {
        let elsewhere = tempfile::tempdir().unwrap();
        run(Command::new(program()).args(["verify", "--offline"]).arg(project.path(file)).current_dir(&elsewhere))
    };
    let outcome = verify("out.iso");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("identical: "), "{}", outcome.stdout);

    // The boot menu is stored as it is.
    let mut image = fs::read(project.path("out.iso")).unwrap();
    let at = image.windows(8).position(|window| window == b"TIMEOUT ").unwrap() + 8;
    image[at] ^= 1;
    fs::write(project.path("tampered.iso"), image).unwrap();
    let outcome = verify("tampered.iso");
    assert_eq!(outcome.code, Some(i32::from(exit::VERIFY)), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "files:\n  ~ iso:/isolinux/isolinux.cfg: content\n");
    assert!(outcome.stderr.contains("is not what its recipe gives"), "{}", outcome.stderr);
}
