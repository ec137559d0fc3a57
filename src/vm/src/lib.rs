//! QEMU virtual machines: what a machine is made of, the accelerator that works, the serial console, QMP, SSH.
//!
//! Shared by `mkdistro run` and the boot tests. It does not know how an image was made. Two ways to use it:
//! [`Vm::start`] for programs (console in a log, verdicts over SSH and QMP) and [`interactive`] for people (the
//! console in the terminal).

mod accelerator;
mod console;
pub mod disk;
mod interactive;
mod keyboard;
mod machine;
mod process;
mod qmp;
mod running;
pub mod ssh;
mod write_log;

pub use accelerator::Accelerator;
pub use interactive::interactive;
pub use machine::{
    Boot, Bus, CdBus, Device, Disk, DiskFormat, Firmware, FwCfg, Machine, MachineType, Network, NetworkModel, Serial,
    Uefi, UserNetwork, Variables,
};
pub use process::{Output, capture, paste, run};
pub use qmp::Qmp;
pub use running::{Vm, free_port};
pub use write_log::{Fate, WriteLog};
