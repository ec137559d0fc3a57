use super::{Change, Cidr, Lease, NameServer, Route, changes};

fn lease(variables: &[(&str, &str)]) -> Lease {
    let find = |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string());
    Lease::from_environment(find).unwrap()
}

fn network(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn route(destination: &str, gateway: &str, on_link: bool) -> Route {
    Route { to: network(destination), via: gateway.parse().ok(), metric: None, on_link }
}

const SLIRP: [(&str, &str); 9] = [
    ("interface", "eth0"),
    ("ip", "10.0.2.15"),
    ("mask", "24"),
    ("subnet", "255.255.255.0"),
    ("router", "10.0.2.2"),
    ("dns", "10.0.2.3"),
    ("domain", "lan"),
    ("ntpsrv", "10.0.2.4 10.0.2.5"),
    ("mtu", "1400"),
];

#[test]
fn reads_the_environment() {
    let lease = lease(&SLIRP);
    assert_eq!(lease.addresses[0], network("10.0.2.15/24"));
    assert_eq!(lease.routes, [route("0.0.0.0/0", "10.0.2.2", false)]);
    assert_eq!(lease.mtu, Some(1400));
    assert_eq!(
        lease.encode(),
        "address 10.0.2.15/24\nroute 0.0.0.0/0 10.0.2.2 -\nmtu 1400\ndns 10.0.2.3\nsearch lan\nntp 10.0.2.4\nntp 10.0.2.5\n"
    );
    assert_eq!(Lease::decode(&lease.encode()), lease);
}

#[test]
fn classless_routes_replace_the_router() {
    let lease = lease(&[
        ("ip", "10.128.0.7"),
        ("mask", "32"),
        ("router", "192.0.2.1"),
        ("staticroutes", "10.128.0.1/32 0.0.0.0 0.0.0.0/0 10.128.0.1 rubbish 1.2.3.4 10.0.0.0/8"),
    ]);
    let direct = route("10.128.0.1/32", "-", false);
    let default = route("0.0.0.0/0", "10.128.0.1", true);
    assert_eq!(lease.routes, [direct, default]);
    assert_eq!(Lease::decode(&lease.encode()), lease);
}

#[test]
fn a_gateway_outside_of_the_network_is_on_link() {
    let lease = lease(&[("ip", "10.0.0.2"), ("mask", "32"), ("router", "10.0.0.1 10.0.0.3")]);
    assert_eq!(lease.routes, [route("0.0.0.0/0", "10.0.0.1", true)]);
}

#[test]
fn odd_options_do_not_cost_the_address() {
    let lease = lease(&[
        ("ip", "10.0.0.2"),
        ("subnet", "255.255.252.0"),
        ("router", "x 0.0.0.0"),
        ("dns", "1.1.1.999 9.9.9.9"),
        ("search", "good.example ev;il $(reboot) a\u{e4}"),
        ("mtu", "20"),
        ("hostname", "no good"),
    ]);
    assert_eq!(lease.addresses[0], network("10.0.0.2/22"));
    assert_eq!(lease.encode(), "address 10.0.0.2/22\ndns 9.9.9.9\nsearch good.example\n");
    for bad in [&[("mask", "24")][..], &[("ip", "x")], &[("ip", "10.0.0.1"), ("mask", "33")]] {
        let find = |key: &str| bad.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string());
        assert!(Lease::from_environment(find).is_err(), "{bad:?}");
    }
}

#[test]
fn broken_lines_are_passed_over() {
    for bad in ["", "address\n", "address 10.0.0.1/99\n", "dns fe80::1%a/b\n", "route 1\nroute\nmtu x\n", "\0\0"] {
        assert_eq!(Lease::decode(bad), Lease::default(), "{bad:?}");
    }
    let text = "address fd00::1/64\nroute ::/0 fe80::1 7\nroute fd01::/16 - - onlink\ndns fe80::1%eth0\n";
    let lease = Lease::decode(text);
    assert_eq!(lease.dns, [NameServer { address: "fe80::1".parse().unwrap(), zone: Some("eth0".into()) }]);
    assert_eq!((lease.routes[0].metric, lease.routes[1].via), (Some(7), None));
    assert_eq!(lease.encode(), text);
}

#[test]
fn fuzz_dhcp_environment() {
    let seed = SLIRP.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>();
    let tokens =
        ["staticroutes=", "0.0.0.0/0", "255.255.255.0", "router=", "mask=32", "hostname=a", "search=", " ", "\n"];
    fuzz::Fuzz::new("fuzz_dhcp_environment").seed(seed).tokens(&tokens).run(|input| {
        let text = String::from_utf8_lossy(input);
        let find = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, v)| v.to_string())
        };
        let Ok(lease) = Lease::from_environment(find) else { return };
        assert_eq!(Lease::decode(&lease.encode()), lease);
        assert_eq!(changes(None, Some(&lease)), changes(Some(&lease), Some(&lease)));
    });
}

#[test]
fn first_lease_renewal_and_loss() {
    let first = lease(&SLIRP);
    let default = first.routes[0];
    let all = [Change::SetMtu(1400), Change::AddAddress(first.addresses[0]), Change::AddRoute(default)];
    assert_eq!(changes(None, Some(&first)), all);
    assert_eq!(changes(Some(&first), Some(&first)), all);
    assert_eq!(
        changes(Some(&first), None),
        [Change::DeleteRoute(default), Change::DeleteAddress(first.addresses[0]), Change::SetMtu(1500)]
    );
    assert_eq!(changes(None, None), []);

    let moved = Lease { routes: vec![route("0.0.0.0/0", "10.0.2.9", false)], ..first.clone() };
    assert_eq!(
        changes(Some(&first), Some(&moved)),
        [
            Change::DeleteRoute(default),
            Change::SetMtu(1400),
            Change::AddAddress(first.addresses[0]),
            Change::AddRoute(moved.routes[0])
        ]
    );
}
