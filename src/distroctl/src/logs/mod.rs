//! `distroctl logs [SERVICE]`: what services have written to standard output and error.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::paths;

use crate::console;

/// What PID 1 appends to the name when it cuts a log that has become long.
const OLDER: &str = ".1";

/// Prints the log of one service, or of all with a heading each.
pub(crate) fn run(service: Option<&str>) -> Result<ExitCode> {
    let names = names(Path::new(paths::SERVICE_LOG_DIR))?;
    if let Some(service) = service {
        if !names.iter().any(|name| name == service) {
            bail!("no log of {service:?}\nhint: there are logs of: {}", names.join(", "));
        }
        return console::print(&read(service)?);
    }
    for name in &names {
        console::print(&format!("==> {name} <==\n{}\n", read(name)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.ends_with(OLDER));
    names.sort();
    Ok(names)
}

/// The log with what was cut off before it.
fn read(name: &str) -> Result<String> {
    let path = Path::new(paths::SERVICE_LOG_DIR).join(name);
    let mut content = std::fs::read(path.with_file_name(format!("{name}{OLDER}"))).unwrap_or_default();
    content.extend(std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    Ok(String::from_utf8_lossy(&content).into_owned())
}
