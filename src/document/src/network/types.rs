//! Values of `[network]` and their texts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::node::Table;

/// An address and the length of its network's prefix, `10.0.0.2/24`; without a length the address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

impl Cidr {
    /// An address in a network; `None` if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    /// Every address of a family.
    pub fn all(ipv6: bool) -> Self {
        let address = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Self { address, prefix: 0 }
    }

    /// The network's first address.
    pub fn base(self) -> IpAddr {
        let host = u32::from(bits(self.address).saturating_sub(self.prefix));
        match self.address {
            IpAddr::V4(address) => {
                Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(host).unwrap_or(0)).into()
            }
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(host).unwrap_or(0)).into()
            }
        }
    }

    /// The broadcast address, of IPv4 networks with more than two addresses.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) if self.prefix < 31 => {
                Some(Ipv4Addr::from_bits(address.to_bits() | u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0)))
            }
            _ => None,
        }
    }

    /// Whether the network has this address.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self { address, ..self }.base() == self.base()
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some((address, prefix)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(drop)?;
            return Ok(Self { address, prefix: bits(address) });
        };
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        Self::new(address.parse().map_err(drop)?, prefix.parse().map_err(drop)?).ok_or(())
    }
}

/// An Ethernet address, `52:54:00:12:34:56` (also with `-`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl FromStr for MacAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut words = text.split([':', '-']);
        for byte in &mut bytes {
            let word =
                words.next().filter(|word| word.len() == 2 && word.bytes().all(|c| c.is_ascii_hexdigit())).ok_or(())?;
            *byte = u8::from_str_radix(word, 16).map_err(drop)?;
        }
        if words.next().is_none() { Ok(Self(bytes)) } else { Err(()) }
    }
}

impl std::fmt::Display for MacAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Which interfaces: all that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Pattern of names.
    pub name: Option<String>,
    /// Hardware address.
    pub mac: Option<MacAddress>,
    /// Pattern of the kernel driver's name.
    pub driver: Option<String>,
}

impl Selector {
    pub(super) fn of(entry: &Table) -> Option<Self> {
        let mac = entry.text("match-mac").and_then(|mac| mac.parse().ok());
        let selector = Self { name: entry.text("match-name"), mac, driver: entry.text("match-driver") };
        (selector != Self::default()).then_some(selector)
    }

    /// Whether an interface is selected.
    pub fn matches(&self, name: &str, mac: Option<MacAddress>, driver: Option<&str>) -> bool {
        self.name.as_ref().is_none_or(|pattern| glob(pattern, name))
            && self.mac.is_none_or(|wanted| mac == Some(wanted))
            && self.driver.as_ref().is_none_or(|pattern| driver.is_some_and(|driver| glob(pattern, driver)))
    }
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to; `default` is everything.
    pub to: Cidr,
    /// Through whom; `None`: it is on the link.
    pub via: Option<IpAddr>,
    /// The lower one is taken; `None`: after the interface's place.
    pub metric: Option<u32>,
    /// `via` is reached directly although no address of the interface is in its network.
    pub on_link: bool,
}

impl Route {
    pub(super) fn of(table: &Table) -> Option<Self> {
        let via: Option<IpAddr> = table.text("via").and_then(|via| via.parse().ok());
        let to = match table.text("to")?.as_str() {
            "default" => Cidr::all(via?.is_ipv6()),
            to => to.parse().ok()?,
        };
        let metric = table.integer("metric").and_then(|metric| metric.try_into().ok());
        Some(Self { to, via, metric, on_link: table.flag("on-link").unwrap_or_default() })
    }
}

/// An interface that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A VLAN of another interface.
    Vlan {
        /// The interface below: an entry's name or its own.
        link: String,
        /// Number, 1 to 4094.
        id: u16,
    },
    /// Several interfaces as one.
    Bond {
        /// Entries' names or interfaces' own; patterns.
        members: Vec<String>,
        /// How packets are spread.
        mode: BondMode,
        /// Milliseconds between looks at the members' carriers.
        miimon: u32,
    },
    /// A switch.
    Bridge {
        /// Entries' names or interfaces' own; patterns.
        members: Vec<String>,
        /// Whether it speaks the spanning tree protocol.
        stp: bool,
    },
}

impl Link {
    pub(super) fn of(entry: &Table) -> Option<Self> {
        let number = |key: &str| entry.integer(key);
        if let (Some(link), Some(id)) = (entry.text("vlan-link"), number("vlan-id")) {
            return Some(Self::Vlan { link, id: id.try_into().ok()? });
        }
        if entry.get("bond").is_some() {
            let mode = entry.text("bond-mode").and_then(|mode| BondMode::from_word(&mode)).unwrap_or_default();
            let miimon = number("bond-miimon").and_then(|miimon| miimon.try_into().ok()).unwrap_or(100);
            return Some(Self::Bond { members: entry.texts("bond"), mode, miimon });
        }
        let stp = entry.flag("bridge-stp").unwrap_or_default();
        entry.get("bridge").map(|_| Self::Bridge { members: entry.texts("bridge"), stp })
    }

    /// The kernel's name of the kind, and the key of a bond's or bridge's members.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vlan { .. } => "vlan",
            Self::Bond { .. } => "bond",
            Self::Bridge { .. } => "bridge",
        }
    }

    /// What it takes for itself.
    pub fn members(&self) -> &[String] {
        match self {
            Self::Vlan { .. } => &[],
            Self::Bond { members, .. } | Self::Bridge { members, .. } => members,
        }
    }
}

/// How a bond spreads packets; the numbers are the kernel's (`linux/if_bonding.h`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum BondMode {
    /// In turn.
    BalanceRr = 0,
    /// One works, the others wait.
    #[default]
    ActiveBackup = 1,
    /// By addresses.
    BalanceXor = 2,
    /// All send everything.
    Broadcast = 3,
    /// LACP.
    Lacp = 4,
    /// By load, what is sent.
    BalanceTlb = 5,
    /// By load, both ways.
    BalanceAlb = 6,
}

/// The modes' names, in the order of their numbers.
pub(super) const BOND_MODES: [(&str, BondMode); 7] = [
    ("balance-rr", BondMode::BalanceRr),
    ("active-backup", BondMode::ActiveBackup),
    ("balance-xor", BondMode::BalanceXor),
    ("broadcast", BondMode::Broadcast),
    ("802.3ad", BondMode::Lacp),
    ("balance-tlb", BondMode::BalanceTlb),
    ("balance-alb", BondMode::BalanceAlb),
];

impl BondMode {
    /// The mode of a name or number.
    pub fn from_word(word: &str) -> Option<Self> {
        let by_number = || BOND_MODES.get(word.parse::<usize>().ok()?);
        BOND_MODES.iter().find(|(name, _)| *name == word).or_else(by_number).map(|(_, mode)| *mode)
    }
}

/// Whether a name fits a pattern: `*` is any text, `?` any character.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(read) {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, read));
                at += 1;
            }
            Some(wanted) if wanted == byte || *wanted == b'?' => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((after, from)) = retry else { return false };
                (at, read) = (after, from + 1);
                retry = Some((after, from + 1));
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}
