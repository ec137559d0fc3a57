//! Wrong values of distro.toml, unknown and missing keys everywhere.

use super::*;

#[test]
fn wrong_values_of_distro_toml() {
    run(&[
        (
            "distro.toml",
            "schema = 1",
            "schema = 2",
            &["distro.toml:1: schema: made for a newer mkdistro, expected 1, found 2\n  hint: use a newer mkdistro"],
        ),
        (
            "distro.toml",
            "schema = 1",
            "schema = 0",
            &["distro.toml:1: schema: bad value, expected 1, found the integer 0"],
        ),
        ("distro.toml", "schema = 1", "", &["distro.toml:1: schema: missing, expected 1"]),
        (
            "distro.toml",
            "\"boot2podman\"\n",
            "\"Boot2 Podman\"\n",
            &[
                "distro.toml:4: distro.name: bad value, expected lower-case letters, digits and \"-\", a letter first, at \
             most 63, found \"Boot2 Podman\"\n  hint: did you mean \"boot2-podman\"?",
            ],
        ),
        (
            "distro.toml",
            "\"1.0\"",
            "1.0",
            &[
                "distro.toml:5: distro.version: wrong type, expected a string, found the number 1.0\n  hint: write \"1.0\"",
            ],
        ),
        (
            "distro.toml",
            "\"1.0\"",
            "\"1 0\"",
            &["distro.toml:5: distro.version: bad value, expected letters, digits and any of \".+~_-\", at most 64, \
             found \"1 0\""],
        ),
        (
            "distro.toml",
            "hostname = \"box\"",
            "volume-id = \"my-disk\"",
            &[
                "distro.toml:6: distro.volume-id: bad value, expected at most 32 of A-Z, 0-9 and \"_\", found \"my-disk\"\n  \
             hint: did you mean \"MY_DISK\"?",
            ],
        ),
        (
            "distro.toml",
            "\"box\"",
            "\"-box\"",
            &[
                "distro.toml:6: distro.hostname: bad value, expected letters, digits and \"-\" (not first or last), at most \
             64, parts separated by \".\"; empty: DHCP's, found \"-box\"",
            ],
        ),
        (
            "distro.toml",
            "\"system\", ",
            "\"ftp://host\", \"sytem\", \"http://\", ",
            &[
                "distro.toml:10: sources.mirrors: bad value, expected \"system\" or a URL that begins with http://, https:// \
             or file:///, found \"ftp://host\"",
                "distro.toml:10: sources.mirrors: bad value, expected \"system\" or a URL that begins with http://, https:// \
             or file:///, found \"sytem\"\n  hint: did you mean \"system\"?",
                "distro.toml:10: sources.mirrors: bad value, expected \"system\" or a URL that begins with http://, https:// \
             or file:///, found \"http://\"",
            ],
        ),
        (
            "distro.toml",
            "[\"trixie\", \"trixie-security\"]",
            "[\"../trixie\", \"a\", \"a\"]",
            &[
                "distro.toml:9: sources.suites: bad value, expected a suite such as \"trixie\" or \"trixie-security\", found \
             \"../trixie\"",
                "distro.toml:9: sources.suites: \"a\" is given twice\n  hint: remove one",
            ],
        ),
        (
            "distro.toml",
            "[\"trixie\", \"trixie-security\"]",
            "[]",
            &["distro.toml:9: sources.suites: bad value, expected at least one element, found none"],
        ),
        ("distro.toml", "mirrors =", "security-mirrors =", &[]),
        (
            "distro.toml",
            "mirrors = [\"system\", \"file:///srv/mirror\"]",
            "security-mirrors = []",
            &[
                "distro.toml:10: sources.security-mirrors: bad value, expected a mirror for the suite \"trixie-security\", \
             found none\n  hint: write [\"system\"]",
            ],
        ),
        (
            "distro.toml",
            "[sources]",
            "[sources]\nkeyring = \"packages/debian-archive-keyring.gpg\"",
            &["distro.toml:9: sources.keyring: missing file, expected a key ring, found no \
             \"packages/debian-archive-keyring.gpg\"\n  hint: did you mean \"debian-archive-keyring.asc\"?"],
        ),
        (
            "distro.toml",
            "\"net\",",
            "\"nett\", \"net.config\"",
            &[
                "distro.toml:15: kernel.config: bad value, expected the name of a file in kernel-config/ without .config, \
             found \"net.config\"\n  hint: did you mean \"net\"?",
                "distro.toml:15: kernel.config: missing fragment, expected the file kernel-config/nett.config, found none\n  \
             hint: did you mean \"net\"?",
            ],
        ),
        (
            "distro.toml",
            "[\"dummy\"]",
            "[\"net/dummy.ko.xz\", \"dummy.ko\"]",
            &[
                "distro.toml:17: kernel.modules: bad value, expected a module's name: letters, digits, \"_\" and \"-\", \
             found \"net/dummy.ko.xz\"\n  hint: did you mean \"net/dummy\"?",
                "distro.toml:17: kernel.modules: bad value, expected a module's name: letters, digits, \"_\" and \"-\", \
             found \"dummy.ko\"\n  hint: did you mean \"dummy\"?",
            ],
        ),
        (
            "distro.toml",
            "[\"podman\", \"sshd\"]",
            "[\"podmann\", \"sshd\", \"podman\"]",
            &[
                "distro.toml:20: root.recipes: unknown recipe, expected a file of packages/ without .toml, found \"podmann\"\n  \
             hint: did you mean \"podman\"?",
            ],
        ),
        (
            "distro.toml",
            "[\"podman\", \"sshd\"]",
            "\"podman\"",
            &[
                "distro.toml:20: root.recipes: wrong type, expected an array of strings, found the string \"podman\"\n  hint: \
             write [\"podman\"]",
            ],
        ),
        (
            "distro.toml",
            "\"zstd:17\"",
            "\"zstd:23\"",
            &[
                "distro.toml:21: root.compression: bad value, expected \"xz\" or \"zstd:LEVEL\" with a level from 1 to 22, \
             found \"zstd:23\"\n  hint: did you mean \"zstd:17\"?",
            ],
        ),
        (
            "distro.toml",
            "= 50",
            "= 300",
            &[
                "distro.toml:22: root.overlay-percent: bad value, expected an integer from 1 to 95, found the integer 300",
            ],
        ),
        (
            "distro.toml",
            "= 50",
            "= 99999999999999999999999",
            &["distro.toml:22: root.overlay-percent: bad value, expected an integer from 1 to 95, found the integer \
             99999999999999999999999"],
        ),
        (
            "distro.toml",
            "= 50",
            "= \"50%\"",
            &[
                "distro.toml:22: root.overlay-percent: wrong type, expected an integer from 1 to 95, found the string \"50%\"",
            ],
        ),
        (
            "distro.toml",
            "\"core\"",
            "\"root\"",
            &[
                "distro.toml:25: user.name: bad value, expected lower-case letters, digits, \"_\" and \"-\", a letter or \"_\" \
             first, at most 32, no user or group of the system, found \"root\"",
            ],
        ),
        (
            "distro.toml",
            "uid = 1000",
            "uid = 0x3e7",
            &["distro.toml:26: user.uid: bad value, expected an integer from 1000 to 60000, found the integer 0x3e7"],
        ),
        (
            "distro.toml",
            "[\"ttyS0\", \"tty1\"]",
            "[\"/dev/ttyS0\", 1]",
            &[
                "distro.toml:30: console.autologin: bad value, expected a terminal such as \"ttyS0\" or \"tty1\", found \
             \"/dev/ttyS0\"\n  hint: did you mean \"ttyS0\"?",
                "distro.toml:30: console.autologin: wrong type, expected a string, found the integer 1",
            ],
        ),
        (
            "distro.toml",
            "\"boot2podman-data\"",
            "\"boot2podman-data!\"",
            &[
                "distro.toml:33: data.label: bad value, expected 1 to 16 bytes of ASCII without spaces, quotes, \"/\" and \
             \"\\\", not \"none\", found \"boot2podman-data!\"",
            ],
        ),
        (
            "distro.toml",
            "timeout = 1",
            "timeout = -1",
            &["distro.toml:36: boot.timeout: bad value, expected an integer from 0 to 600, found the integer -1"],
        ),
        (
            "distro.toml",
            " quiet",
            "\\nquiet",
            &[
                "distro.toml:37: boot.command-line: bad value, expected at most 1900 bytes of printable ASCII on one line, \
             found \"console=tty0 console=ttyS0,115200 console=ttyS1\\nquiet\"",
            ],
        ),
    ]);
}

