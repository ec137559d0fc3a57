//! A fixture project, changed in one place or several, and the exact problems that come out.

mod cross;
mod distro;
mod effective;
mod flavour;
mod recipe;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::builtin::Builtin;
use crate::problem::{Class, Problem, exit_code};

const DISTRO: &str = r#"schema = 1

[distro]
name = "boot2podman"
version = "1.0"
hostname = "box"

[sources]
suites = ["trixie", "trixie-security"]
mirrors = ["system", "file:///srv/mirror"]

[kernel]
config = [
  "base",
  "net",
]
modules = ["dummy"]

[root]
recipes = ["podman", "sshd"]
compression = "zstd:17"
overlay-percent = 50

[user]
name = "core"
uid = 1000
authorized-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"]

[console]
autologin = ["ttyS0", "tty1"]

[data]
label = "boot2podman-data"

[boot]
timeout = 1
command-line = "console=tty0 console=ttyS0,115200 console=ttyS1 quiet"
"#;

const PODMAN: &str = r#"schema = 1
summary = "Container engine"
packages = ["podman"]
files = ["/usr/bin/podman", "/usr/lib/podman/**"]
needs = ["base"]
libraries = ["libnss_files.so.2"]

[links]
"/usr/bin/docker" = "podman"

[modes]
"/usr/bin/podman" = "0755"

[[directory]]
path = "/var/lib/containers"

[[write]]
path = "/etc/containers/podman.conf"
content = "user = ${user}"

[[service]]
name = "podman"
command = ["/usr/bin/podman", "system", "service", "-t0", "-t0"]
env = { TMPDIR = "/var/tmp" }
needs = ["mounts"]
after = ["sshd", "absent"]
ready = "socket /run/podman/podman.sock"
listen = "/run/podman/podman.sock"
listen-mode = "0660"
listen-user = true
restart = "on-failure"
stop-command = ["/usr/bin/podman", "stop", "--all"]
stop-signal = "INT"
stop-timeout = 20
required = true
where = "container"

[[service]]
name = "podman-user"
command = ["/usr/bin/podman"]
user = true
"#;

const SSHD: &str = "schema = 1\nsummary = \"SSH server\"\nneeds = [\"base\"]\n\n[[service]]\nname = \"sshd\"\n\
                    command = [\"/usr/sbin/sshd\"]\n";
const BASE: &str = "schema = 1\nsummary = \"Base\"\n\n[[service]]\nname = \"mounts\"\ncommand = [\"/sbin/mounts\"]\n\
                    ready = \"exit\"\nrestart = \"no\"\n";
/// Not in use.
const EXTRA: &str = "schema = 1\nsummary = \"Extra\"\n\n[[service]]\nname = \"absent\"\ncommand = [\"/sbin/absent\"]\n";
const NET_CONFIG: &str = "\
# Bridges of containers
# modules: bridge br_netfilter
CONFIG_BRIDGE=m
# modules: veth
CONFIG_VETH=m

CONFIG_NR_CPUS=64
";

