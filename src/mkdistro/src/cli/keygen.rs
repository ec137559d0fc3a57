//! `mkdistro keygen`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print_line;
use crate::progress::Progress;
use crate::sums::minisign::SecretKey;

/// Make a key pair that signs images
///
/// Writes the secret key (without a password: keep it to yourself) and beside it the public key with the extension .pub,
/// both in minisign's format. Prints the public key.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro keygen\n  mkdistro keygen release.key\n  mkdistro build --key release.key\n  \
                             minisign -Vm SHA256SUMS -p release.pub && sha256sum -c SHA256SUMS"
)]
pub(super) struct Keygen {
    /// Where the secret key goes
    #[arg(default_value = "mkdistro.key")]
    file: PathBuf,
}

impl Keygen {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let key = SecretKey::generate()?;
        let public = key.save(&self.file)?;
        progress.say(&format!("wrote {} (secret) and {}", self.file.display(), public.display()));
        print_line(key.public_line())?;
        Ok(ExitCode::SUCCESS)
    }
}
