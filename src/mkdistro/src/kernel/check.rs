//! The table behind `mkdistro kernel check`: what the fragments ask for, what a kernel has, and why it is asked for.

use serde::Serialize;

use super::config::{KernelConfig, is_met};
use crate::config::{Fragment, KernelSource};

/// How an option is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As asked for.
    Ok,
    /// Asked for by a fragment that distro.toml names, and not so.
    Missing,
    /// Asked for by another fragment of kernel-config/, and not so.
    Optional,
}

/// One line of a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The fragment's name.
    pub fragment: String,
    /// Line in it.
    pub line: usize,
    /// `CONFIG_…`.
    pub option: String,
    /// What is asked for: `y`, `m` (or built in), `n`, or a value.
    pub wanted: String,
    /// The kernel's value; `n` if it is not set.
    pub found: String,
    /// Whether they agree.
    pub verdict: Verdict,
    /// Why it is asked for.
    pub reason: String,
}

/// Compares a kernel's configuration with fragments: those of distro.toml first, then `others`.
pub fn rows(fragments: &[Fragment], others: &[Fragment], source: KernelSource, config: &KernelConfig<'_>) -> Vec<Row> {
    let required = fragments.iter().map(|fragment| (fragment, Verdict::Missing));
    let optional = others.iter().map(|fragment| (fragment, Verdict::Optional));
    let lines = required.chain(optional).flat_map(|(fragment, otherwise)| {
        let options = fragment.options.iter().filter(|option| option.applies_to(source));
        options.map(move |option| (fragment, otherwise, option))
    });
    lines
        .map(|(fragment, otherwise, option)| {
            let found = config.get(&option.name);
            let text = option.line_text();
            Row {
                fragment: fragment.name.clone(),
                line: option.line,
                option: option.name.clone(),
                wanted: text.split_once('=').map_or("n", |(_, value)| value).to_owned(),
                found: found.unwrap_or("n").to_owned(),
                verdict: if is_met(&option.value, found) { Verdict::Ok } else { otherwise },
                reason: option.reason.clone(),
            }
        })
        .collect()
}

