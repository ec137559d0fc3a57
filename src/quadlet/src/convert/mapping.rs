//! User namespaces: `UserNS=`, `UIDMap=`, …, and the older `RemapUsers=`.

use super::Conversion;
use crate::argv::Argv;
use crate::problem::Problem;
use crate::words::Rule;

impl Conversion<'_> {
    /// The user in the container.
    pub(super) fn user(&self, argv: &mut Argv) -> Result<(), Problem> {
        match (self.filled("User"), self.filled("Group")) {
            (None, None) => {}
            (None, Some(_)) => return Err(self.error("Group", "invalid Group set without User")),
            (Some(user), None) => argv.option("--user", user),
            (Some(user), Some(group)) => argv.option("--user", format!("{user}:{group}")),
        }
        Ok(())
    }

    /// All keys of user namespaces; `manual`: whether `RemapUsers=manual` is possible.
    pub(super) fn user_mappings(&self, argv: &mut Argv, manual: bool) -> Result<(), Problem> {
        let before = argv.0.len();
        self.strings(argv, &[("UserNS", "--userns")]);
        self.each_word(argv, "UIDMap", "--uidmap", Rule::Plain)?;
        self.each_word(argv, "GIDMap", "--gidmap", Rule::Plain)?;
        self.strings(argv, &[("SubUIDMap", "--subuidname"), ("SubGIDMap", "--subgidname")]);
        if argv.0.len() == before {
            return self.remap(argv, manual);
        }
        match ["RemapUid", "RemapGid", "RemapUsers"].into_iter().find(|key| self.value(key).is_some()) {
            Some(key) => Err(self.error(key, "deprecated Remap keys are set along with explicit mapping keys")),
            None => Ok(()),
        }
    }

    fn remap(&self, argv: &mut Argv, manual: bool) -> Result<(), Problem> {
        let uids = self.words("RemapUid", Rule::Plain)?;
        let gids = self.words("RemapGid", Rule::Plain)?;
        let options = |name: &str, uid: &str, gid: &str| -> String {
            let uids = uids.iter().map(|map| format!("{uid}={map}"));
            let all: Vec<String> = uids.chain(gids.iter().map(|map| format!("{gid}={map}"))).collect();
            if all.is_empty() { name.to_owned() } else { format!("{name}:{}", all.join(",")) }
        };
        match self.value("RemapUsers").unwrap_or_default() {
            "" if !uids.is_empty() => Err(self.error("RemapUid", "UidMap set without RemapUsers")),
            "" if !gids.is_empty() => Err(self.error("RemapGid", "GidMap set without RemapUsers")),
            "" => Ok(()),
            "manual" if manual => {
                uids.iter().for_each(|map| argv.option("--uidmap", map));
                gids.iter().for_each(|map| argv.option("--gidmap", map));
                Ok(())
            }
            "manual" => Err(self.error("RemapUsers", "RemapUsers=manual is not supported")),
            "auto" => {
                let mut value = options("auto", "uidmapping", "gidmapping");
                let size = self.value("RemapUidSize").and_then(|size| size.parse::<u32>().ok()).unwrap_or(0);
                if size > 0 {
                    value.push(if value.contains(':') { ',' } else { ':' });
                    value.push_str(&format!("size={size}"));
                }
                argv.option("--userns", value);
                Ok(())
            }
            "keep-id" => {
                for (key, maps) in [("RemapUid", &uids), ("RemapGid", &gids)] {
                    if maps.len() > 1 {
                        return Err(
                            self.error(key, format!("RemapUsers=keep-id supports only a single value of {key}"))
                        );
                    }
                }
                argv.option("--userns", options("keep-id", "uid", "gid"));
                Ok(())
            }
            other => Err(self.error("RemapUsers", format!("unsupported RemapUsers option '{other}'"))),
        }
    }
}
