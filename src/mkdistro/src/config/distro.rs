//! The types of distro.toml. Defaults live in `Default`, nowhere else.

use serde::{Deserialize, Serialize};

use super::images::{ContainerImage, Registry};
use super::size::Size;
use crate::image::Format;

/// distro.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Distro {
    /// Version of this file's format; 1.
    pub schema: u32,
    /// What the distribution is called.
    pub distro: Identity,
    /// Where packages come from.
    #[serde(default)]
    pub sources: Sources,
    /// Which kernel.
    #[serde(default)]
    pub kernel: Kernel,
    /// What is in the root.
    pub root: Root,
    /// Container images that are there from the start.
    #[serde(default)]
    pub images: Vec<ContainerImage>,
    /// How registries are asked.
    #[serde(default)]
    pub registries: Vec<Registry>,
    /// The login user.
    #[serde(default)]
    pub user: User,
    /// Login shells.
    #[serde(default)]
    pub console: Console,
    /// The data disk.
    #[serde(default)]
    pub data: Data,
    /// Compressed swap in RAM.
    #[serde(default)]
    pub memory: Memory,
    /// Swap on the data disk.
    #[serde(default)]
    pub swap: Swap,
    /// Messages.
    #[serde(default)]
    pub logs: Logs,
    /// Boot menu and kernel command line.
    #[serde(default)]
    pub boot: Boot,
    /// What is written.
    #[serde(default)]
    pub output: Output,
    /// Checks of the finished root.
    #[serde(default)]
    pub lint: Lint,
}

/// `[distro]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Identity {
    /// Name: lower-case letters, digits, `-`.
    pub name: String,
    /// Version, no spaces.
    pub version: String,
    /// ISO 9660 volume identifier: `A-Z 0-9 _`, at most 32; empty: from the name.
    #[serde(default)]
    pub volume_id: String,
    /// Host name if nothing else gives one.
    #[serde(default = "default_hostname")]
    pub hostname: String,
}

fn default_hostname() -> String {
    "box".into()
}

/// `[sources]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sources {
    /// Debian suites; the highest version of a package wins.
    pub suites: Vec<String>,
    /// Archive areas.
    pub components: Vec<String>,
    /// `"system"` (the build host's apt configuration) or base URLs, tried in this order. `file:///folder` works too.
    pub mirrors: Vec<String>,
    /// The same for the suites whose name ends in `-security`.
    pub security_mirrors: Vec<String>,
    /// OpenPGP key ring that must have signed each suite's InRelease, relative to the project.
    pub keyring: String,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            suites: ["trixie", "trixie-updates", "trixie-security"].map(String::from).into(),
            components: vec!["main".into()],
            mirrors: vec!["system".into()],
            security_mirrors: vec!["system".into()],
            keyring: "packages/debian-archive-keyring.asc".into(),
        }
    }
}

/// `[kernel]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Kernel {
    /// Debian's kernel as it is, or one built from Debian's source.
    pub source: KernelSource,
    /// The Debian package (a meta package is followed to the real one).
    pub package: String,
    /// The Debian package with the source (a meta package is followed to the real one).
    pub source_package: String,
    /// Names of fragments in kernel-config/, without `.config`.
    pub config: Vec<String>,
    /// Further modules by name.
    pub modules: Vec<String>,
}

/// Where the kernel comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelSource {
    /// Debian's kernel; what the fragments ask for is checked, and their modules are shipped.
    #[default]
    Package,
    /// Built from Debian's source with what the fragments ask for, all of it built in.
    Source,
}

impl Kernel {
    /// The package that the kernel comes from.
    pub fn chosen_package(&self) -> &str {
        match self.source {
            KernelSource::Package => &self.package,
            KernelSource::Source => &self.source_package,
        }
    }
}

/// What a machine of most kinds needs.
const DEFAULT_FRAGMENTS: [&str; 11] = [
    "base",
    "containers",
    "storage",
    "network",
    "virt",
    "virtualbox",
    "vmware",
    "hyperv",
    "baremetal",
    "servers",
    "hardening",
];

impl Default for Kernel {
    fn default() -> Self {
        Self {
            source: KernelSource::default(),
            package: "linux-image-amd64".into(),
            source_package: "linux-source".into(),
            config: DEFAULT_FRAGMENTS.map(String::from).into(),
            modules: Vec::new(),
        }
    }
}

