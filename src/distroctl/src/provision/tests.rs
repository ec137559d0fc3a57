//! Whole runs over a fake root.

use contract::paths;
use contract::settings::Settings;
use document::Document;

use super::media::Media;
use super::sources::{Collected, put_together};
use super::{Purpose, Root, run};
use crate::guest::Guest;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn put(root: &Root, path: &str, content: impl AsRef<[u8]>) {
    let path = root.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn fake() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::at(folder.path());
    put(&root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n");
    put(&root, "/etc/group", "root:x:0:\ncore:x:1000:\n");
    std::fs::create_dir_all(root.path("/etc")).unwrap();
    crate::file::replace(&root.path("/etc/shadow"), b"", 0o600, None).unwrap();
    put(&root, "/etc/shadow", "root:*::0:99999:7:::\ncore:*::0:99999:7:::\n");
    put(&root, "/etc/ssl/certs/ca-certificates.crt", "image\n");
    (folder, root)
}

fn guest() -> Guest {
    Guest { settings: Settings::default(), command_line: String::new() }
}

fn no_cloud(user_data: &str) -> Media {
    let files = vec![
        ("meta-data".to_string(), b"instance-id: i-1\nlocal-hostname: meta\n".to_vec()),
        ("user-data".to_string(), user_data.as_bytes().to_vec()),
    ];
    Media { no_cloud: Some(("sr1".into(), files)), ..Media::default() }
}

#[test]
fn sources_in_rising_order_of_weight() {
    let (_folder, root) = fake();
    let hostname = |command_line: &str, media: Media| {
        let collected = put_together(&root, command_line, media);
        assert_eq!(collected.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        Document::of(&collected.table).hostname
    };
    put(&root, paths::IMAGE_CONFIG, "hostname = \"image\"\nrun-commands = [\"a\"]\n");
    assert_eq!(hostname("", Media::default()).as_deref(), Some("image"));
    let mut dmi = vec![11, 5, 0, 2, 1];
    dmi.extend(b"org.mkdistro.config=hostname = \"smbios\"\0\0\x7f\x04\0\0\0\0");
    put(&root, "/sys/firmware/dmi/tables/DMI", dmi);
    assert_eq!(hostname("", Media::default()).as_deref(), Some("smbios"));
    let fw_cfg = |name: &str| format!("/sys/firmware/qemu_fw_cfg/by_name/{name}/raw");
    let ignition = r#"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/etc/hostname","contents":{"source":"data:,ign"}}]}}"#;
    put(&root, &fw_cfg("opt/com.coreos/config"), ignition);
    assert_eq!(hostname("", Media::default()).as_deref(), Some("ign"));
    put(&root, &fw_cfg("opt/org.mkdistro/config"), "hostname = \"fwcfg\"\n\0");
    assert_eq!(hostname("", Media::default()).as_deref(), Some("fwcfg"));
    assert_eq!(hostname("", no_cloud("")).as_deref(), Some("meta"));
    let mut media = no_cloud("#cloud-config\nhostname: user\n");
    assert_eq!(hostname("", no_cloud("#cloud-config\nhostname: user\n")).as_deref(), Some("user"));
    media.document = Some(("sdb".into(), b"hostname = \"volume\"".to_vec()));
    assert_eq!(hostname("", media).as_deref(), Some("volume"));
    put(&root, paths::DATA_CONFIG, "hostname = \"disk\"\n");
    assert_eq!(hostname("", no_cloud("")).as_deref(), Some("disk"));
    let line = "distro.hostname=line distro.data=none distro.proxy.no=a,b quiet";
    assert_eq!(hostname(line, no_cloud("")).as_deref(), Some("line"));
}

#[test]
fn bad_parts_are_named_and_good_ones_stay() {
    let (_folder, root) = fake();
    put(&root, paths::DATA_CONFIG, "hostnam = \"a\"\ntimezone = \"UTC\"\n[user\n");
    let mut media = no_cloud("#cloud-config\npackages: [vim]\ntimezone: [\n");
    media.problems.push("/dev/sr0 (MKDISTRO): mounting /dev/sr0: EIO".into());
    let collected = put_together(&root, "distro.proxy.htp=x", media);
    let told: Vec<String> = collected.problems.iter().map(|problem| problem.to_string().replace('\n', "; ")).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert_eq!(told[0], "/dev/sr0 (MKDISTRO): mounting /dev/sr0: EIO");
    assert!(told[1].starts_with("sr1 user-data:4: no YAML"), "{told:#?}");
    assert!(told[2].starts_with("/var/lib/boot2podman/config.toml:3: "), "{told:#?}");
    assert_eq!(told[3], "/var/lib/boot2podman/config.toml:1: hostnam: no such key; hint: did you mean \"hostname\"?");
    assert_eq!(told[4], "kernel command line: proxy.htp: no such key; hint: did you mean \"http\"?");
    let document = Document::of(&collected.table);
    assert_eq!((document.hostname.as_deref(), document.timezone.as_deref()), (Some("meta"), Some("UTC")));
}

const FULL: &str = "timezone = \"CET-1\"\nca-certificates = [\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\"]\n\
    [[users]]\nname = \"ann\"\nsudo = true\nauthorized-keys = [\"KEY\"]\n\
    [[files]]\npath = \"/etc/motd\"\ncontent = \"hello\\n\"\nappend = true\n\
    [[files]]\npath = \"/srv/secret\"\nbase64 = \"AAH/\"\nmode = \"0600\"\n\
    [[files]]\npath = \"/srv/folder\"\ndirectory = true\nmode = \"0700\"\n\
    [proxy]\nhttp = \"http://p:3128\"\nno = [\".lan\"]\n\
    [registries]\ninsecure = [\"r:5\"]\n[[registries.credentials]]\nregistry = \"r:5\"\nuser = \"a\"\npassword = \"b\"\n";

fn full(root: &Root) -> Collected {
    put(root, paths::IMAGE_CONFIG, FULL.replace("KEY", KEY));
    put_together(root, "", Media::default())
}

#[test]
fn applies_all_and_then_nothing() {
    let (_folder, root) = fake();
    put(&root, "/etc/motd", "image\n");
    put(&root, "/var/lib/boot2podman/certs/own.crt", "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n");
    put(&root, "/var/lib/boot2podman/certs/readme.txt", "nothing");
    put(&root, "/var/lib/boot2podman/certs/bad.pem", "nothing");
    let collected = full(&root);
    let before = listing(&root);
    let told = run(&root, &guest(), &collected, Purpose::DryRun).lines;
    assert_eq!(listing(&root), before, "a dry run writes nothing");
    assert!(told.contains(&"changed /etc/motd (12 bytes, 0644, root:root)".to_string()), "{told:#?}");
    assert!(told.contains(&"  +hello".to_string()), "{told:#?}");
    assert!(!told.join("\n").contains("YTpi"), "no secrets: {told:#?}");

    let changes = run(&root, &guest(), &collected, Purpose::Boot);
    let problems: Vec<String> = changes.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["/var/lib/boot2podman/certs/bad.pem: no certificate in PEM (-----BEGIN CERTIFICATE-----)"]);
    assert_eq!(changes.lines, told);
    assert_eq!(root.text("/etc/motd"), "image\nhello\n");
    assert_eq!(root.read("/srv/secret").unwrap(), [0, 1, 255]);
    assert_eq!(
        root.text(paths::ENVIRONMENT),
        "http_proxy=http://p:3128\nHTTP_PROXY=http://p:3128\nhttps_proxy=http://p:3128\nHTTPS_PROXY=http://p:3128\n\
         no_proxy=localhost,127.0.0.1,::1,.lan\nNO_PROXY=localhost,127.0.0.1,::1,.lan\nTZ=CET-1\n"
    );
    assert!(root.text("/etc/profile.d/50-provisioned.sh").contains("export http_proxy='http://p:3128'\n"));
    assert_eq!(
        root.text("/etc/ssl/certs/ca-certificates.crt"),
        "image\n# added by distroctl\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
         -----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
    );
    assert!(root.text("/home/ann/.ssh/authorized_keys").starts_with("ssh-ed25519 "));
    assert_eq!(root.text("/etc/sudoers.d/90-provisioned"), "ann ALL=(ALL:ALL) NOPASSWD: ALL\n");
    assert!(root.text("/root/.config/containers/auth.json").contains("\"r:5\": { \"auth\": \"YTpi\" }"));
    assert_eq!(Document::read(&root.text(paths::CONFIG)), Document::of(&collected.table));

    let again = run(&root, &guest(), &collected, Purpose::Apply);
    assert_eq!(again.lines, Vec::<String>::new(), "a second run changes nothing");
    // What is no longer asked for goes.
    put(&root, paths::IMAGE_CONFIG, "");
    let none = run(&root, &guest(), &put_together(&root, "", Media::default()), Purpose::Apply);
    assert!(none.lines.contains(&"removed /run/distro/environment".to_string()), "{:#?}", none.lines);
}

#[test]
fn nothing_told_changes_nothing_but_the_record() {
    let (_folder, root) = fake();
    let changes = run(&root, &guest(), &put_together(&root, "quiet", Media::default()), Purpose::Boot);
    assert_eq!(changes.lines, ["new /run/distro/config.toml (0 bytes, 0600, root)"]);
    assert!(changes.problems.is_empty());
}

#[test]
fn what_runs_once_is_left_for_later_until_it_has() {
    let (_folder, root) = fake();
    let collected = put_together(&root, "", no_cloud("#cloud-config\nruncmd: [one, two]\n"));
    run(&root, &guest(), &collected, Purpose::Boot);
    assert_eq!(root.text("/run/distro/once/commands"), "one\ntwo\n");
    assert_eq!(root.text("/run/distro/once/instance-id"), "i-1\n");
    std::fs::remove_dir_all(root.path("/run/distro/once")).unwrap();
    put(&root, "/var/lib/boot2podman/instance-id", "i-1\n");
    run(&root, &guest(), &collected, Purpose::Boot);
    assert!(root.names("/run/distro/once").is_empty());
    let script = put_together(&root, "", no_cloud("#!/bin/sh\necho\n"));
    assert_eq!(script.once.script.as_deref(), Some(&b"#!/bin/sh\necho\n"[..]));
}

/// All files with their lengths.
fn listing(root: &Root) -> Vec<(String, u64)> {
    fn walk(folder: &std::path::Path, out: &mut Vec<(String, u64)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), out);
            } else {
                out.push((entry.path().display().to_string(), entry.metadata().unwrap().len()));
            }
        }
    }
    let mut out = Vec::new();
    walk(&root.path("/"), &mut out);
    out.sort();
    out
}