/// A project that is right.
fn project() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (file, text) in [
        ("distro.toml", DISTRO),
        ("packages/podman.toml", PODMAN),
        ("packages/sshd.toml", SSHD),
        ("packages/base.toml", BASE),
        ("packages/extra.toml", EXTRA),
        ("packages/lock.toml", "not = [a lock"),
        ("packages/debian-archive-keyring.asc", "keys"),
        ("kernel-config/base.config", "CONFIG_NET=y\n# CONFIG_DEBUG_INFO is not set\n"),
        ("kernel-config/net.config", NET_CONFIG),
        ("kernel-config/unused.config", "nonsense\n"),
        ("overlay/etc/motd", "hello"),
        ("overlay/etc/.gitkeep", ""),
    ] {
        write(dir.path(), file, text);
    }
    dir
}

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Replaces text in a file of a project.
fn replace(dir: &TempDir, file: &str, old: &str, new: &str) {
    let path = dir.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no {old:?}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

/// Without the built-in files.
fn load(dir: &Path) -> anyhow::Result<Checked> {
    check_with(dir, Builtin::NONE).map_err(|problems| anyhow::Error::new(Problem::from(problems)))
}

fn problems(dir: &TempDir) -> Vec<String> {
    match check_with(dir.path(), Builtin::NONE) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// Each case: file, what is replaced by what, and the problems.
fn run(cases: &[(&str, &str, &str, &[&str])]) {
    for (file, old, new, expected) in cases {
        let dir = project();
        replace(&dir, file, old, new);
        assert_eq!(problems(&dir), *expected, "{file}: {old:?} -> {new:?}");
    }
}

#[test]
fn reads_a_project() {
    let dir = project();
    let checked = load(dir.path()).unwrap();
    assert_eq!(checked.recipes.keys().collect::<Vec<_>>(), ["base", "podman", "sshd"]);
    assert_eq!(
        checked.distro.user,
        User { authorized_keys: checked.distro.user.authorized_keys.clone(), ..User::default() }
    );
    assert_eq!(checked.distro.sources.components, ["main"]);
    let overlay: Vec<&str> = checked.overlay.iter().map(|entry| entry.target.as_str()).collect();
    assert_eq!(overlay, ["etc", "etc/motd"]);
    assert_eq!(checked.overlay[1].source, dir.path().join("overlay/etc/motd"));
    assert_eq!(checked.fragments.iter().map(|fragment| fragment.name.as_str()).collect::<Vec<_>>(), ["base", "net"]);
    assert_eq!(checked.fragments[1].path, dir.path().join("kernel-config/net.config"));
}

#[test]
fn all_problems_at_once_by_file_and_line() {
    let dir = project();
    replace(&dir, "distro.toml", "timeout = 1", "timeout = \"1\"");
    replace(&dir, "distro.toml", "hostname =", "hostnam =");
    replace(&dir, "distro.toml", "\"podman\", \"sshd\"", "\"podman\", \"sshdd\"");
    replace(&dir, "packages/podman.toml", "stop-timeout = 20", "stop-timeout = 20\nstop_signal = 1");
    replace(&dir, "packages/extra.toml", "summary = \"Extra\"", "summary = ");
    fs::remove_file(dir.path().join("kernel-config/base.config")).unwrap();
    fs::write(dir.path().join("kernel-config/net.config"), b"# a\n\n\xff\n").unwrap();
    std::os::unix::net::UnixListener::bind(dir.path().join("overlay/socket")).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.path().join("overlay/dangling")).unwrap();
    fs::write(dir.path().join("overlay/etc").join(std::ffi::OsString::from_vec(b"a\xffb".into())), "").unwrap();
    let error = load(dir.path()).unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::CONFIG);
    assert_eq!(error.downcast_ref::<Problem>().unwrap().class, Class::Config);
    let expected = "\
the project has 9 problems
distro.toml:6: distro.hostnam: unknown key
  hint: did you mean \"hostname\"?
distro.toml:14: kernel.config: missing fragment, expected the file kernel-config/base.config, found none
distro.toml:20: root.recipes: unknown recipe, expected a file of packages/ without .toml, found \"sshdd\"
  hint: did you mean \"sshd\"?
distro.toml:36: boot.timeout: wrong type, expected an integer from 0 to 600, found the string \"1\"
kernel-config/net.config:3: not UTF-8 text
overlay/etc/a\u{fffd}b: bad file name, expected UTF-8 without control characters
  hint: rename the file
overlay/socket: special file, expected a file, a folder or a symbolic link
  hint: remove it
packages/extra.toml:2: TOML syntax: string values must be quoted, expected literal string
packages/podman.toml:35: service.stop_signal: unknown key
  hint: did you mean \"stop-signal\"?";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn missing_files() {
    let dir = TempDir::new().unwrap();
    assert_eq!(
        problems(&dir),
        ["distro.toml: missing file\n  hint: run it in a project's folder, or name that folder with --project"]
    );
    let dir = project();
    fs::remove_dir_all(dir.path().join("kernel-config")).unwrap();
    fs::remove_dir_all(dir.path().join("overlay")).unwrap();
    fs::remove_file(dir.path().join("packages/debian-archive-keyring.asc")).unwrap();
    fs::rename(dir.path().join("packages/extra.toml"), dir.path().join("packages/Extra.toml")).unwrap();
    assert_eq!(
        problems(&dir),
        [
            "distro.toml:8: sources.keyring: missing file, expected a key ring, found no \
         \"packages/debian-archive-keyring.asc\"\n  hint: the Debian package debian-archive-keyring has the keys",
            "distro.toml:14: kernel.config: missing fragment, expected the file kernel-config/base.config, found none",
            "distro.toml:15: kernel.config: missing fragment, expected the file kernel-config/net.config, found none",
            "packages/Extra.toml: bad file name, expected lower-case letters, digits and \"-\", a letter first, at most 63\n  \
         hint: rename the file",
        ]
    );
}

/// Built-in files for [`project`], which has a podman.toml and a net.config of its own.
const BUILTIN: Builtin = Builtin::new(&[
    ("kernel-config/base.config", b"CONFIG_NET=y\n"),
    ("kernel-config/net.config", b"CONFIG_UNSEEN=y\n"),
    ("packages/base.toml", b"schema = 1\nsummary = \"Built in\"\nneeds = [\"further\"]\n"),
    ("packages/debian-archive-keyring.asc", b"keys"),
    ("packages/further.toml", b"schema = 1\nsummary = \"Built in\"\nfiles = [\"/x\"]\n"),
    ("packages/lock.toml", b"not = [a lock"),
    ("packages/podman.toml", b"schema = 1\nsummary = \"Unseen\"\n"),
    ("packages/sshd.toml", b"nonsense"),
]);

#[test]
fn what_the_project_lacks_is_built_in() {
    let dir = project();
    replace(&dir, "packages/podman.toml", "needs = [\"mounts\"]\n", "");
    for file in ["packages/base.toml", "packages/debian-archive-keyring.asc", "kernel-config/base.config"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let problems = check_with(dir.path(), BUILTIN).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "the project has a problem\nbuilt-in packages/further.toml:3: files: no package to take files from, expected \
         packages = [\"NAME\"]"
    );
    write(dir.path(), "packages/further.toml", "schema = 1\nsummary = \"Ours\"\n");
    let checked = check_with(dir.path(), BUILTIN).unwrap();
    let files: Vec<String> = checked.recipes.keys().map(|name| checked.recipe_file(name)).collect();
    assert_eq!(
        files,
        ["built-in packages/base.toml", "packages/further.toml", "packages/podman.toml", "packages/sshd.toml"]
    );
    let files: Vec<String> = checked.fragments.iter().map(Fragment::file).collect();
    assert_eq!(files, ["built-in kernel-config/base.config", "kernel-config/net.config"]);
    assert_eq!(checked.fragments[0].path, Path::new("built-in kernel-config/base.config"));
    assert!(checked.fragments[1].options.iter().all(|option| option.name != "CONFIG_UNSEEN"));
}

/// Keys of a TOML table and those below it, `a.b`; arrays of tables count as tables.
fn keys(prefix: &str, table: &toml::Table, out: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        let inner = value.as_array().and_then(|items| items.first()).unwrap_or(value);
        if let Some(table) = inner.as_table() {
            keys(&format!("{path}."), table, out);
        }
        out.insert(path);
    }
}

