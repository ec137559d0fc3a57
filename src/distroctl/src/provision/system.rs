//! Time zone, host name, and the settings that other programs of ours take over.

use std::fmt::Write;

use anyhow::{Context, anyhow};
use contract::paths;
use document::Document;

use super::changes::Changes;
use crate::{hostname, memory};

const ZONES: &str = "/usr/share/zoneinfo";

/// Applies them. At boot the service `hostname` comes later and takes the name from the document that is in force.
pub(super) fn apply(changes: &mut Changes, document: &Document, boot: bool) {
    timezone(changes, document.timezone.as_deref());
    settings(changes, document);
    if !boot && document.swap_bytes.is_some_and(|bytes| bytes > 0) && !memory::has_swap_file(changes.root) {
        changes.act("swap on the data disk", || memory::on_disk().map(drop));
    }
    if !boot && let Some(name) = &document.hostname {
        let current = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // Command line and data disk have more weight: the service knows.
        if changes.root.is_system() && hostname::wanted().is_none_or(|wanted| wanted == *name) && current != *name {
            changes.act(&format!("host name {name}, was {current}"), || hostname::set(name));
        }
    }
}

/// What goes over the builder's settings: the log writer looks for it, and the swap file is made from it.
fn settings(changes: &mut Changes, document: &Document) {
    let mut text = String::new();
    if !document.log_servers.is_empty() {
        let _ = writeln!(text, "log-remote {}", document.log_servers.join(" "));
    }
    if let Some(bytes) = document.swap_bytes {
        let _ = writeln!(text, "swap-file-mib {}", bytes >> 20);
    }
    if text.is_empty() {
        changes.absent(paths::PROVISIONED_SETTINGS);
    } else {
        changes.write(paths::PROVISIONED_SETTINGS, text.as_bytes(), 0o644, "root");
    }
}

/// A name needs the zone's file; anything else is a POSIX TZ string, which programs understand by themselves from `TZ`.
fn timezone(changes: &mut Changes, zone: Option<&str>) {
    let Some(zone) = zone else { return };
    let file = format!("{ZONES}/{zone}");
    if changes.root.path(&file).is_file() {
        let link = changes.root.path("/etc/localtime");
        if std::fs::read_link(&link).ok().as_deref() != Some(std::path::Path::new(&file)) {
            changes.act(&format!("/etc/localtime is {file}"), || {
                let _ = std::fs::remove_file(&link);
                std::os::unix::fs::symlink(&file, &link).context("linking /etc/localtime")
            });
        }
        return;
    }
    let posix = zone.chars().any(|c| c.is_ascii_digit());
    if !posix && zone != "UTC" {
        let hint = "add the recipe tzdata to the image (mkdistro add tzdata), or give a POSIX string such as \"CET-1CEST,M3.5.0,M10.5.0/3\"";
        changes.problem("timezone", &anyhow!("the image has no zone {zone}\nhint: {hint}"));
    }
}
