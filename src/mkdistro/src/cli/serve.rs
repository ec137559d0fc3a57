//! `mkdistro serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use super::print_line;
use crate::progress::Progress;
use crate::serve::Server;

/// Serve a folder over HTTP, for machines that boot from the network
///
/// Prints the URL and what to type at iPXE's prompt or to write into a DHCP server's configuration. Whoever reaches the
/// address may read every file of the folder. Ends with Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro serve\n  \
                             mkdistro serve images --listen 192.168.1.5:80")]
pub(super) struct Serve {
    /// The folder, as "build --format pxe" makes it
    #[arg(default_value = "out.pxe")]
    folder: PathBuf,
    /// The address and port to listen on
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDR:PORT")]
    listen: SocketAddr,
}

impl Serve {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let hint = "hint: \"mkdistro build --format pxe\" makes one";
        ensure!(self.folder.exists(), "{} does not exist\n{hint}", self.folder.display());
        let server = Server::bind(&self.folder, self.listen)?;
        let address = server.address()?;
        // At once: who has read the first line may be gone before a second one.
        let mut text = format!("http://{address}/");
        if self.folder.join("boot.ipxe").exists() {
            text.push_str(&format!("\nipxe: chain http://{address}/boot.ipxe"));
        }
        print_line(text)?;
        server.run(&|line| progress.say(line));
        Ok(ExitCode::SUCCESS)
    }
}
