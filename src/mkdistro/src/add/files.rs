//! Which files of Debian packages a root needs, as the fewest paths and patterns.
//!
//! Left out is what only a full Debian uses: documentation, translations, completions, headers, systemd's units and
//! timers, the files of init scripts, cron, logrotate, desktop entries. Shared libraries in the loader's own folders are
//! left out too: the ELF closure takes those that something needs.

use std::collections::BTreeSet;

use formats::tree::{Kind, Tree};

use crate::pattern;

/// Folders whose content nobody reads in such a root.
const USELESS: &[&str] = &[
    "etc/apparmor.d",
    "etc/apport",
    "etc/bash_completion.d",
    "etc/cron.d",
    "etc/cron.daily",
    "etc/cron.hourly",
    "etc/cron.monthly",
    "etc/cron.weekly",
    "etc/default",
    "etc/init.d",
    "etc/insserv.conf.d",
    "etc/logcheck",
    "etc/logrotate.d",
    "etc/rc.d",
    "etc/systemd",
    "etc/ufw",
    "usr/include",
    "usr/lib/mime",
    "usr/lib/pkgconfig",
    "usr/lib/systemd",
    "usr/lib/sysusers.d",
    "usr/lib/tmpfiles.d",
    "usr/lib/x86_64-linux-gnu/pkgconfig",
    "usr/share/aclocal",
    "usr/share/appdata",
    "usr/share/applications",
    "usr/share/apport",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/dbus-1",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/fish",
    "usr/share/gtk-doc",
    "usr/share/help",
    "usr/share/icons",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
    "usr/share/metainfo",
    "usr/share/mime",
    "usr/share/pixmaps",
    "usr/share/pkgconfig",
    "usr/share/polkit-1",
    "usr/share/reportbug",
    "usr/share/zsh",
    "var/cache",
    "var/lib/dpkg",
];

/// The loader's folders: libraries directly in them come by need.
const LIBRARY_FOLDERS: [&str; 3] = ["usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu"];

/// Folders that belong to no package, never taken as a whole.
const SHARED: [&str; 12] = [
    "etc",
    "usr",
    "usr/bin",
    "usr/games",
    "usr/sbin",
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/libexec",
    "usr/share",
    "var",
    "var/lib",
];

/// A folder with more files than this is taken by one pattern.
const FEW: usize = 3;

/// What to take from packages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Entries of `files`: absolute paths and patterns, sorted.
    pub(super) patterns: Vec<String>,
    /// How many files these are.
    pub(super) count: usize,
    /// How many files are left out.
    pub(super) left_out: usize,
    /// Whether a program is among them.
    pub(super) has_program: bool,
    /// Whether libraries are among what is left out.
    pub(super) has_library: bool,
    /// Command lines of systemd services, with their unit.
    pub(super) units: Vec<(String, String)>,
}

/// Chooses from the complete trees of packages.
pub(super) fn choose(trees: &[&Tree]) -> Chosen {
    let mut all = BTreeSet::new();
    let mut useful = BTreeSet::new();
    let mut chosen = Chosen::default();
    for (path, node) in trees.iter().flat_map(|tree| tree.iter()).filter(|(_, node)| node.kind != Kind::Directory) {
        // A name that is no UTF-8 cannot be written into a recipe.
        let Ok(path) = std::str::from_utf8(path) else { continue };
        all.insert(path);
        chosen.has_library |= is_library(path);
        if is_useful(path) {
            useful.insert(path);
            let is_file = node.content().is_some();
            chosen.has_program |= is_file && node.mode & 0o111 != 0 && !path.starts_with("etc/");
        }
        if let (Some(unit), Some(content)) = (service(path), node.content()) {
            let text = String::from_utf8_lossy(content);
            let commands = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
            chosen.units.extend(commands.map(|command| (unit.to_owned(), command.trim().to_owned())));
        }
    }
    chosen.count = useful.len();
    chosen.left_out = all.len() - useful.len();
    chosen.patterns = patterns(&all, &useful);
    chosen
}

fn is_useful(path: &str) -> bool {
    let below = |folder: &&&str| path.strip_prefix(**folder).is_some_and(|rest| rest.starts_with('/'));
    let suffix = [".a", ".la", ".pc", ".h"].iter().any(|suffix| path.ends_with(suffix));
    USELESS.iter().find(below).is_none() && !is_library(path) && !(path.starts_with("usr/lib") && suffix)
}

