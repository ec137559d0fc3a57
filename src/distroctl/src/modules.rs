//! Kernel modules that a sub-command needs and hardware does not ask for.

use std::process::{Command, Stdio};

use crate::console;

/// Loads a module by name through busybox: the kernel's own `request_module` needs `/sbin/modprobe`, which need not exist.
/// A module that is built in, or missing, is the business of what comes next.
pub(crate) fn load(name: &str) {
    load_with(name, &[]);
}

/// The same with parameters, `KEY=VALUE` each.
pub(crate) fn load_with(name: &str, parameters: &[&str]) {
    let mut modprobe = Command::new("/usr/bin/busybox");
    let result = modprobe.args(["modprobe", "-q", name]).args(parameters).stdin(Stdio::null()).status();
    match result {
        Ok(status) if status.success() => {}
        Ok(status) => console::log(&format!("modprobe {name}: {status}")),
        Err(error) => console::log(&format!("starting /usr/bin/busybox modprobe {name}: {error}")),
    }
}

/// Whether `/proc/modules` has a module whose initialisation, and with it the probing of its hardware, still runs.
/// Fields: name, size, references, users, state (`Live`, `Loading`, `Unloading`), address (kernel `kernel/module/procfs.c`).
pub(crate) fn any_loading(proc_modules: &str) -> bool {
    proc_modules.lines().any(|line| line.split_whitespace().nth(4) == Some("Loading"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sees_a_loading_module() {
        let live = "ahci 49152 0 - Live 0x0\nlibata 4 1 ahci, Live 0x0\n";
        assert!(!super::any_loading(live));
        assert!(super::any_loading(&format!("{live}nvme 1 0 - Loading 0x0\n")));
    }
}
