//! Container images that are part of the image: a machine without a network card, with 256 MiB, serves from one at once.
//!
//! The image is a Docker archive of the guest's own busybox, in the root and once more on the medium. A service of the
//! project runs the checks and writes what it found to a disk, which is read when the machine is off.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mkdistro::archive::mirrors::Mirrors;
use mkdistro::fetch::{Cache, Fetcher};
use mkdistro::lock::{Lock, Request};
use mkdistro::progress::Silent;
use qemu_tests::{iso, log_file, machine, sha256, user};
use tar::EntryType;
use vm::{Boot, Bus, Disk, DiskFormat, Network, Vm};

use crate::builder::{Project, program};

/// From QEMU's start to its end, under KVM.
const LIMIT: Duration = Duration::from_secs(90);
/// What the guest's checks may say.
const REPORT_BYTES: u64 = 64 << 10;
/// A capability of version 2 (Linux `vfs_cap_data`): effective, CAP_DAC_OVERRIDE.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const RECIPE: &str = r#"
schema = 1
summary = "Checks of images"
[[write]]
path = "/usr/local/bin/check-images"
mode = "0755"
content = '''
#!/bin/sh
export HOME=/root
say() { name=$1; shift; echo "$name=$("$@" 2>&1 | tr '\n' ' ' | sed 's/ *$//')"; }
say cards sh -c 'ls /sys/class/net | grep -v lo'
say images podman images --sort repository --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}'
say names podman image inspect localhost/web:1 --format '{{.RepoTags}}'
say health sh -c 'for n in $(seq 100); do [ "$(podman inspect -f "{{.State.Health.Status}}" web 2> /dev/null)" != healthy ] || break; sleep 1; done; podman inspect -f "{{.State.Health.Status}}" web'
say service sh -c 'head -n 1 /run/distro/services/web'
say served sh -c 'for n in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://127.0.0.1:8080/ && exit; sleep 1; done'
say whiteout podman exec web sh -c 'ls -a /etc/gone; ls /srv'
say links podman exec web stat -c %h /bin/busybox
say time podman exec web stat -c %Y /bin/busybox
say refused podman exec --user 1000 web sh -c 'cat /etc/secret > /dev/null 2>&1 || echo yes'
say capability podman exec --user 1000 web busybox-cap cat /etc/secret
say medium podman run --rm --pull=never localhost/medium:1 cat /www/index.html
say saved sh -c 'podman save -q localhost/web:1 > /tmp/saved.tar && echo yes'
say removed sh -c 'podman rmi -f localhost/medium:1 > /dev/null 2>&1 || echo no'
# Without rights: a store of its own that is no overlay, the image from here.
mkdir -p /home/core/.local/share/containers && mount -t tmpfs tmpfs /home/core/.local/share/containers
chown -R core:core /home/core/.local
say rootless su - core -c "podman images --sort repository --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}'"
# While a container of such an image is there, podman's check misses its layers, which are in another store.
say store sh -c 'distroctl service stop web && podman system check'
say memory sh -c 'grep MemAvailable /proc/meminfo'
echo end=yes
'''
[[service]]
name = "check-images"
command = ["/bin/sh", "-c", "check-images > /dev/vda; sync; poweroff"]
needs = ["podman"]
env = { PATH = "/usr/local/bin:/usr/bin" }
restart = "no"
"#;

/// The web server, as a service.
const WEB: &str = "[Container]
Image=localhost/web:1
Pull=never
ContainerName=web
PublishPort=8080:80
HealthCmd=wget -q -O /dev/null http://127.0.0.1/
HealthInterval=2s
Notify=healthy
[Install]
WantedBy=multi-user.target
";

#[test]
fn a_machine_without_a_network_serves_from_its_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = Project::new();
    make_archive(&project.path("web.tar"))?;
    project.replace("distro.toml", "recipes = [", "recipes = [\"checks\", ");
    let text = std::fs::read_to_string(project.path("distro.toml"))?;
    let images = "[[images]]\npath = \"web.tar\"\n[[images]]\npath = \"web.tar\"\nname = \"localhost/medium:1\"\nwhere = \"medium\"\n";
    std::fs::write(project.path("distro.toml"), format!("{text}\n{images}"))?;
    std::fs::write(project.path("packages/checks.toml"), RECIPE.trim_start())?;
    std::fs::create_dir_all(project.path("overlay/etc/containers/systemd"))?;
    std::fs::write(project.path("overlay/etc/containers/systemd/web.container"), WEB)?;
    lock_images(&project, folder.path())?;
    let outcome = project.build(&["--offline", "--no-sbom"]);
    ensure!(outcome.code == Some(0), "building with images: {}", outcome.stderr);
    let first = sha256(&project.path("out.iso"))?;
    std::fs::remove_file(project.path("out.iso"))?;
    ensure!(project.build(&["--offline", "--no-sbom"]).code == Some(0), "building again");
    ensure!(sha256(&project.path("out.iso"))? == first, "the second build differs");

    let report = folder.path().join("report.img");
    std::fs::File::create(&report)?.set_len(REPORT_BYTES)?;
    let mut machine = machine()?;
    machine.boot = Boot::Cdrom(project.path("out.iso"));
    machine.memory_mib = 256;
    machine.network = Network::None;
    machine.disks.push(Disk { path: report.clone(), format: DiskFormat::Raw, bus: Bus::Virtio });
    let vm = Vm::start(machine, &user(), &log_file("images")?)?;
    vm.wait_exit(LIMIT)?;
    let bytes = std::fs::read(&report)?;
    let text = String::from_utf8_lossy(&bytes);
    let found = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.with_context(|| format!("the guest's report has no {name}:\n{}", text.trim_end_matches('\0')))
    };
    for (name, expected) in [
        ("end", "yes"),
        ("cards", ""),
        ("images", "localhost/medium:1 true localhost/web:1 true"),
        // The same image in two stores.
        ("names", "[localhost/medium:1 localhost/web:1]"),
        ("store", ""),
        ("health", "healthy"),
        ("service", "state ready"),
        ("served", "baked in"),
        ("whiteout", "ls: /etc/gone: No such file or directory new"),
        ("links", "8"),
        ("time", "1600000000"),
        ("refused", "yes"),
        ("capability", "secret"),
        ("medium", "baked in"),
        ("saved", "yes"),
        ("removed", "no"),
        ("rootless", "localhost/medium:1 true localhost/web:1 true"),
    ] {
        ensure!(found(name)? == expected, "{name}: expected {expected:?}, the guest's report:\n{text}");
    }
    eprintln!("{}", found("memory")?);
    Ok(())
}

