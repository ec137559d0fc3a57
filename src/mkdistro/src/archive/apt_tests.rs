use super::*;

fn source(uri: &str, suites: &[&str], components: &[&str], signed_by: &str) -> Source {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Source { uri: uri.into(), suites: owned(suites), components: owned(components), signed_by: signed_by.into() }
}

#[test]
fn one_line_style() {
    let text = "\
# a comment
deb http://mirror.test/debian/ trixie main contrib # why
deb-src http://mirror.test/debian trixie main
  deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg]   http://other.test/ trixie-security main
deb cdrom:[Debian GNU/Linux 13]/ trixie main
debug http://no.test x y
deb http://short.test
";
    assert_eq!(
        parse_one_line(text),
        [
            source("http://mirror.test/debian", &["trixie"], &["main", "contrib"], ""),
            source("http://other.test", &["trixie-security"], &["main"], "/usr/share/keyrings/x.gpg"),
            source("cdrom:[Debian", &["GNU/Linux"], &["13]/", "trixie", "main"], ""),
        ]
    );
}

#[test]
fn deb822_style() {
    let text = "\
Types: deb deb-src
URIs: http://a.test/debian/
 http://b.test/debian
# in between
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.test
Suites: trixie
Components: main

types: deb-src
uris: http://src.test
suites: trixie

Types: deb
URIs: file:///srv/debian
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
";
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    assert_eq!(
        parse_deb822(text),
        [
            source("http://a.test/debian", &["trixie", "trixie-updates"], &["main"], keyring),
            source("http://b.test/debian", &["trixie", "trixie-updates"], &["main"], keyring),
            source("file:///srv/debian", &["sid"], &["main"], "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"),
        ]
    );
}

#[test]
fn mirror_lists_are_sorted_by_priority() {
    let text = "http://third.test/debian/\nhttp://second.test/debian priority:2 type:index # x\n\nhttp://first.test/debian\tpriority:1\n";
    assert_eq!(
        parse_mirror_list(text),
        ["http://first.test/debian", "http://second.test/debian", "http://third.test/debian"]
    );
}

#[test]
fn options_in_both_styles() {
    let text = r#"
// comment
# comment
/* Acquire::http::Proxy "no"; */
Acquire::http::Proxy "http://a.test:3142/";
Acquire { https { Proxy "DIRECT"; Proxy::x.test "http://b.test"; }; Retries 3; };
APT::Periodic::Enable "1";
Dangling "value
"#;
    let expected = [
        ("acquire::http::proxy", "http://a.test:3142/"),
        ("acquire::https::proxy", "DIRECT"),
        ("acquire::https::proxy::x.test", "http://b.test"),
        ("acquire::retries", "3"),
        ("apt::periodic::enable", "1"),
    ];
    assert_eq!(parse_options(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let nested = format!("{}b \"v\";", "a { b \"v\"; ".repeat(10_000));
    let names = parse_options(&nested).into_iter().map(|(name, _)| name.len());
    assert!(names.max().is_some_and(|longest| longest < 512), "names grow with their depth");
}

#[test]
fn files_are_read_in_apts_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    assert_eq!(Apt::read(dir.path()), Apt::default());
    write("etc/apt/sources.list", "deb http://main.test/debian trixie main\n");
    write("etc/apt/sources.list.d/b.list", "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n");
    write(
        "etc/apt/sources.list.d/a.sources",
        "Types: deb\nURIs: http://a.test/debian\nSuites: trixie\nComponents: main\n",
    );
    write("etc/apt/sources.list.d/c.list", "deb mirror+http://lists.test/debian.list trixie main\n");
    write("etc/apt/sources.list.d/off.list.disabled", "deb http://off.test/debian trixie main\n");
    write("etc/apt/mirrors/debian.list", "http://one.test/debian\nhttp://two.test/debian\n");
    write("etc/apt/apt.conf", "Acquire::http::Proxy \"http://file.test\";");
    write("etc/apt/apt.conf.d/99proxy", "Acquire::http::Proxy \"http://folder.test\";");
    write("etc/apt/apt.conf.d/99old.bak", "Acquire::https::Proxy \"http://old.test\";");
    let apt = Apt::read(dir.path());
    let uris: Vec<&str> = apt.sources.iter().map(|source| source.uri.as_str()).collect();
    assert_eq!(
        uris,
        ["http://main.test/debian", "http://a.test/debian", "http://one.test/debian", "http://two.test/debian"]
    );
    assert_eq!(apt.options, BTreeMap::from([("acquire::http::proxy".to_owned(), "http://file.test".to_owned())]));
}
