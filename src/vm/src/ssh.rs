//! SSH into a guest with the host's OpenSSH client: a throw-away key, one kept connection, no file of the user touched.

use crate::process::{Output, capture, paste, run};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An ed25519 key pair made for one machine.
#[derive(Debug, Clone)]
pub struct Key {
    /// File of the private key.
    pub path: PathBuf,
    /// The public key as a line of `authorized_keys`.
    pub public: String,
}

impl Key {
    /// Makes a key pair `id` in `folder` with ssh-keygen(1).
    pub fn generate(folder: &Path) -> Result<Self> {
        let path = folder.join("id");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "mkdistro", "-f"]).arg(&path);
        run(&mut command, Duration::from_secs(60)).context("hint: install openssh-client")?;
        let public = std::fs::read_to_string(path.with_extension("pub")).context("reading the new SSH key")?;
        Ok(Self { path, public: public.trim().to_string() })
    }
}

/// The way into a guest.
pub struct Ssh {
    user: String,
    port: u16,
    key: PathBuf,
    connect_timeout_secs: u64,
    control: PathBuf,
    master: Mutex<Option<Child>>,
}

impl Ssh {
    /// `user` at `port` of this host's loopback. `folder` takes the socket of the kept connection.
    pub fn new(user: &str, port: u16, key: &Key, folder: &Path, connect_limit: Duration) -> Self {
        Self {
            user: user.into(),
            port,
            key: key.path.clone(),
            connect_timeout_secs: connect_limit.as_secs().max(1),
            control: folder.join("ssh"),
            master: Mutex::new(None),
        }
    }

    /// The forwarded port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// File of the private key.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The address by which clients of an engine connect, which listens on `socket` in the guest.
    pub fn url(&self, socket: &str) -> String {
        format!("ssh://{}:{}{socket}", self.target(), self.port)
    }

    /// A client without a command, its options complete.
    pub fn client(&self) -> Command {
        let mut command = Command::new("ssh");
        // `-F none`: no configuration of the user or the host.
        command.args(["-F", "none", "-i"]).arg(&self.key).args(["-p", &self.port.to_string()]);
        let timeout = format!("ConnectTimeout={}", self.connect_timeout_secs);
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "LogLevel=ERROR",
            &timeout,
        ] {
            command.args(["-o", option]);
        }
        command
    }

    /// The command line for a person's terminal.
    pub fn command_line(&self) -> String {
        let mut command = Command::new("ssh");
        command.arg("-i").arg(&self.key).args(["-p", &self.port.to_string()]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]).arg(self.target());
        paste(&command)
    }

    /// The command that makes podman's remote client know the guest as `name`.
    pub fn connection_line(&self, name: &str) -> String {
        let mut command = Command::new("podman");
        command.args(["system", "connection", "add", "--identity"]).arg(&self.key).arg(name);
        command.arg(self.url(contract::paths::PODMAN_SOCKET));
        paste(&command)
    }

    fn target(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }

    /// Opens the connection that later commands share. It is a process of our own in the foreground: OpenSSH's
    /// `ControlPersist` leaves a daemon behind that keeps stderr open.
    pub(crate) fn keep(&self) -> Result<()> {
        self.drop_kept();
        let mut command = self.client();
        command.args(["-o", "ControlMaster=yes", "-N", "-S"]).arg(&self.control).arg(self.target());
        command.args(["-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("starting {}", paste(&command)))?;
        *self.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    /// Closes the shared connection; a reboot leaves it dead.
    pub(crate) fn drop_kept(&self) {
        if let Some(mut child) = self.master.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(&self.control);
    }

    /// Runs `command` in the user's login shell with `stdin`. Status 255 with a message of ssh(1) on stderr: no connection.
    pub(crate) fn run(
        &self,
        command: &str,
        stdin: &[u8],
        limit: Duration,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Output> {
        let mut client = self.client();
        // Without the socket, ssh(1) connects by itself.
        client.args(["-o", "ControlMaster=no", "-S"]).arg(&self.control).arg(self.target()).arg(command);
        capture(&mut client, stdin, limit, check)
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.drop_kept();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_key_and_a_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::generate(folder.path()).unwrap();
        assert!(key.public.starts_with("ssh-ed25519 AAAA") && key.public.ends_with(" mkdistro"), "{}", key.public);
        let ssh = Ssh::new("core", 2222, &key, folder.path(), Duration::from_secs(3));
        let expected = format!(
            "ssh -i {}/id -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null core@127.0.0.1",
            folder.path().display()
        );
        assert_eq!(ssh.command_line(), expected);
        let expected = format!(
            "podman system connection add --identity {}/id box ssh://core@127.0.0.1:2222/run/podman/podman.sock",
            folder.path().display()
        );
        assert_eq!(ssh.connection_line("box"), expected);
    }

    #[test]
    fn nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::generate(folder.path()).unwrap();
        let ssh = Ssh::new("core", crate::free_port().unwrap(), &key, folder.path(), Duration::from_secs(3));
        let output = ssh.run("true", b"", Duration::from_secs(60), &|| Ok(())).unwrap();
        assert_eq!(output.status, 255);
        assert!(output.stderr.contains("refused"), "{}", output.stderr);
    }
}
