//! A guest under test.

use crate::{BOOT_LIMIT, POWER_OFF_LIMIT, iso};
use anyhow::Result;
use contract::ready::Ready;
use std::time::{Duration, Instant};
use vm::{Accelerator, Boot, Machine, Vm};

/// Name of a container image that holds busybox and nothing else, see [`Guest::make_busybox_image`].
const BUSYBOX_IMAGE: &str = "localhost/busybox:test";

/// Longest time from a container's start to its web server's answer.
const SERVE_LIMIT: Duration = Duration::from_secs(120);

/// The login user.
pub fn user() -> String {
    contract::settings::Settings::default().user
}

/// The machine of `qemu-system-x86_64 -m 512 -cdrom out.iso`: BIOS, IDE CD, e1000; its network reaches nothing.
///
/// One processor by software emulation: a guest's processors are threads there, two guests with two each on two busy cores
/// wait for each other's locks, and now and then a second processor's timer is lost for good.
pub fn machine() -> Result<Machine> {
    let accelerator = Accelerator::best();
    let mut machine = Machine::new(accelerator, Boot::Cdrom(iso()?));
    if accelerator == Accelerator::Tcg {
        machine.cpus = 1;
    }
    Ok(machine)
}

/// A guest that has reached READY. When a test panics, the end of its console is printed.
pub struct Guest {
    vm: Vm,
    ready: Ready,
}

impl std::ops::Deref for Guest {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        &self.vm
    }
}

impl Guest {
    /// Boots `machine` up to READY; the console's log has the test's name.
    pub fn boot(name: &str, machine: Machine) -> Result<Self> {
        Self::boot_with(name, machine, |_| Ok(()))
    }

    /// The same for a machine that wants something before it is ready.
    pub fn boot_with(name: &str, machine: Machine, give: impl FnOnce(&Vm) -> Result<()>) -> Result<Self> {
        let vm = Vm::start(machine, &user(), &crate::log_file(name)?)?;
        give(&vm)?;
        let ready = vm.wait_ready(BOOT_LIMIT)?;
        Ok(Self { vm, ready })
    }

    /// Its READY line.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Runs a command that must succeed; its output without the last line break.
    pub fn ok(&self, command: &str) -> Result<String> {
        let output = self.vm.ssh(command)?;
        if output.status != 0 {
            return Err(self.vm.failure(format_args!(
                "in the guest: {command}\nexit status {}\nstdout: {}\nstderr: {}",
                output.status, output.stdout, output.stderr
            )));
        }
        Ok(output.stdout.trim_end().to_string())
    }

    /// Runs a command; its exit status.
    pub fn status(&self, command: &str) -> Result<i32> {
        let output = self.vm.ssh(command)?;
        // ssh(1)'s own status for a lost connection: no verdict about the command.
        if output.status == 255 {
            return Err(self.vm.failure(format_args!("in the guest: {command}\n{}", output.stderr)));
        }
        Ok(output.status)
    }

    /// Runs a command as root in a second, when the connection that asked for it has ended: it may end SSH or the machine.
    pub fn soon(&self, command: &str) -> Result<()> {
        let detached = format!("setsid sh -c \"sleep 1; {command}\" < /dev/null > /dev/null 2>&1 &");
        self.ok(&format!("sudo sh -c '{detached}'"))?;
        Ok(())
    }

    /// Asks the guest to reboot and waits for the next READY.
    pub fn reboot(&mut self) -> Result<()> {
        self.reboot_with(|_| Ok(()))
    }

    /// The same for a machine that wants something before it is ready.
    pub fn reboot_with(&mut self, give: impl FnOnce(&Vm) -> Result<()>) -> Result<()> {
        let before = self.ok("cat /proc/sys/kernel/random/boot_id")?;
        self.soon("reboot")?;
        self.vm.begin_boot();
        give(&self.vm)?;
        self.ready = self.vm.wait_ready(BOOT_LIMIT)?;
        let after = self.ok("cat /proc/sys/kernel/random/boot_id")?;
        assert_ne!(before, after, "READY again without a reboot");
        Ok(())
    }

    /// Waits until a web server of the guest answers with this text at a port of the build host.
    pub fn serves(&self, port: u16, text: &str) -> Result<()> {
        let end = Instant::now() + SERVE_LIMIT;
        loop {
            match crate::http_get(port) {
                Ok(answer) if answer.ends_with(text) => return Ok(()),
                answer if Instant::now() > end => {
                    return Err(self.vm.failure(format_args!("port {port}: expected {text:?}, found {answer:?}")));
                }
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// Presses the power button and waits for the end, which must be the guest's own.
    pub fn power_off(&self) -> Result<()> {
        self.vm.qmp().system_powerdown()?;
        self.wait_for_power_off()
    }

    /// Waits for the end, which must be the guest's own.
    pub fn wait_for_power_off(&self) -> Result<()> {
        let status = self.vm.wait_exit(POWER_OFF_LIMIT)?;
        if !status.success() {
            return Err(self.vm.failure(format_args!("QEMU ended with {status}")));
        }
        Ok(())
    }

    /// Makes a container image from the guest's own busybox, as an archive that `podman load` reads, and loads it. Gives its
    /// name. Nothing comes from outside.
    pub fn make_busybox_image(&self) -> Result<&'static str> {
        self.ok(&format!(
            "sudo sh -ec '
                busybox=$(readlink -f /bin/busybox)
                mkdir -p /tmp/rootfs/bin /tmp/rootfs/tmp /tmp/rootfs/etc
                cp \"$busybox\" /tmp/rootfs/bin/busybox
                for applet in $(\"$busybox\" --list); do
                    [ \"$applet\" = busybox ] || ln -sf busybox \"/tmp/rootfs/bin/$applet\"
                done
                tar -C /tmp/rootfs -cf /tmp/rootfs.tar .
                podman import -q /tmp/rootfs.tar {BUSYBOX_IMAGE}
                podman save -q -o /tmp/image.tar {BUSYBOX_IMAGE}
                podman rmi -f {BUSYBOX_IMAGE}
                podman load -q -i /tmp/image.tar
                rm -rf /tmp/rootfs /tmp/rootfs.tar /tmp/image.tar
            '"
        ))?;
        self.ok(&format!("sudo podman image exists {BUSYBOX_IMAGE}"))?;
        Ok(BUSYBOX_IMAGE)
    }

    /// Whether that image is there.
    pub fn has_busybox_image(&self) -> Result<bool> {
        Ok(self.status(&format!("sudo podman image exists {BUSYBOX_IMAGE}"))? == 0)
    }

    /// Fingerprint-like line of the SSH host key, as a client sees it.
    pub fn host_key(&self) -> Result<String> {
        let port = self.vm.access()?.port().to_string();
        let output = crate::host("ssh-keyscan", |command| {
            command.args(["-T", "60", "-t", "ed25519", "-p", &port, "127.0.0.1"])
        })?;
        let key = output.stdout.lines().find_map(|line| line.split_once(" ssh-ed25519 "));
        let (_, key) = key.ok_or_else(|| self.vm.failure(format_args!("no ed25519 host key: {output:?}")))?;
        Ok(key.trim().to_string())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.vm.failure("the guest of the failed test:"));
        }
    }
}