/// Locks the project's images beside the packages that are locked already; no mirror is asked.
fn lock_images(project: &Project, cache: &Path) -> Result<()> {
    let checked = mkdistro::config::load(&project.path(""))?;
    let fetcher = Fetcher::new(Cache::open(cache)?, Mirrors::default(), true);
    let images = mkdistro::oci::resolve(&checked, &fetcher, None, &Silent)?;
    let request = Request::of(&checked, mkdistro::image::BOOT_PACKAGES).hash();
    Lock { images, request, ..project.lock() }.write(&project.path(""))
}

/// A Docker archive: three layers, of which the second takes away what the first has, and the third has a capability.
fn make_archive(path: &Path) -> Result<()> {
    let mut command = Command::new(program());
    command.arg("inspect").arg(iso()?).args(["/boot/initrd.img/retained/root.squashfs/usr/bin/busybox", "--cat"]);
    let busybox = command.output().context("reading busybox of the ISO")?;
    ensure!(busybox.status.success(), "reading busybox: {}", String::from_utf8_lossy(&busybox.stderr));
    let busybox = busybox.stdout;

    let mut first = Layer::default();
    first.folder("bin")?.file("bin/busybox", &busybox, 0o755)?;
    for name in ["cat", "httpd", "ls", "sh", "stat", "true", "wget"] {
        first.link(&format!("bin/{name}"), "bin/busybox")?;
    }
    first.folder("etc")?.file("etc/gone", b"gone", 0o644)?.file("etc/secret", b"secret\n", 0o600)?;
    first.folder("srv")?.file("srv/old", b"old", 0o644)?.folder("www")?.file("www/index.html", b"old\n", 0o644)?;
    let mut second = Layer::default();
    second.file("etc/.wh.gone", b"", 0o644)?.file("srv/.wh..wh..opq", b"", 0o644)?.file("srv/new", b"new", 0o644)?;
    second.file("www/index.html", b"baked in\n", 0o644)?;
    let mut third = Layer::default();
    third.0.append_pax_extensions([("SCHILY.xattr.security.capability", &CAPABILITY[..])])?;
    third.file("bin/busybox-cap", &busybox, 0o755)?;

    let mut archive = Layer::default();
    let mut diff_ids = Vec::new();
    let mut names = Vec::new();
    for (number, layer) in [first, second, third].into_iter().enumerate() {
        let bytes = layer.0.into_inner()?;
        let file = path.with_extension(number.to_string());
        std::fs::write(&file, &bytes)?;
        diff_ids.push(format!("sha256:{}", sha256(&file)?));
        names.push(format!("{number}/layer.tar"));
        archive.file(&format!("{number}/layer.tar"), &bytes, 0o644)?;
    }
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/httpd", "-f", "-p", "80", "-h", "/www"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    archive.file("config.json", config.to_string().as_bytes(), 0o644)?;
    let list = serde_json::json!([{"Config": "config.json", "RepoTags": ["localhost/web:1"], "Layers": names}]);
    archive.file("manifest.json", list.to_string().as_bytes(), 0o644)?;
    std::fs::write(path, archive.0.into_inner()?).context("writing the archive")
}

/// A tar archive in memory.
struct Layer(tar::Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Layer {
    fn header(kind: EntryType, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_mtime(1_600_000_000);
        header
    }

    fn file(&mut self, name: &str, content: &[u8], mode: u32) -> Result<&mut Self> {
        self.0.append_data(&mut Self::header(EntryType::Regular, mode, content.len()), name, content)?;
        Ok(self)
    }

    fn folder(&mut self, name: &str) -> Result<&mut Self> {
        self.0.append_data(&mut Self::header(EntryType::Directory, 0o755, 0), name, &[][..])?;
        Ok(self)
    }

    fn link(&mut self, name: &str, target: &str) -> Result<&mut Self> {
        self.0.append_link(&mut Self::header(EntryType::Link, 0o755, 0), name, target)?;
        Ok(self)
    }
}
