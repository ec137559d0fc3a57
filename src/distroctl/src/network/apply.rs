//! `distroctl network apply`: the service reads the document again.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::paths;
use contract::service::Status;
use rustix::process::{Pid, Signal, kill_process};

/// Name of the service in the recipe.
const SERVICE: &str = "network";

/// Tells the service, which works on from there: what it does is in its log.
pub(crate) fn apply() -> Result<ExitCode> {
    let path = Path::new(paths::SERVICE_STATE_DIR).join(SERVICE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let status = Status::decode(&text).with_context(|| format!("{}: no state of a service", path.display()))?;
    let Some(pid) = status.pid.and_then(Pid::from_raw) else {
        bail!("the service {SERVICE:?} does not run\nhint: \"distroctl logs {SERVICE}\" says why");
    };
    kill_process(pid, Signal::HUP).with_context(|| format!("telling the service {SERVICE:?}"))?;
    Ok(ExitCode::SUCCESS)
}
