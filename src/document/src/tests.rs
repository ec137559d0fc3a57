//! The document and its foreign forms, as a whole.

use crate::network::Link;
use crate::{DOCUMENT, Document, Problem, Table, check, ignition, merge, network_config, parse, user_data, write};

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// A document of a table that is all right.
fn good(mut table: Table) -> Document {
    assert_eq!(told(&check(&mut table, DOCUMENT)), Vec::<String>::new());
    Document::of(&table)
}

#[test]
fn every_key_is_in_the_full_document() {
    let (table, problems) = parse(include_str!("../testdata/full.toml"));
    assert_eq!(told(&problems), Vec::<String>::new());
    let document = good(table.clone());
    assert_eq!(document.users[0].groups, ["wheel"]);
    assert_eq!(document.files[1].content, [0, 1, 255]);
    assert_eq!(document.swap_bytes, Some(1 << 30));
    assert_eq!(document.network.interfaces[1].link, Some(Link::Vlan { link: "lan".into(), id: 5 }));
    assert_eq!(document.registries.mirrors, [("docker.io".to_string(), "mirror.example.org:5000".to_string())]);
    assert_eq!(Document::read(&write(&table)), document);
    // Each key of the table of keys occurs.
    let written = write(&table);
    for (path, ..) in crate::reference() {
        let name = path.rsplit('.').next().unwrap();
        assert!(written.contains(&format!("{name} = ")) || written.contains(&format!(".{name}]")), "{path}");
    }
}

#[test]
fn all_problems_at_once_and_the_rest_is_kept() {
    let text = "hostnam = \"a\"\nhostname = \"a_b\"\ntimezone = 5\n[user]\nauthorized-keys = [\"nonsense\", 7]\n\
                [[files]]\ncontent = \"x\"\n[[files]]\npath = \"/a\"\nmode = \"9\"\n[proxy]\nhttp = \"proxy:3128\"\nno = [\"a\"]\n\
                [[users]]\nname = \"Ann\"\n[registries.mirrors]\n\"docker.io\" = \"https://m.example/\"\n[swap]\nsize = 1.5\n";
    let (mut table, _) = parse(text);
    let problems = check(&mut table, DOCUMENT);
    assert_eq!(
        told(&problems),
        [
            "line 1: hostnam: no such key\nhint: did you mean \"hostname\"?",
            "line 2: hostname: expected letters, digits and \"-\" (not first or last), at most 64, parts separated by \".\", found \"a_b\"",
            "line 3: timezone: expected a text, found 5",
            "line 5: user.authorized-keys[0]: expected a line as in authorized_keys: type, base64, comment, found \"nonsense\"",
            "line 5: user.authorized-keys[1]: expected a text, found 7",
            "line 6: files[0].path: missing",
            "line 10: files[1].mode: expected three or four octal digits such as \"0755\", found \"9\"",
            "line 12: proxy.http: expected a URL that begins with http://, https:// or socks5://, found \"proxy:3128\"",
            "line 15: users[0].name: expected lower-case letters, digits, \"_\" and \"-\", a letter or \"_\" first, at most 32, found \"Ann\"",
            "line 17: registries.mirrors.docker.io: expected a registry such as \"docker.io\" or \"mirror.example:5000/path\", found \"https://m.example/\"\nhint: without scheme: \"m.example\"",
            "line 19: swap.size: expected a text, found a value of type float",
        ]
    );
    let document = Document::of(&table);
    assert_eq!((document.files.len(), document.files[0].mode, document.users.len()), (1, None, 0));
    assert_eq!((document.proxy.http, document.proxy.no), (None, vec!["a".to_string()]));
}

