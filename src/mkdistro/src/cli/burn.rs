//! `mkdistro burn`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::burn::{self, Device, Source, Target};
use crate::image::megabytes;
use crate::progress::Progress;

/// Write an ISO or raw disk to a USB stick or card, and check it
///
/// Shows what the device is and asks. A device that is mounted or used otherwise is refused, and so is a built-in disk unless
/// --force is given. Everything on the device is lost. What was written is read back and compared.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro burn out.iso /dev/sdb\n  sudo mkdistro burn --yes out.img /dev/mmcblk0"
)]
pub(super) struct Burn {
    /// The ISO or raw disk
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The whole device, e.g. /dev/sdb
    #[arg(value_name = "DEVICE")]
    device: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Write to a built-in disk, too
    #[arg(long)]
    force: bool,
}

impl Burn {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let mut source = Source::open(&self.image)?;
        let target = Target::inspect(&self.device)?;
        if let Some(refusal) = target.refusal(source.size_bytes, self.force) {
            return Err(refusal);
        }
        if !self.yes {
            self.ask(&source, &target)?;
        }
        let mut device = Device::open(&target.node)?;
        burn::burn(&mut source, &mut device, target.size_bytes, progress)?;
        device.reread_partitions();
        progress.say(&format!("{} is on {}", self.image.display(), target.describe()));
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, source: &Source, target: &Target) -> Result<()> {
        let terminal = std::io::stdin();
        ensure!(
            terminal.is_terminal(),
            "nobody there to ask whether to overwrite {}\nhint: --yes says so",
            target.describe()
        );
        let size = megabytes(source.size_bytes);
        let mut question = std::io::stderr();
        write!(
            question,
            "{}\nEverything on it will be lost. Write {} ({size}) to it? Type yes: ",
            target.describe(),
            self.image.display()
        )
        .and_then(|()| question.flush())
        .context("asking")?;
        let mut answer = String::new();
        terminal.read_line(&mut answer).context("reading the answer")?;
        ensure!(answer.trim() == "yes", "nothing was written");
        Ok(())
    }
}
