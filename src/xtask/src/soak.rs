//! `cargo xtask soak`: campaigns that run for minutes or hours and look for what a single test cannot show.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kernel;
use crate::run::{Result, cargo, create_folder, root, succeeds, target};
use crate::tally::Tally;
use crate::test::build_image;

/// Name, purpose.
const CAMPAIGNS: [(&str, &str); 8] = [
    ("fuzz", "every reader of outside bytes gets broken input for a while; none may panic, hang or take much memory"),
    ("flavours", "each flavour built and booted: builds, compose, Docker's TLS port, a swarm"),
    (
        "kernel",
        "the distribution with a kernel from source, built in two folders; the bytes must be the same, and pass the boot tests",
    ),
    ("kill", "builds are ended at random moments; cache and output must stay sound"),
    ("matrix", "BIOS, UEFI and Secure Boot from CD on IDE and AHCI, USB stick and disk, each to a container"),
    (
        "power-cut",
        "power goes at random moments of a first boot that formats the disk, and while containers write; the disk must \
         be sound and every machine come up",
    ),
    ("survival", "a machine whose service dies all the time, for an hour, after orphans and garbage for PID 1"),
    ("versions", "\"mkdistro matrix\" of all flavours: each is locked as the archive is now, built, booted and asked"),
];

/// Readers that are fuzzed: tests whose name begins with `fuzz_`, in these packages, and whether that is a library.
const FUZZED: [(&str, &str); 6] = [
    ("distroctl", "--bins"),
    ("document", "--lib"),
    ("formats", "--lib"),
    ("init", "--bins"),
    ("mkdistro", "--lib"),
    ("quadlet", "--lib"),
];
/// About how many there are; they share the time.
const READERS: u64 = 43;

/// The manifest of `versions`: the stable suite, since others may have expired where this runs.
const VERSIONS: &str = "schema = 1
[[suite]]
name = \"trixie\"
suites = [\"trixie\", \"trixie-updates\", \"trixie-security\"]
";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Campaign {
    List,
    Fuzz { minutes: u64 },
    Flavours,
    Kernel,
    Kill { rounds: u64 },
    Matrix,
    PowerCut { rounds: u64 },
    Survival { minutes: u64 },
    Versions,
}

