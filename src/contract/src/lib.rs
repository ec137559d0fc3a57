//! What builder, guest and tests of mkdistro agree on: paths, labels, command-line keys, lines on the console and the
//! two small text formats the builder writes for the guest. Pure: no I/O, no dependencies, so that PID 1 can use it.

pub mod cmdline;
pub mod container;
pub mod control;
pub mod data_partition;
pub mod fields;
pub mod loop_device;
pub mod paths;
pub mod ready;
pub mod service;
pub mod settings;
pub mod sum;

/// First member's name of a tar written raw at the start of a disk: the user allows this disk to be formatted.
pub const FORMAT_ME_MAGIC: &str = "boot2podman, please format-me";

/// File-system label of the data disk unless `[data] label` in distro.toml says otherwise.
pub const DEFAULT_DATA_LABEL: &str = "boot2podman-data";

/// Types of SSH keys that may log in; DSA is no longer accepted by anyone. The builder checks distro.toml's keys by it, the
/// guest those of all sources.
pub const SSH_KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// fw_cfg names (QEMU `-fw_cfg name=...`) that the guest reads; the kernel shows them below
/// `/sys/firmware/qemu_fw_cfg/by_name/`.
pub mod fw_cfg {
    /// Lines in the format of `authorized_keys`, added to those of the user.
    pub const SSH_KEYS: &str = "opt/org.mkdistro/ssh-keys";
    /// The configuration document.
    pub const CONFIG: &str = "opt/org.mkdistro/config";
    /// The key of an encrypted data disk, its bytes as they are.
    pub const DATA_KEY: &str = "opt/org.mkdistro/data-key";
    /// An Ignition configuration, where its own systems read it.
    pub const IGNITION: &str = "opt/com.coreos/config";
}

/// Exit codes of the `mkdistro` program.
pub mod exit {
    /// Everything that has no code of its own.
    pub const FAILURE: u8 = 1;
    /// The command line was wrong (clap's own code).
    pub const USAGE: u8 = 2;
    /// distro.toml, a recipe, a kernel fragment or the overlay is wrong.
    pub const CONFIG: u8 = 3;
    /// A file could not be had from any mirror.
    pub const NETWORK: u8 = 4;
    /// A signature, hash or size is not what it must be.
    pub const VERIFY: u8 = 5;
    /// The lock does not fit the configuration.
    pub const LOCK: u8 = 6;
    /// Writing the output failed (disk full, no permission).
    pub const OUTPUT: u8 = 7;
}
