//! PID 1 of the guest, and its module loader. One thread; nothing outside may end it, so it parses only what the builder
//! and the kernel write, and every failure has somewhere to go.

use std::process::ExitCode;

mod alias;
mod cgroup;
mod coldplug;
mod console;
mod container;
mod context;
mod control;
mod failure;
mod hand;
mod initramfs;
mod modules;
mod power;
mod reap;
mod reload;
mod rescue;
mod retained;
mod root;
mod service;
mod shutdown;
mod signals;
mod steps;
mod supervisor;
mod sys;
mod sysctl;
mod uevent;
mod unmount;
mod watchdog;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next();
    if std::process::id() == 1 {
        if container::detect() {
            rescue::open_on_panic(rescue::Ask::No);
            container::run()
        }
        let in_initramfs = program.is_some_and(|program| program == "/init");
        rescue::open_on_panic(if in_initramfs { rescue::Ask::First } else { rescue::Ask::No });
        if in_initramfs { initramfs::run() } else { root::run() }
    }
    let argument = arguments.next();
    match argument.as_ref().and_then(|argument| argument.to_str()) {
        Some("--version") => {
            println!("init {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(contract::paths::MODULES_SERVICE) => {
            coldplug::run(&context::Context::read());
            ExitCode::FAILURE
        }
        _ => {
            eprintln!("init: this is PID 1 of the machine and runs only as that; use poweroff, reboot or halt");
            ExitCode::FAILURE
        }
    }
}
