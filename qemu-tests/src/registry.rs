//! A container registry on the build host: Debian's `docker-registry` on a free port of the loopback.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running registry, empty at first. Dropped, it ends.
pub struct Registry {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one that anybody may use, and waits until it listens.
    pub fn start() -> Result<Self> {
        Self::start_for(None)
    }

    /// Starts one for this user, whose password's bcrypt hash is given.
    pub fn start_with_login(user: &str, hash: &str) -> Result<Self> {
        Self::start_for(Some(format!("{user}:{hash}\n")))
    }

    fn start_for(login: Option<String>) -> Result<Self> {
        let folder = tempfile::tempdir().context("making the registry's folder")?;
        let port = vm::free_port()?;
        // Reference: distribution's docs/configuration.md. JSON is YAML.
        let mut config = serde_json::json!({
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}},
            "http": {"addr": format!("127.0.0.1:{port}")},
        });
        if let Some(login) = login {
            let users = folder.path().join("htpasswd");
            std::fs::write(&users, login).context("writing the registry's users")?;
            config["auth"] = serde_json::json!({"htpasswd": {"realm": "test", "path": users}});
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config.to_string()).context("writing the registry's configuration")?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().context("starting docker-registry\nhint: run \"cargo xtask setup\"")?;
        let mut registry = Self { process, port, _folder: folder };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = registry.process.try_wait().context("asking for the registry's state")? {
                bail!("{} ended at once: {status}", vm::paste(&command));
            }
            if Instant::now() > end {
                bail!("{} does not listen on port {port}", vm::paste(&command));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(registry)
    }

    /// What `vm::UserNetwork::services` needs for an isolated guest to reach it at `address`.
    pub fn service(&self, address: &str) -> (String, String) {
        (address.into(), format!("socat - TCP:127.0.0.1:{}", self.port))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
