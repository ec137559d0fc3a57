//! `ip=` and `nameserver=` on the kernel command line: the kernel's own form (kernel
//! `Documentation/admin-guide/nfs/nfsroot.rst`), which no kernel of ours handles itself, and the forms of dracut.cmdline(7):
//!
//! ```text
//! ip=METHOD
//! ip=INTERFACE:METHOD[:MTU[:MAC]]
//! ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:INTERFACE:METHOD[:DNS[:DNS[:NTP]]]
//! ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:INTERFACE:METHOD[:MTU[:MAC]]
//! ```
//!
//! IPv6 addresses stand in brackets. Left out: `bootp` and `rarp` (taken for DHCP), iBFT, the boot server.

use std::net::{IpAddr, Ipv4Addr};

use contract::cmdline;
use document::network::{Cidr, Interface, Network, Others, is_interface_name};

/// What the command line says of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Entries for interfaces that are named.
    pub(crate) interfaces: Vec<Interface>,
    /// The entry for the first wired interface, whatever its name.
    pub(crate) first: Option<Interface>,
    /// What other wired interfaces do, if it says.
    pub(crate) others: Option<Others>,
    pub(crate) dns: Vec<IpAddr>,
    pub(crate) ntp: Vec<IpAddr>,
    pub(crate) hostname: Option<String>,
    /// What was not understood.
    pub(crate) problems: Vec<String>,
}

/// How addresses come.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Static,
    Dhcp,
    /// Router advertisements only.
    Ipv6,
}

impl CommandLine {
    /// Reads a kernel command line.
    pub(crate) fn parse(line: &str) -> Self {
        let mut found = Self::default();
        for value in cmdline::values(line, cmdline::IP) {
            if let Err(reason) = found.add(value) {
                found.problems.push(format!("ip={value}: {reason}"));
            }
        }
        for value in cmdline::values(line, cmdline::NAMESERVER) {
            match unbracketed(value).parse() {
                Ok(address) => found.dns.push(address),
                Err(_) => found.problems.push(format!("nameserver={value}: expected an address")),
            }
        }
        found
    }

    /// Goes over what the document says, because it is heavier.
    pub(crate) fn over(&self, network: Network) -> Network {
        let interfaces = self.interfaces.iter().cloned().chain(network.interfaces).collect();
        let dns = self.dns.iter().copied().chain(network.dns).collect();
        Network { interfaces, dns, others: self.others.unwrap_or(network.others), ..network }
    }

    fn add(&mut self, value: &str) -> Result<(), String> {
        let fields = split(value)?;
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        if fields.len() <= 1 {
            self.others = Some(if method(value)? == Method::Static { Others::Off } else { Others::Dhcp });
            return Ok(());
        }
        let by_name = !field(0).is_empty() && unbracketed(field(0)).parse::<IpAddr>().is_err();
        let (name, how, rest) = if by_name { (field(0), field(1), 2) } else { (field(5), field(6), 7) };
        let how = method(how)?;
        let mut entry = Interface { name: name.into(), ..Interface::default() };
        if !by_name {
            self.add_addresses(&mut entry, &fields)?;
        }
        self.add_rest(&mut entry, fields.get(rest..).unwrap_or_default())?;
        entry.dhcp = Some(match how {
            Method::Dhcp => entry.addresses.is_empty(),
            Method::Static | Method::Ipv6 => false,
        });
        match name {
            "" => self.first = Some(entry),
            name if is_interface_name(name) => self.interfaces.push(entry),
            name => return Err(format!("{name:?} is no name of an interface")),
        }
        Ok(())
    }

    /// Fields 0, 2, 3 and 4 of the long form.
    fn add_addresses(&mut self, entry: &mut Interface, fields: &[&str]) -> Result<(), String> {
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let client = address(field(0), "client")?;
        if let Some(client) = client.filter(|client| !client.is_unspecified()) {
            let prefix = prefix(client, field(3))?;
            entry.addresses = vec![Cidr::new(client, prefix).ok_or(format!("a prefix of {prefix} bits"))?];
        }
        match address(field(2), "gateway")? {
            Some(gateway) if gateway.is_unspecified() => {}
            gateway @ Some(IpAddr::V4(_)) => entry.gateway = gateway,
            gateway => entry.gateway6 = gateway,
        }
        match field(4) {
            "" => {}
            name if crate::hostname::check(name).is_ok() => self.hostname = Some(name.into()),
            name => return Err(format!("{name:?} is no host name")),
        }
        Ok(())
    }

