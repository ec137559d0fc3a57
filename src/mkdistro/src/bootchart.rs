//! A boot as a [`Timeline`], from the kernel's log of a guest that was started with `distro.verbose`.
//!
//! PID 1 writes each of its steps to that log (see `init`'s `console.rs`: `init: [   3.120] mount /proc`), so one clock and
//! one file have all: lane `kernel` is the time before PID 1 and in it what took longer than [`NOTABLE_MS`], `init` its
//! steps, `service` each service from its start to its readiness. Milliseconds count from the kernel's start.

use std::collections::BTreeMap;

use contract::ready::Ready;

use crate::timeline::{Event, Timeline};

/// Added to the kernel command line of a boot that is charted: room for all messages, and PID 1's steps.
pub const COMMAND_LINE: &str = "log_buf_len=2M printk.time=1 distro.verbose";

/// Kernel messages that are followed by silence for longer get an event of their own.
const NOTABLE_MS: u64 = 30;
/// The kernel's last word (`init/main.c`, `run_init_process`).
const RUN_INIT: &str = "Run /init as init process";

/// Reads a log as dmesg(1) prints it: `[    1.234567] message`, one a line.
pub fn chart(dmesg: &str) -> Timeline {
    let mut events = Vec::new();
    let mut steps = Vec::new();
    let mut services: BTreeMap<String, (u64, Option<(u64, String)>)> = BTreeMap::new();
    let mut figures = BTreeMap::new();
    let mut kernel: Option<(u64, &str)> = None;
    let mut last_step_ms = None;
    for (at_ms, message) in dmesg.lines().filter_map(line) {
        if last_step_ms.is_none() {
            if let Some((before, what)) = kernel.filter(|(before, _)| at_ms.saturating_sub(*before) >= NOTABLE_MS) {
                events.push(Event::new("kernel", what, before, at_ms));
            }
            kernel = Some((at_ms, message));
            if message.starts_with(RUN_INIT) {
                events.push(Event::new("kernel", "kernel", 0, at_ms));
                last_step_ms = Some(at_ms);
            }
        } else if let Some((at_ms, step)) = message.strip_prefix("init: ").and_then(line) {
            if !service(step, at_ms, &mut services) {
                steps.push(Event::new("init", step, last_step_ms.unwrap_or(at_ms), at_ms));
            }
            last_step_ms = Some(at_ms);
        } else if let Some(ready) = Ready::parse(message) {
            let at_ms = (ready.seconds * 1000.0) as u64;
            events.push(Event::new("service", "READY", at_ms, at_ms));
            figures.insert("ready-ms".to_owned(), at_ms);
        }
    }
    let end_ms = last_step_ms.unwrap_or_default();
    events.extend(steps);
    events.extend(services.into_iter().map(|(name, (start_ms, ready))| match ready {
        Some((ready_ms, note)) => Event::new("service", name + &note, start_ms, ready_ms),
        None => Event::new("service", name + " (not ready)", start_ms, end_ms),
    }));
    // The longest first where two begin together, so that a chart can nest them.
    events.sort_by_key(|event| (event.start_ms, std::cmp::Reverse(event.end_ms)));
    Timeline { title: "boot".into(), events, figures }
}

/// Time in milliseconds and the rest of `[    1.234567] rest`.
fn line(line: &str) -> Option<(u64, &str)> {
    let (time, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = time.trim().split_once('.')?;
    let millis: u64 = fraction.get(..3)?.parse().ok()?;
    Some((seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(millis)?, rest.trim()))
}

/// Services by name: when each was started; when it was ready, with a note.
type Services = BTreeMap<String, (u64, Option<(u64, String)>)>;

/// Takes a step that is about a service: `start NAME as process N`, `NAME is ready`, `NAME: ended with …`.
fn service(step: &str, at_ms: u64, services: &mut Services) -> bool {
    let mut ends = |name: &str, note: &str| {
        let Some((_, ready)) = services.get_mut(name) else { return false };
        // What happens to one that was ready is no part of the boot.
        ready.get_or_insert_with(|| (at_ms, note.to_owned()));
        true
    };
    if let Some((name, process)) = step.strip_prefix("start ").and_then(|rest| rest.split_once(" as process "))
        && process.parse::<u32>().is_ok()
    {
        services.entry(name.to_owned()).or_insert((at_ms, None));
        true
    } else if let Some(name) = step.strip_suffix(" is ready") {
        ends(name, "")
    } else if let Some((name, how)) = step.split_once(": ended with ") {
        ends(name, if how == "status 0" { "" } else { " (failed)" })
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::chart;

    const LOG: &str = "\
[    0.000000] Linux version 6.12.1
[    0.010000] Command line: console=ttyS0 distro.verbose
[    0.500000] Unpacking initramfs...
[    1.200500] Freeing initrd memory: 36864K
[    1.210000] Run /init as init process
[    1.215000] loop: module loaded
[    1.300000] init: [   1.299] mount /proc
[    1.420000] init: [   1.419] switch to the root /newroot
[    1.600000] init: [   1.600] start modules as process 70
[    1.700000] init: [   1.700] start podman as process 80
[    1.701000] init: [   1.701] start sshd as process 81
[    1.702000] init: [   1.702] sshd is ready
[    2.000000] e1000: eth0: link is up
[    2.100000] init: [   2.100] modules is ready
[    2.250000] init: [   2.250] podman: ended with status 1
[    2.300000] init: [   2.300] start ready as process 90
[    2.400000] init: [   2.400] listen on /run/x for y
[    3.500000] READY toy 1.2 3.50 ip=10.0.2.15
[    9.000000] init: [   9.000] sshd: ended with status 0
";

    #[test]
    fn reads_a_log() {
        let timeline = chart(LOG);
        let events: Vec<String> = timeline
            .events
            .iter()
            .map(|event| format!("{} {} {}-{}", event.lane, event.name, event.start_ms, event.end_ms))
            .collect();
        assert_eq!(
            events,
            [
                "kernel kernel 0-1210",
                "kernel Command line: console=ttyS0 distro.verbose 10-500",
                "kernel Unpacking initramfs... 500-1200",
                "init mount /proc 1210-1299",
                "init switch to the root /newroot 1299-1419",
                "service modules 1600-2100",
                "service podman (failed) 1700-2250",
                "service sshd 1701-1702",
                "service ready (not ready) 2300-9000",
                "init listen on /run/x for y 2300-2400",
                "service READY 3500-3500",
            ]
        );
        assert_eq!(timeline.figures["ready-ms"], 3500);
    }

    #[test]
    fn other_text_is_passed_over() {
        for text in ["", "[", "[]", "[1]", "[a.bcd] x", "[1.2] x", "[99999999999999999999.000] x", "no log at all\n"] {
            assert_eq!(chart(text).events, [], "{text}");
        }
    }
}
