//! Addresses of time servers that are given by name: a small stub resolver (RFC 1035 section 4, RFC 3596), because libc's needs
//! shared libraries that a static program does not have. UDP only, no cache, the first answers that come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use contract::paths;

const PORT: u16 = 53;
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Without extensions an answer is not longer (RFC 1035 section 4.2.1); some servers do not care.
const MAX_ANSWER: usize = 1500;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const POINTER: u8 = 0xc0;

/// The addresses of a name, or of an address itself.
pub(super) fn resolve(name: &str, random: impl Fn() -> u64) -> Vec<IpAddr> {
    if let Ok(address) = name.parse() {
        return vec![address];
    }
    let hosts = in_hosts(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), name);
    if !hosts.is_empty() {
        return hosts;
    }
    let config = std::fs::read_to_string(paths::RESOLV_CONF).unwrap_or_default();
    let (servers, search) = read_config(&config);
    for name in candidates(name, &search) {
        for server in &servers {
            let found: Vec<IpAddr> = [TYPE_A, TYPE_AAAA]
                .into_iter()
                .filter_map(|kind| ask(SocketAddr::new(*server, PORT), &name, kind, random() as u16))
                .flatten()
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// With the search domains, as resolv.conf(5) says of `ndots` 1.
fn candidates(name: &str, search: &[&str]) -> Vec<String> {
    let plain = name.trim_end_matches('.').to_string();
    if name.ends_with('.') || name.contains('.') {
        return vec![plain];
    }
    search.iter().map(|domain| format!("{plain}.{domain}")).chain([plain.clone()]).collect()
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

/// Name servers (those with a zone are left out) and search domains.
fn read_config(text: &str) -> (Vec<IpAddr>, Vec<&str>) {
    let values = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '));
    (
        values("nameserver").filter_map(|value| value.trim().parse().ok()).collect(),
        values("search").flat_map(str::split_whitespace).collect(),
    )
}

fn ask(server: SocketAddr, name: &str, kind: u16, id: u16) -> Option<Vec<IpAddr>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(TIME_LIMIT)).ok()?;
    socket.send(&query(name, kind, id)?).ok()?;
    let mut answer = [0; MAX_ANSWER];
    let length = socket.recv(&mut answer).ok()?;
    read_answer(answer.get(..length)?, kind, id)
}

/// Header (id, recursion desired, one question), then the question.
fn query(name: &str, kind: u16, id: u16) -> Option<Vec<u8>> {
    let mut packet = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        packet.push(length);
        packet.extend(label.bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend(CLASS_IN.to_be_bytes());
    Some(packet)
}

/// The addresses in an answer. Aliases are followed by the server, which sends what they lead to as well.
fn read_answer(packet: &[u8], kind: u16, id: u16) -> Option<Vec<IpAddr>> {
    let word = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let flags = word(2)?;
    // It is an answer, and no error.
    if word(0)? != id || flags & 0x8000 == 0 || flags & 0x000f != 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = skip_name(packet, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = skip_name(packet, at)?;
        let (found_kind, class, length) = (word(at)?, word(at + 2)?, usize::from(word(at + 8)?));
        let data = packet.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if (found_kind, class) != (kind, CLASS_IN) {
            continue;
        }
        match kind {
            TYPE_A => found.extend(<[u8; 4]>::try_from(data).map(IpAddr::from)),
            _ => found.extend(<[u8; 16]>::try_from(data).map(IpAddr::from)),
        }
    }
    Some(found)
}

/// Labels up to an empty one, or up to a pointer to further ones, which are not read.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *packet.get(at)?;
        if length & POINTER == POINTER {
            return Some(at + 2);
        }
        at += 1 + usize::from(length);
        if length == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{candidates, in_hosts, query, read_answer, read_config};

    fn answer() -> Vec<u8> {
        let mut packet = query("ntp.example", 1, 0x4142).unwrap();
        packet[2] |= 0x80;
        packet[7] = 2;
        // An alias by pointer, then an address.
        packet.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c");
        packet.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\x02\x04");
        packet
    }

    #[test]
    fn asks_and_reads() {
        let packet = query("ntp.example", 28, 0x0102).unwrap();
        assert_eq!(packet, b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x03ntp\x07example\0\0\x1c\0\x01");
        assert_eq!(query("a..b", 1, 1), None);
        let answer = answer();
        assert_eq!(read_answer(&answer, 1, 0x4142).unwrap(), ["10.0.2.4".parse::<std::net::IpAddr>().unwrap()]);
        assert!(read_answer(&answer, 28, 0x4142).unwrap().is_empty());
        assert_eq!(read_answer(&answer, 1, 0x4143), None);
        assert_eq!(read_answer(&answer[..answer.len() - 1], 1, 0x4142), None);
    }

    #[test]
    fn knows_files() {
        let (servers, search) =
            read_config("# c\nsearch a b\nnameserver 10.0.2.3\nnameserver fe80::1%eth0\nnameserver ::1\n");
        assert_eq!((servers.len(), search), (2, vec!["a", "b"]));
        assert_eq!(candidates("ntp", &["a", "b"]), ["ntp.a", "ntp.b", "ntp"]);
        assert_eq!(candidates("ntp.x", &["a"]), ["ntp.x"]);
        assert_eq!(in_hosts("10.0.0.1 a NTP # b\n::1 b\n", "ntp").len(), 1);
        assert!(in_hosts("10.0.0.1 a # ntp\n", "ntp").is_empty());
    }

    #[test]
    fn fuzz_dns_answer() {
        fuzz::Fuzz::new("fuzz_dns_answer").seed(answer()).tokens(&["\u{3}ntp", "AB", "\0\u{1}\0\u{1}"]).run(|input| {
            read_answer(input, 1, 0x4142);
        });
    }
}
