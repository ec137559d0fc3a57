//! README.md documents every key of distro.toml and of recipes: each stands as `` `key` `` in a row of a table.
//!
//! The keys come from the serde types: a value with everything in it is written as TOML and walked. A line outside of tables
//! (a heading, say) with `` `[user]` `` or `` `[[service]]` `` begins the section whose rows hold that table's keys.

use std::collections::BTreeMap;
use std::path::Path;

use mkdistro::config::{
    Allow, Applets, Boot, Console, ContainerImage, Data, Directory, Distro, Identity, Kernel, LimitsEntry, Lint, Logs,
    Memory, Output, Recipe, Registry, Root, ServiceEntry, Signing, Sources, Swap, User, WriteFile,
};

fn distro() -> Distro {
    Distro {
        schema: 1,
        distro: Identity { name: "a".into(), version: "1".into(), volume_id: "A".into(), hostname: "a".into() },
        sources: Sources::default(),
        kernel: Kernel::default(),
        root: Root { recipes: vec!["a".into()], compression: "xz".into(), overlay_percent: 50 },
        images: vec![ContainerImage::default()],
        registries: vec![Registry::default()],
        user: User::default(),
        console: Console::default(),
        data: Data::default(),
        memory: Memory::default(),
        swap: Swap::default(),
        logs: Logs::default(),
        boot: Boot { signing: Some(Signing { key: "a".into(), certificate: "b".into() }), ..Boot::default() },
        output: Output::default(),
        lint: Lint::default(),
    }
}

fn recipe() -> Recipe {
    let map = || BTreeMap::from([("/any".to_string(), "x".to_string())]);
    Recipe {
        schema: 1,
        summary: "a".into(),
        rename: map(),
        links: map(),
        directories: vec![Directory { path: "/a".into(), mode: "0755".into(), user: false }],
        writes: vec![WriteFile { path: "/a".into(), content: "".into(), mode: "0644".into() }],
        concat: map(),
        modes: map(),
        applets: Some(Applets { program: "/a".into(), folder: "/b".into(), except: Vec::new() }),
        services: vec![ServiceEntry {
            name: "a".into(),
            command: vec!["/a".into()],
            env: map(),
            user: false,
            needs: Vec::new(),
            after: Vec::new(),
            ready: "started".into(),
            listen: Some("/a".into()),
            listen_mode: "0600".into(),
            listen_user: false,
            place: Some("machine".into()),
            restart: "always".into(),
            stop_command: Vec::new(),
            stop_signal: "TERM".into(),
            stop_timeout: 10,
            required: false,
            limits: LimitsEntry { nofile: Some(1), memory_mib: Some(1), pids: Some(1), cpu_percent: Some(1) },
        }],
        allow: vec![Allow { check: "a".into(), path: "/a".into(), reason: "a".into() }],
        ..Recipe::default()
    }
}

/// What README.md must have between backticks, each with the keys that must follow it. Tables whose keys are the user's
/// own (`/any` above) count as keys.
fn expected(table: toml::Table) -> Vec<(String, Vec<String>)> {
    let mut top = Vec::new();
    let mut tables = Vec::new();
    for (key, value) in table {
        let (header, inner) = match &value {
            toml::Value::Table(inner) => (format!("[{key}]"), Some(inner)),
            toml::Value::Array(items) => (format!("[[{key}]]"), items.first().and_then(toml::Value::as_table)),
            _ => (String::new(), None),
        };
        match inner.filter(|inner| !inner.contains_key("/any")) {
            Some(inner) => tables.push((header, inner.keys().cloned().collect())),
            None => top.push(key),
        }
    }
    tables.insert(0, (String::new(), top));
    tables
}

/// Words between backticks in the first cell of rows of tables.
fn documented<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let rows = lines.into_iter().filter_map(|line| line.trim().strip_prefix('|'));
    let cells = rows.filter_map(|row| row.split('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The lines after the first one outside of tables that has `` `[header]` ``, up to the next such line of another header.
fn section<'a>(readme: &'a str, header: &str) -> Vec<&'a str> {
    let names = |line: &str, text: &str| !line.trim_start().starts_with('|') && line.contains(text);
    let quoted = format!("`{header}`");
    let after = readme.lines().skip_while(|line| !names(line, &quoted)).skip(1);
    after.take_while(|line| !names(line, "`[") || names(line, &quoted)).collect()
}

/// Keys that README.md lacks, as `[user] uid`. A table's keys stand in rows as `` `[user] uid` `` or `` `user.uid` ``, or as
/// `` `uid` `` in the section of `` `[user]` ``; those of no table stand in any row.
fn lacking(readme: &str, title: &str, tables: Vec<(String, Vec<String>)>) -> Vec<String> {
    let mut lacking = Vec::new();
    for (header, keys) in tables {
        let all = documented(readme.lines());
        let below = if header.is_empty() { all.clone() } else { documented(section(readme, &header)) };
        let name = header.trim_matches(['[', ']']);
        for key in keys {
            let long = [format!("{header} {key}"), format!("{name}.{key}")];
            if !below.contains(&key.as_str()) && !long.iter().any(|long| all.contains(&long.as_str())) {
                lacking.push(format!("{title}: {header} {key}"));
            }
        }
    }
    lacking
}

#[test]
fn readme_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&path).unwrap_or_default();
    let mut all = lacking(&readme, "distro.toml", expected(toml::Table::try_from(distro()).unwrap()));
    all.extend(lacking(&readme, "packages/*.toml", expected(toml::Table::try_from(recipe()).unwrap())));
    assert!(all.is_empty(), "README.md has no table row for:\n{}", all.join("\n"));
}

#[test]
fn a_lacking_key_is_found() {
    let readme = "| `schema` | 1 |\n| `[root] recipes` | names |\n\n### `[user]`\n|key|\n|-|\n| `name`, `uid` | not `here` |\n\
                  ### `[data]`\n| `here` | elsewhere, see `[user]` |\n";
    let table: toml::Table = toml::from_str(
        "schema = 1\nlist = []\nroot = { recipes = [], compression = 'xz' }\nuser = { name = '', uid = 1, here = 1 }\n\
         links = { '/any' = '' }\n[[service]]\nready = ''",
    )
    .unwrap();
    assert_eq!(
        lacking(readme, "x", expected(table)),
        ["x:  links", "x:  list", "x: [root] compression", "x: [[service]] ready", "x: [user] here",]
    );
}