impl Campaign {
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        let wrong = || format!("not understood: soak {}", words.join(" "));
        match words {
            [] => Ok(Self::List),
            ["fuzz"] => Ok(Self::Fuzz { minutes: 10 }),
            ["fuzz", "--minutes", minutes] => number(minutes).map(|minutes| Self::Fuzz { minutes }).ok_or_else(wrong),
            ["flavours"] => Ok(Self::Flavours),
            ["kernel"] => Ok(Self::Kernel),
            ["kill"] => Ok(Self::Kill { rounds: 30 }),
            ["matrix"] => Ok(Self::Matrix),
            ["power-cut"] => Ok(Self::PowerCut { rounds: 20 }),
            ["power-cut", "--rounds", rounds] => {
                number(rounds).map(|rounds| Self::PowerCut { rounds }).ok_or_else(wrong)
            }
            ["survival"] => Ok(Self::Survival { minutes: 60 }),
            ["survival", "--minutes", minutes] => {
                number(minutes).map(|minutes| Self::Survival { minutes }).ok_or_else(wrong)
            }
            ["versions"] => Ok(Self::Versions),
            ["kill", "--rounds", rounds] => number(rounds).map(|rounds| Self::Kill { rounds }).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

/// Runs a campaign; false if it found something.
pub(crate) fn soak(campaign: Campaign) -> Result<bool> {
    match campaign {
        Campaign::List => {
            CAMPAIGNS.iter().for_each(|(name, purpose)| println!("{name}: {purpose}"));
            Ok(true)
        }
        Campaign::Fuzz { minutes } => fuzz(minutes),
        Campaign::Flavours => boots("flavours::", "MKDISTRO_FLAVOURS", "all"),
        Campaign::Kernel => kernel::twice(),
        Campaign::Kill { rounds } => kill(rounds),
        Campaign::Matrix => boots("matrix::", "MKDISTRO_MATRIX", "all"),
        Campaign::Survival { minutes } => boots("survival::", "MKDISTRO_SURVIVAL_MINUTES", &minutes.to_string()),
        Campaign::PowerCut { rounds } => boots("power_cut::", "MKDISTRO_CUTS", &rounds.to_string()),
        Campaign::Versions => versions(),
    }
}

fn fuzz(minutes: u64) -> Result<bool> {
    // The time as the seed: other inputs than yesterday. A finding names it.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seconds = (minutes * 60 / READERS).max(1);
    let mut sound = true;
    for (package, target) in FUZZED {
        let mut command =
            cargo(&["test", "--package", package, target, "--", "fuzz_", "--nocapture", "--test-threads=1"]);
        command.env("MKDISTRO_FUZZ_SECONDS", seconds.to_string()).env("MKDISTRO_FUZZ_SEED", seed.to_string());
        sound &= succeeds(&mut command)?;
    }
    Ok(sound)
}

fn kill(rounds: u64) -> Result<bool> {
    let built: &mut Command = &mut cargo(&["build", "--release", "--package", "mkdistro"]);
    if !succeeds(built)? {
        return Ok(false);
    }
    let mut command = cargo(&["test", "--package", "qemu-tests", "--", "robust::killed", "--nocapture"]);
    succeeds(command.env("MKDISTRO_KILL_ROUNDS", rounds.to_string()))
}

/// `mkdistro matrix` of the workspace's own project; its table stays beside the images of the tests.
fn versions() -> Result<bool> {
    let built: &mut Command = &mut cargo(&["build", "--release", "--package", "mkdistro"]);
    if !succeeds(built)? {
        return Ok(false);
    }
    let folder = target().join("qemu-tests");
    create_folder(&folder)?;
    let manifest = folder.join("matrix.toml");
    std::fs::write(&manifest, VERSIONS).map_err(|error| format!("writing {}: {error}", manifest.display()))?;
    let mut command = Command::new(target().join("release/mkdistro"));
    command.arg("matrix").arg("--manifest").arg(manifest).arg("--output").arg(folder.join("matrix"));
    succeeds(command.current_dir(root()))
}

/// The boot tests of a filter, with a variable that makes more of them.
fn boots(filter: &str, variable: &str, value: &str) -> Result<bool> {
    let mut tally = Tally::default();
    let Some(iso) = build_image(&mut tally, &target().join("qemu-tests"))? else { return Ok(false) };
    let arguments =
        ["test", "--package", "qemu-tests", "--no-fail-fast", "--", filter, "--nocapture", "--test-threads=2"];
    succeeds(cargo(&arguments).env("MKDISTRO_TEST_ISO", iso).env(variable, value))
}

#[cfg(test)]
mod tests {
    use super::Campaign;

    #[test]
    fn campaigns() {
        assert_eq!(Campaign::parse(&[]), Ok(Campaign::List));
        assert_eq!(Campaign::parse(&["fuzz"]), Ok(Campaign::Fuzz { minutes: 10 }));
        assert_eq!(Campaign::parse(&["fuzz", "--minutes", "3"]), Ok(Campaign::Fuzz { minutes: 3 }));
        assert_eq!(Campaign::parse(&["kill", "--rounds", "30"]), Ok(Campaign::Kill { rounds: 30 }));
        assert_eq!(Campaign::parse(&["flavours"]), Ok(Campaign::Flavours));
        assert_eq!(Campaign::parse(&["matrix"]), Ok(Campaign::Matrix));
        assert_eq!(Campaign::parse(&["versions"]), Ok(Campaign::Versions));
        assert_eq!(Campaign::parse(&["power-cut"]), Ok(Campaign::PowerCut { rounds: 20 }));
        assert_eq!(Campaign::parse(&["power-cut", "--rounds", "3"]), Ok(Campaign::PowerCut { rounds: 3 }));
        assert_eq!(Campaign::parse(&["survival"]), Ok(Campaign::Survival { minutes: 60 }));
        assert_eq!(Campaign::parse(&["survival", "--minutes", "5"]), Ok(Campaign::Survival { minutes: 5 }));
        for wrong in [&["fuzz", "--minutes"][..], &["kill", "--rounds", "0"], &["kill", "x"], &["fun"]] {
            assert!(Campaign::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
