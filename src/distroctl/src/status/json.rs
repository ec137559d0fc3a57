//! JSON as text (RFC 8259): what `status --json` needs and no more.

use document::json::quote;

use super::report::{DataDisk, Report};

/// Members that are written as they are.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
    format!("{{{}}}", members.join(","))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn or_null(text: &str) -> String {
    if text.is_empty() { "null".into() } else { quote(text) }
}

/// The report as one line.
pub(super) fn of(report: &Report) -> String {
    let pairs = |list: &[(String, String)], first: &str, second: &str| {
        array(list.iter().map(|(a, b)| object(&[(first, quote(a)), (second, quote(b))])))
    };
    let memory = object(&[
        ("total-kib", report.memory.total.to_string()),
        ("available-kib", report.memory.available.to_string()),
        ("swap-total-kib", report.memory.swap_total.to_string()),
        ("swap-free-kib", report.memory.swap_free.to_string()),
    ]);
    let data = match &report.data {
        DataDisk::None(reason) => object(&[("device", "null".into()), ("reason", quote(reason))]),
        DataDisk::Mounted { device, is_read_only, size, free } => object(&[
            ("device", quote(device)),
            ("read-only", is_read_only.to_string()),
            ("size-bytes", size.to_string()),
            ("free-bytes", free.to_string()),
        ]),
    };
    let services = array(report.services.iter().map(|known| {
        let status = known.status.as_ref();
        object(&[
            ("name", quote(&known.name)),
            ("state", status.map_or("null".into(), |status| quote(status.state.as_str()))),
            ("pid", status.and_then(|status| status.pid).map_or("null".into(), |pid| pid.to_string())),
            ("restarts", status.map_or(0, |status| status.restarts).to_string()),
            ("exit", status.and_then(|status| status.exit).map_or("null".into(), |exit| quote(&exit.to_string()))),
        ])
    }));
    let links = array(report.links.iter().map(|link| {
        object(&[
            ("interface", quote(&link.name)),
            ("link", quote(&link.link)),
            ("dns", array(link.dns.iter().map(|server| quote(server)))),
        ])
    }));
    let engine = match &report.engine {
        Some((name, state)) => object(&[("service", quote(name)), ("state", quote(state))]),
        None => "null".into(),
    };
    object(&[
        ("name", quote(&report.name)),
        ("version", quote(&report.version)),
        ("kernel", quote(&report.kernel)),
        ("host", quote(&report.host)),
        ("up-seconds", report.up_seconds.to_string()),
        ("ready", or_null(&report.ready)),
        ("addresses", pairs(&report.addresses, "interface", "address")),
        ("links", links),
        ("clock", or_null(&report.clock)),
        ("host-keys", pairs(&report.host_keys, "type", "fingerprint")),
        ("memory", memory),
        ("data-disk", data),
        ("engine", engine),
        ("services", services),
        ("problems", array(report.problems.iter().map(|problem| quote(problem)))),
    ]) + "\n"
}

#[cfg(test)]
mod tests {
    use super::{object, or_null};

    #[test]
    fn nothing_is_null() {
        assert_eq!(object(&[("a", "1".into()), ("b", or_null(""))]), "{\"a\":1,\"b\":null}");
    }
}
