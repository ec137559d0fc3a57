//! `measure ISO MEMORY_MIB`: boots an image once and prints what the READY line says, for `cargo xtask bench`.
//!
//! Each line is a name and a value: seconds, and the fields of the READY line.

use anyhow::{Context, Result};
use qemu_tests::{BOOT_LIMIT, user};
use std::path::Path;
use vm::{Accelerator, Boot, Machine, Vm};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (iso, memory) = (arguments.next(), arguments.next());
    let (iso, memory) = iso.zip(memory).context("usage: measure ISO MEMORY_MIB")?;
    let mut machine = Machine::new(Accelerator::best(), Boot::Cdrom(iso.clone().into()));
    machine.memory_mib = memory.parse().with_context(|| format!("reading the memory size {memory:?}"))?;
    let log = Path::new(&iso).with_extension("log");
    let vm = Vm::start(machine, &user(), &log)?;
    let limit = Accelerator::best().scaled(BOOT_LIMIT);
    let ready = vm.wait_for_line("the READY line", limit, contract::ready::Ready::parse)?;
    println!("READY, seconds since QEMU's start {:.2}", vm.started().elapsed().as_secs_f64());
    println!("READY, seconds since kernel start {:.2}", ready.seconds);
    for (key, value) in &ready.fields {
        println!("{key} {value}");
    }
    Ok(())
}
