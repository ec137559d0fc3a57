//! The kernel's source tree in the cache: unpacked from Debian's package, configured and compiled there, as an ordinary
//! user. The output folder is inside the tree, so that the kernel's make calls the compiler with relative paths, and the
//! result does not depend on where the cache is (kernel `Documentation/kbuild/reproducible-builds.rst`).

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use formats::tree::Tree;

use super::store::failed;
use crate::archive::date;
use crate::deb::{self, compression};
use crate::problem::{Class, Problem};

/// The unpacked source of Linux 6.12 has 1.5 GB.
const MAX_SOURCE_BYTES: u64 = 8 << 30;
const MAX_THREADS: u32 = 8;
/// Lines of the log that an error shows.
const SHOWN_LINES: usize = 25;
/// The output folder in the tree.
const OUTPUT: &str = "build";

/// A source tree that is unpacked, and locked against other builds.
pub(super) struct SourceTree {
    dir: PathBuf,
    log: PathBuf,
    _lock: File,
}

impl SourceTree {
    /// Unpacks the package `file` into `folder` unless that has been done, and locks it. Waits for another build there.
    pub(super) fn open(folder: &Path, file: &Path, unpacking: &dyn Fn()) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| failed("making", folder, &error))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(|error| failed("creating", &lock_path, &error))?;
        lock.lock().with_context(|| format!("locking {}", lock_path.display()))?;
        let tree = Self { dir: folder.join("linux"), log: folder.join("build.log"), _lock: lock };
        if !tree.dir.exists() {
            unpacking();
            unpack(folder, file, &tree.dir)?;
        }
        Ok(tree)
    }

    /// The tree itself, for its Kconfig files.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the build puts its files.
    pub(super) fn output(&self) -> PathBuf {
        self.dir.join(OUTPUT)
    }

    /// What the compiler and linker write.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Merges options onto a configuration in which everything is off; returns what Kconfig made of them.
    pub(super) fn configure(&self, merged: &str) -> Result<String> {
        let output = self.output();
        fs::create_dir_all(&output).map_err(|error| failed("making", &output, &error))?;
        let request = output.join("merged.config");
        fs::write(&request, merged).map_err(|error| failed("writing", &request, &error))?;
        self.make("configuring the kernel", &["allnoconfig"], &[("KCONFIG_ALLCONFIG", &request.to_string_lossy())])?;
        let path = output.join(".config");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Compiles what is configured.
    pub(super) fn compile(&self) -> Result<()> {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        // Kconfig's own files of an earlier configuration are brought up to date by make.
        self.make("compiling the kernel", &[&format!("-j{jobs}"), "bzImage"], &[])
    }

    fn make(&self, what: &str, targets: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        let log = File::create(&self.log).map_err(|error| failed("creating", &self.log, &error))?;
        let copy = log.try_clone().with_context(|| format!("opening {}", self.log.display()))?;
        let mut command = Command::new("make");
        command.arg("-C").arg(&self.dir).arg(format!("O={OUTPUT}")).arg("ARCH=x86_64").args(targets);
        command.env_clear().envs(self.environment()?).envs(variables.iter().copied());
        command.stdin(std::process::Stdio::null()).stdout(log).stderr(copy);
        let status = command.status().with_context(|| format!("{what}: running make"))?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&self.log).unwrap_or_default();
        let message = format!(
            "{what}: make ended with {status}; the end of {}:\n{}",
            self.log.display(),
            last_lines(&String::from_utf8_lossy(&text))
        );
        Err(anyhow::Error::msg(message))
    }

    /// Nothing of the user's environment but where programs are; what else the kernel would take from the host is fixed.
    fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let makefile = self.dir.join("Makefile");
        // Set by whoever made the package, so the same wherever it is unpacked.
        let seconds = makefile.metadata().with_context(|| format!("reading {}", makefile.display()))?.mtime();
        let time = date::format_rfc3339(u64::try_from(seconds).unwrap_or_default());
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        Ok(vec![
            ("PATH", path),
            ("LC_ALL", "C".into()),
            ("TZ", "UTC".into()),
            ("KBUILD_BUILD_TIMESTAMP", time),
            ("KBUILD_BUILD_USER", "mkdistro".into()),
            ("KBUILD_BUILD_HOST", "mkdistro".into()),
            ("KBUILD_BUILD_VERSION", "1".into()),
        ])
    }
}

/// Unpacks the tar archive in a linux-source package and gives its one folder the name `target`.
fn unpack(folder: &Path, file: &Path, target: &Path) -> Result<()> {
    let is_archive = |path: &[u8]| path.starts_with(b"usr/src/linux-source-") && contains(path, b".tar");
    let package = deb::open(file, &Arc::from("linux-source"), &is_archive)?;
    let (name, content) = archive(&package.tree)?;
    let partial = tempfile::tempdir_in(folder).map_err(|error| failed("making a folder in", folder, &error))?;
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u32).min(MAX_THREADS);
    let mut tar = tar::Archive::new(compression::decoder(&name, &content, MAX_SOURCE_BYTES, threads)?);
    tar.set_preserve_mtime(true);
    tar.unpack(partial.path()).with_context(|| format!("unpacking {name} into {}", folder.display()))?;
    let tops: Vec<_> = fs::read_dir(partial.path())
        .and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("reading {}", partial.path().display()))?;
    let [top] = tops.as_slice() else {
        anyhow::bail!("unpacking {name}: expected one folder in it, found {}", tops.len());
    };
    ensure!(top.path().join("Makefile").is_file(), "unpacking {name}: {:?} in it has no Makefile", top.file_name());
    fs::rename(top.path(), target).map_err(|error| failed("renaming to", target, &error))
}

/// The archive in the package: file name and content.
fn archive(tree: &Tree) -> Result<(String, bytes::Bytes)> {
    let files = tree.iter().filter_map(|(path, node)| Some((path, node.content()?)));
    let files: Vec<_> = files.filter(|(path, _)| contains(path, b".tar")).collect();
    let [(path, content)] = files.as_slice() else {
        let message =
            format!("expected one /usr/src/linux-source-VERSION.tar.xz in the package, found {}", files.len());
        return Err(Problem::error(Class::Config, message, "check [kernel] source-package in distro.toml"));
    };
    let path = String::from_utf8_lossy(path);
    Ok((path.rsplit('/').next().unwrap_or(&path).to_owned(), (*content).clone()))
}

fn contains(path: &[u8], part: &[u8]) -> bool {
    path.windows(part.len()).any(|window| window == part)
}

/// The last lines, those of the compiler's complaints first if there are any among them.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let first = lines.iter().position(|line| line.contains("error:")).map(|at| at.saturating_sub(2));
    let from = first.unwrap_or(lines.len().saturating_sub(SHOWN_LINES));
    let shown: Vec<String> = lines.iter().skip(from).take(SHOWN_LINES).map(|line| format!("  {line}")).collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn shows_the_first_complaint_or_the_end() {
        let log: String = (0..100).map(|number| format!("  CC {number}\n")).collect();
        let shown = last_lines(&log);
        assert_eq!((shown.lines().count(), shown.lines().next()), (25, Some("    CC 75")));
        let log = log.replace("CC 40", "x.c:1: error: no");
        assert_eq!(last_lines(&log).lines().nth(2), Some("    x.c:1: error: no"));
        assert_eq!(last_lines(""), "");
    }
}
