//! What the checks found, as lines for people and JSON for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CHECKS, Check, Severity};

/// One finding.
pub struct Finding {
    /// Which check.
    pub check: &'static Check,
    /// Where: a path of the root.
    pub path: String,
    /// Which package, recipe or else the file is from; empty if the root does not have it.
    pub origin: String,
    /// What is wrong.
    pub message: String,
    /// Why it is all right, if an `allow` says so.
    pub allowed: Option<String>,
}

/// All findings: fatal ones first, then by check and path.
#[derive(Default)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Each `allow` that fits no finding, as a sentence. They count as warnings.
    pub unused: Vec<String>,
}

impl Report {
    /// Findings of a severity that are not allowed.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.check.severity == severity && finding.allowed.is_none())
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.of(Severity::Warning).count() + self.unused.len()
    }

    /// Number of findings that are allowed.
    pub fn allowed(&self) -> usize {
        self.findings.iter().filter(|finding| finding.allowed.is_some()).count()
    }

    /// A line for each finding of a severity: `warning: /usr/bin/x (package): no-pie: why`.
    pub fn lines(&self, severity: Severity) -> Vec<String> {
        let line = |finding: &Finding| {
            let origin = if finding.origin.is_empty() { String::new() } else { format!(" ({})", finding.origin) };
            let (path, check, message) = (&finding.path, finding.check.name, &finding.message);
            format!("{}: {path}{origin}: {check}: {message}", severity.as_str())
        };
        let mut lines: Vec<String> = self.of(severity).map(line).collect();
        if severity == Severity::Warning {
            lines.extend(self.unused.iter().map(|unused| format!("{}: {unused}", severity.as_str())));
        }
        lines
    }

    /// `3 warnings (duplicate 2, no-pie 1)`.
    pub fn summary(&self, severity: Severity) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.of(severity).for_each(|finding| *counts.entry(finding.check.name).or_default() += 1);
        if severity == Severity::Warning && !self.unused.is_empty() {
            counts.insert("unused allow", self.unused.len());
        }
        let total: usize = counts.values().sum();
        let what = match severity {
            Severity::Fatal => "fatal finding",
            Severity::Warning => "warning",
        };
        let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let plural = if total == 1 { "" } else { "s" };
        if parts.is_empty() { format!("no {what}s") } else { format!("{total} {what}{plural} ({})", parts.join(", ")) }
    }

    /// Everything, allowed findings and unused allowances too.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::json).collect();
        json!({
            "schema": 1,
            "fatal": self.of(Severity::Fatal).count(),
            "warnings": self.warnings(),
            "allowed": self.allowed(),
            "findings": findings,
            "unused-allow": self.unused,
        })
    }
}

impl Finding {
    fn json(&self) -> Value {
        json!({
            "check": self.check.name,
            "severity": self.check.severity.as_str(),
            "path": self.path,
            "origin": self.origin,
            "message": self.message,
            "allowed": self.allowed,
        })
    }
}

/// The table of checks as JSON.
pub fn checks_json() -> Value {
    let checks = CHECKS
        .iter()
        .map(|check| json!({ "name": check.name, "severity": check.severity.as_str(), "summary": check.summary }));
    checks.collect()
}
