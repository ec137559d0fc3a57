//! Sets of files: which count, which drop-ins belong to which.

use crate::{Loaded, Manager, Source, World, load};

fn read(files: &[(&str, &str)]) -> Loaded {
    let sources: Vec<Source> = files
        .iter()
        .enumerate()
        .map(|(at, (name, text))| Source { path: format!("/{at}/{name}"), name: (*name).into(), text: (*text).into() })
        .collect();
    load(&sources, World { manager: Manager::Init, exists: &|_| true })
}

fn value<'a>(loaded: &'a Loaded, file: &str, key: &str) -> Option<&'a str> {
    loaded.units.iter().find(|unit| unit.file_name == file)?.file.value("Container", key)
}

#[test]
fn the_first_file_of_a_name_counts() {
    let loaded = read(&[
        ("a.container", "[Container]\nImage=one\n"),
        ("a.container", "[Container]\nImage=two\n"),
        ("notes.txt", "rubbish"),
        ("b.container", "rubbish"),
    ]);
    assert_eq!(value(&loaded, "a.container", "Image"), Some("one"));
    assert_eq!(loaded.problems.len(), 1);
}

#[test]
fn drop_ins_are_merged_by_name_the_specific_ones_first() {
    let loaded = read(&[
        ("web-app.container", "[Container]\nImage=x\nHostName=own\n"),
        ("container.d/10-a.conf", "[Container]\nHostName=all\nUser=all\n"),
        ("web-.container.d/10-a.conf", "[Container]\nHostName=prefix\n"),
        ("web-app.container.d/20-b.conf", "[Container]\nUser=last\n"),
        ("web-app.container.d/readme", "rubbish"),
        ("t@.container", "[Container]\nImage=x\n[Install]\nDefaultInstance=i\n"),
        ("t@.container.d/31.conf", "[Container]\nHostName=of-template\n"),
        ("t@i.container.d/32.conf", "[Container]\nUser=of-instance\n"),
        ("t@j.container", "[Container]\nImage=y\n"),
    ]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(value(&loaded, "web-app.container", "HostName"), Some("prefix"));
    assert_eq!(value(&loaded, "web-app.container", "User"), Some("last"));
    assert_eq!(value(&loaded, "t@j.container", "HostName"), Some("of-template"));
    assert_eq!(value(&loaded, "t@i.container", "Image"), Some("x"));
    assert_eq!(value(&loaded, "t@i.container", "User"), Some("of-instance"));
}
