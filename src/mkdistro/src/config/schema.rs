//! Every key of distro.toml and of recipes with the kind of its value: what [`super::document`] checks a file against, so
//! that all problems have a line. A test keeps it equal to the serde types.

use super::rules::{self, Rule};

/// What a key's value must be.
pub(super) enum Kind {
    /// A string.
    Text(&'static Rule),
    /// An array of strings, at least so many.
    List(&'static Rule, usize),
    /// The same without repetitions.
    Set(&'static Rule, usize),
    /// An integer from, to.
    Integer(i64, i64),
    /// A boolean.
    Flag,
    /// A table with keys of the user's choice and strings as values.
    Map(&'static Rule, &'static Rule),
    /// A table.
    Table(&'static [Key]),
    /// An array of tables.
    Tables(&'static [Key]),
}

/// A key of a table.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) kind: Kind,
    /// Whether it must be there.
    pub(super) required: bool,
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

/// The format's version that this program reads, in distro.toml and recipes.
pub(super) const VERSION: i64 = 1;

const SCHEMA: Key = required("schema", Kind::Integer(VERSION, VERSION));

/// Keys of distro.toml.
pub(super) static DISTRO: &[Key] = &[
    SCHEMA,
    required("distro", Kind::Table(IDENTITY)),
    optional("sources", Kind::Table(SOURCES)),
    optional("kernel", Kind::Table(KERNEL)),
    required("root", Kind::Table(ROOT)),
    optional("images", Kind::Tables(IMAGES)),
    optional("registries", Kind::Tables(REGISTRIES)),
    optional("user", Kind::Table(USER)),
    optional("console", Kind::Table(CONSOLE)),
    optional("data", Kind::Table(DATA)),
    optional("memory", Kind::Table(MEMORY)),
    optional("swap", Kind::Table(SWAP)),
    optional("logs", Kind::Table(LOGS)),
    optional("boot", Kind::Table(BOOT)),
    optional("output", Kind::Table(OUTPUT)),
    optional("lint", Kind::Table(LINT)),
];

static IDENTITY: &[Key] = &[
    required("name", Kind::Text(&rules::NAME)),
    required("version", Kind::Text(&rules::VERSION)),
    optional("volume-id", Kind::Text(&rules::VOLUME_ID)),
    optional("hostname", Kind::Text(&rules::HOSTNAME)),
];

static SOURCES: &[Key] = &[
    optional("suites", Kind::Set(&rules::SUITE, 1)),
    optional("components", Kind::Set(&rules::COMPONENT, 1)),
    optional("mirrors", Kind::Set(&rules::MIRROR, 1)),
    optional("security-mirrors", Kind::Set(&rules::MIRROR, 0)),
    optional("keyring", Kind::Text(&rules::HOST_FILE)),
];

static KERNEL: &[Key] = &[
    optional("source", Kind::Text(&rules::KERNEL_SOURCE)),
    optional("package", Kind::Text(&rules::PACKAGE)),
    optional("source-package", Kind::Text(&rules::PACKAGE)),
    optional("config", Kind::Set(&rules::FRAGMENT, 0)),
    optional("modules", Kind::Set(&rules::MODULE, 0)),
];

static ROOT: &[Key] = &[
    required("recipes", Kind::Set(&rules::NAME, 1)),
    optional("compression", Kind::Text(&rules::COMPRESSION)),
    optional("overlay-percent", Kind::Integer(1, 95)),
];

static IMAGES: &[Key] = &[
    optional("reference", Kind::Text(&rules::IMAGE_REFERENCE)),
    optional("path", Kind::Text(&rules::HOST_FILE)),
    optional("name", Kind::Text(&rules::IMAGE_NAME)),
    optional("where", Kind::Text(&rules::IMAGE_PLACE)),
];

static REGISTRIES: &[Key] = &[
    required("host", Kind::Text(&rules::REGISTRY)),
    optional("mirrors", Kind::Set(&rules::REGISTRY_URL, 0)),
    optional("insecure", Kind::Flag),
    optional("auth-file", Kind::Text(&rules::HOST_FILE)),
];

static USER: &[Key] = &[
    optional("name", Kind::Text(&rules::USER)),
    optional("uid", Kind::Integer(1000, 60000)),
    optional("authorized-keys", Kind::Set(&rules::AUTHORIZED_KEY, 0)),
];

static CONSOLE: &[Key] = &[optional("autologin", Kind::Set(&rules::TERMINAL, 0))];

static DATA: &[Key] = &[optional("label", Kind::Text(&rules::LABEL))];

static MEMORY: &[Key] = &[optional("zram-percent", Kind::Integer(0, 300))];

static SWAP: &[Key] = &[optional("file-mib", Kind::Integer(0, 1 << 20))];

static LOGS: &[Key] =
    &[optional("remote", Kind::Text(&rules::LOG_REMOTE)), optional("disk-mib", Kind::Integer(0, 1 << 16))];

static BOOT: &[Key] = &[
    optional("timeout", Kind::Integer(0, 600)),
    optional("command-line", Kind::Text(&rules::COMMAND_LINE)),
    optional("uefi", Kind::Text(&rules::UEFI)),
    optional("signing", Kind::Table(SIGNING)),
];

static SIGNING: &[Key] =
    &[required("key", Kind::Text(&rules::HOST_FILE)), required("certificate", Kind::Text(&rules::HOST_FILE))];

static OUTPUT: &[Key] =
    &[optional("formats", Kind::Set(&rules::FORMAT, 1)), optional("disk-size", Kind::Text(&rules::SIZE))];

static LINT: &[Key] = &[optional("max-file-mib", Kind::Integer(1, 4096)), optional("allow", Kind::Tables(ALLOW))];

static ALLOW: &[Key] = &[
    required("check", Kind::Text(&rules::CHECK)),
    required("path", Kind::Text(&rules::PATTERN)),
    required("reason", Kind::Text(&rules::SUMMARY)),
];

/// Keys of a recipe.
pub(super) static RECIPE: &[Key] = &[
    SCHEMA,
    required("summary", Kind::Text(&rules::SUMMARY)),
    optional("packages", Kind::Set(&rules::PACKAGE, 0)),
    optional("files", Kind::Set(&rules::PATTERN, 0)),
    optional("rename", Kind::Map(&rules::PATH, &rules::PATH)),
    optional("needs", Kind::Set(&rules::NAME, 0)),
    optional("libraries", Kind::Set(&rules::SONAME, 0)),
    optional("links", Kind::Map(&rules::PATH, &rules::SUMMARY)),
    optional("directory", Kind::Tables(DIRECTORY)),
    optional("write", Kind::Tables(WRITE)),
    optional("concat", Kind::Map(&rules::PATH, &rules::PATTERN)),
    optional("modes", Kind::Map(&rules::PATH, &rules::MODE)),
    optional("applets", Kind::Table(APPLETS)),
    optional("load-modules", Kind::Set(&rules::MODULE, 0)),
    optional("service", Kind::Tables(SERVICE)),
    optional("allow", Kind::Tables(ALLOW)),
];

static DIRECTORY: &[Key] = &[
    required("path", Kind::Text(&rules::PATH)),
    optional("mode", Kind::Text(&rules::MODE)),
    optional("user", Kind::Flag),
];

static WRITE: &[Key] = &[
    required("path", Kind::Text(&rules::PATH)),
    required("content", Kind::Text(&rules::TEXT)),
    optional("mode", Kind::Text(&rules::MODE)),
];

static APPLETS: &[Key] = &[
    required("program", Kind::Text(&rules::PATH)),
    required("folder", Kind::Text(&rules::PATH)),
    optional("except", Kind::Set(&rules::FILE_NAME, 0)),
];

static LIMITS: &[Key] = &[
    optional("nofile", Kind::Integer(16, 1 << 30)),
    optional("memory-mib", Kind::Integer(4, 1 << 24)),
    optional("pids", Kind::Integer(1, 1 << 22)),
    optional("cpu-percent", Kind::Integer(1, 100_000)),
];

static SERVICE: &[Key] = &[
    required("name", Kind::Text(&rules::NAME)),
    required("command", Kind::List(&rules::LINE, 1)),
    optional("env", Kind::Map(&rules::VARIABLE, &rules::LINE)),
    optional("user", Kind::Flag),
    optional("needs", Kind::Set(&rules::LINE, 0)),
    optional("after", Kind::Set(&rules::LINE, 0)),
    optional("ready", Kind::Text(&rules::READY)),
    optional("listen", Kind::Text(&rules::SOCKET)),
    optional("listen-mode", Kind::Text(&rules::MODE)),
    optional("listen-user", Kind::Flag),
    optional("where", Kind::Text(&rules::SERVICE_PLACE)),
    optional("restart", Kind::Text(&rules::RESTART)),
    optional("limits", Kind::Table(LIMITS)),
    optional("stop-command", Kind::List(&rules::LINE, 0)),
    optional("stop-signal", Kind::Text(&rules::SIGNAL)),
    optional("stop-timeout", Kind::Integer(0, 3600)),
    optional("required", Kind::Flag),
];
