//! Commands that README.md promises, in a guest that another test has booted.

use anyhow::{Context, Result};
use qemu_tests::Guest;

const README: &str = include_str!("../../README.md");
const HEADING: &str = "### Coming from MiniContainer or cage";

/// The last column's commands, in their order.
fn table() -> Result<Vec<&'static str>> {
    let (_, section) = README.split_once(HEADING).context("README.md has no such section")?;
    let section = section.split("\n#").next().unwrap_or(section);
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cell = row.trim_end().trim_end_matches('|').trim_end();
        let cell = cell.strip_suffix('`').with_context(|| format!("no command at the end of {row}"))?;
        // A command may hold "|", which begins no cell inside of a code span.
        let at = cell.rfind("| `").with_context(|| format!("no command in {row}"))?;
        Ok(&cell[at + 3..])
    })
    .collect()
}

/// Runs what README.md has for people who come from other programs. Docker's registry must be reachable.
pub(crate) fn for_newcomers(guest: &Guest, image: &str) -> Result<()> {
    let commands = table()?;
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let script = command.replace("IMAGE", image);
        guest.scp_in(script.as_bytes(), "/tmp/command.sh")?;
        let output = guest.ssh("sudo sh -e /tmp/command.sh")?;
        assert_eq!(output.status, 0, "{command}: {output:?}");
        let wanted = match command {
            command if command.contains("echo hello") => "hello",
            command if command.contains("cat /etc/mine") => "mine",
            command if command.contains("os-release") => "boot2podman",
            command if command.contains("id") && command.contains("1000:1000") => "groups=10,1000",
            command if command.contains("ls -d /made") => "/made",
            command if command.contains("is-$K") => "is-V",
            command if command.contains("ip link") => "eth0",
            _ => continue,
        };
        assert!(output.stdout.contains(wanted), "{command}: {output:?}");
    }
    Ok(())
}

/// A Deployment with a port of the host, a configuration and a volume, by `podman kube play`, and back.
pub(crate) fn kube(guest: &Guest, image: &str) -> Result<()> {
    let yaml = format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{GREETING: good-morning}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: pages}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: site}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: site}}}}
  template:
    metadata: {{labels: {{app: site}}}}
    spec:
      containers:
      - name: web
        image: {image}
        imagePullPolicy: Never
        command: [sh, -c, 'echo $GREETING > /www/index.html; exec httpd -f -p 80 -h /www']
        envFrom: [{{configMapRef: {{name: settings}}}}]
        ports: [{{containerPort: 80, hostPort: 8082}}]
        volumeMounts: [{{name: pages, mountPath: /www}}]
      - name: beside
        image: {image}
        imagePullPolicy: Never
        command: [sleep, '100000']
      volumes:
      - name: pages
        persistentVolumeClaim: {{claimName: pages}}
"#
    );
    guest.scp_in(yaml.as_bytes(), "/tmp/site.yaml")?;
    guest.ok("sudo podman kube play /tmp/site.yaml")?;
    let fetch = "for n in $(seq 30); do wget -q -O - http://127.0.0.1:8082/ && exit; sleep 1; done; exit 1";
    assert_eq!(guest.ok(fetch)?, "good-morning");
    let pods = guest.ok("sudo podman pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'")?;
    assert_eq!(pods, "site-pod Running 3");
    guest.ok("sudo podman volume inspect pages")?;
    // Made again from what runs.
    guest.ok("sudo podman kube generate -f /tmp/again.yaml site-pod && sudo podman kube down /tmp/site.yaml")?;
    assert_eq!(guest.ok("sudo podman pod ps -q")?, "");
    guest.ok("sudo podman kube play /tmp/again.yaml")?;
    let pods = guest.ok("sudo podman pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'")?;
    assert_eq!(pods, "site-pod Running 3");
    guest.ok("sudo podman kube down --force /tmp/again.yaml")?;
    Ok(())
}
