//! The service against a real kernel: in a network namespace of its own, with a `/run` of its own, read back by ip(8).
//! It runs this test program a second time inside; without unshare(1), ip(8) or the rights for them it says so and passes.

use std::process::Command;

use super::service::{Service, Wanted};

const INSIDE: &str = "MKDISTRO_TEST_NAMESPACE";

/// Runs one test of this file inside; whether we are inside.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let unshare = |options: &str, script: &str| {
        Command::new("unshare")
            .args([options, "sh", "-c", script, "sh"])
            .arg(&program)
            .args(["--exact", &format!("network::namespace_tests::{test}"), "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .output()
    };
    let prepare = "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && ip -V > /dev/null";
    let works = |options: &&str| unshare(options, prepare).is_ok_and(|output| output.status.success());
    let Some(options) = ["-nm", "-Urnm"].into_iter().find(works) else {
        eprintln!("skipped: no namespace can be made here");
        return false;
    };
    let output = unshare(options, &format!("{prepare} && ip link set lo up && exec \"$@\"")).unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success(), "inside the namespace: {}", output.status);
    assert!(text.contains("1 passed"), "no test was run");
    false
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Links, addresses and routes, without the numbers that go on by themselves.
fn state() -> String {
    // Link-local addresses come some time after the link.
    let own = |line: &&str| !line.contains("fe80::") && !line.contains("valid_lft");
    let text = ip("addr") + &ip("route") + &ip("-6 route");
    let text = text.lines().filter(own).collect::<Vec<_>>().join("\n");
    let passing = |word: &str| ["tentative", "linkdown", "UP", "UNKNOWN"].contains(&word) || word.ends_with("sec");
    text.split_whitespace().filter(|word| !passing(word)).collect::<Vec<_>>().join(" ")
}

fn wanted(text: &str) -> Wanted {
    let (mut table, mut problems) = document::parse(text);
    problems.extend(document::check(&mut table, document::DOCUMENT));
    assert_eq!(problems, []);
    Wanted::of(document::Document::of(&table).network)
}

fn start(service: &mut Service, text: &str) -> Vec<String> {
    let problems = std::cell::RefCell::new(Vec::new());
    service.start(wanted(text), &|problem| problems.borrow_mut().push(problem.to_string()));
    problems.into_inner()
}

const STATIC: &str = r#"
[network]
dns = ["9.9.9.9"]
search = ["all.example"]

[[network.interfaces]]
name = "lan0"
addresses = ["10.1.0.2/24", "fd01::2/64"]
gateway = "10.1.0.1"
gateway6 = "fd01::1"
routes = [
    { to = "10.9.0.0/16", via = "10.1.0.9", metric = 7 },
    { to = "10.8.0.0/16" },
    { to = "192.0.2.0/24", via = "198.51.100.1", on-link = true },
    { to = "fd09::/32", via = "fd01::9" },
]
dns = ["10.1.0.53"]
mtu = 1400
mac = "02:00:00:00:00:07"

[[network.interfaces]]
name = "switch"
bridge = ["port0"]
addresses = ["10.2.0.1/24"]
"#;

