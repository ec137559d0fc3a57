//! What starts and what stops with what: systemd's Requires, Wants, BindsTo and PartOf. PID 1 knows only who waits for whom;
//! who asks it to start or stop a service asks for the others, too.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use contract::paths::QUADLET_DIR;
use quadlet::Plan;

use crate::file;

/// Not a service's name, they do not begin with a dot.
const NAME: &str = ".relations";

/// Names by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Relations {
    /// Those that start with it.
    starts: BTreeMap<String, Vec<String>>,
    /// Those that stop with it.
    stops: BTreeMap<String, Vec<String>>,
}

/// Leaves the relations of the plans for everybody to read.
pub(super) fn publish(plans: &[Plan]) -> Result<()> {
    file::replace(&Path::new(QUADLET_DIR).join(NAME), encode(plans).as_bytes(), 0o644, None)
}

fn encode(plans: &[Plan]) -> String {
    let mut text = String::new();
    for plan in plans {
        let name = &plan.service.name;
        plan.starts.iter().for_each(|other| text.push_str(&format!("starts {name} {other}\n")));
        plan.stops_with.iter().for_each(|other| text.push_str(&format!("stops {other} {name}\n")));
    }
    text
}

impl Relations {
    /// Those in force; none if there are no such services.
    pub(crate) fn load() -> Self {
        Self::decode(&std::fs::read_to_string(Path::new(QUADLET_DIR).join(NAME)).unwrap_or_default())
    }

    fn decode(text: &str) -> Self {
        let mut relations = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(kind), Some(name), Some(other)) = (words.next(), words.next(), words.next()) else { continue };
            let map = if kind == "starts" { &mut relations.starts } else { &mut relations.stops };
            map.entry(name.to_owned()).or_default().push(other.to_owned());
        }
        relations
    }

    /// All that start with it, itself not among them.
    pub(crate) fn started_with(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.starts, name, &mut found);
        found.retain(|other| other != name);
        found
    }

    /// All that stop with it, those that nobody else needs first; itself not among them.
    pub(crate) fn stopped_with(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.stops, name, &mut found);
        found.retain(|other| other != name);
        found
    }
}

/// Depth first, what a name leads to before the name.
fn walk(map: &BTreeMap<String, Vec<String>>, name: &str, found: &mut Vec<String>) {
    // Entered with an empty mark first, so that a cycle ends.
    let mut seen = std::collections::BTreeSet::new();
    let mut stack = vec![(name, false)];
    while let Some((name, left)) = stack.pop() {
        if left {
            found.push(name.to_owned());
        } else if seen.insert(name) {
            stack.push((name, true));
            stack.extend(map.get(name).into_iter().flatten().map(|next| (next.as_str(), false)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Relations;

    #[test]
    fn follows_relations_over_several_services() {
        let text =
            "starts web db\nstarts db net\nstops net db\nstops db web\nstops net web\nstarts a b\nstarts b a\n\nx\n";
        let relations = Relations::decode(text);
        assert_eq!(relations.started_with("web"), ["net", "db"]);
        assert_eq!(relations.stopped_with("net"), ["web", "db"]);
        assert_eq!((relations.stopped_with("web"), relations.started_with("a")), (vec![], vec!["b".to_owned()]));
    }
}
