//! The typed document. Made of a checked table, so nothing here can fail.

use crate::network::Network;
use crate::node::Table;

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Host name.
    pub hostname: Option<String>,
    /// Time zone: a name or a POSIX TZ string.
    pub timezone: Option<String>,
    /// SSH keys of the login user.
    pub authorized_keys: Vec<String>,
    /// Crypt hash of the login user.
    pub password_hash: Option<String>,
    /// Further users.
    pub users: Vec<User>,
    /// Files and folders.
    pub files: Vec<File>,
    /// Network.
    pub network: Network,
    /// Time servers.
    pub ntp: Ntp,
    /// Proxy.
    pub proxy: Proxy,
    /// Certificates, PEM.
    pub ca_certificates: Vec<String>,
    /// Registries.
    pub registries: Registries,
    /// Host key of the SSH server, OpenSSH's format.
    pub host_key: Option<String>,
    /// Further file systems.
    pub mounts: Vec<Mount>,
    /// Size of the swap file in bytes; `Some(0)`: none.
    pub swap_bytes: Option<u64>,
    /// Shell commands before network and engine.
    pub boot_commands: Vec<String>,
    /// Shell commands when the engine is up.
    pub run_commands: Vec<String>,
    /// Paths kept on the data disk.
    pub persist: Vec<String>,
    /// Syslog servers.
    pub log_servers: Vec<String>,
}

/// `[[users]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Uid and gid; `None`: the next free.
    pub uid: Option<u32>,
    /// Further groups.
    pub groups: Vec<String>,
    /// Sudo without a password.
    pub sudo: bool,
    /// Login shell.
    pub shell: Option<String>,
    /// SSH keys.
    pub authorized_keys: Vec<String>,
    /// Crypt hash.
    pub password_hash: Option<String>,
}

/// `[[files]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Content; of a folder empty.
    pub content: Vec<u8>,
    /// Mode bits; `None`: 0644, of a folder 0755.
    pub mode: Option<u32>,
    /// `USER` or `USER:GROUP`.
    pub owner: Option<String>,
    /// Appended instead of replaced.
    pub append: bool,
    /// A folder.
    pub directory: bool,
}

/// `[ntp]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ntp {
    /// Whether time is kept.
    pub enabled: bool,
    /// Servers; empty: the image's.
    pub servers: Vec<String>,
}

impl Default for Ntp {
    fn default() -> Self {
        Self { enabled: true, servers: Vec::new() }
    }
}

/// `[proxy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For http.
    pub http: Option<String>,
    /// For https; `None`: as for http.
    pub https: Option<String>,
    /// Reached without.
    pub no: Vec<String>,
}

/// `[registries]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    /// Reached by http or with any certificate.
    pub insecure: Vec<String>,
    /// Registry and the mirror asked first.
    pub mirrors: Vec<(String, String)>,
    /// Log-ins.
    pub credentials: Vec<Credential>,
}

/// `[[registries.credentials]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// Registry.
    pub registry: String,
    /// User.
    pub user: String,
    /// Password or token.
    pub password: String,
}

/// `[[mounts]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub path: String,
    /// `LABEL=…`, `UUID=…`, `/dev/…`, or a tag.
    pub source: String,
    /// File system; `None`: what is found.
    pub kind: Option<String>,
    /// Options.
    pub options: Vec<String>,
    /// Whether a failure is a problem.
    pub required: bool,
}

impl Document {
    /// Of a checked table.
    pub fn of(table: &Table) -> Self {
        let empty = Table::default();
        let section = |key: &str| table.table(key).unwrap_or(&empty);
        Self {
            hostname: table.text("hostname"),
            timezone: table.text("timezone"),
            authorized_keys: section("user").texts("authorized-keys"),
            password_hash: section("user").text("password-hash"),
            users: table.tables("users").map(User::of).collect(),
            files: table.tables("files").map(File::of).collect(),
            network: Network::of(section("network")),
            ntp: Ntp {
                enabled: section("ntp").flag("enabled").unwrap_or(true),
                servers: section("ntp").texts("servers"),
            },
            proxy: Proxy {
                http: section("proxy").text("http"),
                https: section("proxy").text("https"),
                no: section("proxy").texts("no"),
            },
            ca_certificates: table.texts("ca-certificates"),
            registries: Registries::of(section("registries")),
            host_key: section("ssh").text("host-key"),
            mounts: table.tables("mounts").map(Mount::of).collect(),
            swap_bytes: section("swap").text("size").and_then(|size| size_bytes(&size)),
            boot_commands: table.texts("boot-commands"),
            run_commands: table.texts("run-commands"),
            persist: section("data").texts("persist"),
            log_servers: section("logs").texts("remote"),
        }
    }

    /// The good parts of a text, as [`crate::write`] wrote it.
    pub fn read(text: &str) -> Self {
        let (mut table, _) = crate::parse(text);
        crate::check(&mut table, crate::DOCUMENT);
        Self::of(&table)
    }
}

impl User {
    fn of(table: &Table) -> Self {
        Self {
            name: table.text("name").unwrap_or_default(),
            uid: table.integer("uid").and_then(|uid| u32::try_from(uid).ok()),
            groups: table.texts("groups"),
            sudo: table.flag("sudo").unwrap_or(false),
            shell: table.text("shell"),
            authorized_keys: table.texts("authorized-keys"),
            password_hash: table.text("password-hash"),
        }
    }
}

impl File {
    fn of(table: &Table) -> Self {
        let base64 = table.text("base64").and_then(|text| crate::base64::decode(&text));
        Self {
            path: table.text("path").unwrap_or_default(),
            content: base64.or_else(|| table.text("content").map(String::into_bytes)).unwrap_or_default(),
            mode: table.text("mode").and_then(|mode| u32::from_str_radix(&mode, 8).ok()),
            owner: table.text("owner"),
            append: table.flag("append").unwrap_or(false),
            directory: table.flag("directory").unwrap_or(false),
        }
    }
}

impl Registries {
    fn of(table: &Table) -> Self {
        let credential = |table: &Table| Credential {
            registry: table.text("registry").unwrap_or_default(),
            user: table.text("user").unwrap_or_default(),
            password: table.text("password").unwrap_or_default(),
        };
        Self {
            insecure: table.texts("insecure"),
            mirrors: table.pairs("mirrors"),
            credentials: table.tables("credentials").map(credential).collect(),
        }
    }
}

impl Mount {
    fn of(table: &Table) -> Self {
        Self {
            path: table.text("path").unwrap_or_default(),
            source: table.text("source").unwrap_or_default(),
            kind: table.text("type"),
            options: table.texts("options"),
            required: table.flag("required").unwrap_or(true),
        }
    }
}

/// Bytes of a size such as `512M`; units are powers of 1024.
pub(crate) fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