fn schema_keys(prefix: &str, table: &'static [schema::Key], out: &mut BTreeSet<String>) {
    for key in table {
        let path = format!("{prefix}{}", key.name);
        if let schema::Kind::Table(inner) | schema::Kind::Tables(inner) = &key.kind {
            schema_keys(&format!("{path}."), inner, out);
        }
        out.insert(path);
    }
}

#[test]
fn schema_and_types_have_the_same_keys() {
    let mut distro = parse_distro(DISTRO).unwrap();
    distro.user.authorized_keys.clear();
    distro.boot.signing = Some(Signing { key: "db.key".into(), certificate: "db.crt".into() });
    distro.images.push(ContainerImage::default());
    distro.registries.push(Registry::default());
    distro.lint.allow.push(Allow { check: "name".into(), path: "/a".into(), reason: "a".into() });
    let text = "schema = 1\nsummary = \"s\"\napplets = { program = \"/a\", folder = \"/b\" }\npackages = [\"aa\"]\n\
                files = [\"/a\"]\n[[directory]]\npath = \"/c\"\n[[write]]\npath = \"/d\"\ncontent = \"\"\n[[service]]\n\
                name = \"s\"\ncommand = [\"/a\"]\nlisten = \"/run/s\"\nwhere = \"machine\"\n\
                limits = { nofile = 16, memory-mib = 4, pids = 1, cpu-percent = 1 }\n\
                [[allow]]\ncheck = \"name\"\npath = \"/a\"\nreason = \"r\"\n";
    let recipe = parse_recipe("packages/x.toml", text).unwrap();
    for (value, table) in [
        (toml::Table::try_from(&distro).unwrap(), schema::DISTRO),
        (toml::Table::try_from(&recipe).unwrap(), schema::RECIPE),
    ] {
        let (mut of_types, mut of_schema) = (BTreeSet::new(), BTreeSet::new());
        keys("", &value, &mut of_types);
        schema_keys("", table, &mut of_schema);
        assert_eq!(of_types, of_schema);
    }
}

/// xorshift64: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

#[test]
fn no_text_makes_it_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let pieces = [
        "[",
        "]",
        "[[",
        "\"",
        "'''",
        "=",
        ".",
        ",",
        "{",
        "}",
        "\n",
        "#",
        "1",
        "-",
        "true",
        "é",
        "\u{0}",
        "\r",
        "1e400",
        "1979-05-27",
        "[distro]\n",
        "[[service]]\n",
        "name",
        " = ",
        "\"\"\"",
        "\\",
        "0x",
        "inf",
        "a.b.c = 1\n",
        "* ",
    ];
    for source in [DISTRO, PODMAN, NET_CONFIG] {
        for _ in 0..400 {
            let mut chars: Vec<char> = source.chars().collect();
            for _ in 0..=random.below(4) {
                let at = random.below(chars.len());
                let end = (at + random.below(20)).min(chars.len());
                match random.below(3) {
                    0 => drop(chars.drain(at..end)),
                    1 => drop(chars.splice(at..at, pieces[random.below(pieces.len())].chars())),
                    _ => {
                        let moved: Vec<char> = chars.drain(at..end).collect();
                        let to = random.below(chars.len());
                        chars.splice(to..to, moved);
                    }
                }
            }
            let text: String = chars.into_iter().collect();
            let found = [
                parse_distro(&text).err(),
                parse_recipe("packages/x.toml", &text).err(),
                parse_fragment("x", Path::new("x"), &text).err(),
            ];
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            for problem in found.iter().flatten().flat_map(|problems| &problems.0) {
                assert!((1..=lines).contains(&problem.line), "{problem} in {text}");
            }
        }
    }
}
