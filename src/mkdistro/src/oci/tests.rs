//! From distro.toml to the store, against a registry of our own.

use std::path::Path;

use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};
use serde_json::Value;
use tar::EntryType;
use tempfile::TempDir;

use super::local::sha256_of;
use super::store::Store;
use super::testing::{
    Answer, Server, TestImage, entry, file, folder, gzip, image, layer, link, write_docker_archive, write_layout,
};
use super::*;
use crate::archive::mirrors::Mirrors;
use crate::config;
use crate::fetch::{Cache, Fetcher};
use crate::lock::{Lock, Locked, Update};
use crate::problem::{Class, Problem, exit_code};
use crate::progress::Silent;
use crate::root::testing::{project, write};

/// Three layers: plain, gzip, zstd.
fn web() -> TestImage {
    image(&[
        layer(vec![
            folder("./", 0o755),
            folder("bin/", 0o755),
            file("bin/busybox", "BUSYBOX", 0o755),
            link("bin/sh", EntryType::Link, "bin/busybox"),
            folder("etc/", 0o750).owner(3, 4),
            file("etc/secret", "old", 0o600),
            folder("srv/", 0o711),
            file("srv/a", "a", 0o644),
        ]),
        layer(vec![
            file("etc/.wh.secret", "", 0o600),
            file("srv/.wh..wh..opq", "", 0o600),
            file("srv/b", "b", 0o644),
            file("bin/ping", "PING", 0o755).record("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0 \0\0"),
        ]),
        layer(vec![
            entry("dev/null", EntryType::Char, 0o666).device(1, 3),
            link("bin/ash", EntryType::Symlink, "busybox"),
        ]),
    ])
}

struct Scene {
    dir: TempDir,
    checked: config::Checked,
    fetcher: Fetcher,
}

fn scene(text: &str) -> Scene {
    let dir = project(&[("toy", "")], &[]);
    let distro = std::fs::read_to_string(dir.path().join("distro.toml")).unwrap();
    write(dir.path(), "distro.toml", &format!("{distro}{text}"));
    let checked = config::load(dir.path()).unwrap();
    let mut fetcher = Fetcher::new(Cache::open(&dir.path().join("cache")).unwrap(), Mirrors::default(), false);
    fetcher.first_pause = std::time::Duration::from_millis(1);
    Scene { dir, checked, fetcher }
}

/// An image of the server, by plain HTTP.
fn of(server: &Server, further: &str) -> Scene {
    let host = &server.host;
    scene(&format!(
        "[[images]]\nreference = \"{host}/team/web:1\"\n[[registries]]\nhost = \"{host}\"\ninsecure = true\n{further}"
    ))
}

impl Scene {
    fn resolve(&self) -> Result<Vec<LockedImage>> {
        resolve(&self.checked, &self.fetcher, None, &Silent)
    }

    fn locked(&self, images: Vec<LockedImage>) -> Locked {
        let lock = Lock {
            schema: 1,
            request: String::new(),
            kernel: String::new(),
            suites: Vec::new(),
            packages: Vec::new(),
            images,
        };
        Locked { checked: self.checked.clone(), lock }
    }

    fn fetch(&self) -> Result<Vec<FetchedImage>> {
        fetch(&self.locked(self.resolve()?), &self.fetcher, &Silent)
    }

    fn store(&self) -> Tree {
        let mut store = Store::new();
        for image in self.fetch().unwrap() {
            store.add(&image, &self.fetcher.cache.store()).unwrap();
        }
        store.finish().unwrap()
    }
}

fn problem(error: &anyhow::Error) -> &Problem {
    error.chain().find_map(|cause| cause.downcast_ref::<Problem>()).unwrap_or_else(|| panic!("{error:?}"))
}

fn json(tree: &Tree, path: &str) -> Value {
    serde_json::from_slice(tree.get(path.as_bytes()).unwrap().content().unwrap()).unwrap()
}

