//! What the container engine and programs that reach for the network are told: proxy, certificates, registries.

use std::fmt::Write;

use contract::paths;
use contract::settings::Settings;
use document::{Document, Proxy, Registries, base64};

use super::changes::Changes;

/// The certificates that Go's, OpenSSL's and busybox's programs read.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What stands before ours in it; all behind it is made anew.
const TRUSTED_MARK: &str = "# added by distroctl\n";
const PROFILE: &str = "/etc/profile.d/50-provisioned.sh";
/// containers-registries.conf.d(5).
const REGISTRIES: &str = "/etc/containers/registries.conf.d/90-provisioned.conf";
const DOCKER_CONFIG: &str = "/etc/docker/daemon.json";

/// Applies them.
pub(super) fn apply(changes: &mut Changes, document: &Document, settings: &Settings) {
    environment(changes, document);
    certificates(changes, document);
    registries(changes, &document.registries, settings);
}

/// Variables of services and shells: proxy and time zone.
fn variables(document: &Document) -> Vec<(&'static str, String)> {
    let Proxy { http, https, no } = &document.proxy;
    let mut out = Vec::new();
    let mut both = |lower, upper, value: &str| {
        if !value.is_empty() {
            out.extend([(lower, value.to_string()), (upper, value.to_string())]);
        }
    };
    both("http_proxy", "HTTP_PROXY", http.as_deref().unwrap_or_default());
    both("https_proxy", "HTTPS_PROXY", https.as_ref().or(http.as_ref()).map_or("", String::as_str));
    if http.is_some() || https.is_some() {
        both("no_proxy", "NO_PROXY", &no_proxy(no));
    }
    out.extend(document.timezone.iter().map(|zone| ("TZ", zone.clone())));
    out
}

/// The machine itself is never reached by a proxy.
fn no_proxy(hosts: &[String]) -> String {
    let mut all: Vec<&str> = vec!["localhost", "127.0.0.1", "::1"];
    all.extend(hosts.iter().map(String::as_str).filter(|host| !["localhost", "127.0.0.1", "::1"].contains(host)));
    all.join(",")
}

/// PID 1 gives the file's variables to every service; shells read theirs at login.
fn environment(changes: &mut Changes, document: &Document) {
    let variables = variables(document);
    let services: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let shells: String =
        variables.iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', "'\\''"))).collect();
    for (path, text) in [(paths::ENVIRONMENT, services), (PROFILE, shells)] {
        if text.is_empty() {
            changes.absent(path);
        } else {
            changes.write(path, text.as_bytes(), 0o644, "root");
        }
    }
}