/// `[root]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Root {
    /// Names of recipes in packages/; what they need comes along.
    pub recipes: Vec<String>,
    /// `zstd:LEVEL` (1-22) or `xz`.
    #[serde(default = "default_compression")]
    pub compression: String,
    /// Limit of the files written at run time, in percent of RAM (1-95).
    #[serde(default = "default_overlay_percent")]
    pub overlay_percent: u8,
}

fn default_compression() -> String {
    "zstd:17".into()
}

fn default_overlay_percent() -> u8 {
    50
}

/// `[user]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Uid and gid, from 1000.
    pub uid: u32,
    /// Keys that may log in, lines as in `authorized_keys`.
    pub authorized_keys: Vec<String>,
}

impl Default for User {
    fn default() -> Self {
        Self { name: "core".into(), uid: 1000, authorized_keys: Vec::new() }
    }
}

/// `[console]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Console {
    /// Terminals with a login shell of the user, without `/dev/`.
    pub autologin: Vec<String>,
}

impl Default for Console {
    fn default() -> Self {
        Self { autologin: vec!["ttyS0".into(), "tty1".into()] }
    }
}

/// `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Data {
    /// File-system label, at most 16 bytes for ext4 (12 for xfs).
    pub label: String,
}

impl Default for Data {
    fn default() -> Self {
        Self { label: contract::DEFAULT_DATA_LABEL.into() }
    }
}

/// `[memory]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Memory {
    /// Size of the compressed swap in RAM (zram), in percent of RAM; 0: none.
    pub zram_percent: u16,
}

impl Default for Memory {
    fn default() -> Self {
        Self { zram_percent: 100 }
    }
}

/// `[swap]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Swap {
    /// Size of a swap file on the data disk; 0: none.
    pub file_mib: u32,
}

/// `[logs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Logs {
    /// `udp://HOST[:PORT]` or `tcp://HOST[:PORT]`: a syslog server that gets every message; empty: none.
    pub remote: String,
    /// Most that logs may take on the data disk; 0: none are kept there.
    pub disk_mib: u32,
}

impl Default for Logs {
    fn default() -> Self {
        Self { remote: String::new(), disk_mib: 32 }
    }
}

/// `[boot]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Boot {
    /// Seconds the boot menu waits.
    pub timeout: u32,
    /// Kernel command line.
    pub command_line: String,
    /// What starts the kernel by UEFI.
    pub uefi: Uefi,
    /// The project's own key for firmware that has its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
}

/// What starts the kernel by UEFI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uefi {
    /// shim and GRUB as Debian has signed them: with Secure Boot too.
    #[default]
    Shim,
    /// systemd-boot: smaller, without Secure Boot.
    SystemdBoot,
    /// One program with kernel and initramfs, which the project's own key may sign.
    Uki,
}

/// `[boot.signing]`: files, relative to the project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Signing {
    /// The secret key: RSA, PEM.
    pub key: String,
    /// Its X.509 certificate: PEM.
    pub certificate: String,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            timeout: 1,
            command_line: "console=tty1 console=ttyS0,115200 loglevel=4".into(),
            uefi: Uefi::default(),
            signing: None,
        }
    }
}

/// `[output]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Output {
    /// Formats of the images that a build writes.
    pub formats: Vec<Format>,
    /// Size of disks; what the boot image leaves is the data partition's.
    pub disk_size: Size,
}

impl Default for Output {
    fn default() -> Self {
        Self { formats: vec![Format::Iso], disk_size: Size::gib(2) }
    }
}

/// `[lint]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Lint {
    /// Files above this size are reported, in MiB.
    pub max_file_mib: u32,
    /// Findings that are all right, besides those of the recipes.
    pub allow: Vec<Allow>,
}

impl Default for Lint {
    fn default() -> Self {
        Self { max_file_mib: 64, allow: Vec::new() }
    }
}

/// `[[lint.allow]]`, and `[[allow]]` of a recipe: a finding of the lint that is all right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Allow {
    /// Name of the check, see [`crate::lint::CHECKS`].
    pub check: String,
    /// Path or pattern (`*` within a folder, `**` across).
    pub path: String,
    /// Why it is all right.
    pub reason: String,
}
