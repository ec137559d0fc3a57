//! Users and groups: root, nobody and the login user. Nobody has a password.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

use super::insert;
use crate::config::Checked;

/// Groups that device nodes and programs expect, with Debian's numbers (base-passwd).
const GROUPS: [(&str, u32); 8] = [
    ("root", 0),
    ("daemon", 1),
    ("tty", 5),
    ("disk", 6),
    ("kmem", 15),
    ("dialout", 20),
    ("utmp", 43),
    ("nogroup", 65534),
];

/// First sub-id of the login user and how many follow, as `useradd` hands them out.
const SUB_IDS: (u32, u32) = (100_000, 65_536);

/// Adds passwd, group, shadow, subuid and subgid.
pub(super) fn add(tree: &mut Tree, checked: &Checked) -> Result<()> {
    let user = &checked.distro.user;
    let (name, uid) = (&user.name, user.uid);
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n\
         {name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n"
    );
    let mut group = String::new();
    for (group_name, gid) in GROUPS {
        let _ = writeln!(group, "{group_name}:x:{gid}:");
    }
    let _ = writeln!(group, "{name}:x:{uid}:");
    // "*" fits no password; "!" would mean a locked account to some programs.
    let shadow = format!("root:*::0:99999:7:::\nnobody:*::0:99999:7:::\n{name}:*::0:99999:7:::\n");
    let sub_ids = format!("{name}:{}:{}\n", SUB_IDS.0, SUB_IDS.1);
    let origin: Arc<str> = Arc::from("accounts");
    for (path, content, mode) in [
        ("etc/passwd", passwd, 0o644),
        ("etc/group", group, 0o644),
        ("etc/shadow", shadow, 0o600),
        ("etc/subuid", sub_ids.clone(), 0o644),
        ("etc/subgid", sub_ids, 0o644),
    ] {
        insert(tree, path.as_bytes(), Node::new(Kind::File(Bytes::from(content)), mode, &origin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use formats::tree::Tree;

    use super::{GROUPS, add};
    use crate::config::parse_distro;
    use crate::root::testing::{DISTRO, checked, shown};

    #[test]
    fn writes_the_accounts() {
        let mut tree = Tree::new();
        add(&mut tree, &checked(&[("toy", "")])).unwrap();
        let expected = [
            "/etc 0755 0/",
            "/etc/group 0644 0 \"root:x:0:\\ndaemon:x:1:\\ntty:x:5:\\ndisk:x:6:\\nkmem:x:15:\\ndialout:x:20:\\nutmp:x:43:\\n\
             nogroup:x:65534:\\ncore:x:1000:\\n\"",
            "/etc/passwd 0644 0 \"root:x:0:0:root:/root:/bin/sh\\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\\n\
             core:x:1000:1000::/home/core:/bin/sh\\n\"",
            "/etc/shadow 0600 0 \"root:*::0:99999:7:::\\nnobody:*::0:99999:7:::\\ncore:*::0:99999:7:::\\n\"",
            "/etc/subgid 0644 0 \"core:100000:65536\\n\"",
            "/etc/subuid 0644 0 \"core:100000:65536\\n\"",
        ];
        assert_eq!(shown(&tree), expected);
    }

    #[test]
    fn the_login_user_is_none_of_the_system() {
        let distro = |name: &str| format!("{DISTRO}[root]\nrecipes = [\"toy\"]\n[user]\nname = \"{name}\"\n");
        for name in GROUPS.map(|(name, _)| name).iter().chain(&["nobody"]) {
            assert!(parse_distro(&distro(name)).is_err(), "{name}");
        }
        assert!(parse_distro(&distro("core")).is_ok());
    }
}
