use super::{BondMode, Cidr, Firewall, Link, MacAddress, Network, Others};
use crate::{DOCUMENT, Document};

const TEXT: &str = r#"
[network]
dns = ["9.9.9.9", "2620:fe::fe"]
search = ["lan.example"]
firewall = "ssh-only"
others = "off"

[[network.interfaces]]
name = "wan"
match-mac = "52:54:00:AB:cd:01"
match-driver = "virtio*"
rename = true
addresses = ["192.0.2.5/24", "2001:db8::5/64"]
gateway = "192.0.2.1"
gateway6 = "fe80::1"
routes = [{ to = "10.0.0.0/8", via = "192.0.2.9", metric = 50, on-link = true }, { to = "default", via = "192.0.2.8" }]
mtu = 9000
mac = "02:00:00:00:00:01"

[[network.interfaces]]
name = "uplink"
bond = ["eth1", "eth2"]
bond-mode = "802.3ad"

[[network.interfaces]]
name = "lan10"
vlan-link = "uplink"
vlan-id = 10
dhcp = true
ipv6-auto = false
"#;

fn problems(text: &str) -> Vec<String> {
    let (mut table, mut problems) = crate::parse(text);
    problems.extend(crate::check(&mut table, DOCUMENT));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_everything() {
    assert_eq!(problems(TEXT), [""; 0]);
    let network = Document::read(TEXT).network;
    assert_eq!((network.dns.len(), network.search.len()), (2, 1));
    assert_eq!((&network.firewall, network.others), (&Firewall::SshOnly, Others::Off));
    let [wan, uplink, lan] = &network.interfaces[..] else { panic!("{network:?}") };
    let mac: MacAddress = "52-54-00-ab-cd-01".parse().unwrap();
    assert!(wan.selects("eth7", Some(mac), Some("virtio_net")));
    assert!(!wan.selects("eth7", Some(mac), Some("e1000")));
    assert!(!wan.selects("eth7", None, Some("virtio_net")));
    // Another that has the name already.
    assert!(!wan.selects("wan", None, Some("virtio_net")));
    let named = "[[network.interfaces]]\nname = \"wan\"\nmatch-name = \"eth7\"\nrename = true\n";
    let named = Document::read(named).network.interfaces.remove(0);
    assert!(
        named.selects("eth7", None, None) && named.selects("wan", None, None) && !named.selects("eth8", None, None)
    );
    assert!(!wan.asks_dhcp() && uplink.asks_dhcp() && lan.asks_dhcp());
    assert_eq!(wan.addresses[1].to_string(), "2001:db8::5/64");
    assert_eq!((wan.routes[0].metric, wan.routes[0].on_link), (Some(50), true));
    assert_eq!(wan.routes[1].to, Cidr::all(false));
    assert_eq!((wan.mtu, wan.mac.map(|mac| mac.to_string()).as_deref()), (Some(9000), Some("02:00:00:00:00:01")));
    let members = vec!["eth1".to_string(), "eth2".to_string()];
    assert_eq!(uplink.link, Some(Link::Bond { members, mode: BondMode::Lacp, miimon: 100 }));
    assert_eq!(lan.link, Some(Link::Vlan { link: "uplink".into(), id: 10 }));
    assert_eq!(lan.ipv6_auto, Some(false));
    assert_eq!(network.entry("uplink"), Some(uplink));
}

#[test]
fn names_what_does_not_go_together() {
    let text = "[[network.interfaces]]\nname = \"a\"\nbond = [\"x\"]\nbridge = []\nmatch-name = \"e*\"\n\
                [[network.interfaces]]\nname = \"b*\"\nbridge = [\"x\"]\nbond-mode = \"broadcast\"\n\
                [[network.interfaces]]\nname = \"c\"\nrename = true\nvlan-id = 3\ngateway = \"fe80::1\"\nmtu = 1000\n\
                addresses = [\"fd00::1/64\"]\nroutes = [{ to = \"default\" }, { to = \"10.0.0.0/8\", via = \"::1\" }]\n";
    let found = problems(text);
    let expected = [
        "line 4: network.interfaces[0].bridge: an interface is only one of: bond, bridge",
        "line 5: network.interfaces[0].match-name: bond makes the interface, there is nothing to match",
        "line 7: network.interfaces[1].name: expected a name of at most 15 characters without patterns, found \"b*\"",
        "line 8: network.interfaces[1].bridge: \"x\" is a member of \"a\" already",
        "line 9: network.interfaces[1].bond-mode: expected bond to go with it",
        "line 12: network.interfaces[2].rename: expected a match to go with it",
        "line 13: network.interfaces[2].vlan-id: expected vlan-link to go with it",
        "line 14: network.interfaces[2].gateway: expected an IPv4 address",
        "line 15: network.interfaces[2].mtu: IPv6 needs 1280 at least",
        "line 17: network.interfaces[2].routes: a route to \"default\" without via",
        "line 17: network.interfaces[2].routes: 10.0.0.0/8 and ::1 are of different families",
    ];
    for line in expected {
        assert!(found.iter().any(|problem| problem.starts_with(line)), "{line}\nnot in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn names_wrong_values() {
    let text = "[network]\nfirewall = \"all\"\nothers = \"x\"\ndns = [\"a\"]\n[[network.interfaces]]\nname = \"a/b\"\n\
                [[network.interfaces]]\nname = \"e\"\naddresses = [\"10.0.0.1\"]\nmatch-mac = \"5\"\nbond-mode = \"2\"\n";
    let found = problems(text);
    for part in ["firewall", "others", "dns", "[0].name", "write 10.0.0.1/24", "match-mac", "one of balance-rr, active"]
    {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} not in {found:#?}");
    }
    assert_eq!(Document::read(text).network.firewall, Firewall::None);
}

#[test]
fn computes_networks() {
    let cidr = |text: &str| text.parse::<Cidr>().unwrap();
    assert_eq!(cidr("10.1.2.3/20").base().to_string(), "10.1.0.0");
    assert_eq!(cidr("10.1.2.3/20").broadcast().unwrap().to_string(), "10.1.15.255");
    assert_eq!(cidr("1.2.3.4/0").base().to_string(), "0.0.0.0");
    assert_eq!((cidr("1.2.3.4").base().to_string(), cidr("1.2.3.4").broadcast()), ("1.2.3.4".into(), None));
    assert_eq!(cidr("2001:db8:1:2::7/48").base().to_string(), "2001:db8:1::");
    assert_eq!(cidr("::1/0").base().to_string(), "::");
    assert!(cidr("10.0.0.1/8").contains("10.9.9.9".parse().unwrap()));
    assert!(!cidr("10.0.0.1/8").contains("11.9.9.9".parse().unwrap()));
    assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
    for bad in ["", "/", "10.0.0.1/33", "::/129", "10.0.0.1/-1", "10.0.0.1/+8", "10.0.0/8", "x/8", "1.1.1.1/"] {
        assert_eq!(bad.parse::<Cidr>(), Err(()), "{bad:?}");
    }
    for bad in ["", "1:2:3:4:5:6", "52:54:00:12:34", "52:54:00:12:34:56:78", "+2:54:00:12:34:56", "gg:54:00:12:34:56"] {
        assert_eq!(bad.parse::<MacAddress>(), Err(()), "{bad:?}");
    }
}

#[test]
fn patterns() {
    for (pattern, name, fits) in [
        ("eth0", "eth0", true),
        ("eth0", "eth01", false),
        ("eth*", "eth", true),
        ("e*0", "eth10", true),
        ("e*0", "eth01", false),
        ("*a*b*", "xxaxxbx", true),
        ("*a*b*", "xxbxxax", false),
        ("e??0", "eth0", true),
        ("e??0", "et0", false),
        ("*", "", true),
        ("**", "x", true),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(super::types::glob(pattern, name), fits, "{pattern} {name}");
    }
}

#[test]
fn nothing_is_the_default() {
    assert_eq!(Document::read("").network, Network::default());
}