#[test]
fn unknown_and_missing_keys() {
    run(&[
        (
            "distro.toml",
            "[console]",
            "[consle]",
            &["distro.toml:29: consle: unknown key\n  hint: did you mean \"console\"?"],
        ),
        (
            "distro.toml",
            "[distro]\n",
            "[distro]\nvolumeid = \"X\"\nlabel = 1\nxyzzy = 1\n",
            &[
                "distro.toml:4: distro.volumeid: unknown key\n  hint: did you mean \"volume-id\"?",
                "distro.toml:5: distro.label: unknown key\n  hint: it belongs into [data]",
                "distro.toml:6: distro.xyzzy: unknown key\n  hint: valid here: name, version, volume-id, hostname",
            ],
        ),
        ("distro.toml", "name = \"boot2podman\"\n", "", &["distro.toml:3: distro.name: missing, expected a string"]),
        (
            "distro.toml",
            "[root]\nrecipes",
            "[boot.x]\nrecipes",
            &[
                "distro.toml:1: root: missing, expected a table",
                "distro.toml:19: boot.x: unknown key\n  hint: valid here: timeout, command-line, uefi, signing",
            ],
        ),
        (
            "distro.toml",
            "[root]\nrecipes",
            "[root]\n\"reci pes\"",
            &[
                "distro.toml:19: root.recipes: missing, expected an array of strings",
                "distro.toml:20: root.\"reci pes\": unknown key\n  hint: did you mean \"recipes\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "summary",
            "sumary",
            &[
                "packages/podman.toml:1: summary: missing, expected a string",
                "packages/podman.toml:2: sumary: unknown key\n  hint: did you mean \"summary\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "path = \"/var",
            "mod = \"\"\npaht = \"/var",
            &[
                "packages/podman.toml:14: directory.path: missing, expected a string",
                "packages/podman.toml:15: directory.mod: unknown key\n  hint: did you mean \"mode\"?",
                "packages/podman.toml:16: directory.paht: unknown key\n  hint: did you mean \"path\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "content =",
            "contents =",
            &[
                "packages/podman.toml:17: write.content: missing, expected a string",
                "packages/podman.toml:19: write.contents: unknown key\n  hint: did you mean \"content\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "[links]",
            "[applets]\nprogramme = \"/usr/bin/podman\"\nfolder = \"/bin\"\n[links]",
            &[
                "packages/podman.toml:8: applets.program: missing, expected a string",
                "packages/podman.toml:9: applets.programme: unknown key\n  hint: did you mean \"program\"?",
            ],
        ),
        (
            "packages/podman.toml",
            "\nuser = true",
            "\nusers = true",
            &["packages/podman.toml:41: service.users: unknown key\n  hint: did you mean \"user\"?"],
        ),
        ("packages/podman.toml", "[[service]]", "[service]", &["packages/podman.toml:38: TOML syntax: duplicate key"]),
        (
            "packages/extra.toml",
            "[[service]]",
            "[service]",
            &["packages/extra.toml:4: service: wrong type, expected an array of tables, found a table\n  hint: write \
             [[service]] with two brackets"],
        ),
        (
            "packages/extra.toml",
            "schema = 1\n",
            "schema = 1\nservice = [1]\n",
            &["packages/extra.toml:5: TOML syntax: duplicate key"],
        ),
    ]);
}

#[test]
fn authorized_keys() {
    let data = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    for (line, valid) in [
        (format!("ssh-ed25519 {data}"), true),
        (format!("ssh-ed25519  {data} a comment"), true),
        (format!("restrict,command=\\\"echo a b\\\" ssh-ed25519 {data}"), true),
        (format!("ssh-dss {data}"), false),
        (data.to_string(), false),
        (format!("ssh-ed25519 {}", &data[..66]), false),
        (format!("ssh-ed25519 {}*", &data[..67]), false),
        (format!("ssh-ed25519 {data}\\nx"), false),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), false),
    ] {
        let text = format!(
            "schema = 1\nuser.authorized-keys = [\"{line}\"]\ndistro = {{ name = \"a\", version = \"1\" }}\nroot.recipes = [\"a\"]"
        );
        assert_eq!(parse_distro(&text).is_ok(), valid, "{line}: {:?}", parse_distro(&text));
    }
}

#[test]
fn lint_and_what_it_allows() {
    let check = "check = \"no-pei\"\npath = \"/usr/bin/x\"\nreason = \"so it is\"";
    let path = "check = \"no-pie\"\npath = \"usr/bin/x\"\nreason = \"so it is\"";
    let reason = "check = \"no-pie\"\npath = \"/usr/bin/x\"";
    for (keys, expected) in [
        (
            check,
            "lint.allow.check: bad value, expected the name of a check, as \"mkdistro lint --list\" shows them, found \
             \"no-pei\"\n  hint: did you mean \"no-pie\"?",
        ),
        (
            path,
            "lint.allow.path: bad value, expected an absolute path or pattern without \"..\", \".\" and \"//\", found \
             \"usr/bin/x\"\n  hint: did you mean \"/usr/bin/x\"?",
        ),
        (reason, "lint.allow.reason: missing, expected a string"),
    ] {
        let problems = parse_distro(&format!("{DISTRO}\n[[lint.allow]]\n{keys}\n")).unwrap_err();
        let shown = problems.0.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n");
        assert!(shown.starts_with("distro.toml:") && shown.ends_with(expected), "{shown}");
    }
    let bad = DISTRO.to_string() + "[lint]\nmax-file-mib = 0\n";
    let problems = parse_distro(&bad).unwrap_err();
    assert!(problems.0[0].to_string().contains("lint.max-file-mib: bad value, expected an integer from 1 to 4096"));
}

#[test]
fn container_images_and_registries() {
    let images = |text: &str| format!("{text}\n[data]");
    for (text, expected) in [
        (
            "[[images]]\nreference = \"nginx\"\n[[images]]\nname = \"x\"\npath = \"a.tar\"\nwhere = \"disk\"",
            &[
                "distro.toml:33: images.reference: bad value, expected an image in a registry: HOST/REPOSITORY, with :TAG, \
                 @sha256:DIGEST or both, found \"nginx\"\n  hint: did you mean \"docker.io/library/nginx\"?",
                "distro.toml:35: images.name: bad value, expected an image's name: HOST/REPOSITORY:TAG, found \"x\"\n  \
                 hint: did you mean \"localhost/x\"?",
                "distro.toml:37: images.where: bad value, expected \"root\" or \"medium\", found \"disk\"",
                "distro.toml:37: unknown variant `disk`, expected `root` or `medium`",
            ][..],
        ),
        (
            "[[images]]\n[[images]]\nreference = \"a.test/b\"\npath = \"a.tar\"",
            &[
                "distro.toml:32: images: no source, expected reference = \"…\" or path = \"…\"",
                "distro.toml:35: images.path: a second source, expected reference or path\n  hint: remove one",
            ],
        ),
        (
            "[[images]]\nreference = \"a.test/b:latest\"\n[[images]]\npath = \"x\"\nname = \"a.test/b\"",
            &["distro.toml:36: images.name: \"a.test/b:latest\" is given twice\n  hint: remove one"],
        ),
        (
            "[[registries]]\nhost = \"a.test/x\"\nmirrors = [\"b.test\", \"https://me:pw@b.test\", \"http://b.test:5/x\"]",
            &[
                "distro.toml:33: registries.host: bad value, expected a registry's host: NAME or NAME:PORT, found \"a.test/x\"",
                "distro.toml:34: registries.mirrors: bad value, expected a URL: https://HOST[:PORT][/PATH], or http://, found \
                 \"b.test\"",
                "distro.toml:34: registries.mirrors: bad value, expected a URL: https://HOST[:PORT][/PATH], or http://, found \
                 \"https://me:pw@b.test\"",
            ],
        ),
        (
            "[[registries]]\nhost = \"a.test\"\n[[registries]]\nhost = \"a.test\"",
            &["distro.toml:35: registries.host: \"a.test\" is given twice\n  hint: remove one"],
        ),
    ] {
        run(&[("distro.toml", "[data]", &images(text), expected)]);
    }
}
