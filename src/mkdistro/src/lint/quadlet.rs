//! Quadlet files, by the guest's own reader.

use anyhow::Result;
use quadlet::Severity;

use super::{Found, Subject};
use crate::quadlets;

pub(super) fn quadlet(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    add(Severity::Error, subject, found);
    Ok(())
}

pub(super) fn quadlet_key(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    add(Severity::Warning, subject, found);
    Ok(())
}

fn add(severity: Severity, subject: &Subject<'_>, found: &mut Found) {
    for problem in quadlets::of_root(subject.checked, subject.tree) {
        if problem.severity != severity {
            continue;
        }
        let line = if problem.place.line == 0 { String::new() } else { format!("line {}: ", problem.place.line) };
        found.add(problem.place.file.as_bytes(), format!("{line}{}", problem.text));
    }
}