/// What a configuration of unknown origin is to be compared with: a kernel without modules was built from source.
pub fn source_of(config: &KernelConfig<'_>) -> KernelSource {
    match config.get("CONFIG_MODULES") {
        Some(_) => KernelSource::Package,
        None => KernelSource::Source,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{Verdict, rows, source_of};
    use crate::config::{self, KernelSource};
    use crate::kernel::config::KernelConfig;
    use crate::kernel::tests::checked_fragments;

    /// Options that moby's contrib/check-config.sh and podman's installation notes look for on Linux 6.12 with cgroup v2,
    /// other than those of the zfs driver.
    const ASKED_BY_ENGINES: &str = "\
        NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CPUSETS \
        MEMCG KEYS VETH BRIDGE BRIDGE_NETFILTER IP_NF_FILTER IP_NF_MANGLE IP_NF_TARGET_MASQUERADE IP6_NF_FILTER \
        IP6_NF_MANGLE IP6_NF_TARGET_MASQUERADE NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK \
        NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MARK IP_NF_RAW IP_NF_NAT NF_NAT IP6_NF_RAW IP6_NF_NAT POSIX_MQUEUE CGROUP_BPF \
        USER_NS SECCOMP SECCOMP_FILTER CGROUP_PIDS SWAP BLK_CGROUP BLK_DEV_THROTTLING CGROUP_PERF CGROUP_HUGETLB \
        NET_CLS_CGROUP CGROUP_NET_PRIO CFS_BANDWIDTH FAIR_GROUP_SCHED IP_NF_TARGET_REDIRECT IP_VS IP_VS_NFCT \
        IP_VS_PROTO_TCP IP_VS_PROTO_UDP IP_VS_RR SECURITY_SELINUX SECURITY_APPARMOR EXT4_USE_FOR_EXT2 EXT4_FS \
        EXT4_FS_POSIX_ACL EXT4_FS_SECURITY VXLAN BRIDGE_VLAN_FILTERING CRYPTO CRYPTO_AEAD CRYPTO_GCM CRYPTO_SEQIV \
        CRYPTO_GHASH XFRM XFRM_USER XFRM_ALGO INET_ESP NETFILTER_XT_MATCH_BPF IPVLAN MACVLAN DUMMY NF_NAT_FTP \
        NF_CONNTRACK_FTP NF_NAT_TFTP NF_CONNTRACK_TFTP BTRFS_FS BTRFS_FS_POSIX_ACL OVERLAY_FS FUSE_FS TUN NF_TABLES \
        NFT_MASQ NFT_NAT NFT_FIB_INET NFT_REJECT NFT_CT";

    fn own_fragments() -> Vec<config::Fragment> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            config::parse_fragment(name, path, &std::fs::read_to_string(path).unwrap()).unwrap()
        };
        files.iter().map(read).collect()
    }

    #[test]
    fn tells_what_is_missing() {
        let text = "# why A\nCONFIG_A=y\n# why B\nCONFIG_B=m\nCONFIG_C=m\n# only: source\nCONFIG_D=y\nCONFIG_E=\"x\"\n\
                    # CONFIG_F is not set\n";
        let fragments = checked_fragments(&[("one", text)]).fragments;
        let others = checked_fragments(&[("two", "CONFIG_G=y\nCONFIG_A=y\n")]).fragments;
        let config =
            KernelConfig::parse("CONFIG_A=m\nCONFIG_B=m\nCONFIG_C=y\nCONFIG_E=\"x\"\nCONFIG_F=m\nCONFIG_MODULES=y\n");
        let rows = rows(&fragments, &others, KernelSource::Package, &config);
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.line, row.option.as_str(), row.wanted.as_str(), row.found.as_str(), row.verdict))
            .collect();
        let expected = [
            (2, "CONFIG_A", "y", "m", Verdict::Missing),
            (4, "CONFIG_B", "m", "m", Verdict::Ok),
            (5, "CONFIG_C", "m", "y", Verdict::Ok),
            (8, "CONFIG_E", "\"x\"", "\"x\"", Verdict::Ok),
            (9, "CONFIG_F", "n", "m", Verdict::Missing),
            (1, "CONFIG_G", "y", "n", Verdict::Optional),
            (2, "CONFIG_A", "y", "m", Verdict::Optional),
        ];
        assert_eq!(told, expected);
        assert_eq!((rows[1].reason.as_str(), rows[0].fragment.as_str()), ("why B", "one"));
        assert_eq!(source_of(&config), KernelSource::Package);
        assert_eq!(source_of(&KernelConfig::parse("CONFIG_A=y")), KernelSource::Source);
    }

    #[test]
    fn own_fragments_have_reasons_and_agree() {
        let mut seen: BTreeMap<(&str, KernelSource), (&config::OptionValue, &str)> = BTreeMap::new();
        let fragments = own_fragments();
        for fragment in &fragments {
            for option in &fragment.options {
                let place = format!("{}:{}", fragment.name, option.line);
                assert!(!option.reason.is_empty(), "{place}: {} has no reason", option.name);
                for source in [KernelSource::Package, KernelSource::Source] {
                    if option.applies_to(source) {
                        let (value, first) =
                            *seen.entry((&option.name, source)).or_insert((&option.value, &fragment.name));
                        assert_eq!(*value, option.value, "{place}: {} as in {first}", option.name);
                    }
                }
            }
        }
    }

    #[test]
    fn own_fragments_cover_what_engines_ask_for() {
        let fragments = own_fragments();
        let has = |name: &str| {
            let name = format!("CONFIG_{name}");
            fragments.iter().flat_map(|fragment| &fragment.options).any(|option| option.name == name)
        };
        let absent: Vec<&str> = ASKED_BY_ENGINES.split_whitespace().filter(|name| !has(name)).collect();
        assert!(absent.is_empty(), "no fragment asks for {absent:?}");
    }
}