#[test]
fn heavier_sources_go_over_lighter_ones() {
    let layers = [
        "hostname = \"one\"\nrun-commands = [\"a\"]\n[proxy]\nhttp = \"http://p:1\"\nno = [\"x\"]\n[[files]]\npath = \"/a\"\ncontent = \"1\"\n[[files]]\npath = \"/b\"\n",
        "run-commands = [\"a\", \"b\"]\n[proxy]\nno = [\"y\"]\n[[files]]\npath = \"/a\"\nmode = \"0600\"\n",
    ];
    let mut merged = Table::default();
    for layer in layers {
        merge(&mut merged, parse(layer).0, DOCUMENT);
    }
    let document = good(merged);
    assert_eq!(document.hostname.as_deref(), Some("one"));
    assert_eq!(document.run_commands, ["a", "b"]);
    assert_eq!((document.proxy.http.as_deref(), document.proxy.no), (Some("http://p:1"), vec!["y".to_string()]));
    assert_eq!((document.files.len(), document.files[0].mode, document.files[0].content.len()), (2, Some(0o600), 0));
}

#[test]
fn cloud_config() {
    let data = user_data::read(include_bytes!("../testdata/user-data"));
    assert!(!data.script);
    assert_eq!(
        told(&data.problems),
        [
            "line 54: ssh_keys.rsa_private: not supported\nhint: the SSH server has an ed25519 key only",
            "line 55: packages: not supported\nhint: there is no package manager: add it to the image with mkdistro add",
            "line 56: package_update: not supported\nhint: there is no package manager",
            "line 57: hostnmae: not supported",
        ]
    );
    let document = good(data.table);
    assert_eq!(document.hostname.as_deref(), Some("web1.example.org"));
    assert_eq!(document.authorized_keys.len(), 1);
    let ann = &document.users[0];
    assert_eq!((ann.name.as_str(), ann.uid, ann.sudo, ann.groups.len()), ("ann", Some(2000), true, 2));
    assert_eq!(ann.password_hash.as_deref(), Some("$6$abcdefgh$0123456789"));
    let modes: Vec<Option<u32>> = document.files.iter().map(|file| file.mode).collect();
    assert_eq!(modes, [Some(0o600), None, Some(0o755)]);
    assert_eq!((document.files[1].content.as_slice(), document.files[2].append), (&[0, 1, 255][..], true));
    assert_eq!(document.boot_commands, ["echo boot", "sh -c 'echo \"it'\\''s\"'"]);
    assert_eq!(document.run_commands, ["touch /run/ran"]);
    let extra = &document.mounts[0];
    assert_eq!(
        (extra.source.as_str(), extra.required, extra.options.join(",")),
        ("/dev/sdb1", false, "noatime".into())
    );
    assert_eq!((document.swap_bytes, document.ntp.servers.len()), (Some(512 << 20), 2));
    assert_eq!(document.ca_certificates.len(), 1);
}

#[test]
fn other_user_data() {
    assert!(user_data::read(b"#!/bin/sh\necho\n").script);
    assert_eq!(told(&user_data::read(b"").problems), Vec::<String>::new());
    assert_eq!(told(&user_data::read(b"#cloud-config\n").problems), Vec::<String>::new());
    for (bytes, reason) in [
        (&b"\x1f\x8b\x08"[..], "line 1: user-data is not UTF-8 text\nhint: gzip: unpack it"),
        (
            b"Content-Type: multipart/mixed\n",
            "line 1: user-data of several parts (MIME) is not supported\nhint: give one cloud-config or script",
        ),
        (b"#cloud-config\n- a\n", "line 2: expected a table of keys, found a list"),
    ] {
        assert_eq!(told(&user_data::read(bytes).problems), [reason]);
    }
    let bad = user_data::read(b"#cloud-config\nhostname: a\n b: c\n");
    assert!(bad.problems[0].to_string().contains("no YAML"), "{:?}", bad.problems);
    let (meta, problems) = user_data::read_meta_data("{\"instance-id\": \"i-1\", \"local-hostname\": \"box\"}");
    assert_eq!((meta.instance_id.as_deref(), meta.hostname.as_deref(), problems.len()), (Some("i-1"), Some("box"), 0));
}

