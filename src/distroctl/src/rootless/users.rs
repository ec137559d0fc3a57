//! Who may have containers: users with sub-ids (subuid(5)).

/// First uid of people; those below are the system's.
const FIRST_UID: u32 = 1000;
const LAST_UID: u32 = 60_000;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

/// As `/etc/passwd` and `/etc/subuid` have them.
pub(super) fn all() -> Vec<User> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    of(&text("/etc/passwd"), &text("/etc/subuid"))
}

fn of(passwd: &str, subuid: &str) -> Vec<User> {
    let names: Vec<&str> = subuid.lines().filter_map(|line| line.split(':').next()).collect();
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        let uid: u32 = uid.parse().ok()?;
        let is_person = (FIRST_UID..=LAST_UID).contains(&uid) && home.starts_with('/') && names.contains(&name);
        is_person.then_some(User { name: name.into(), uid, gid: gid.parse().ok()?, home: home.into() })
    };
    passwd.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::{User, of};

    #[test]
    fn users_with_sub_ids() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n\
                      core:x:1000:1000::/home/core:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\nbob:x:1002\n";
        let core = User { name: "core".into(), uid: 1000, gid: 1000, home: "/home/core".into() };
        assert_eq!(of(passwd, "core:100000:65536\nroot:1:1\nnobody:2:2\nbob:3:3\n"), [core]);
        assert_eq!(of(passwd, ""), []);
    }
}