fn is_library(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    LIBRARY_FOLDERS.contains(&folder) && (name.ends_with(".so") || name.contains(".so."))
}

/// The name of a systemd service that is not for many instances.
fn service(path: &str) -> Option<&str> {
    path.strip_prefix("usr/lib/systemd/system/").filter(|name| name.ends_with(".service") && !name.contains('@'))
}

/// Whole folders of which everything is useful as `folder/**`, else the paths.
fn patterns(all: &BTreeSet<&str>, useful: &BTreeSet<&str>) -> Vec<String> {
    let mut patterns = BTreeSet::new();
    for path in useful {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        let whole = folders.filter(|folder| !SHARED.contains(folder)).find(|folder| {
            let below = |path: &&&str| path.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
            let files = all.iter().filter(below).count();
            files > FEW && files == useful.iter().filter(below).count()
        });
        patterns.insert(match whole {
            Some(folder) => format!("/{}/**", pattern::escape(folder)),
            None => format!("/{}", pattern::escape(path)),
        });
    }
    patterns.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{Chosen, choose};
    use crate::root::testing::{file, folder, link, tree};

    #[test]
    fn chooses_what_a_root_needs() {
        let one = tree(&[
            ("usr/bin/tool", file("ELF", 0o755)),
            ("usr/bin/alias", link("tool")),
            ("etc/tool/tool.conf", file("", 0o644)),
            ("etc/cron.daily/tool", file("", 0o755)),
            ("etc/init.d/tool", file("", 0o755)),
            ("usr/lib/systemd/system/tool.service", file("[Service]\nExecStart=/usr/bin/tool -d\n", 0o644)),
            ("usr/lib/systemd/system/tool@.service", file("[Service]\nExecStart=/usr/bin/tool -i\n", 0o644)),
            ("usr/lib/x86_64-linux-gnu/libtool.so.1", file("", 0o644)),
            ("usr/lib/x86_64-linux-gnu/tool/plugin.so", file("", 0o644)),
            ("usr/lib/x86_64-linux-gnu/tool/plugin.la", file("", 0o644)),
            ("usr/share/doc/tool/copyright", file("", 0o644)),
            ("usr/share/man/man1/tool.1.gz", file("", 0o644)),
            ("usr/share/tool/[a]", file("", 0o644)),
            ("usr/share/empty", folder(0o755)),
        ]);
        let two = tree(&[
            ("usr/share/data/a", file("", 0o644)),
            ("usr/share/data/b", file("", 0o644)),
            ("usr/share/data/c/d", file("", 0o644)),
            ("usr/share/data/c/e", file("", 0o644)),
        ]);
        assert_eq!(
            choose(&[&one, &two]),
            Chosen {
                patterns: [
                    "/etc/tool/tool.conf",
                    "/usr/bin/alias",
                    "/usr/bin/tool",
                    "/usr/lib/x86_64-linux-gnu/tool/plugin.so",
                    "/usr/share/data/**",
                    "/usr/share/tool/\\[a\\]",
                ]
                .map(String::from)
                .into(),
                count: 9,
                left_out: 8,
                has_program: true,
                has_library: true,
                units: vec![("tool.service".into(), "/usr/bin/tool -d".into())],
            }
        );
    }

    #[test]
    fn a_folder_with_something_useless_in_it_is_not_taken_whole() {
        let files = ["a", "b", "c", "d", "x/1", "x/2", "x/3", "x/4"].map(|name| format!("usr/lib/t/{name}"));
        let mut nodes: Vec<_> = files.iter().map(|path| (path.as_str(), file("", 0o644))).collect();
        nodes.push(("usr/lib/t/t.a", file("", 0o644)));
        let chosen = choose(&[&tree(&nodes)]);
        assert_eq!(
            chosen.patterns,
            ["/usr/lib/t/a", "/usr/lib/t/b", "/usr/lib/t/c", "/usr/lib/t/d", "/usr/lib/t/x/**"]
        );
        assert!(!chosen.has_program && !chosen.has_library);
    }
}
