//! Every check on small trees: what it finds and what it leaves alone.

use std::process::Command;
use std::sync::Arc;

use formats::tree::Kind;

use super::*;
use crate::root::testing::{checked, file, folder, link};

/// What no check finds anything in.
const CLEAN: [(&str, &str); 3] = [
    ("usr/bin/sh", "\u{7f}ELF"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n"),
    ("etc/group", "root:x:0:\ncore:x:1000:\n"),
];

fn tree(entries: Vec<(&[u8], Node)>) -> Tree {
    let mut tree = Tree::new();
    tree.insert(b"bin", link("usr/bin")).unwrap();
    for (path, content) in CLEAN {
        tree.insert(path.as_bytes(), file(content, 0o755)).unwrap();
    }
    for (path, node) in entries {
        tree.insert(path, node).unwrap();
    }
    tree
}

/// `check path: message` for each finding in the clean tree with `entries` and a recipe.
fn found_with(recipe: &str, entries: Vec<(&[u8], Node)>) -> Vec<String> {
    let report = run(&checked(&[("toy", recipe)]), &tree(entries)).unwrap();
    let line = |finding: &Finding| format!("{} {}: {}", finding.check.name, finding.path, finding.message);
    report.findings.iter().filter(|finding| finding.allowed.is_none()).map(line).chain(report.unused).collect()
}

fn found(entries: Vec<(&[u8], Node)>) -> Vec<String> {
    found_with("", entries)
}

fn text(content: &str) -> Node {
    file(content, 0o644)
}

fn bytes(content: impl Into<Bytes>) -> Node {
    Node::new(Kind::File(content.into()), 0o755, &Arc::from("test"))
}

fn owned(mut node: Node, uid: u32, gid: u32) -> Node {
    (node.uid, node.gid) = (uid, gid);
    node
}

#[test]
fn the_table_is_sorted_and_says_sentences() {
    assert!(CHECKS.windows(2).all(|pair| pair[0].name < pair[1].name));
    for check in &CHECKS {
        assert!(check.summary.ends_with('.') && check.summary.starts_with(char::is_uppercase), "{}", check.name);
        assert!(check.name.len() <= 19, "{}", check.name);
    }
    assert_eq!(checks_json().as_array().unwrap().len(), CHECKS.len());
}

#[test]
fn a_clean_tree_has_no_findings() {
    assert_eq!(found(vec![]), [] as [&str; 0]);
}

#[test]
fn links() {
    let lines = found(vec![
        (b"usr/bin/a", link("sh")),
        (b"usr/bin/b", link("/bin/../bin/sh")),
        (b"usr/bin/none", link("../lib/none")),
        (b"usr/bin/turn", link("turn")),
        (b"usr/bin/via", link("none")),
        (b"usr/bin/deep", link("/usr/share/none/x")),
        // Filled at run time.
        (b"etc/mtab", link("../proc/self/mounts")),
        (b"etc/resolv.conf", link("../run/distro/resolv.conf")),
        (b"var/run", link("../run")),
        (b"usr/bin/state", link("/var/lib/x")),
        (b"usr/bin/two", link("/etc/mtab")),
    ]);
    let expected = [
        "dangling-symlink /usr/bin/deep: leads to /usr/share/none/x, which is not there",
        "dangling-symlink /usr/bin/none: leads to ../lib/none, which is not there",
        "dangling-symlink /usr/bin/turn: leads to turn, which is not there",
        "dangling-symlink /usr/bin/via: leads to none, which is not there",
        // A mount point that this tree does not have.
        "dangling-symlink /var/run: leads to ../run, which is not there",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn names_and_places() {
    let lines = found(vec![
        (b"run/x", text("")),
        (b"dev", folder(0o755)),
        (b"usr/caf\xe9", text("")),
        ("usr/café".as_bytes(), text("")),
        (b"usr/a\nb", text("")),
        (b"usr/end ", text("")),
        (b"etc/conf.dpkg-old", text("")),
        (b"etc/conf~", text("")),
        (b"etc/.gitkeep", text("")),
        (b"etc/original", text("")),
    ]);
    let expected = [
        "hidden /run/x: nobody sees it once /run is mounted",
        "leftover /etc/.gitkeep: looks like a leftover",
        "leftover /etc/conf.dpkg-old: looks like a leftover",
        "leftover /etc/conf~: looks like a leftover",
        "name /usr/a\nb: the name has a control character: \"a\\nb\"",
        "name /usr/caf\u{fffd}: the name is not UTF-8: \"caf\\xe9\"",
        "name /usr/end : the name begins or ends with a space: \"end \"",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn modes_and_owners() {
    let mut capable = file("", 0o755);
    capable.xattrs.insert(b"security.capability".to_vec(), vec![1]);
    let recipe = "[[directory]]\npath = \"/srv\"\nmode = \"2775\"\n[[write]]\npath = \"/bin/said\"\nmode = \"4755\"\n\
                  content = \"\"\n";
    let lines = found_with(
        recipe,
        vec![
            (b"usr/bin/said", file("", 0o4755)),
            (b"srv", folder(0o2775)),
            (b"usr/bin/su", file("", 0o4755)),
            (b"usr/bin/mail", file("", 0o2755)),
            (b"usr/bin/ping", capable),
            (b"etc/open", file("", 0o666)),
            (b"tmp", folder(0o1777)),
            (b"var/open", folder(0o777)),
            (b"usr/bin/link", link("sh")),
            (b"home/core", owned(folder(0o750), 1000, 1000)),
            (b"home/other", owned(folder(0o700), 1001, 0)),
            (b"home/group", owned(folder(0o700), 0, 50)),
            (b"dev1", Node::new(Kind::CharDevice(1, 3), 0o600, &Arc::from("test"))),
            (b"dev2", Node::new(Kind::BlockDevice(8, 0), 0o600, &Arc::from("test"))),
            (b"opt/a", folder(0o644)),
            (b"opt/b", folder(0o754)),
            (b"opt/c", folder(0o711)),
            (b"opt/d", folder(0o555)),
            (b"opt/e", folder(0o4755)),
        ],
    );
    let expected = [
        "device-node /dev1: character device 1:3",
        "device-node /dev2: block device 8:0",
        "set-uid /usr/bin/mail: set-gid (mode 2755), which no recipe's modes say",
        "set-uid /usr/bin/ping: has file capabilities",
        "set-uid /usr/bin/su: set-uid (mode 4755), which no recipe's modes say",
        "writable /etc/open: mode 0666: everybody may write it",
        "writable /var/open: mode 0777: everybody may replace what is in it",
        "folder-mode /opt/a: mode 0644: its owner may not enter it",
        "folder-mode /opt/b: mode 0754: somebody may list or write it who may not enter it",
        "folder-mode /opt/e: mode 4755: set-uid means nothing on a folder",
        "owner /home/group: group 50 is nobody's",
        "owner /home/other: owner 1001 is nobody's",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn programs_that_cannot_be_started() {
    let recipe = "[[service]]\nname = \"good\"\ncommand = [\"/bin/sh\"]\n[[service]]\nname = \"gone\"\ncommand = [\"/bin/gone\"]\n\
                  [[service]]\nname = \"flat\"\ncommand = [\"/bin/flat\"]\n\
                  [[service]]\nname = \"text\"\ncommand = [\"/bin/sh\"]\nstop-command = [\"/bin/text\"]\n\
                  [[service]]\nname = \"mine\"\ncommand = [\"/bin/mine\"]\n\
                  [[service]]\nname = \"theirs\"\nuser = true\ncommand = [\"/bin/roots\"]\n";
    let lines = found_with(
        recipe,
        vec![
            (b"usr/bin/good.sh", file("#! /bin/sh -e\n", 0o755)),
            (b"usr/bin/env", file("\u{7f}ELF", 0o755)),
            (b"usr/bin/py", file("#!/usr/bin/env -S python3 -x\n", 0o755)),
            (b"usr/bin/perl.sh", file("#!/usr/bin/perl\n", 0o755)),
            (b"usr/bin/flat", file("#!/bin/sh", 0o644)),
            (b"usr/bin/nested", file("#!/usr/bin/flat", 0o755)),
            (b"usr/bin/text", file("hello", 0o755)),
            (b"usr/bin/mine", owned(file("#!/bin/sh", 0o755), 1000, 1000)),
            (b"usr/bin/roots", file("#!/bin/sh", 0o750)),
            (b"usr/share/doc/example.pl", file("#!/usr/bin/perl\n", 0o644)),
        ],
    );
    let expected = [
        "interpreter /usr/bin/nested: starts with #!/usr/bin/flat, which may not be executed",
        "interpreter /usr/bin/perl.sh: starts with #!/usr/bin/perl, which is not in the root",
        "interpreter /usr/bin/py: starts with #!/usr/bin/env -S python3 -x, and there is no python3",
        "service-program /usr/bin/flat: the service flat starts it, and it may not be executed",
        "service-program /usr/bin/gone: the service gone starts it, and it is not in the root",
        "service-program /usr/bin/mine: the service mine runs it as root, and it is 1000's",
        "service-program /usr/bin/roots: the service theirs starts it, and it may not be executed",
        "service-program /usr/bin/text: the service text starts it, and it is neither a program nor a script",
        "not-executable /usr/bin/flat: mode 0644",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn content_of_files() {
    let big = "x".repeat(70_000);
    let lines = found(vec![
        (b"usr/one", text(&big)),
        (b"usr/two", text(&big)),
        (b"usr/three", text(&"y".repeat(70_000))),
        (b"usr/small1", text("same")),
        (b"usr/small2", text("same")),
        (b"usr/huge", bytes(vec![0; (64 << 20) + 1])),
        (b"usr/m.pyc", text("")),
        (b"usr/timed.gz", bytes(&b"\x1f\x8b\x08\0\x01\0\0\0\0\x03"[..])),
        (b"usr/good.gz", bytes(&b"\x1f\x8b\x08\0\0\0\0\0\x02\x03"[..])),
        (b"var/log/dpkg.log", text("")),
        (b"root/.bash_history", text("")),
        (b"usr/built", text("/build/reproducible-path/b.c x/build/toy-1.0/a.c:1\0")),
        (b"usr/home", text("in /home/ or /home/core/x or /home/me/file: /home/me/src/a.c")),
        (b"usr/docs", text("cd /build/ && make; see /build/libpod/_ping, /build/a-1, /home/you")),
    ]);
    let expected = [
        "build-path /usr/built: names /build/toy-1.0/a.c",
        "build-path /usr/home: names /home/me/src/a.c",
        "duplicate /usr/two: the same as /usr/one",
        "large-file /usr/huge: 67.1 MB",
        "not-reproducible /root/.bash_history: a session left it",
        "not-reproducible /usr/m.pyc: Python writes it anew, with a time in it",
        "not-reproducible /usr/timed.gz: gzip wrote the time into it",
        "not-reproducible /var/log/dpkg.log: a program made it while it ran",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn identities() {
    let lines = found(vec![
        (b"etc/machine-id", text("0123\n")),
        (b"var/lib/dbus/machine-id", text("\n")),
        (b"etc/ssh/ssh_host_rsa_key", text("x")),
        (b"etc/ssh/ssh_host_rsa_key.pub", text("x")),
        (b"etc/dropbear/dropbear_ed25519_host_key", bytes(&b"\0x"[..])),
    ]);
    let expected = [
        "machine-identity /etc/dropbear/dropbear_ed25519_host_key: an SSH host key: who has the image can pretend to be the \
         machine",
        "machine-identity /etc/machine-id: all machines would share it",
        "machine-identity /etc/ssh/ssh_host_rsa_key: an SSH host key: who has the image can pretend to be the machine",
    ];
    assert_eq!(lines, expected);
    assert_eq!(found(vec![(b"etc/machine-id", text("uninitialized\n"))]), [] as [&str; 0]);
}

#[test]
fn secrets() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    let pem = |what: &str| format!("x\n-----BEGIN {what}-----\n{line}\n-----END {what}-----\n");
    let hash = "$y$j9T$abcdefghijklmnop$0123456789abcdef";
    for (path, content, expected) in [
        ("etc/a", pem("PRIVATE KEY"), "a private key (PEM)"),
        ("etc/a", pem("OPENSSH PRIVATE KEY"), "a private key (PEM)"),
        ("etc/a", pem("RSA PRIVATE KEY").replace('\n', "\r\n"), "a private key (PEM)"),
        ("etc/a", pem("CERTIFICATE"), ""),
        ("etc/a", pem("PUBLIC KEY"), ""),
        ("etc/a", "write -----BEGIN PRIVATE KEY----- first, then the key".into(), ""),
        ("etc/a", format!("AGE-SECRET-KEY-1{}", "Q".repeat(58)), "a private key"),
        ("etc/a", "PuTTY-User-Key-File-3: ssh-ed25519\n".into(), "a private key"),
        ("etc/a", "untrusted comment: minisign encrypted secret key\nRWQ\n".into(), "a private key"),
        ("etc/a", "untrusted comment: minisign public key 1\nRWQ\n".into(), ""),
        ("etc/a", "id = AKIAIOSFODNN7EXAMPLE\n".into(), "an access token"),
        ("etc/a", "id = AKIAIOSFODNN7EXAMPLEX\n".into(), ""),
        ("etc/a", "XAKIAIOSFODNN7EXAMPLE\n".into(), ""),
        ("etc/a", "AKIAIOSFODNN\n".into(), ""),
        ("etc/a", format!("token: ghp_{}\n", "a1".repeat(18)), "an access token"),
        ("etc/a", format!("token: ghp_{}\n", "a".repeat(20)), ""),
        ("etc/a", format!("\"github_pat_{}\"", "A_9".repeat(20)), "an access token"),
        ("etc/a", format!("glpat-{}", "x-".repeat(10)), "an access token"),
        ("etc/a", "https://me:hunter2@example.org/x\n".into(), "a password in a URL"),
        ("etc/a", "https://me:hun@ter2@example.org\n".into(), "a password in a URL"),
        (
            "etc/a",
            "https://me@example.org/ http://h:80/a@b https://user:password@h ssh://u:$PW@h x://u:<pw>@h".into(),
            "",
        ),
        ("etc/a", format!("eyJhbGciOiJIUzI1NiJ9.{}.abc", "eyJz".repeat(10)), "a signed web token (JWT)"),
        ("etc/shadow", "root:*::0:99999:7:::\ncore:!::0:99999:7:::\nx:!!:1::::::\n".into(), ""),
        ("etc/shadow", format!("root:{hash}:1::::::\n"), "the hash of root's password"),
        ("etc/shadow", format!("root:!{hash}:1::::::\n"), "the hash of root's password"),
        ("etc/shadow", "root::1::::::\n".into(), "root gets in without a password"),
        ("root/.netrc", "machine h login l password p\n".into(), "a password for a server"),
        ("root/.docker/config.json", "{\"auths\":{\"h\":{\"auth\":\"dTpw\"}}}".into(), "a password for a registry"),
        ("root/.docker/config.json", "{\"auths\":{}}".into(), ""),
        ("root/.aws/credentials", "aws_secret_access_key = x".into(), "a secret access key"),
        // No text.
        ("usr/lib/x.so", format!("\0{}", pem("PRIVATE KEY")), ""),
    ] {
        let lines = found(vec![(path.as_bytes(), text(&content))]);
        let expected: Vec<String> =
            [expected].iter().filter(|what| !what.is_empty()).map(|what| format!("secret /{path}: {what}")).collect();
        assert_eq!(lines, expected, "{path} {content:?}");
    }
}

/// Compiles C without the C library; None where there is no compiler.
fn compile(source: &str, arguments: &[&str]) -> Option<Node> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.c"), source).unwrap();
    let mut command = Command::new("cc");
    command
        .current_dir(dir.path())
        .args(["-nostdlib", "-w", "-O1", "-o", "out", "in.c", "-Wl,-e,start"])
        .args(arguments);
    let result = command.output().ok()?;
    assert!(result.status.success(), "{command:?}: {}", String::from_utf8_lossy(&result.stderr));
    Some(bytes(std::fs::read(dir.path().join("out")).unwrap()))
}

#[test]
fn hardening() {
    const EMPTY: &str = "void start() {}";
    // Enough code to expect a protected function in it.
    const LONG: &str = "__asm__(\".text\\n.fill 70000,1,0x90\"); int start() { return 0; }";
    const CHECKED: &str =
        "__asm__(\".text\\n.fill 70000,1,0x90\"); void __stack_chk_fail(); void start() { __stack_chk_fail(); }";
    const RUST: &str = "__asm__(\".text\\n.fill 70000,1,0x90\"); const char p[] = \"library/core/src/x.rs\"; const char *start() { return p; }";
    const RELOCATED: &str = "__asm__(\".text\\n.globl start\\nstart: .quad data\\n.data\\ndata: .quad 0\");";
    let full = ["-shared", "-fPIC", "-Wl,-z,now"];
    if compile(EMPTY, &full).is_none() {
        return eprintln!("skipped: no C compiler");
    }
    for (source, arguments, mode, expected) in [
        (EMPTY, &full[..], 0o755, vec![]),
        (EMPTY, &full[..], 0o4755, vec!["set-uid: set-uid (mode 4755), which no recipe's modes say"]),
        (EMPTY, &["-static-pie"][..], 0o755, vec![]),
        (
            EMPTY,
            &["-no-pie", "-static"],
            0o755,
            vec!["no-pie: not position-independent: an attacker knows where its code is", "no-relro: no RELRO"],
        ),
        (EMPTY, &["-shared", "-fPIC", "-Wl,-z,norelro"], 0o755, vec!["no-relro: no RELRO"]),
        (EMPTY, &["-shared", "-fPIC", "-Wl,-z,lazy"], 0o755, vec![]),
        (
            EMPTY,
            &["-shared", "-fPIC", "-Wl,-z,now,-z,execstack"],
            0o755,
            vec!["executable-stack: PT_GNU_STACK says so, or is missing"],
        ),
        (LONG, &full[..], 0o755, vec!["no-stack-protector: __stack_chk_fail is not among its symbols"]),
        (CHECKED, &full[..], 0o755, vec![]),
        (RUST, &full[..], 0o755, vec![]),
        (
            EMPTY,
            &["-shared", "-fPIC", "-Wl,-rpath,/usr/none:lib:$ORIGIN/../bin:/tmp/x:/home/core/lib:"],
            0o755,
            vec![
                "run-path: RUNPATH is empty: the current folder",
                "run-path: RUNPATH lib depends on the current folder",
                "run-path: RUNPATH /tmp/x is writable by everybody",
                "run-path: RUNPATH /home/core/lib is writable by user 1000",
                "run-path-missing: RUNPATH /usr/none is not in the root",
                "run-path-missing: RUNPATH /tmp/x is not in the root",
                "run-path-missing: RUNPATH /home/core/lib is not in the root",
            ],
        ),
        (
            RELOCATED,
            &["-shared", "-fPIC", "-Wl,-z,notext,-z,now"],
            0o755,
            vec!["writable: has text relocations: its code is written to when it is loaded"],
        ),
    ] {
        let mut node = compile(source, arguments).unwrap();
        node.mode = mode;
        let lines = found(vec![
            (b"usr/lib/x", node),
            (b"tmp", folder(0o1777)),
            (b"home/core", owned(folder(0o700), 1000, 1000)),
        ]);
        let expected: Vec<String> = expected.iter().map(|line| line.replacen(':', " /usr/lib/x:", 1)).collect();
        let mut lines: Vec<&String> = lines.iter().filter(|line| !line.starts_with("build-path")).collect();
        let mut expected: Vec<&String> = expected.iter().collect();
        lines.sort();
        expected.sort();
        assert_eq!(lines, expected, "{source} {arguments:?}");
    }
}

#[test]
fn libraries() {
    let program = ["-pie", "-fPIC", "-Wl,--dynamic-linker,/lib64/none.so", "-L.", "-Wl,--no-as-needed"];
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile("int f() { return 1; }", &["-shared", "-fPIC", "-Wl,-soname,libx.so.1"]) else {
        return eprintln!("skipped: no C compiler");
    };
    std::fs::write(dir.path().join("libx.so"), library.content().unwrap()).unwrap();
    let path = format!("-L{}", dir.path().display());
    let program = compile("int f(); int start() { return f(); }", &[&program[..], &[&path, "-lx"]].concat()).unwrap();
    let lines = found(vec![(b"usr/bin/program", program.clone())]);
    let expected = [
        "interpreter /usr/bin/program: is loaded by /lib64/none.so, which is not in the root",
        "library /usr/bin/program: needs /lib64/none.so, which the root does not have",
        "library /usr/bin/program: needs libx.so.1, which the root does not have",
    ];
    assert_eq!(lines, expected);
    let loader = compile("void start() {}", &["-shared", "-fPIC"]).unwrap();
    let whole = vec![(&b"usr/bin/program"[..], program), (b"lib64/none.so", loader), (b"usr/lib/libx.so.1", library)];
    assert_eq!(found(whole), [] as [&str; 0]);
}

#[test]
fn what_is_allowed_with_a_reason() {
    let allow =
        |check: &str, path: &str| format!("[[allow]]\ncheck = \"{check}\"\npath = \"{path}\"\nreason = \"meant\"\n");
    let entries = || vec![(&b"usr/bin/su"[..], file("", 0o4755)), (b"usr/lib/a/b", file("", 0o4755))];
    let finding = |path: &str| format!("set-uid {path}: set-uid (mode 4755), which no recipe's modes say");
    let unused = |path: &str| format!("packages/toy.toml: allow: set-uid finds nothing at {path}");
    for (path, expected) in [
        ("/usr/bin/su", vec![finding("/usr/lib/a/b")]),
        // The path of a merged /usr leads there too.
        ("/bin/su", vec![finding("/usr/lib/a/b")]),
        ("/usr/lib/*", vec![finding("/usr/bin/su"), finding("/usr/lib/a/b"), unused("/usr/lib/*")]),
        ("/usr/lib/**", vec![finding("/usr/bin/su")]),
        ("/usr/**", vec![]),
    ] {
        assert_eq!(found_with(&allow("set-uid", path), entries()), expected, "{path}");
    }
    // Another check's.
    let unused = "packages/toy.toml: allow: writable finds nothing at /usr/**".to_string();
    let expected = vec![finding("/usr/bin/su"), finding("/usr/lib/a/b"), unused];
    assert_eq!(found_with(&allow("writable", "/usr/**"), entries()), expected);

    let mut distro = checked(&[("toy", "")]);
    distro.distro.lint.allow.push(Allow { check: "set-uid".into(), path: "/usr/**".into(), reason: "meant".into() });
    let report = run(&distro, &tree(entries())).unwrap();
    assert_eq!((report.of(Severity::Fatal).count(), report.allowed(), report.warnings()), (0, 2, 0));
    assert_eq!(report.findings[0].allowed.as_deref(), Some("meant"));
}

/// What a build says.
#[derive(Default)]
struct Said(std::sync::Mutex<Vec<String>>);

impl Progress for Said {
    fn start(&self, what: &str, total: u64) -> Box<dyn crate::progress::Task> {
        crate::progress::Silent.start(what, total)
    }
    fn say(&self, message: &str) {
        self.0.lock().unwrap().push(message.into());
    }
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(format!("! {message}"));
    }
    fn detail(&self, message: &str) {
        self.0.lock().unwrap().push(format!("- {message}"));
    }
}

#[test]
fn a_build_stops_at_fatal_findings_only() {
    let distro = checked(&[("toy", "")]);
    let said = Said::default();
    let warnings = tree(vec![(b"usr/a~", text("")), (b"usr/b", link("none")), (b"usr/c~", text(""))]);
    gate(&distro, &warnings, &said).unwrap();
    let expected = [
        "- warning: /usr/b (test): dangling-symlink: leads to none, which is not there",
        "- warning: /usr/a~ (test): leftover: looks like a leftover",
        "- warning: /usr/c~ (test): leftover: looks like a leftover",
        "! 3 warnings (dangling-symlink 1, leftover 2); \"mkdistro lint\" lists them",
    ];
    assert_eq!(*said.0.lock().unwrap(), expected);

    let fatal = tree(vec![(b"usr/bin/su", file("", 0o4755))]);
    let error = gate(&distro, &fatal, &crate::progress::Silent).unwrap_err();
    let problem = error.downcast_ref::<Problem>().unwrap();
    let expected = "the root has 1 fatal finding (set-uid 1)\n\
                    fatal: /usr/bin/su (test): set-uid: set-uid (mode 4755), which no recipe's modes say";
    assert_eq!((problem.class, problem.message.as_str(), problem.hint.as_str()), (Class::Config, expected, HINT));
}

#[test]
fn json_has_every_finding() {
    let report = run(&checked(&[("toy", "")]), &tree(vec![(b"usr/a~", text(""))])).unwrap();
    let expected = serde_json::json!({
        "schema": 1, "fatal": 0, "warnings": 1, "allowed": 0, "unused-allow": [],
        "findings": [{
            "check": "leftover", "severity": "warning", "path": "/usr/a~", "origin": "test",
            "message": "looks like a leftover", "allowed": null,
        }],
    });
    assert_eq!(report.json(), expected);
}

#[test]
fn quadlet_files() {
    let folder = "etc/containers/systemd";
    let web = format!("{folder}/web.container");
    let broken = format!("{folder}/broken.container");
    let entries = || -> Vec<(&[u8], Node)> {
        vec![
            (web.as_bytes(), text("[Container]\nImage=a\nFrobnicate=1\n[Install]\nWantedBy=default.target\n")),
            (broken.as_bytes(), text("[Container]\nImage=a\nNetwork=gone.network\n")),
        ]
    };
    assert_eq!(
        found(entries()),
        [
            format!("quadlet /{broken}: line 3: requested Quadlet unit gone.network was not found"),
            format!("quadlet-key /{web}: line 3: unsupported key Frobnicate in section [Container]"),
        ]
    );
    let error = gate(&checked(&[("toy", "")]), &tree(entries()), &crate::progress::Silent).unwrap_err();
    assert!(error.to_string().contains("the root has 1 fatal finding (quadlet 1)"), "{error}");
}
