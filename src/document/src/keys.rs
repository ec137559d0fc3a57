//! Every key of the document. Names are those of distro.toml where it has the same thing.

use crate::key::{Key, Kind, optional, required};
use crate::{network, rules};

/// Keys of the document.
pub static DOCUMENT: &[Key] = &[
    optional("hostname", Kind::Text(&rules::HOSTNAME), "host name"),
    optional("timezone", Kind::Text(&rules::TIMEZONE), "time zone; a name needs the zone's file in the image"),
    optional("user", Kind::Table(LOGIN), "the login user, whose name the image gives"),
    optional("users", Kind::Tables("name", USER), "further users"),
    optional("files", Kind::Tables("path", FILE), "files written at every boot"),
    optional("network", Kind::Table(network::KEYS), "network"),
    optional("ntp", Kind::Table(NTP), "time servers"),
    optional("proxy", Kind::Table(PROXY), "for the engine, shells and pulls"),
    optional("ca-certificates", Kind::Sum(&rules::CERTIFICATE), "further certificates to trust, PEM"),
    optional("registries", Kind::Table(REGISTRIES), "container registries"),
    optional("ssh", Kind::Table(SSH), "SSH server"),
    optional("mounts", Kind::Tables("path", MOUNT), "further file systems"),
    optional("swap", Kind::Table(SWAP), "swap file on the data disk"),
    optional("boot-commands", Kind::Sum(&rules::TEXT), "shell commands run at every boot before network and engine"),
    optional(
        "run-commands",
        Kind::Sum(&rules::TEXT),
        "shell commands run when the engine is up: those of NoCloud media once per `instance-id`, others at every boot",
    ),
    optional("data", Kind::Table(DATA), "data disk"),
    optional("logs", Kind::Table(LOGS), "logs"),
];

static LOGIN: &[Key] = &[
    optional("authorized-keys", Kind::Sum(&rules::AUTHORIZED_KEY), "its SSH keys, besides those of the image"),
    optional("password-hash", Kind::Text(&rules::PASSWORD_HASH), "crypt hash of a password for the console"),
];

static USER: &[Key] = &[
    required("name", Kind::Text(&rules::USER), "name"),
    optional("uid", Kind::Integer(1000, 60000), "uid and gid; default: the next free"),
    optional("groups", Kind::List(&rules::USER), "further groups, made if they are missing"),
    optional("sudo", Kind::Flag, "may use sudo without a password; default `false`"),
    optional("shell", Kind::Text(&rules::PATH), "login shell; default `/bin/sh`"),
    optional("authorized-keys", Kind::List(&rules::AUTHORIZED_KEY), "SSH keys"),
    optional("password-hash", Kind::Text(&rules::PASSWORD_HASH), "crypt hash of a password for the console"),
];

static FILE: &[Key] = &[
    required("path", Kind::Text(&rules::PATH), "absolute path; folders are made"),
    optional("content", Kind::Text(&rules::TEXT), "content as text"),
    optional("base64", Kind::Text(&rules::BASE64), "or as base64"),
    optional("mode", Kind::Text(&rules::MODE), "mode bits; default \"0644\", of a directory \"0755\""),
    optional("owner", Kind::Text(&rules::OWNER), "`USER` or `USER:GROUP`; default `root:root`"),
    optional("append", Kind::Flag, "appended, unless the file already holds it; default `false`"),
    optional("directory", Kind::Flag, "a folder instead of a file; default `false`"),
];

static NTP: &[Key] =
    &[optional("enabled", Kind::Flag, "default `true`"), optional("servers", Kind::List(&rules::HOST), "time servers")];

static PROXY: &[Key] = &[
    optional("http", Kind::Text(&rules::PROXY), "proxy for http; empty: none"),
    optional("https", Kind::Text(&rules::PROXY), "proxy for https; default: as for http"),
    optional("no", Kind::List(&rules::NO_PROXY), "hosts, .domains and networks reached without"),
];

static REGISTRIES: &[Key] = &[
    optional("insecure", Kind::List(&rules::REGISTRY), "registries reached by http or with any certificate"),
    optional("mirrors", Kind::Map(&rules::REGISTRY, &rules::REGISTRY), "registry = mirror that is asked first"),
    optional("credentials", Kind::Tables("registry", CREDENTIAL), "log-ins"),
];

static SSH: &[Key] = &[optional(
    "host-key",
    Kind::Text(&rules::HOST_KEY),
    "the server's ed25519 key, as ssh-keygen writes it, without a passphrase",
)];

static CREDENTIAL: &[Key] = &[
    required("registry", Kind::Text(&rules::REGISTRY), "registry"),
    required("user", Kind::Text(&rules::LINE), "user"),
    required("password", Kind::Text(&rules::LINE), "password or token"),
];

static MOUNT: &[Key] = &[
    required("path", Kind::Text(&rules::PATH), "where"),
    required("source", Kind::Text(&rules::MOUNT_SOURCE), "`LABEL=…`, `UUID=…`, `/dev/…`, a tag of virtiofs or 9p"),
    optional("type", Kind::Text(&rules::FILE_SYSTEM), "file system; default: what is found"),
    optional("options", Kind::List(&rules::OPTION), "options of mount(8)"),
    optional("required", Kind::Flag, "a failure is a problem; default `true`"),
];

static SWAP: &[Key] = &[optional("size", Kind::Text(&rules::SIZE), "size such as `1G`; `0`: none")];

static DATA: &[Key] =
    &[optional("persist", Kind::Sum(&rules::PATH), "further files and folders kept on the data disk")];

static LOGS: &[Key] = &[optional(
    "remote",
    Kind::List(&rules::SYSLOG),
    "syslog servers (RFC 5424), `udp://HOST:PORT` or `tcp://HOST:PORT`",
)];
