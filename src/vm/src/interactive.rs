//! A machine for a person: its serial console in the terminal.

use crate::machine::{Machine, QEMU, Serial};
use crate::process::paste;
use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::process::{Command, ExitStatus};

/// Runs a machine with its first serial port on stdin and stdout until it ends. Ctrl-A X ends QEMU, Ctrl-A C changes to its
/// monitor. The terminal is as it was afterwards, also when QEMU was killed.
pub fn interactive(machine: &Machine) -> Result<ExitStatus> {
    let machine = Machine { serial: Serial::Stdio, ..machine.clone() };
    let mut command = Command::new(QEMU);
    command.args(machine.arguments());
    let stdin = std::io::stdin();
    let terminal = tcgetattr(&stdin).ok();
    let status = command.status().with_context(|| format!("running {}\nhint: is {QEMU} installed?", paste(&command)));
    if let Some(terminal) = terminal {
        tcsetattr(&stdin, OptionalActions::Drain, &terminal).context("restoring the terminal")?;
    }
    status
}