    /// What follows the method: name servers and a time server, or MTU and hardware address.
    fn add_rest(&mut self, entry: &mut Interface, rest: &[&str]) -> Result<(), String> {
        let first = rest.first().copied().unwrap_or_default();
        if !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()) {
            let mtu = first.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
            entry.mtu = Some(mtu.ok_or(format!("{first:?} is no size of packets"))?);
            // Its own colons have split it.
            if let Some(mac) = rest.get(1..).filter(|mac| !mac.is_empty() && !mac.concat().is_empty()) {
                entry.mac =
                    Some(mac.join(":").parse().map_err(|()| format!("{:?} is no hardware address", mac.join(":")))?);
            }
            return Ok(());
        }
        for (at, text) in rest.iter().enumerate() {
            let Some(address) = address(text, if at < 2 { "name server" } else { "time server" })? else { continue };
            match at {
                _ if address.is_unspecified() => {}
                0 | 1 => entry.dns.push(address),
                2 => self.ntp.push(address),
                _ => return Err(format!("nothing is expected after the time server, found {text:?}")),
            }
        }
        Ok(())
    }
}

/// Splits at colons outside of brackets.
fn split(value: &str) -> Result<Vec<&str>, String> {
    let mut fields = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'[' if inside => return Err("a bracket within brackets".into()),
            b'[' => inside = true,
            b']' if !inside => return Err("a closing bracket without an opening one".into()),
            b']' => inside = false,
            b':' if !inside => {
                fields.push(value.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("a bracket that is not closed".into());
    }
    fields.push(value.get(start..).unwrap_or_default());
    Ok(fields)
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

fn address(text: &str, what: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    unbracketed(text).parse().map(Some).map_err(|_| format!("{text:?} is no address of a {what}"))
}

/// A netmask, or the length of a prefix; without one the network's class, as the kernel does (`net/ipv4/ipconfig.c`,
/// `ic_defaults`), for IPv6 the usual 64.
fn prefix(client: IpAddr, netmask: &str) -> Result<u8, String> {
    if let Ok(prefix) = netmask.parse::<u8>() {
        return Ok(prefix);
    }
    let wrong = || format!("{netmask:?} is no netmask");
    match client {
        IpAddr::V6(_) if netmask.is_empty() => Ok(64),
        IpAddr::V6(_) => Err(wrong()),
        IpAddr::V4(client) if netmask.is_empty() => Ok(match client.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            192..224 => 24,
            _ => 32,
        }),
        IpAddr::V4(_) => {
            let bits = netmask.parse::<Ipv4Addr>().map_err(|_| wrong())?.to_bits();
            if bits.leading_ones() == bits.count_ones() { Ok(bits.leading_ones() as u8) } else { Err(wrong()) }
        }
    }
}

fn method(word: &str) -> Result<Method, String> {
    match word {
        "off" | "none" | "static" => Ok(Method::Static),
        "" | "on" | "any" | "dhcp" | "dhcp4" | "both" | "bootp" | "rarp" => Ok(Method::Dhcp),
        "auto6" | "dhcp6" | "either6" => Ok(Method::Ipv6),
        _ => Err(format!("{word:?} is no method; known: dhcp, off, auto6")),
    }
}

#[cfg(test)]
mod tests {
    use document::network::Others;

    use super::CommandLine;

    fn entry(value: &str) -> super::Interface {
        let mut found = CommandLine::parse(&format!("quiet {value} x"));
        assert_eq!(found.problems, [""; 0], "{value}");
        found.first.take().unwrap_or_else(|| found.interfaces.remove(0))
    }

    #[test]
    fn kernel_form() {
        let line = "ip=10.0.0.5:10.0.0.1:10.0.0.1:255.255.255.0:box:eth1:off:9.9.9.9:1.1.1.1:10.0.0.7";
        let found = CommandLine::parse(line);
        assert_eq!((found.ntp.len(), found.hostname.as_deref()), (1, Some("box")));
        let static_entry = entry(line);
        assert_eq!((static_entry.name.as_str(), static_entry.dhcp), ("eth1", Some(false)));
        assert_eq!(static_entry.addresses[0].to_string(), "10.0.0.5/24");
        assert_eq!((static_entry.gateway, static_entry.dns.len()), ("10.0.0.1".parse().ok(), 2));
        assert_eq!(entry("ip=:::::eth0:dhcp").dhcp, Some(true));
        assert_eq!(entry("ip=::::name::dhcp").dhcp, Some(true));
        assert_eq!(entry("ip=192.168.9.2::192.168.9.1").addresses[0].to_string(), "192.168.9.2/24");
        assert_eq!(entry("ip=172.16.0.2:::12::eth0:none").addresses[0].to_string(), "172.16.0.2/12");
        let v6 = entry("ip=[2001:db8::5]::[fe80::1]:64::eth0:none:[2001:4860::8888]");
        assert_eq!((v6.addresses[0].to_string(), v6.gateway6), ("2001:db8::5/64".into(), "fe80::1".parse().ok()));
        assert_eq!(v6.dns[0].to_string(), "2001:4860::8888");
        for (value, others) in [("ip=dhcp", Others::Dhcp), ("ip=on", Others::Dhcp), ("ip=off", Others::Off)] {
            assert_eq!(CommandLine::parse(value).others, Some(others), "{value}");
        }
        assert_eq!(CommandLine::parse("quiet"), CommandLine::default());
    }

    #[test]
    fn forms_of_dracut() {
        let found =
            CommandLine::parse("ip=eth0:dhcp ip=eth1:auto6 ip=eth2:dhcp:1400:52:54:00:12:34:56 nameserver=[fd00::1]");
        assert_eq!(found.problems, [""; 0]);
        let dhcp: Vec<_> = found.interfaces.iter().map(|entry| (entry.name.as_str(), entry.dhcp)).collect();
        assert_eq!(dhcp, [("eth0", Some(true)), ("eth1", Some(false)), ("eth2", Some(true))]);
        assert_eq!(found.interfaces[2].mtu, Some(1400));
        assert_eq!(found.interfaces[2].mac.map(|mac| mac.to_string()).as_deref(), Some("52:54:00:12:34:56"));
        assert_eq!(found.dns, ["fd00::1".parse::<std::net::IpAddr>().unwrap()]);
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, reason) in [
            ("ip=maybe", "\"maybe\" is no method"),
            ("ip=eth0:maybe", "\"maybe\" is no method"),
            ("ip=10.0.0.5:::255.0.255.0::eth0:off", "\"255.0.255.0\" is no netmask"),
            ("ip=10.0.0.5:::33::eth0:off", "a prefix of 33 bits"),
            ("ip=10.0.0.5::x", "\"x\" is no address of a gateway"),
            ("ip=10.0.0.5::::a_b", "\"a_b\" is no host name"),
            ("ip=:::::a/b:dhcp", "\"a/b\" is no name"),
            ("ip=[fd00::1::", "a bracket that is not closed"),
            ("ip=eth0:dhcp:99999", "is no size of packets"),
            ("ip=:::::eth0:dhcp:1.1.1.1:1.1.1.2:1.1.1.3:1.1.1.4", "nothing is expected"),
            ("nameserver=ns", "expected an address"),
        ] {
            let found = CommandLine::parse(value);
            assert!(found.problems.concat().contains(reason), "{value}: {:?}", found.problems);
            assert!(found.interfaces.is_empty() && found.first.is_none(), "{value}");
        }
    }

    #[test]
    fn fuzz_ip_argument() {
        fuzz::Fuzz::new("fuzz_ip_argument")
            .seed("ip=10.0.0.5:10.0.0.1:10.0.0.1:255.255.255.0:box:eth1:off:9.9.9.9:1.1.1.1:10.0.0.7")
            .seed("ip=eth0:dhcp:1500:52:54:00:12:34:56 nameserver=[fd00::1]")
            .seed("ip=[2001:db8::5]::[fe80::1]:64::eth0:none:[2001:4860::8888]")
            .tokens(&["ip=", ":", "[", "]", "::", "dhcp", "off", "255.255.255.0", "/", "nameserver=", " ", "\""])
            .run(|input| {
                let found = CommandLine::parse(&String::from_utf8_lossy(input));
                for entry in found.interfaces.iter().chain(&found.first) {
                    assert!(!entry.name.contains(['/', '\n', ' ']) && entry.name.len() < 16, "{entry:?}");
                }
            });
    }
}
