//! Users and groups: `/etc/passwd` and its like are texts that lines are added to; nothing is taken away, so that what
//! another program added stays.

use std::fmt::Write;

use contract::settings::Settings;
use document::{Document, User};

use super::Root;
use super::changes::Changes;

const SUDOERS: &str = "/etc/sudoers.d/90-provisioned";
/// First uid that is handed out, and the first sub-id behind the login user's.
const FIRST_UID: u32 = 1001;
const SUB_IDS: u32 = 65_536;

/// Users and groups by name.
pub(super) struct Ids {
    passwd: String,
    group: String,
}

impl Ids {
    pub(super) fn read(root: &Root) -> Self {
        Self { passwd: root.text("/etc/passwd"), group: root.text("/etc/group") }
    }

    /// Uid and gid of `USER` (with its own group) or `USER:GROUP`, names or numbers.
    pub(super) fn of(&self, owner: &str) -> Option<(u32, u32)> {
        let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
        let entry = find(&self.passwd, user);
        let uid = user.parse().ok().or_else(|| number(entry?, 2)).or((user == "root").then_some(0))?;
        let gid = match group {
            Some(group) => {
                group.parse().ok().or_else(|| number(find(&self.group, group)?, 2)).or((group == "root").then_some(0))?
            }
            None => entry.and_then(|entry| number(entry, 3)).unwrap_or(uid),
        };
        Some((uid, gid))
    }
}

/// Makes the users of the document.
pub(super) fn apply(changes: &mut Changes, document: &Document, settings: &Settings) {
    let mut files = Files::read(changes.root);
    let mut sudoers = String::new();
    let mut made = Vec::new();
    for user in &document.users {
        if user.name == settings.user {
            continue;
        }
        match files.add(user) {
            Ok(uid) => made.push((user, uid)),
            Err(reason) => changes.problem(&format!("user {}", user.name), &anyhow::anyhow!(reason)),
        }
        if user.sudo {
            let _ = writeln!(sudoers, "{} ALL=(ALL:ALL) NOPASSWD: ALL", user.name);
        }
    }
    // The login user may be named as others are.
    let login = document.users.iter().find(|user| user.name == settings.user);
    let hash = document.password_hash.as_ref().or_else(|| login.and_then(|user| user.password_hash.as_ref()));
    if let Some(hash) = hash {
        files.set_hash(&settings.user, hash);
    }
    files.write(changes);
    for (user, uid) in made {
        let home = format!("/home/{}", user.name);
        let owner = format!("{uid}:{uid}");
        changes.folder(&home, 0o750, &owner);
        changes.folder(&format!("{home}/.ssh"), 0o700, &owner);
        let keys: String = user.authorized_keys.iter().map(|key| format!("{key}\n")).collect();
        changes.write(&format!("{home}/.ssh/authorized_keys"), keys.as_bytes(), 0o600, &owner);
    }
    if sudoers.is_empty() {
        changes.absent(SUDOERS);
    } else {
        changes.write(SUDOERS, sudoers.as_bytes(), 0o440, "root");
    }
}

/// SSH keys of the login user, under whichever name the document has them.
pub(crate) fn login_keys(document: &Document, login: &str) -> Vec<String> {
    let named = document.users.iter().filter(|user| user.name == login).flat_map(|user| &user.authorized_keys);
    document.authorized_keys.iter().chain(named).cloned().collect()
}

/// The texts (passwd(5), group(5), shadow(5), subuid(5)).
#[derive(Debug, Default)]
struct Files {
    passwd: String,
    group: String,
    shadow: String,
    subuid: String,
    subgid: String,
}

impl Files {
    fn read(root: &Root) -> Self {
        let text = |name: &str| {
            let mut text = root.text(name);
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text
        };
        Self {
            passwd: text("/etc/passwd"),
            group: text("/etc/group"),
            shadow: text("/etc/shadow"),
            subuid: text("/etc/subuid"),
            subgid: text("/etc/subgid"),
        }
    }

    fn write(&self, changes: &mut Changes) {
        for (path, text, mode) in [
            ("/etc/passwd", &self.passwd, 0o644),
            ("/etc/group", &self.group, 0o644),
            ("/etc/shadow", &self.shadow, 0o600),
            ("/etc/subuid", &self.subuid, 0o644),
            ("/etc/subgid", &self.subgid, 0o644),
        ] {
            if !text.is_empty() {
                changes.write(path, text.as_bytes(), mode, "root");
            }
        }
    }

