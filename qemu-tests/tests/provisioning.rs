//! What a guest is told besides its image, on media made by foreign tools: NoCloud on a CD and on FAT, QEMU's fw_cfg,
//! Ignition. A bad document is told of and does not stop the boot.

use anyhow::Result;
use qemu_tests::{Guest, host, machine};
use std::path::{Path, PathBuf};
use vm::{Bus, Disk, DiskFormat, FwCfg};

const USER_DATA: &str = "#cloud-config
hostname: told
users:
  - default
  - name: ann
    sudo: ALL=(ALL) NOPASSWD:ALL
write_files:
  - path: /etc/told
    content: |
      by cloud-config
    permissions: '0640'
    owner: ann:ann
bootcmd: [touch /run/early]
runcmd:
  - [sh, -c, 'podman info > /run/late']
packages: [vim]
";

const DOCUMENT: &str = "hostname = \"lighter\"
[proxy]
http = \"http://192.0.2.1:3128\"
no = [\".example.org\"]
[registries]
insecure = [\"registry.example.org:5000\"]
[[files]]
path = \"/etc/document\"
content = \"by fw_cfg\\n\"
";

fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    files.iter().try_for_each(|(name, content)| std::fs::write(folder.join(name), content))?;
    Ok(())
}

/// A volume as cloud-init's documentation makes it.
fn iso(folder: &Path) -> Result<PathBuf> {
    write(folder, &[("user-data", USER_DATA), ("meta-data", "instance-id: i-1\nlocal-hostname: meta\n")])?;
    let image = folder.join("seed.iso");
    host("genisoimage", |command| {
        command.args(["-quiet", "-joliet", "-rock", "-volid", "cidata", "-output"]).arg(&image);
        command.arg(folder.join("user-data")).arg(folder.join("meta-data"))
    })?;
    Ok(image)
}

fn fat(folder: &Path) -> Result<PathBuf> {
    write(folder, &[("user-data", "#!/bin/sh\necho script > /run/script\n"), ("meta-data", "instance-id: i-2\n")])?;
    let image = folder.join("seed.img");
    host("mkfs.vfat", |command| command.args(["-C", "-n", "CIDATA"]).arg(&image).arg("1440"))?;
    for name in ["user-data", "meta-data"] {
        host("mcopy", |command| command.arg("-i").arg(&image).arg(folder.join(name)).arg(format!("::{name}")))?;
    }
    Ok(image)
}

#[test]
fn no_cloud_on_a_cd_and_a_document() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: iso(folder.path())?, format: DiskFormat::Raw, bus: Bus::Virtio });
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text(DOCUMENT.replace('\n', "\r\n"))));
    let guest = Guest::boot("provisioning_cd", machine)?;
    assert_eq!(guest.ok("hostname")?, "told");
    assert_eq!(guest.ok("sudo cat /etc/told; stat -c '%a %U' /etc/told")?, "by cloud-config\n640 ann");
    assert_eq!(guest.ok("cat /etc/document")?, "by fw_cfg");
    guest.ok("test -e /run/early")?;
    guest.ok("for i in $(seq 60); do grep -q crun /run/late && exit 0; sleep 1; done; exit 1")?;
    assert_eq!(guest.ok("sudo -u ann sudo -n id -u")?, "0");
    let status = guest.ok("distroctl status")?;
    assert!(status.contains("user-data:16: packages: not supported"), "{status}");
    guest.ok("grep -q registry.example.org:5000 /etc/containers/registries.conf.d/90-provisioned.conf")?;
    let environment = guest.ok("sudo cat /proc/$(pidof podman | cut -d ' ' -f 1)/environ | tr '\\0' '\\n'")?;
    assert!(environment.contains("http_proxy=http://192.0.2.1:3128"), "{environment}");
    assert_eq!(guest.ok("sh -lc 'echo $no_proxy'")?, "localhost,127.0.0.1,::1,.example.org");

    // By hand: nothing to do, then what was changed is put right.
    assert_eq!(guest.ok("sudo distroctl apply --dry-run 2>/dev/null || true")?, "nothing to change");
    guest.ok("echo other | sudo tee /etc/document > /dev/null")?;
    assert!(guest.ok("sudo distroctl apply 2>/dev/null || true")?.contains("  -other\n  +by fw_cfg"));
    assert_eq!(guest.ok("cat /etc/document")?, "by fw_cfg");
    guest.ok("printf 'hostnam = 1\\n' > /tmp/bad.toml")?;
    assert_eq!(guest.status("distroctl validate /tmp/bad.toml")?, i32::from(contract::exit::CONFIG));
    // The contract of tools that drive boot2docker and its like.
    guest.ok("sudo sethostname other && test $(hostname) = other")?;
    guest.ok("test $(cat /var/lib/boot2podman/etc/hostname) = other")?;
    guest.power_off()
}

#[test]
fn a_script_on_fat_and_ignition() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: fat(folder.path())?, format: DiskFormat::Raw, bus: Bus::Usb });
    let ignition = r#"{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/etc/hostname","contents":{"source":"data:,ign"}},{"path":"/etc/ign","mode":384,"contents":{"source":"data:;base64,aGk="}}]},"systemd":{"units":[{"name":"a.service"}]}}"#;
    let file = folder.path().join("config.ign");
    std::fs::write(&file, ignition)?;
    machine.fw_cfg.push(("opt/com.coreos/config".into(), FwCfg::File(file)));
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text("hostnam = [".into())));
    let guest = Guest::boot("provisioning_fat", machine)?;
    assert_eq!(guest.ok("hostname")?, "ign");
    assert_eq!(guest.ok("stat -c %a /etc/ign; sudo cat /etc/ign")?, "600\nhi");
    guest.ok("for i in $(seq 60); do grep -q script /run/script && exit 0; sleep 1; done; exit 1")?;
    let status = guest.ok("distroctl status")?;
    assert!(status.contains("systemd.units: not supported"), "{status}");
    assert!(status.contains("fw_cfg opt/org.mkdistro/config:1: "), "{status}");
    guest.power_off()
}
