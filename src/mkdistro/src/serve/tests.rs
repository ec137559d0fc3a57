use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;

use super::*;

/// A folder with files and links, and a secret beside it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("served");
    fs::create_dir_all(root.join("sub/dir")).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    fs::write(root.join("file"), "0123456789").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("sub/a b%2f.ipxe"), "#!ipxe\n").unwrap();
    symlink("file", root.join("inside")).unwrap();
    symlink(root.join("sub/../file"), root.join("inside-absolute")).unwrap();
    symlink("../secret", root.join("outside")).unwrap();
    symlink("..", root.join("sub/up")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    let root = root.canonicalize().unwrap();
    (dir, root)
}

/// What a request is answered, without a connection.
fn ask(root: &Path, request: &str) -> (u16, String, String) {
    let response = match Request::read(&mut request.as_bytes()).unwrap() {
        Ok(request) => Response::to(root, &request),
        Err(status) => Response::status(status),
    };
    let status = response.status.0;
    let mut out = Vec::new();
    response.write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (head, content) = text.split_once("\r\n\r\n").unwrap();
    (status, head.to_owned(), content.to_owned())
}

fn get(root: &Path, target: &str, fields: &str) -> (u16, String, String) {
    ask(root, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
}

#[test]
fn files_are_served() {
    let (_dir, root) = folder();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n\
                Content-Length: 10\r\nConnection: close";
    assert_eq!(get(&root, "/file", ""), (200, head.into(), "0123456789".into()));
    assert_eq!(ask(&root, "HEAD /file HTTP/1.0\n\n"), (200, head.into(), String::new()));
    for (target, content) in [
        ("//./file?query#fragment", "0123456789"),
        ("http://host:80/file", "0123456789"),
        ("/%66ile", "0123456789"),
        ("/inside", "0123456789"),
        ("/inside-absolute", "0123456789"),
        ("/sub/up/file", "0123456789"),
        ("/sub/a%20b%252f.ipxe", "#!ipxe\n"),
        ("/empty", ""),
    ] {
        assert_eq!((get(&root, target, "").0, get(&root, target, "").2.as_str()), (200, content), "{target}");
    }
}

#[test]
fn nothing_outside_of_the_folder_is_served() {
    let (dir, root) = folder();
    for target in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/sub/..%2f..%2fsecret",
        "/..%2fsecret",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/outside",
        "/sub/up/outside",
        "/sub/up/../../secret",
        "/slash/etc/passwd",
        "/slash",
        "/",
        "/sub",
        "/none",
        "/file/",
        "/file%00",
        "/file%",
        "/file%2",
        "/%zz",
        "/%+1",
        "file",
        "http://host",
        "*",
        &format!("/{}", dir.path().join("secret").display()),
    ] {
        let (status, _, content) = get(&root, target, "");
        // A path that ends in a slash names the file before it.
        if target == "/file/" {
            assert_eq!((status, content.as_str()), (200, "0123456789"));
            continue;
        }
        assert_eq!((status, content.as_str()), (404, "404 Not Found\n"), "{target}");
    }
}

#[test]
fn ranges_are_served() {
    let (_dir, root) = folder();
    for (range, expected) in [
        ("bytes=0-0", Some(("0-0/10", "0"))),
        ("bytes=2-4", Some(("2-4/10", "234"))),
        ("bytes=7-", Some(("7-9/10", "789"))),
        ("bytes=7-99999999999999999999", None),
        ("bytes=7-18446744073709551615", Some(("7-9/10", "789"))),
        ("bytes=-3", Some(("7-9/10", "789"))),
        ("bytes=-30", Some(("0-9/10", "0123456789"))),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("bytes=+1-2", None),
        ("bytes=-", None),
        ("lines=1-2", None),
    ] {
        let (status, head, content) = get(&root, "/file", &format!("Range: {range}\r\n"));
        match expected {
            Some((shown, text)) => {
                assert_eq!((status, content.as_str()), (206, text), "{range}");
                assert!(head.contains(&format!("\r\nContent-Range: bytes {shown}\r\n")), "{range}: {head}");
                assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", text.len())), "{range}: {head}");
            }
            None => assert_eq!((status, content.as_str()), (200, "0123456789"), "{range}"),
        }
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let (status, head, _) = get(&root, "/file", &format!("RANGE:{range}\r\n"));
        assert_eq!(status, 416, "{range}");
        assert!(head.contains("\r\nContent-Range: bytes */10\r\n"), "{head}");
    }
    assert_eq!(get(&root, "/empty", "Range: bytes=0-\r\n").0, 416);
    assert_eq!(get(&root, "/file", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n").0, 200);
}

#[test]
fn other_requests_are_refused() {
    let (_dir, root) = folder();
    for (request, status) in [
        ("POST /file HTTP/1.1\r\n\r\n", 405),
        ("get /file HTTP/1.1\r\n\r\n", 405),
        ("GET /file\r\n\r\n", 400),
        ("GET  /file HTTP/1.1\r\n\r\n", 400),
        ("GET /fi le HTTP/1.1\r\n\r\n", 400),
        ("GET /file HTTP/2\r\n\r\n", 400),
        ("GET /f\u{e4} HTTP/1.1\r\n\r\n", 400),
        ("\r\n\r\n", 400),
    ] {
        assert_eq!(ask(&root, request).0, status, "{request:?}");
    }
    assert!(ask(&root, "POST /file HTTP/1.1\r\n\r\n").1.contains("\r\nAllow: GET, HEAD\r\n"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    assert_eq!(ask(&root, &long).0, 431);
    assert!(Request::read(&mut &b"GET /file HTTP/1.1\r\nHost"[..]).is_err(), "the client went away");
}

#[test]
fn a_server_answers_many_at_once() {
    let (_dir, root) = folder();
    fs::write(root.join("large"), vec![7; 3 << 20]).unwrap();
    let server = Server::bind(&root, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = server.address().unwrap();
    let (log, lines) = std::sync::mpsc::channel::<String>();
    std::thread::spawn(move || server.run(&|line| drop(log.send(line.to_owned()))));
    // More than there are threads, and idle ones among them.
    let idle: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS + 8 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                let mut content = Vec::new();
                stream.read_to_end(&mut content).unwrap();
                assert!(content.ends_with(&[7; 1024]) && content.len() > 3 << 20);
            });
        }
    });
    let line = lines.recv().unwrap();
    assert_eq!(line, format!("127.0.0.1 GET /large 200 {}", 3 << 20));
    drop(idle);
}

#[test]
fn what_cannot_be_served_is_said() {
    let (dir, root) = folder();
    let bind = |path: &Path| Server::bind(path, (Ipv4Addr::LOCALHOST, 0).into()).map(drop).unwrap_err().to_string();
    let none = dir.path().join("none");
    assert_eq!(bind(&none), format!("looking for the folder {}", none.display()));
    assert_eq!(bind(&root.join("file")), format!("{} is no folder", root.join("file").display()));
    let server = Server::bind(&root, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = server.address().unwrap();
    assert_eq!(Server::bind(&root, address).map(drop).unwrap_err().to_string(), format!("listening on {address}"));
}
