//! The containers of a service, which podman knows by the name of a systemd unit.

use std::time::Duration;

use anyhow::Result;
use contract::paths;
use document::Table;

use super::boot::OWNER_LABEL;
use super::engine::{API, Engine};

/// The engine has time to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// What health checks say, from the best to the worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// There is no check.
    #[default]
    Unchecked,
    Healthy,
    /// No answer yet that counts.
    Starting,
    Unhealthy,
}

/// Of the running containers that belong to the unit (`web.service`): the worst.
pub(crate) fn health_of(unit: &str) -> Result<Health> {
    let engine = Engine { socket: paths::PODMAN_SOCKET.into(), deadline: None };
    let mut worst = Health::Unchecked;
    for container in engine.list("label", &format!("{OWNER_LABEL}%3D{unit}"), LIMIT)? {
        if container.state == "running" {
            let node = engine.get(&format!("{API}/{}/json", container.id), LIMIT)?;
            worst = worst.max(node.table().map(of_container).unwrap_or_default());
        }
    }
    Ok(worst)
}

/// From the answer to inspecting it; podman 5 says `""` for one without a check.
fn of_container(table: &Table) -> Health {
    let status = table.table("State").and_then(|state| state.table("Health")?.text("Status"));
    match status.as_deref() {
        Some("healthy") => Health::Healthy,
        Some("starting") => Health::Starting,
        Some("unhealthy") => Health::Unhealthy,
        _ => Health::Unchecked,
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, of_container};

    fn health(text: &str) -> Health {
        of_container(document::json::parse(text).unwrap().table().unwrap())
    }

    #[test]
    fn reads_what_podman_says() {
        assert_eq!(health(r#"{"State":{"Health":{"Status":"healthy","Log":[]}}}"#), Health::Healthy);
        assert_eq!(health(r#"{"State":{"Health":{"Status":"unhealthy"}}}"#), Health::Unhealthy);
        assert_eq!(health(r#"{"State":{"Health":{"Status":"starting"}}}"#), Health::Starting);
        assert_eq!(health(r#"{"State":{"Health":{"Status":""}}}"#), Health::Unchecked);
        assert_eq!(health(r#"{"State":{}}"#), Health::Unchecked);
        assert!(Health::Unhealthy > Health::Starting && Health::Starting > Health::Healthy);
    }
}