#[test]
fn a_tag_is_pinned_and_fetched_once() {
    let image = web();
    let server = Server::with(&image, "team/web", "1");
    let scene = of(&server, "");
    let locked = scene.resolve().unwrap();
    let name = format!("{}/team/web:1", server.host);
    assert_eq!(
        locked,
        [LockedImage {
            name: name.clone(),
            source: name,
            digest: format!("sha256:{}", image.index),
            size: image.blobs[&image.index].len() as u64,
        }]
    );
    let fetched = scene.fetch().unwrap();
    assert_eq!(
        (fetched[0].manifest.1.as_str(), fetched[0].config.1.as_str()),
        (image.manifest.as_str(), image.config.as_str())
    );
    assert_eq!(fetched[0].layers.len(), 3);
    assert_eq!(server.asked("/blobs/").len(), 4);
    server.forget();
    let mut offline = scene;
    offline.fetcher.offline = true;
    let images = fetch(&offline.locked(locked.clone()), &offline.fetcher, &Silent).unwrap();
    assert_eq!((images[0].size_bytes(), server.asked("").len()), (fetched[0].size_bytes(), 0));
    std::fs::remove_file(&fetched[0].layers[1].1).unwrap();
    let error = fetch(&offline.locked(locked), &offline.fetcher, &Silent).unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::NETWORK);
    assert_eq!(problem(&error).hint, "run once without --offline");
}

#[test]
fn what_is_locked_stays_until_it_is_to_move() {
    let (one, two) = (web(), image(&[layer(vec![file("x", "x", 0o644)])]));
    let server = Server::with(&one, "team/web", "1");
    let scene = of(&server, "");
    let old = scene.locked(scene.resolve().unwrap()).lock;
    server.answer("/v2/team/web/manifests/1", Answer::Bytes(two.blobs[&two.index].clone()));
    let moved = |update: Update| resolve(&scene.checked, &scene.fetcher, Some((&old, &update)), &Silent).unwrap();
    assert_eq!(moved(Update::Nothing), old.images);
    assert_eq!(moved(Update::Only(vec!["podman".into()])), old.images);
    for update in [Update::All, Update::Only(vec![old.images[0].name.clone()])] {
        let new = scene.locked(moved(update)).lock;
        let name = &old.images[0].name;
        assert_eq!(new.diff(&old), [format!("changed {name} sha256:{} → sha256:{}", one.index, two.index)]);
    }
    let none = scene.locked(Vec::new()).lock;
    assert_eq!(none.diff(&old), [format!("removed {} sha256:{}", old.images[0].name, one.index)]);
    assert_eq!(old.diff(&none), [format!("added {} sha256:{}", old.images[0].name, one.index)]);
}

#[test]
fn tokens_and_passwords_go_where_they_belong() {
    let image = web();
    let server = Server::with(&image, "team/web", "1");
    let other = Server::start();
    let blob = format!("/v2/team/web/blobs/sha256:{}", image.config);
    other.answer("/elsewhere", Answer::Bytes(image.blobs[&image.config].clone()));
    server.answer(&blob, Answer::Redirect(format!("http://{}/elsewhere", other.host)));
    server.answer("/token", Answer::Bytes(b"{\"token\":\"abc\"}".to_vec()));
    server.want("Bearer abc", &format!("Bearer realm=\"http://{}/token\",service=\"reg\"", server.host));
    let basic = "Basic bWU6c2VjcmV0";
    let auth = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"bWU6c2VjcmV0\"}}}}}}", server.host);
    // Anonymous, then with credentials.
    let anonymous = of(&server, "");
    anonymous.fetch().unwrap();
    assert_eq!(server.asked("/token?scope=repository%3Ateam%2Fweb%3Apull&service=reg").first(), Some(&None));
    assert_eq!(other.asked("/elsewhere"), [None]);
    server.forget();
    let known = of(&server, "auth-file = \"auth.json\"\n");
    write(known.dir.path(), "auth.json", &auth);
    known.fetch().unwrap();
    assert_eq!(server.asked("/token").first(), Some(&Some(basic.to_owned())));
    assert!(server.asked("/v2/").iter().flatten().all(|sent| sent == "Bearer abc"), "the password is for tokens");
    assert_eq!(other.asked("/elsewhere"), [None, None], "nothing is sent on");
    // Basic only.
    server.forget();
    server.want(basic, "Basic realm=\"reg\"");
    let mut named = of(&server, "");
    write(named.dir.path(), "other.json", &auth);
    named.fetcher.registry_auth = Some(named.dir.path().join("other.json"));
    named.fetch().unwrap();
    let refused = of(&server, "").resolve().unwrap_err();
    assert_eq!(problem(&refused).class, Class::Network);
    assert!(problem(&refused).message.contains("HTTP status 401"), "{refused:?}");
    assert!(problem(&refused).hint.contains("--auth-file"), "{}", problem(&refused).hint);
    let text = format!("{refused:?}");
    assert!(!text.contains("bWU6") && !text.contains("abc"), "{text}");
}

