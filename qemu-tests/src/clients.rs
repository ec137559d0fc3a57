//! The engines' clients on the build host: docker, docker-compose and podman of the locked packages, whatever release the
//! host is. They are unpacked into a folder and started by their own dynamic loader with their own libraries; of the host they
//! use ssh(1) alone.

use anyhow::{Context, Result, ensure};
use mkdistro::archive::mirrors::Mirrors;
use mkdistro::fetch::{Cache, Fetcher};
use mkdistro::lock::{Lock, Locked};
use mkdistro::progress::Silent;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vm::{Accelerator, Output};

/// Where the programs are, and what they need.
const PACKAGES: [&str; 10] = [
    "docker-cli",
    "docker-compose",
    "podman",
    "libc6",
    "libsubid5",
    "libsqlite3-0",
    "libgpgme11t64",
    "libassuan9",
    "libgpg-error0",
    "libseccomp2",
];
const DOCKER: &str = "docker-cli/usr/bin/docker";
const COMPOSE: &str = "docker-compose/usr/libexec/docker/cli-plugins/docker-compose";
const PODMAN: &str = "podman/usr/bin/podman";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "libc6/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// Longest time for a command, under KVM.
const LIMIT: Duration = Duration::from_secs(60);

/// Unpacked clients, with a home of their own.
pub struct Clients {
    folder: tempfile::TempDir,
}

impl Clients {
    /// Fetches and unpacks them.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("making the clients' folder")?;
        for (name, file) in fetch()? {
            let package = mkdistro::deb::open(&file, &name.as_str().into(), &|_| true)?;
            let target = folder.path().join(&name);
            std::fs::create_dir(&target).with_context(|| format!("making {}", target.display()))?;
            mkdistro::shell::extract(&package.tree, &target)?;
        }
        for name in ["home", "bin"] {
            std::fs::create_dir(folder.path().join(name)).with_context(|| format!("making the clients' {name}"))?;
        }
        Ok(Self { folder })
    }

    /// Their home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Makes the ssh(1) that Docker's clients start one with the options of `client`: its own configuration file is that of
    /// the user who runs the tests, wherever `HOME` is.
    pub fn use_ssh(&self, client: &Command) -> Result<()> {
        let path = self.folder.path().join("bin/ssh");
        let program = vm::disk::find_program("ssh").context("looking for ssh")?;
        let words = client.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let script = format!("#!/bin/sh\nexec '{}' {words} \"$@\"\n", program.display());
        std::fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).context("making it a program")
    }

    /// Docker's client.
    pub fn docker(&self) -> Command {
        self.program(DOCKER)
    }

    /// Compose, by itself.
    pub fn compose(&self) -> Command {
        self.program(COMPOSE)
    }

    /// podman, which as such has no engine here.
    pub fn podman(&self) -> Command {
        let mut command = self.program(PODMAN);
        command.arg("--remote");
        command
    }

    fn program(&self, path: &str) -> Command {
        let at = |path: &str| self.folder.path().join(path);
        let libraries = PACKAGES.map(|name| at(name).join(LIBRARIES).display().to_string()).join(":");
        let own = at("bin").display().to_string();
        let mut command = Command::new(at(LOADER));
        command.arg("--library-path").arg(libraries).arg(at(path));
        command.env_clear().env("HOME", self.home()).env("XDG_RUNTIME_DIR", self.home());
        command.env("PATH", std::env::var("PATH").map_or(own.clone(), |path| format!("{own}:{path}")));
        command
    }
}

/// Runs a client with `stdin` to its end, whatever that is.
pub fn run(command: &mut Command, stdin: &str) -> Result<Output> {
    vm::capture(command, stdin.as_bytes(), Accelerator::best().scaled(LIMIT), &|| Ok(()))
}

/// Runs a client that must succeed; its output without the last line break.
pub fn ok(command: &mut Command) -> Result<String> {
    let output = run(command, "")?;
    ensure!(output.status == 0, "{}: {output:?}", vm::paste(command));
    Ok(output.stdout.trim_end().to_string())
}

/// Package → its file in the cache.
fn fetch() -> Result<Vec<(String, PathBuf)>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let checked = mkdistro::config::load(&project)?;
    let mut lock = Lock::read(&project)?;
    lock.packages.retain(|package| PACKAGES.contains(&package.name.as_str()));
    ensure!(lock.packages.len() == PACKAGES.len(), "not all in the lock: {PACKAGES:?}");
    lock.images.clear();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cache = Cache::open(&cache.context("finding the cache: HOME is not set")?.join("mkdistro"))?;
    let fetcher = Fetcher::new(cache, Mirrors::of_system(&checked.distro.sources)?, false);
    let fetched = mkdistro::fetch::fetch(Locked { checked, lock }, &fetcher, &Silent)?;
    Ok(fetched.files.into_iter().collect())
}
