//! `/etc/resolv.conf` from the leases of all interfaces (resolv.conf(5)).

use super::lease::Lease;

/// The resolver of libc reads no more (`MAXNS`).
const NAME_SERVERS: usize = 3;
/// `MAXDNSRCH` of older ones.
const SEARCH_DOMAINS: usize = 6;

/// The file's text; leases in order of preference, each server and domain once. One server of each interface first, so that
/// an interface with many servers leaves room for the others.
pub(super) fn merge(leases: &[Lease]) -> String {
    let depth = leases.iter().map(|lease| lease.dns.len()).max().unwrap_or(0);
    let by_rank = (0..depth).flat_map(|rank| leases.iter().filter_map(move |lease| lease.dns.get(rank)));
    let servers = unique(by_rank, NAME_SERVERS);
    let domains = unique(leases.iter().flat_map(|lease| &lease.search), SEARCH_DOMAINS);
    let mut text = String::from("# Written by distroctl network from DHCP leases.\n");
    if !domains.is_empty() {
        text.push_str("search");
        domains.iter().for_each(|domain| text.extend([" ", domain.as_str()]));
        text.push('\n');
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

fn unique<'a, T: PartialEq>(items: impl Iterator<Item = &'a T>, limit: usize) -> Vec<&'a T> {
    let mut unique = Vec::new();
    for item in items {
        if unique.len() < limit && !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::{Lease, merge};

    #[test]
    fn merges_interfaces() {
        let one =
            Lease::decode("address 10.0.0.1/8\ndns 1.1.1.1\ndns 1.1.1.2\ndns 1.1.1.3\nsearch a\nsearch b\n").unwrap();
        let two = Lease::decode("address 10.0.0.2/8\ndns 2.2.2.2\ndns 1.1.1.1\nsearch b\nsearch c\n").unwrap();
        let head = "# Written by distroctl network from DHCP leases.\n";
        assert_eq!(
            merge(&[one.clone(), two]),
            format!("{head}search a b c\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 1.1.1.2\n")
        );
        assert_eq!(
            merge(&[one]),
            format!("{head}search a b\nnameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\n")
        );
        assert_eq!(merge(&[]), head);
    }
}