#[test]
fn what_is_wrong_is_refused() {
    let image = web();
    let gz = image.blobs.keys().find(|digest| image.blobs[*digest].starts_with(b"\x1f\x8b")).unwrap().clone();
    let path = format!("/v2/team/web/blobs/sha256:{gz}");
    let server = Server::with(&image, "team/web", "1");
    let good = image.blobs[&gz].clone();
    let mut wrong = good.clone();
    wrong[20] ^= 1;
    for (answers, expected) in [
        (vec![Answer::Bytes(wrong)], Err((Class::Verify, format!("got {}", "")))),
        (vec![Answer::Cut(good.clone(), 30)], Err((Class::Network, "4 attempts".to_owned()))),
        (vec![Answer::Status(404)], Err((Class::Network, "HTTP status 404".to_owned()))),
        (vec![Answer::Cut(good.clone(), 30), Answer::Status(503), Answer::Bytes(good.clone())], Ok(())),
    ] {
        server.answers(&path, &answers);
        let result = of(&server, "").fetch().map(drop).map_err(|error| {
            let problem = problem(&error);
            (problem.class, problem.message.clone())
        });
        match (result, expected) {
            (Ok(()), Ok(())) => {}
            (Err((class, message)), Err((expected_class, part))) => {
                assert_eq!(class, expected_class);
                assert!(message.contains(&part) && message.contains(&gz), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A manifest that is not what was locked, and an index without our platform.
    let scene = of(&server, "");
    let locked = scene.locked(scene.resolve().unwrap());
    let manifest = format!("/v2/team/web/manifests/sha256:{}", image.manifest);
    server.answer(&manifest, Answer::Bytes(b"{}".to_vec()));
    assert_eq!(problem(&fetch(&locked, &scene.fetcher, &Silent).unwrap_err()).class, Class::Verify);
    server.answer("/v2/team/web/manifests/1", Answer::Bytes(b"{\"schemaVersion\":2,\"manifests\":[]}".to_vec()));
    let error = scene.resolve().unwrap_err();
    assert!(problem(&error).message.contains("no image for linux/amd64"), "{error:?}");
}

#[test]
fn plain_http_is_for_those_who_say_so() {
    let server = Server::with(&web(), "team/web", "1");
    let host = &server.host;
    let scene = scene(&format!("[[images]]\nreference = \"{host}/team/web:1\"\n"));
    assert_eq!(problem(&scene.resolve().unwrap_err()).class, Class::Network);
    assert!(server.asked("/v2/").is_empty());
}

#[test]
fn mirrors_come_first() {
    let image = web();
    let (empty, full) = (Server::start(), Server::with(&image, "hub/team/web", "1"));
    let scene = scene(&format!(
        "[[images]]\nreference = \"docker.io/team/web:1\"\n[[registries]]\nhost = \"docker.io\"\n\
         mirrors = [\"http://{}\", \"http://{}/hub\"]\n",
        empty.host, full.host
    ));
    let fetched = scene.fetch().unwrap();
    assert_eq!(fetched[0].locked.name, "docker.io/team/web:1");
    assert!(!empty.asked("/v2/team/web/manifests/1").is_empty());
    assert!(!full.asked("/v2/hub/team/web/blobs/").is_empty());
}

#[test]
fn files_hold_images_too() {
    let image = web();
    for kind in ["layout", "layout.tar", "docker.tar"] {
        let scene = scene(&format!("[[images]]\npath = \"{kind}\"\n"));
        let path = scene.dir.path().join(kind);
        let layout = scene.dir.path().join("layout");
        match kind {
            "docker.tar" => write_docker_archive(&path, &image, &["team/web:1"]),
            _ => write_layout(&layout, &image, &["docker.io/team/web:1"]),
        }
        if kind == "layout.tar" {
            let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
            builder.append_dir_all(".", &layout).unwrap();
            builder.into_inner().unwrap();
        }
        let fetched = scene.fetch().unwrap();
        assert_eq!(
            (fetched[0].locked.name.as_str(), fetched[0].config.1.as_str()),
            ("docker.io/team/web:1", image.config.as_str())
        );
        let tree = scene.store();
        assert_eq!(json(&tree, "overlay-images/images.json")[0]["id"], image.config.as_str(), "{kind}");
        // An archive that is another one later.
        if kind == "docker.tar" {
            let locked = scene.locked(scene.resolve().unwrap());
            write_docker_archive(&path, &self::image(&[layer(vec![file("x", "x", 0o644)])]), &["team/web:1"]);
            let cache = scene.dir.path().join("cache");
            std::fs::remove_dir_all(&cache).unwrap();
            let fetcher = Fetcher::new(Cache::open(&cache).unwrap(), Mirrors::default(), true);
            let error = fetch(&locked, &fetcher, &Silent).unwrap_err();
            assert!(problem(&error).hint.contains("mkdistro lock --update docker.io/team/web:1"), "{error:?}");
        }
    }
    for (text, message) in [
        ("path = \"none.tar\"\n", "No such file"),
        ("path = \"distro.toml\"\n", "distro.toml"),
        ("path = \"nameless.tar\"\n", "has no name"),
    ] {
        let scene = scene(&format!("[[images]]\n{text}"));
        write_docker_archive(&scene.dir.path().join("nameless.tar"), &image, &[]);
        let error = scene.resolve().unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
        assert!(format!("{error:#}").contains(message), "{error:#}");
    }
}

#[test]
fn one_of_several_is_chosen_by_name() {
    let (one, two) = (web(), image(&[layer(vec![file("x", "x", 0o644)])]));
    let chosen = |name: &str| {
        let scene = scene(&format!("[[images]]\npath = \"layout\"\n{name}"));
        let folder = scene.dir.path().join("layout");
        write_layout(&folder, &one, &["localhost/one:1"]);
        let first: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        write_layout(&folder, &two, &["localhost/two:1"]);
        let mut both: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        both["manifests"].as_array_mut().unwrap().push(first["manifests"][0].clone());
        std::fs::write(folder.join("index.json"), both.to_string()).unwrap();
        scene.fetch().map(|images| images[0].manifest.1.clone())
    };
    assert_eq!(chosen("name = \"localhost/one:1\"\n").unwrap(), one.manifest);
    assert_eq!(chosen("name = \"localhost/two:1\"\n").unwrap(), two.manifest);
    let error = chosen("").unwrap_err();
    assert_eq!(problem(&error).hint, "set name to one of localhost/two:1, localhost/one:1");
}

#[test]
fn the_store_is_laid_out_as_podman_reads_it() {
    let image = web();
    let server = Server::with(&image, "team/web", "1");
    let tree = of(&server, "").store();
    let images = json(&tree, "overlay-images/images.json");
    let layers = json(&tree, "overlay-layers/layers.json");
    let of_config = format!("sha256:{}", image.config);
    assert_eq!(images[0]["names"], serde_json::json!([format!("{}/team/web:1", server.host)]));
    assert_eq!((&images[0]["created"], &images[0]["metadata"]), (&"2020-02-03T04:05:06Z".into(), &"{}".into()));
    assert_eq!(images[0]["big-data-sizes"][&of_config], image.blobs[&image.config].len());
    let big = format!("overlay-images/{}/={}", image.config, {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&of_config)
    });
    assert_eq!(tree.get(big.as_bytes()).unwrap().content().unwrap(), &image.blobs[&image.config]);
    let plain = format!("overlay-images/{}/manifest", image.config);
    assert_eq!(tree.get(plain.as_bytes()).unwrap().content().unwrap(), &image.blobs[&image.manifest]);
    for path in ["overlay-images/images.lock", "overlay-layers/layers.lock"] {
        assert_eq!(tree.get(path.as_bytes()).unwrap().content().unwrap().len(), 0);
    }

    let ids: Vec<String> = image.layers.iter().map(|layer| sha256_of(layer)).collect();
    let second = sha256_of(format!("{}+{}", ids[0], ids[1]).as_bytes());
    let top = sha256_of(format!("{second}+{}", ids[2]).as_bytes());
    assert_eq!(images[0]["layer"], top.as_str());
    let entry = |id: &str| layers.as_array().unwrap().iter().find(|layer| layer["id"] == id).unwrap().clone();
    assert_eq!((&entry(&top)["parent"], &entry(&top)["compression"]), (&second.as_str().into(), &4.into()));
    assert_eq!((&entry(&second)["compression"], entry(&ids[0]).get("parent")), (&2.into(), None));
    assert_eq!(entry(&ids[0])["uidset"], serde_json::json!([0, 3]));
    assert_eq!(entry(&second)["diff-digest"], format!("sha256:{}", ids[1]));

    let text =
        |path: String| String::from_utf8(tree.get(path.as_bytes()).unwrap().content().unwrap().to_vec()).unwrap();
    let links: Vec<String> = [&ids[0], &second].map(|id| text(format!("overlay/{id}/link"))).into();
    assert_eq!(text(format!("overlay/{top}/lower")), format!("l/{}:l/{}", links[1], links[0]));
    assert!(tree.get(format!("overlay/{}/lower", ids[0]).as_bytes()).is_none());
    assert!(tree.get(format!("overlay/{}/empty", ids[0]).as_bytes()).is_some());
    let link = tree.get(format!("overlay/l/{}", links[0]).as_bytes()).unwrap();
    assert_eq!((link.kind.clone(), links[0].len()), (Kind::Symlink(format!("../{}/diff", ids[0]).into()), 26));

    let node = |id: &str, path: &str| tree.get(format!("overlay/{id}/diff/{path}").as_bytes()).unwrap().clone();
    assert_eq!(node(&second, "etc/secret").kind, Kind::CharDevice(0, 0));
    assert_eq!(node(&second, "srv").xattrs[&b"trusted.overlay.opaque"[..]], b"y");
    assert_eq!(node(&second, "srv").xattrs[&b"user.overlay.opaque"[..]], b"y");
    assert!(tree.get(format!("overlay/{second}/diff/srv/.wh..wh..opq").as_bytes()).is_none());
    assert_eq!(node(&second, "bin/ping").xattrs[&b"security.capability"[..]], b"\x01\0\0\x02\0 \0\0");
    let (program, shell) = (node(&ids[0], "bin/busybox"), node(&ids[0], "bin/sh"));
    assert!(program.link.is_some() && program == shell, "a hard link");
    assert_eq!(program.mtime, Some(1_600_000_000));
    assert_eq!(node(&top, "dev/null").kind, Kind::CharDevice(1, 3));
    // Folders that the archive does not tell of are as they were below.
    let inherited = |id: &str, path: &str| (node(id, path).mode, node(id, path).uid, node(id, path).gid);
    assert_eq!((inherited(&second, "etc"), inherited(&second, "srv")), ((0o750, 3, 4), (0o711, 0, 0)));
    assert_eq!((inherited(&top, "bin"), inherited(&top, "dev")), ((0o755, 0, 0), (0o755, 0, 0)));
}

#[test]
fn equal_layers_are_there_once_and_the_bytes_are_the_same_again() {
    let base = layer(vec![folder("./", 0o755), file("base", "base", 0o644)]);
    let one = image(&[base.clone(), layer(vec![file("one", "1", 0o644)])]);
    let two = image(&[base, layer(vec![file("two", "2", 0o644)])]);
    let make = || {
        let scene = scene(
            "[[images]]\npath = \"one\"\n[[images]]\npath = \"two\"\n[[images]]\npath = \"two\"\nname = \"localhost/alias:1\"\n",
        );
        write_layout(&scene.dir.path().join("one"), &one, &["localhost/one:1"]);
        write_layout(&scene.dir.path().join("two"), &two, &["localhost/two:1"]);
        scene.store()
    };
    let tree = make();
    assert_eq!(json(&tree, "overlay-layers/layers.json").as_array().unwrap().len(), 3);
    let images = json(&tree, "overlay-images/images.json");
    assert_eq!(images.as_array().unwrap().len(), 2);
    let names = |entry: &Value| entry["names"].as_array().unwrap().len();
    assert_eq!(images.as_array().unwrap().iter().map(names).sum::<usize>(), 3);
    let list = |tree: &Tree| -> Vec<(Vec<u8>, Node)> {
        tree.iter().map(|(path, node)| (path.to_vec(), node.clone())).collect()
    };
    assert!(list(&tree) == list(&make()));
}

/// Reads one archive as a layer.
fn read(entries: Vec<testing::Entry>) -> Result<Tree> {
    super::layer::read(&Bytes::from(layer(entries)), &"test".into(), &mut 0).map(|layer| layer.tree)
}

#[test]
fn odd_layers() {
    for (entries, expected) in [
        (vec![link("a", EntryType::Link, "none")], "a hard link to /none"),
        (vec![folder("d", 0o755), link("a", EntryType::Link, "d")], "a hard link to the folder /d"),
        (vec![file("f", "x", 0o644), file("f/x", "x", 0o644)], "/f is no folder"),
        (vec![file("d/.wh.", "", 0o644)], "a whiteout without a name"),
        (vec![entry("n", EntryType::Char, 0o644).device(0, 0)], "would hide the file"),
    ] {
        let error = format!("{:#}", read(entries).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    // The later entry counts; a whiteout and a new file of one name are the file.
    let tree = read(vec![
        file("a", "one", 0o644),
        file("a", "two", 0o600),
        folder("b", 0o755),
        file("b/x", "x", 0o644),
        file("b", "file", 0o644),
        file("c", "c", 0o644),
        file(".wh.c", "", 0o644),
        file(".wh.d", "", 0o644),
        file("d", "d", 0o644),
        file(".wh..wh.plnk", "", 0o644),
        file("u", "", 0o644).record("SCHILY.xattr.trusted.overlay.opaque", b"y").record("uid", b"3000000000"),
    ])
    .unwrap();
    let text = |path: &str| tree.get(path.as_bytes()).and_then(Node::content).map(|content| content.to_vec());
    assert_eq!((text("a"), text("b")), (Some(b"two".to_vec()), Some(b"file".to_vec())));
    assert_eq!((text("c"), text("d")), (Some(b"c".to_vec()), Some(b"d".to_vec())));
    assert!(tree.get(b"u").unwrap().xattrs.is_empty());
    assert_eq!((tree.get(b"u").unwrap().uid, tree.len()), (3_000_000_000, 6));
}

#[test]
fn an_unpacked_layer_must_be_what_its_image_says() {
    let dir = tempfile::tempdir().unwrap();
    let tar = layer(vec![file("x", "x", 0o644)]);
    let blob = dir.path().join("blob");
    std::fs::write(&blob, gzip(&tar)).unwrap();
    let store = crate::cache::Store::open(dir.path());
    let archive = |id: &str, blob: &Path| super::layer::archive(blob, id, &store).map(|bytes| bytes.to_vec());
    assert_eq!(archive(&sha256_of(&tar), &blob).unwrap(), tar);
    // From the cache now.
    assert_eq!(archive(&sha256_of(&tar), Path::new("/none")).unwrap(), tar);
    let error = archive(&"0".repeat(64), &blob).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the unpacked layer has the sha256 {}", sha256_of(&tar))), "{error}");
    std::fs::write(&blob, &gzip(&tar)[..40]).unwrap();
    assert!(archive(&"1".repeat(64), &blob).is_err());
}

#[test]
fn fuzz_layer() {
    let seed = layer(vec![
        folder("d/", 0o755),
        file("d/a", "content", 0o644).record("SCHILY.xattr.user.x", b"y"),
        link("d/b", EntryType::Link, "d/a"),
        file("d/.wh.c", "", 0o644),
    ]);
    fuzz::Fuzz::new("fuzz_layer").seed(seed).iterations(500).run(|bytes| {
        let _ = std::hint::black_box(super::layer::read(&Bytes::copy_from_slice(bytes), &"fuzz".into(), &mut 0));
    });
}
