//! The rules for what comes in from outside, by nft(8). They are a table of their own: netavark's (`inet netavark`) is left
//! alone, and a packet must pass both.
//!
//! `ssh-only` filters what is for the machine itself. What is forwarded is not: a port that a container publishes is open,
//! because its owner has said so, and netavark decides about it. Bridges that the document does not make are container
//! networks; they may ask the machine (name service).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use document::network::{Firewall, Link, Network};

use crate::console::log;

const NFT: &str = "/usr/bin/nft";
/// Our table, of the family `inet`.
const TABLE: &str = "distro";
/// Largest file that is looked into.
const FILE_LIMIT: u64 = 1 << 20;

/// Puts the rules in force. Without any asked for, those of before are taken away if nft is there.
pub(super) fn apply(network: &Network) -> Result<()> {
    let rules = match &network.firewall {
        Firewall::None if !Path::new(NFT).exists() => return Ok(()),
        Firewall::None => none(),
        Firewall::SshOnly => ssh_only(network),
        Firewall::File(path) => read_file(path)?,
    };
    if !Path::new(NFT).exists() {
        bail!(
            "{NFT} is not in this image: the firewall is not in force\nhint: add the recipe \"nftables\" to [root] recipes"
        );
    }
    // Nothing to take away at boot: nft would load the kernel's modules, which cost memory.
    if network.firewall == Firewall::None && !Path::new("/sys/module/nf_tables").exists() {
        return Ok(());
    }
    run(&rules).with_context(|| format!("firewall {}", name(&network.firewall)))?;
    if network.firewall != Firewall::None {
        log(&format!("firewall: {}", name(&network.firewall)));
    }
    Ok(())
}

/// Its name in the document.
pub(super) fn name(firewall: &Firewall) -> &str {
    match firewall {
        Firewall::None => "none",
        Firewall::SshOnly => "ssh-only",
        Firewall::File(path) => path,
    }
}

/// A table is made first, so that removing it never fails; nft applies all of it or nothing.
fn none() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

fn ssh_only(network: &Network) -> String {
    let bridge = |link: &Option<Link>| matches!(link, Some(Link::Bridge { .. }));
    let own: Vec<String> = network
        .interfaces
        .iter()
        .filter(|entry| bridge(&entry.link))
        .map(|entry| format!("\"{}\"", entry.name))
        .collect();
    let not_own = if own.is_empty() { String::new() } else { format!(" iifname != {{ {} }}", own.join(", ")) };
    none()
        + &format!(
            "table inet {TABLE} {{
\tchain input {{
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\tct state invalid drop
\t\tiif lo accept
\t\tmeta iifkind \"bridge\"{not_own} accept
\t\tmeta l4proto {{ icmp, icmpv6 }} accept
\t\tudp sport 67 udp dport 68 accept
\t\tip6 saddr fe80::/10 udp dport 546 accept
\t\ttcp dport 22 accept
\t}}
}}
"
        )
}

/// A file that flushes everything would take podman's rules away when it is applied again.
fn read_file(path: &str) -> Result<String> {
    let content =
        crate::file::read_limited(Path::new(path), FILE_LIMIT)?.with_context(|| format!("there is no {path}"))?;
    let text = String::from_utf8(content).with_context(|| format!("reading {path}"))?;
    let words =
        |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(line) = text.lines().position(|line| words(line).contains("flush ruleset")) {
        bail!(
            "{path}:{}: \"flush ruleset\" takes the containers' rules away too\nhint: begin with \"table inet NAME\" and \"delete table inet NAME\" instead",
            line + 1
        );
    }
    Ok(text)
}

fn run(rules: &str) -> Result<()> {
    let mut nft = Command::new(NFT)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {NFT} -f -"))?;
    let written = nft.stdin.take().map(|mut input| input.write_all(rules.as_bytes()));
    let output = nft.wait_with_output().context("waiting for nft")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{NFT} -f -: {}\n{}", output.status, message.trim_end());
    }
    written.transpose().context("handing rules to nft")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use document::network::{Firewall, Network};

    #[test]
    fn rules_know_own_bridges() {
        let network = |text: &str| document::Document::read(text).network;
        let text = super::ssh_only(&network(""));
        assert!(text.starts_with("table inet distro\ndelete table inet distro\ntable inet distro {\n"), "{text}");
        assert!(text.contains("\t\tmeta iifkind \"bridge\" accept\n"), "{text}");
        let lan = "[[network.interfaces]]\nname = \"br0\"\nbridge = [\"eth1\"]\n[[network.interfaces]]\nname = \"br1\"\nbridge = []\n";
        let text = super::ssh_only(&network(lan));
        assert!(text.contains("\t\tmeta iifkind \"bridge\" iifname != { \"br0\", \"br1\" } accept\n"), "{text}");
    }

    #[test]
    fn refuses_to_flush_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        let firewall = |text: &str| {
            std::fs::write(&path, text).unwrap();
            super::read_file(path.to_str().unwrap())
        };
        assert!(firewall("# flush ruleset\ntable inet x\n").is_ok());
        let error = firewall("table inet x\n  flush   ruleset; table inet y\n").unwrap_err().to_string();
        assert!(error.contains("rules:2: \"flush ruleset\""), "{error}");
        assert!(super::read_file("/nonexistent/f").unwrap_err().to_string().starts_with("there is no"));
        if !std::path::Path::new(super::NFT).exists() {
            let network = Network { firewall: Firewall::SshOnly, ..Network::default() };
            assert!(super::apply(&network).unwrap_err().to_string().contains("hint: add the recipe \"nftables\""));
        }
    }
}