    /// Adds a user, or what is missing of it; its uid.
    fn add(&mut self, user: &User) -> Result<u32, String> {
        let name = &user.name;
        let uid = match find(&self.passwd, name).and_then(|entry| number(entry, 2)) {
            Some(uid) if uid < 1000 => return Err("is a user of the system".into()),
            Some(uid) => uid,
            None => {
                let uid = user.uid.unwrap_or_else(|| free(&[&self.passwd, &self.group]));
                if let Some(other) = self.passwd.lines().find(|line| number(line, 2) == Some(uid)) {
                    return Err(format!("uid {uid} is that of {}", other.split(':').next().unwrap_or_default()));
                }
                let shell = user.shell.as_deref().unwrap_or("/bin/sh");
                let _ = writeln!(self.passwd, "{name}:x:{uid}:{uid}::/home/{name}:{shell}");
                uid
            }
        };
        if find(&self.group, name).is_none() {
            let _ = writeln!(self.group, "{name}:x:{uid}:");
        }
        if find(&self.shadow, name).is_none() {
            let _ = writeln!(self.shadow, "{name}:*::0:99999:7:::");
        }
        if let Some(hash) = &user.password_hash {
            self.set_hash(name, hash);
        }
        for text in [&mut self.subuid, &mut self.subgid] {
            if find(text, name).is_none() {
                let next =
                    text.lines().filter_map(|line| Some(number(line, 1)?.saturating_add(number(line, 2)?))).max();
                let _ = writeln!(text, "{name}:{}:{SUB_IDS}", next.unwrap_or(100_000));
            }
        }
        for group in &user.groups {
            self.join(group, name);
        }
        Ok(uid)
    }

    /// Makes `user` a member of `group`, which is made if there is none.
    fn join(&mut self, group: &str, user: &str) {
        if find(&self.group, group).is_none() {
            let gid = free(&[&self.passwd, &self.group]);
            let _ = writeln!(self.group, "{group}:x:{gid}:");
        }
        self.group = edit(&self.group, group, |line| {
            let members = line.rsplit(':').next().unwrap_or_default();
            match members {
                _ if members.split(',').any(|member| member == user) => line.to_string(),
                "" => format!("{line}{user}"),
                _ => format!("{line},{user}"),
            }
        });
    }

    fn set_hash(&mut self, user: &str, hash: &str) {
        self.shadow = edit(&self.shadow, user, |line| {
            let rest = line.splitn(3, ':').nth(2).unwrap_or(":0:99999:7:::");
            format!("{user}:{hash}:{rest}")
        });
    }
}

/// The line of a name.
fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find(|line| line.split(':').next() == Some(name))
}

fn number(line: &str, field: usize) -> Option<u32> {
    line.split(':').nth(field)?.parse().ok()
}

/// The first number from [`FIRST_UID`] on that is neither uid nor gid.
fn free(texts: &[&str]) -> u32 {
    let taken = |id: u32| texts.iter().any(|text| text.lines().any(|line| number(line, 2) == Some(id)));
    (FIRST_UID..60_000).find(|id| !taken(*id)).unwrap_or(60_000)
}

fn edit(text: &str, name: &str, change: impl Fn(&str) -> String) -> String {
    let own = |line: &str| line.split(':').next() == Some(name);
    text.lines().map(|line| if own(line) { format!("{}\n", change(line)) } else { format!("{line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Files, Ids};
    use document::User;

    fn files() -> Files {
        Files {
            passwd: "root:x:0:0:root:/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n".into(),
            group: "root:x:0:\ntty:x:5:\ncore:x:1000:\n".into(),
            shadow: "root:*::0:99999:7:::\ncore:*::0:99999:7:::\n".into(),
            subuid: "core:100000:65536\n".into(),
            subgid: "core:100000:65536\n".into(),
        }
    }

    #[test]
    fn adds_users_once() {
        let mut files = files();
        let ann = User {
            name: "ann".into(),
            groups: vec!["wheel".into(), "tty".into()],
            password_hash: Some("$6$a$b".into()),
            ..User::default()
        };
        assert_eq!(files.add(&ann), Ok(1001));
        let once = format!("{files:?}");
        assert_eq!(files.add(&ann), Ok(1001));
        assert_eq!(format!("{files:?}"), once);
        assert!(files.passwd.ends_with("ann:x:1001:1001::/home/ann:/bin/sh\n"));
        assert_eq!(files.group, "root:x:0:\ntty:x:5:ann\ncore:x:1000:\nann:x:1001:\nwheel:x:1002:ann\n");
        assert!(files.shadow.ends_with("ann:$6$a$b::0:99999:7:::\n"), "{}", files.shadow);
        assert!(files.subuid.ends_with("ann:165536:65536\n"));
        let bob = User { name: "bob".into(), uid: Some(1001), ..User::default() };
        assert_eq!(files.add(&bob), Err("uid 1001 is that of ann".into()));
        let root = User { name: "root".into(), ..User::default() };
        assert!(files.add(&root).is_err());
    }

    #[test]
    fn finds_owners() {
        let files = files();
        let ids = Ids { passwd: files.passwd, group: files.group };
        for (owner, found) in [
            ("root", Some((0, 0))),
            ("core", Some((1000, 1000))),
            ("core:tty", Some((1000, 5))),
            ("7:8", Some((7, 8))),
            ("ann", None),
            ("core:none", None),
        ] {
            assert_eq!(ids.of(owner), found, "{owner}");
        }
    }
}
