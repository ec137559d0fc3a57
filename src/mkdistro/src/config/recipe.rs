//! The types of `packages/NAME.toml`: which Debian packages a component comes from, which of their files, what it needs
//! and which services it starts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Allow;

/// One recipe.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// Version of this file's format; 1.
    pub schema: u32,
    /// One line for reports.
    pub summary: String,
    /// Debian packages whose files may be named below.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Files to take, as absolute paths or patterns (`*` stays within a folder, `**` does not). A pattern that fits
    /// nothing is an error.
    #[serde(default)]
    pub files: Vec<String>,
    /// Files to take under another name: target path → path in the package.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Other recipes that this one needs at run time.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Sonames that are opened at run time (dlopen), so that no `NEEDED` entry tells of them.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// Symbolic links: path → target.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Folders to make.
    #[serde(default, rename = "directory")]
    pub directories: Vec<Directory>,
    /// Files with their content.
    #[serde(default, rename = "write")]
    pub writes: Vec<WriteFile>,
    /// Files made by joining others: path → pattern over the packages' files, joined in order of their names.
    #[serde(default)]
    pub concat: BTreeMap<String, String>,
    /// Mode bits that differ from the package's: path → octal, e.g. "4755".
    #[serde(default)]
    pub modes: BTreeMap<String, String>,
    /// A multi-call program and the names it is linked under.
    #[serde(default)]
    pub applets: Option<Applets>,
    /// Kernel modules that must be loaded at boot.
    #[serde(default)]
    pub load_modules: Vec<String>,
    /// Services, in the guest's service table.
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceEntry>,
    /// Whether it is one of the program's own; no key of the file.
    #[serde(skip)]
    pub builtin: bool,
    /// Findings of the lint about these files that are all right.
    #[serde(default)]
    pub allow: Vec<Allow>,
}

/// `[[directory]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Octal mode, "0755" if not given.
    #[serde(default = "default_directory_mode")]
    pub mode: String,
    /// Owned by the login user instead of root.
    #[serde(default)]
    pub user: bool,
}

fn default_directory_mode() -> String {
    "0755".into()
}

/// `[[write]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WriteFile {
    /// Absolute path.
    pub path: String,
    /// Content; `${user}`, `${uid}`, `${hostname}`, `${name}`, `${version}` are replaced.
    pub content: String,
    /// Octal mode, "0644" if not given.
    #[serde(default = "default_write_mode")]
    pub mode: String,
}

fn default_write_mode() -> String {
    "0644".into()
}

/// `[applets]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Applets {
    /// The program, which must be among the recipe's files.
    pub program: String,
    /// Folder of the links.
    pub folder: String,
    /// Applets that get no link. A name that another recipe brings as a file gets none either.
    #[serde(default)]
    pub except: Vec<String>,
}

/// `[[service]]`; see `contract::service::Service` for what each means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceEntry {
    /// Name: lower-case letters, digits, `-`.
    pub name: String,
    /// Program (absolute path) and its arguments.
    pub command: Vec<String>,
    /// Additional environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Runs as the login user instead of root.
    #[serde(default)]
    pub user: bool,
    /// Services that must be ready first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Services that must be ready, or have failed, first.
    #[serde(default)]
    pub after: Vec<String>,
    /// `started` (default), `exit`, `socket PATH`, `file PATH`, `notify`.
    #[serde(default = "default_ready")]
    pub ready: String,
    /// Absolute path of a Unix socket that PID 1 makes and hands to the service (sd_listen_fds(3)).
    #[serde(default)]
    pub listen: Option<String>,
    /// Octal mode of that socket, "0600" if not given.
    #[serde(default = "default_listen_mode")]
    pub listen_mode: String,
    /// Its group is the login user's instead of root's.
    #[serde(default)]
    pub listen_user: bool,
    /// `machine` or `container` if it runs only there.
    #[serde(default, rename = "where")]
    pub place: Option<String>,
    /// `always` (default), `on-failure`, `no`.
    #[serde(default = "default_restart")]
    pub restart: String,
    /// What it may take at most.
    #[serde(default)]
    pub limits: LimitsEntry,
    /// Run before the stop signal at shutdown.
    #[serde(default)]
    pub stop_command: Vec<String>,
    /// Name of the signal that asks it to end, `TERM` if not given.
    #[serde(default = "default_stop_signal")]
    pub stop_signal: String,
    /// Seconds until it is killed.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout: u32,
    /// Whether a failure opens the rescue shell; in a container it ends PID 1.
    #[serde(default)]
    pub required: bool,
}

/// `limits` of a `[[service]]`; see `contract::service::Limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsEntry {
    /// Open files of each process.
    pub nofile: Option<u64>,
    /// Memory of all processes together.
    pub memory_mib: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Percent of one processor.
    pub cpu_percent: Option<u64>,
}

fn default_ready() -> String {
    "started".into()
}

/// Mode of a socket if none is given.
pub(super) fn default_listen_mode() -> String {
    "0600".into()
}

fn default_restart() -> String {
    "always".into()
}

fn default_stop_signal() -> String {
    "TERM".into()
}

fn default_stop_timeout() -> u32 {
    10
}
