//! `mkdistro matrix`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vm::{Accelerator, Boot, Device, Machine, NetworkModel, Vm};

use super::making::image_time;
use super::print_line;
use super::project::ProjectArguments;
use crate::config::{self, Checked};
use crate::image::{self, BootFiles};
use crate::matrix::{Manifest, NO_FLAVOUR, Outcome, Pair, Row, Suite, Table, versions};
use crate::progress::Progress;
use crate::{fetch, lock, make};

/// Under KVM; software emulation gets ten times as long.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);
/// Of the table's files, without their endings.
const DEFAULT_OUTPUT: &str = "matrix";

/// Build and boot every suite with every flavour; table the versions that run
///
/// The manifest names suites and flavours. Each pair is locked against its suites as they are now (the project's lock is
/// not touched), built, booted under QEMU without a way out, and asked for the version of each component. Writes
/// matrix.md and matrix.json. A pair that fails is in them with its reason, and the others go on.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro matrix\n  mkdistro matrix --manifest ci/matrix.toml --output versions\n  \
                             mkdistro matrix --only trixie/podman"
)]
pub(super) struct Matrix {
    #[command(flatten)]
    project: ProjectArguments,
    /// The manifest [default: matrix.toml in the project's folder]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Only this pair; may be repeated
    #[arg(long, value_name = "SUITE/FLAVOUR")]
    only: Vec<String>,
    /// Where the table goes: FILE.md and FILE.json
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_OUTPUT)]
    output: PathBuf,
}

impl Matrix {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let path = self.manifest.clone().unwrap_or_else(|| self.project.project.join("matrix.toml"));
        let manifest = Manifest::load(&path)?;
        let pairs = manifest.pairs(&self.project.load()?, &self.only)?;
        let outputs = ["md", "json"].map(|ending| {
            let mut name = self.output.clone().into_os_string();
            name.push(format!(".{ending}"));
            PathBuf::from(name)
        });
        outputs.iter().try_for_each(|output| image::check_output(output))?;
        let mut table = Table::default();
        for pair in pairs {
            progress.say(&format!("{pair}:"));
            let suite = manifest.suite(&pair).context("a pair without a suite")?;
            let outcome = self.pair(&pair, suite, manifest.memory_mib, progress).unwrap_or_else(|error| {
                progress.warn(&format!("{pair}: {error:#}"));
                Outcome::Failed(format!("{error:#}").lines().next().unwrap_or_default().to_owned())
            });
            table.rows.push(Row { pair, outcome });
        }
        image::write_file(&outputs[0], table.markdown().as_bytes())?;
        image::write_file(&outputs[1], table.json()?.as_bytes())?;
        outputs.iter().try_for_each(|output| print_line(output.display()))?;
        let failed = table.failed();
        ensure!(failed.is_empty(), "{} of {} pairs failed: {}", failed.len(), table.rows.len(), failed.join(", "));
        Ok(ExitCode::SUCCESS)
    }

    fn pair(&self, pair: &Pair, suite: &Suite, memory_mib: u32, progress: &dyn Progress) -> Result<Outcome> {
        let flavour = Some(pair.flavour.as_str()).filter(|name| *name != NO_FLAVOUR);
        let mut checked = config::load_flavour(&self.project.project, flavour)?;
        suite.apply(&mut checked);
        // Nobody keeps it.
        checked.distro.root.compression = "zstd:3".into();
        let folder = tempfile::tempdir().context("making a temporary folder for the pair")?;
        let user = checked.settings().user;
        let boot = self.boot_files(checked, folder.path(), progress)?;
        let task = progress.start("booting", 0);
        let outcome = ask(boot, memory_mib, &user, folder.path(), progress)?;
        task.finish("asked for its versions");
        Ok(outcome)
    }

    fn boot_files(&self, checked: Checked, folder: &Path, progress: &dyn Progress) -> Result<Boot> {
        let lock = self.project.resolve(&checked, None, progress)?;
        let fetcher = self.project.fetcher(&checked, false)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let mtime = image_time(None, &locked.lock)?;
        let made = make::make(fetch::fetch(locked, &fetcher, progress)?, mtime, progress)?;
        image::write_boot_files(&made.checked, &made.root, folder, mtime, progress)?;
        let files = BootFiles::of(&made.checked, folder);
        Ok(Boot::Kernel { kernel: files.kernel, initrd: files.initramfs, cmdline: files.command_line })
    }
}

/// Boots it, asks it, and switches it off.
fn ask(boot: Boot, memory_mib: u32, user: &str, folder: &Path, progress: &dyn Progress) -> Result<Outcome> {
    let mut machine = Machine::new(Accelerator::best(), boot);
    machine.memory_mib = memory_mib;
    machine.devices.push(Device::Rng);
    if let Some(network) = machine.user_network() {
        network.model = NetworkModel::Virtio;
        network.isolated = true;
    }
    let vm = Vm::start(machine, user, &folder.join("console.log"))?;
    let ready = vm.wait_ready(BOOT_LIMIT)?;
    let answer = vm.ssh(&versions::script())?;
    ensure!(answer.status == 0, "asking for versions: exit status {}: {}", answer.status, answer.stderr.trim());
    let (versions, unread) = versions::read(&answer.stdout);
    unread.iter().for_each(|component| progress.warn(&format!("no version in the answer of {component}")));
    ensure!(versions.contains_key("linux"), "asking for versions: the system gave none: {:?}", answer.stdout);
    // It need not answer: the connection goes down with the machine.
    let _ = vm.ssh("sudo poweroff");
    vm.wait_exit(POWER_OFF_LIMIT)?;
    Ok(Outcome::Runs { distribution: format!("{} {}", ready.distro, ready.version), versions })
}