#[test]
fn static_settings_twice() {
    if !inside("static_settings_twice") {
        return;
    }
    ip("link add lan0 type veth peer name lan1");
    ip("link set lan1 up");
    ip("link add port0 type veth peer name port1");
    ip("link set port1 up");
    let mut service = Service::default();
    assert_eq!(start(&mut service, STATIC), [""; 0]);
    let first = state();
    for part in [
        "inet 10.1.0.2/24 brd 10.1.0.255",
        "inet6 fd01::2/64",
        "mtu 1400",
        "link/ether 02:00:00:00:00:07",
        "default via 10.1.0.1 dev lan0 proto static metric",
        "10.9.0.0/16 via 10.1.0.9 dev lan0 proto static metric 7",
        "10.8.0.0/16 dev lan0 proto static scope link",
        "192.0.2.0/24 via 198.51.100.1 dev lan0 proto static metric",
        "default via fd01::1 dev lan0 proto static metric",
        "fd09::/32 via fd01::9 dev lan0 proto static metric",
        "inet 10.2.0.1/24 brd 10.2.0.255",
        "master switch",
    ] {
        assert!(first.contains(part), "{part}\nnot in {first}");
    }
    let servers = std::fs::read_to_string(contract::paths::RESOLV_CONF).unwrap();
    assert!(servers.ends_with("search all.example\nnameserver 9.9.9.9\nnameserver 10.1.0.53\n"), "{servers}");

    assert_eq!(start(&mut service, STATIC), [""; 0]);
    assert_eq!(state(), first);
    // As after a crash: a new service over what the old one has made.
    let mut service = Service::default();
    assert_eq!(start(&mut service, STATIC), [""; 0]);
    assert_eq!(state(), first);
    service.rescan();
    assert_eq!(state(), first);

    let summary = super::summaries().into_iter().find(|summary| summary.name == "lan0").unwrap();
    assert_eq!((summary.link.as_str(), &summary.dns[..]), ("up", &["10.1.0.53 (static)".to_string()][..]));
    assert!(summary.addresses.contains(&"10.1.0.2 (static)".to_string()), "{summary:?}");
    assert!(summary.routes.contains(&"10.9.0.0/16 via 10.1.0.9 metric 7".to_string()), "{summary:?}");
}

#[test]
fn what_is_no_longer_wanted_goes() {
    if !inside("what_is_no_longer_wanted_goes") {
        return;
    }
    ip("link add lan0 type veth peer name lan1");
    ip("link set lan1 up");
    ip("link add port0 type veth peer name port1");
    let mut service = Service::default();
    start(&mut service, STATIC);
    let other = "[[network.interfaces]]\nname = \"lan0\"\naddresses = [\"10.1.0.3/24\"]\n";
    assert_eq!(start(&mut service, other), [""; 0]);
    let state = state();
    for part in ["inet 10.1.0.2/", "fd01::2", "10.9.0.0", "default via", "switch", "10.2.0.1", "mtu 1400"] {
        assert!(!state.contains(part), "{part}\nstill in {state}");
    }
    assert!(state.contains("inet 10.1.0.3/24"), "{state}");
    // The link goes and comes back with another index.
    ip("link del lan0");
    service.rescan();
    assert_eq!(std::fs::read_dir(contract::paths::STATIC_NET_DIR).unwrap().count(), 1);
    ip("link add lan0 type veth peer name lan1");
    ip("link set lan1 up");
    service.rescan();
    assert!(ip("addr show lan0").contains("inet 10.1.0.3/24"));
}

#[test]
fn bonds_and_vlans() {
    if !inside("bonds_and_vlans") {
        return;
    }
    for (kind, more) in [("bond", ""), ("vlan", " id 1"), ("dummy", "")] {
        let link = if kind == "vlan" { " link lo" } else { "" };
        let output =
            Command::new("ip").args(format!("link add{link} probe type {kind}{more}").split(' ')).output().unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("Unknown device type") {
            return eprintln!("skipped: this kernel has no {kind}");
        }
    }
    for number in 0..2 {
        ip(&format!("link add m{number} type veth peer name p{number}"));
        ip(&format!("link set p{number} up"));
    }
    ip("link add wan type dummy");
    ip("link set wan address 02:00:00:00:00:99");
    let text = r#"
[[network.interfaces]]
name = "lan7"
vlan-link = "team"
vlan-id = 7
addresses = ["10.7.0.1/24"]

[[network.interfaces]]
name = "team"
bond = ["m0", "m1"]
bond-mode = "balance-rr"
bond-miimon = 250
dhcp = false

[[network.interfaces]]
name = "wan"
addresses = ["10.3.0.1/24"]
"#;
    let mut service = Service::default();
    start(&mut service, text);
    let details = ip("-d addr");
    for part in ["mode balance-rr", "miimon 250", "vlan protocol 802.1Q id 7", "inet 10.7.0.1/24", "inet 10.3.0.1/24"] {
        assert!(details.contains(part), "{part}\nnot in {details}");
    }
    let first = state();
    assert_eq!(first.matches("master team").count(), 2, "{first}");
    start(&mut service, text);
    assert_eq!(state(), first);
}
