//! Whether PID 1 runs in a container, whose kernel is somebody else's: then it leaves the kernel's work out, and its own end
//! is an exit status.

mod root;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use contract::service::{Place, Service};

pub(crate) use root::{fail, run};

static IS: OnceLock<bool> = OnceLock::new();

/// What [`is`] goes by: whatever `/proc` says, the rest is for a kernel that has none there yet.
#[derive(Debug, Default)]
struct Seen<'a> {
    /// Link of `/proc/self/ns/pid`.
    pid_namespace: Option<String>,
    /// Variable `container`, which container managers set for their PID 1 (systemd's "Container Interface").
    variable: Option<&'a OsStr>,
    /// podman's and Docker's marks in the root.
    has_mark: bool,
}

/// Whether this is a container. The kernel hands its own PID 1 any `container=…` of its command line, and an image may bring
/// the marks, so neither counts against the PID namespace: the first one of a kernel has a fixed number
/// (`PROC_PID_INIT_INO` of `linux/proc_ns.h`). Container managers always mount `/proc`; a machine that has just booted
/// without an initramfs has none.
fn is(seen: &Seen<'_>) -> bool {
    const FIRST: &str = "pid:[4026531836]";
    match &seen.pid_namespace {
        Some(namespace) => namespace != FIRST,
        None => seen.variable.is_some_and(|value| !value.is_empty()) && seen.has_mark,
    }
}

/// Looks. To be called before anything is mounted.
pub(crate) fn detect() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    let variable = std::env::var_os("container");
    let marks = ["/run/.containerenv", "/.dockerenv"];
    let seen = Seen {
        pid_namespace: namespace.map(|link| link.to_string_lossy().into_owned()),
        variable: variable.as_deref(),
        has_mark: marks.iter().any(|mark| Path::new(mark).exists()),
    };
    let _ = IS.set(is(&seen));
    is_one()
}

/// Whether PID 1 runs in a container.
pub(crate) fn is_one() -> bool {
    IS.get().copied().unwrap_or(false)
}

/// Arguments of PID 1 in place of the kernel command line, which is the host's.
pub(crate) fn options() -> String {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    contract::container::options(arguments.iter().map(String::as_str))
}

/// Leaves out the services that run only elsewhere. Those that wait for one of them need not.
pub(crate) fn leave_out(services: &mut Vec<Service>, here: Place) -> Vec<String> {
    let is_elsewhere = |service: &Service| service.place.is_some_and(|place| place != here);
    let names: Vec<String> =
        services.iter().filter(|service| is_elsewhere(service)).map(|service| service.name.clone()).collect();
    services.retain(|service| !is_elsewhere(service));
    forget(services, &names);
    names
}

/// Nobody waits for these.
pub(crate) fn forget(services: &mut [Service], names: &[String]) {
    for service in services {
        service.needs.retain(|name| !names.contains(name));
        service.after.retain(|name| !names.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use contract::service::{Place, Service};

    use super::{Seen, is, leave_out};

    #[test]
    fn the_pid_namespace_decides() {
        let seen = |namespace: Option<&str>, variable: Option<&'static str>, has_mark| {
            let pid_namespace = namespace.map(ToString::to_string);
            is(&Seen { pid_namespace, variable: variable.map(OsStr::new), has_mark })
        };
        let (first, other) = (Some("pid:[4026531836]"), Some("pid:[4026532700]"));
        assert!(seen(other, None, false));
        assert!(seen(other, Some("podman"), true));
        // A machine whose command line or image says otherwise.
        assert!(!seen(first, Some("podman"), true));
        // No /proc yet.
        assert!(!seen(None, None, false));
        assert!(!seen(None, Some("oci"), false));
        assert!(!seen(None, Some(""), true));
        assert!(!seen(None, None, true));
        assert!(seen(None, Some("oci"), true));
        assert!(!is(&Seen::default()));
    }

    #[test]
    fn who_waits_for_what_is_left_out_need_not() {
        let service = |name: &str, place, needs: &[&str], after: &[&str]| {
            let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
            let command = vec!["/bin/true".into()];
            Service { place, needs: words(needs), after: words(after), ..Service::new(name, command) }
        };
        let all = || {
            vec![
                service("disk", Some(Place::Machine), &[], &[]),
                service("volumes", Some(Place::Container), &[], &[]),
                service("engine", None, &["disk"], &["volumes", "other"]),
                service("other", None, &["volumes", "disk"], &[]),
            ]
        };
        let mut services = all();
        assert_eq!(leave_out(&mut services, Place::Container), ["disk"]);
        let shown = |services: &[Service]| -> Vec<String> {
            let show = |service: &Service| format!("{} {:?} {:?}", service.name, service.needs, service.after);
            services.iter().map(show).collect()
        };
        assert_eq!(shown(&services), ["volumes [] []", "engine [] [\"volumes\", \"other\"]", "other [\"volumes\"] []"]);
        let mut services = all();
        assert_eq!(leave_out(&mut services, Place::Machine), ["volumes"]);
        assert_eq!(shown(&services), ["disk [] []", "engine [\"disk\"] [\"other\"]", "other [\"disk\"] []"]);
    }
}