#[test]
fn network_config_of_both_versions() {
    let (table, problems) = network_config::read(include_str!("../testdata/network-config-v1"));
    assert_eq!(told(&problems), Vec::<String>::new());
    let network = good(table).network;
    assert_eq!((texts(&network.dns), network.search), (vec!["198.51.100.1".into()], vec!["corp.example".to_string()]));
    let names: Vec<&str> = network.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1", "bond0", "eth0.5"]);
    let eth0 = &network.interfaces[0];
    assert!(eth0.rename);
    assert_eq!(texts(&eth0.addresses), ["192.0.2.10/24", "2001:db8::10/64"]);
    assert_eq!((eth0.gateway, eth0.gateway6), ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok()));
    assert_eq!((eth0.routes[0].to.to_string().as_str(), eth0.dhcp, eth0.mtu), ("10.0.0.0/8", Some(false), Some(1400)));
    assert_eq!(network.interfaces[1].dhcp, Some(true));
    assert_eq!(network.interfaces[2].link.as_ref().map(|link| link.members().len()), Some(2));
    assert_eq!(network.interfaces[3].link, Some(Link::Vlan { link: "eth0".into(), id: 5 }));

    let (table, problems) = network_config::read(include_str!("../testdata/network-config-v2"));
    assert_eq!(told(&problems), ["line 21: ethernets.all.wakeonlan: not supported"]);
    let network = good(table).network;
    let lan = &network.interfaces[0];
    let selector = lan.selector.clone().unwrap();
    assert_eq!((selector.mac, lan.dhcp), ("52:54:00:12:34:00".parse().ok(), Some(false)));
    let route = lan.routes[0];
    assert_eq!((route.to.to_string().as_str(), route.metric, lan.routes.len()), ("0.0.0.0/0", Some(5), 2));
    assert_eq!(network.interfaces[1].selector.clone().unwrap().name.as_deref(), Some("en*"));
    assert_eq!(network.interfaces[2].link, Some(Link::Vlan { link: "lan".into(), id: 5 }));
    assert_eq!(network.interfaces[2].dhcp, Some(true));
    assert_eq!(network.interfaces[4].link.as_ref().unwrap().members(), ["bond0"]);
}

#[test]
fn ignition_names_what_it_leaves_out() {
    let (table, problems) = ignition::read(include_str!("../testdata/ignition.json"));
    assert_eq!(
        told(&problems),
        [
            "line 6: passwd.users[1].homeDir: not supported",
            "line 15: storage.files[3].source: not supported\nhint: nothing is fetched: give the content as a data: URL"
                .replace("[3].source", "[3].contents.source")
                .as_str(),
            "line 17: storage.links: not supported",
            "line 19: systemd.units: not supported",
        ]
        .map(str::to_string)
    );
    let document = good(table);
    assert_eq!(document.hostname.as_deref(), Some("ign1"));
    assert_eq!((document.authorized_keys.len(), document.users[0].uid), (1, Some(2000)));
    let directory = &document.files[0];
    assert_eq!((directory.directory, directory.mode, directory.owner.as_deref()), (true, Some(0o750), Some("core")));
    assert_eq!((document.files[1].content.as_slice(), document.files[1].mode), (&b"hi"[..], Some(0o644)));
    assert_eq!((document.files[2].append, document.files[2].content.as_slice()), (true, "welcome ✓".as_bytes()));
    assert_eq!(document.files.len(), 3);
    assert_eq!(
        told(&ignition::read("{\"ignition\": {\"version\": \"2.2.0\"}}").1),
        ["line 1: ignition.version: expected 3.x, found 2.2.0"]
    );
    assert!(ignition::read("{").1[0].to_string().contains("no JSON"));
}

#[test]
fn the_schema_names_every_key() {
    let schema = crate::schema();
    for (path, meaning, _) in crate::reference() {
        assert!(!meaning.is_empty(), "{path}");
        assert!(schema.contains(&format!("\"{}\": {{", path.rsplit('.').next().unwrap())), "{path}");
    }
    let yaml = crate::yaml::parse(&schema).expect("JSON is YAML");
    let users = yaml.get("properties").and_then(|keys| keys.get("users")).and_then(|users| users.get("items"));
    assert_eq!(users.and_then(|items| items.get("required")).map(|names| names.entries().len()), Some(1));
}

/// The README's table is [`crate::reference`].
#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../../../README.md");
    let rows: Vec<String> =
        crate::reference().iter().map(|(key, meaning, _)| format!("| `{key}` | {meaning} |\n")).collect();
    assert!(readme.contains(&rows.concat()), "put these rows there:\n{}", rows.concat());
}
