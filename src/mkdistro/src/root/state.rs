//! What the guest's own programs read: settings, services, keys, modules to load; and who the system says it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use contract::{paths, service};
use formats::tree::{Kind, Node, Tree};

use super::insert;
use crate::config::Checked;

/// Adds the files.
pub(super) fn add(tree: &mut Tree, checked: &Checked, build_id: &str) -> Result<()> {
    let identity = &checked.distro.distro;
    let variant = checked.flavour.as_ref().map_or(String::new(), |name| format!("VARIANT_ID={name}\n"));
    let os_release = format!(
        "ID={name}\nNAME=\"{name}\"\nVERSION_ID=\"{version}\"\nVERSION=\"{version}\"\nPRETTY_NAME=\"{name} {version}\"\n\
         BUILD_ID={build_id}\n{variant}ID_LIKE=debian\n",
        name = identity.name,
        version = identity.version
    );
    let host = if identity.hostname.is_empty() { "localhost" } else { &identity.hostname };
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {host}\n");
    let keys: String = checked.distro.user.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    let modules: BTreeSet<&str> =
        checked.recipes.values().flat_map(|recipe| recipe.load_modules.iter().map(String::as_str)).collect();
    let modules: String = modules.into_iter().map(|name| format!("{name}\n")).collect();
    let origin: Arc<str> = Arc::from("distro.toml");
    for (path, content) in [
        (paths::SETTINGS, checked.settings().encode()),
        (paths::SERVICES, service::encode(&checked.services())),
        (paths::IMAGE_AUTHORIZED_KEYS, keys),
        (paths::LOAD_MODULES, modules),
        ("/etc/os-release", os_release),
        ("/etc/hostname", format!("{host}\n")),
        ("/etc/hosts", hosts),
    ] {
        insert(tree, path.as_bytes(), Node::new(Kind::File(Bytes::from(content)), 0o644, &origin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::settings::Settings;
    use contract::{paths, service};
    use formats::tree::Tree;

    use super::add;
    use crate::root::testing::{checked, text};

    #[test]
    fn writes_what_the_guest_reads() {
        let services =
            "load-modules = [\"tun\", \"br_netfilter\"]\n[[service]]\nname = \"toyd\"\ncommand = [\"/usr/bin/toyd\"]\n";
        let mut checked = checked(&[("toy", services), ("other", "load-modules = [\"tun\"]")]);
        checked.distro.user.authorized_keys = vec!["ssh-ed25519 AAAA one".into(), " ssh-rsa AAAA two\n".into()];
        let mut tree = Tree::new();
        add(&mut tree, &checked, "0123").unwrap();
        for (path, expected) in [
            (
                "/etc/os-release",
                "ID=toy\nNAME=\"toy\"\nVERSION_ID=\"1.2\"\nVERSION=\"1.2\"\nPRETTY_NAME=\"toy 1.2\"\n\
                 BUILD_ID=0123\nID_LIKE=debian\n",
            ),
            ("/etc/hostname", "box\n"),
            ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 box\n"),
            (paths::IMAGE_AUTHORIZED_KEYS, "ssh-ed25519 AAAA one\nssh-rsa AAAA two\n"),
            (paths::LOAD_MODULES, "br_netfilter\ntun\n"),
        ] {
            assert_eq!(text(&tree, path), expected, "{path}");
        }
        let settings = Settings::decode(text(&tree, paths::SETTINGS)).unwrap();
        assert_eq!((settings.name.as_str(), settings.user.as_str()), ("toy", "core"));
        let (services, problems) = service::decode(text(&tree, paths::SERVICES));
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!((names, problems), (vec!["console-ttyS0", "toyd"], vec![]));
        let modes: Vec<u16> =
            tree.iter().filter(|(_, node)| node.content().is_some()).map(|(_, node)| node.mode).collect();
        assert_eq!(modes, [0o644; 7]);
    }
}
