//! State files, which the guest's other programs and the tests read.

use contract::paths::SERVICE_STATE_DIR;

use super::table::Unit;
use crate::console;
use crate::failure::Failure;

/// Removes the state file of one that is gone.
pub(crate) fn remove(name: &str) {
    let _ = std::fs::remove_file(format!("{SERVICE_STATE_DIR}/{name}"));
}

/// Writes a service's state file; a reader sees the old or the new one.
pub(crate) fn write(unit: &Unit) {
    let path = format!("{SERVICE_STATE_DIR}/{}", unit.service.name);
    let new = format!("{SERVICE_STATE_DIR}/.{}", unit.service.name);
    let written = std::fs::write(&new, unit.status().encode()).and_then(|()| std::fs::rename(&new, &path));
    if let Err(error) = written {
        console::say(&Failure::new("write", path, error).to_string());
    }
}