/// Those of the document and of the data disk's `certs` folder, behind the image's.
fn certificates(changes: &mut Changes, document: &Document) {
    let mut added = String::new();
    for text in &document.ca_certificates {
        pem_blocks(text, &mut added);
    }
    for name in changes.root.names(paths::DATA_CERTS) {
        if !(name.ends_with(".pem") || name.ends_with(".crt")) {
            continue;
        }
        let path = format!("{}/{name}", paths::DATA_CERTS);
        if pem_blocks(&changes.root.text(&path), &mut added) == 0 {
            changes.problem(&path, &anyhow::anyhow!("no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
        }
    }
    let bundle = changes.root.text(TRUSTED);
    let own = bundle.find(TRUSTED_MARK);
    if added.is_empty() && own.is_none() {
        return;
    }
    let mut text = bundle.get(..own.unwrap_or(bundle.len())).unwrap_or_default().to_string();
    if !added.is_empty() {
        text.push_str(TRUSTED_MARK);
        text.push_str(&added);
    }
    changes.write(TRUSTED, text.as_bytes(), 0o644, "root");
}

/// Appends the certificates of a text (RFC 7468), without what stands between them; how many.
fn pem_blocks(text: &str, out: &mut String) -> usize {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut count = 0;
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let Some(length) = rest[start..].find(END) else { break };
        let end = start + length + END.len();
        let body = &rest[start + BEGIN.len()..start + length];
        if base64::decode(body).is_some_and(|bytes| !bytes.is_empty()) {
            out.push_str(&rest[start..end]);
            out.push('\n');
            count += 1;
        }
        rest = &rest[end..];
    }
    count
}

fn registries(changes: &mut Changes, registries: &Registries, settings: &Settings) {
    let podman = registries_conf(registries);
    if podman.is_empty() {
        changes.absent(REGISTRIES);
    } else {
        changes.write(REGISTRIES, podman.as_bytes(), 0o644, "root");
    }
    let docker = changes.root.text(DOCKER_CONFIG);
    if !docker.is_empty() {
        changes.write(DOCKER_CONFIG, daemon_json(&docker, registries).as_bytes(), 0o644, "root");
    }
    if registries.credentials.is_empty() {
        return;
    }
    let auth = auth_json(registries);
    let user = format!("/home/{}", settings.user);
    let mut targets = vec![
        ("/root/.config/containers/auth.json".to_string(), "root"),
        (format!("{user}/.config/containers/auth.json"), settings.user.as_str()),
    ];
    if !docker.is_empty() {
        targets.push(("/root/.docker/config.json".to_string(), "root"));
        targets.push((format!("{user}/.docker/config.json"), settings.user.as_str()));
    }
    for (path, owner) in targets {
        if let Some((folder, _)) = path.rsplit_once('/') {
            if let Some((config, "containers")) = folder.rsplit_once('/') {
                changes.folder(config, 0o700, owner);
            }
            changes.folder(folder, 0o700, owner);
        }
        changes.write(&path, auth.as_bytes(), 0o600, owner);
    }
}

/// containers-registries.conf(5), version 2.
fn registries_conf(registries: &Registries) -> String {
    let mut out = String::new();
    let insecure = |name: &str| registries.insecure.iter().any(|other| other == name);
    for (registry, mirror) in &registries.mirrors {
        let _ = writeln!(out, "[[registry]]\nprefix = \"{registry}\"\nlocation = \"{registry}\"");
        if insecure(registry) {
            out.push_str("insecure = true\n");
        }
        let _ = writeln!(out, "[[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = {}\n", insecure(mirror));
    }
    for registry in
        registries.insecure.iter().filter(|name| !registries.mirrors.iter().any(|(other, _)| other == *name))
    {
        let _ = writeln!(out, "[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
    }
    out
}

/// dockerd's own configuration with our two keys first, each on a line. It has mirrors of Docker Hub only.
fn daemon_json(old: &str, registries: &Registries) -> String {
    const KEYS: [&str; 2] = ["  \"registry-mirrors\": ", "  \"insecure-registries\": "];
    let list = |names: Vec<String>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let scheme = |mirror: &String| if registries.insecure.contains(mirror) { "http" } else { "https" };
    let hub = registries.mirrors.iter().filter(|(registry, _)| registry == "docker.io");
    let values = [
        list(hub.map(|(_, mirror)| format!("{}://{mirror}", scheme(mirror))).collect()),
        list(registries.insecure.clone()),
    ];
    let rest: String = old
        .lines()
        .filter(|line| !KEYS.iter().any(|key| line.starts_with(key)))
        .map(|line| format!("{line}\n"))
        .collect();
    let Some((before, after)) = rest.split_once("{\n") else { return old.to_string() };
    let own: String = KEYS
        .iter()
        .zip(&values)
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}[{value}],\n"))
        .collect();
    format!("{before}{{\n{own}{after}")
}

/// containers-auth.json(5), which docker's config.json is too.
fn auth_json(registries: &Registries) -> String {
    let entries: Vec<String> = registries
        .credentials
        .iter()
        .map(|credential| {
            let auth = base64::encode(format!("{}:{}", credential.user, credential.password).as_bytes());
            // What docker itself calls its own registry.
            let name =
                if credential.registry == "docker.io" { "https://index.docker.io/v1/" } else { &credential.registry };
            let more = if name == credential.registry {
                String::new()
            } else {
                format!("    \"docker.io\": {{ \"auth\": \"{auth}\" }},\n")
            };
            format!("{more}    \"{name}\": {{ \"auth\": \"{auth}\" }}")
        })
        .collect();
    format!("{{\n  \"auths\": {{\n{}\n  }}\n}}\n", entries.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::{auth_json, daemon_json, pem_blocks, registries_conf};
    use document::{Credential, Registries};

    fn registries() -> Registries {
        Registries {
            insecure: vec!["mirror:5000".into(), "plain:80".into()],
            mirrors: vec![("docker.io".into(), "mirror:5000".into())],
            credentials: vec![Credential { registry: "r:5".into(), user: "a".into(), password: "b".into() }],
        }
    }

    #[test]
    fn tells_podman() {
        assert_eq!(
            registries_conf(&registries()),
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"mirror:5000\"\n\
             insecure = true\n\n[[registry]]\nlocation = \"mirror:5000\"\ninsecure = true\n\n[[registry]]\nlocation = \"plain:80\"\ninsecure = true\n\n"
        );
        assert_eq!(auth_json(&registries()), "{\n  \"auths\": {\n    \"r:5\": { \"auth\": \"YTpi\" }\n  }\n}\n");
    }

    #[test]
    fn tells_docker() {
        let image = "{\n  \"hosts\": [\"fd://\"]\n}\n";
        let once = daemon_json(image, &registries());
        assert_eq!(
            once,
            "{\n  \"registry-mirrors\": [\"http://mirror:5000\"],\n  \"insecure-registries\": [\"mirror:5000\", \"plain:80\"],\n  \
             \"hosts\": [\"fd://\"]\n}\n"
        );
        assert_eq!(daemon_json(&once, &registries()), once);
        assert_eq!(daemon_json(&once, &Registries::default()), image);
    }

    #[test]
    fn takes_certificates_only() {
        let mut out = String::new();
        let text = "subject=x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nA\n\
                    -----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n";
        assert_eq!(pem_blocks(text, &mut out), 1);
        assert_eq!(out, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    }
}
