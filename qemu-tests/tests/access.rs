//! The way in: keys open it, and sitting in front of it; nothing else does.

use anyhow::Result;
use qemu_tests::{Guest, machine, user};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn keys_only() -> Result<()> {
    let guest = Guest::boot("access", machine()?)?;
    assert_eq!(guest.ok("id -un; id -u")?, format!("{}\n1000", user()));
    guest.ok("sudo podman ps")?;
    assert_eq!(guest.ok("sudo -n id -u")?, "0");
    no_password(&guest)?;
    refused(&guest, &user(), &["-o", "PubkeyAuthentication=no"])?;
    refused(&guest, "root", &[])?;
    other_key(&guest)?;
    files(&guest)?;
    engine_socket(&guest)?;
    keyboard(&guest)?;

    // From inside, too, the machine can be switched off.
    guest.soon("poweroff")?;
    guest.wait_for_power_off()
}

/// shadow(5): `*` and `!` are no password's hash. An empty field would be an open door.
fn no_password(guest: &Guest) -> Result<()> {
    for file in ["/etc/passwd", "/etc/shadow"] {
        let text = guest.ok(&format!("sudo sh -c 'cat {file} 2>/dev/null || true'"))?;
        for line in text.lines() {
            let field = line.split(':').nth(1).unwrap_or_default();
            let locked = field.starts_with(['*', '!']) || (file == "/etc/passwd" && field == "x");
            assert!(locked, "{file}: {line}");
        }
        assert!(file == "/etc/shadow" || !text.is_empty());
    }
    Ok(())
}

fn ssh_client(guest: &Guest, target_user: &str, options: &[&str]) -> Result<Command> {
    let mut command = guest.access()?.client();
    command.args(options).arg(format!("{target_user}@127.0.0.1"));
    Ok(command)
}

/// The server says which ways in it has: the public key is the only one.
fn refused(guest: &Guest, target_user: &str, options: &[&str]) -> Result<()> {
    let output = ssh_client(guest, target_user, options)?.arg("true").stdin(Stdio::null()).output()?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(255), "{target_user} with {options:?} was let in");
    assert!(message.contains("Permission denied (publickey)."), "{target_user} with {options:?}: {message}");
    Ok(())
}

fn other_key(guest: &Guest) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = vm::ssh::Key::generate(folder.path())?;
    let stranger = vm::ssh::Ssh::new(&user(), guest.access()?.port(), &key, folder.path(), Duration::from_secs(120));
    let output = stranger.client().arg(format!("{}@127.0.0.1", user())).arg("true").stdin(Stdio::null()).output()?;
    assert_eq!(output.status.code(), Some(255), "a key that nobody allowed was let in");
    Ok(())
}

/// scp(1) of today speaks SFTP.
fn files(guest: &Guest) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let content = "line\n".repeat(50_000);
    std::fs::write(&there, &content)?;
    let remote = format!("{}@127.0.0.1:/tmp/copied", user());
    for (from, to) in [(there.to_string_lossy().as_ref(), remote.as_str()), (&remote, &back.to_string_lossy())] {
        let client = guest.access()?.client();
        // The same options, but scp's -P for the port.
        let options = client.get_args().map(|word| if word == "-p" { "-P".into() } else { word.to_os_string() });
        let mut scp = Command::new("scp");
        let output = scp.arg("-q").args(options).args([from, to]).stdin(Stdio::null()).output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {message}", vm::paste(&scp));
    }
    assert_eq!(std::fs::read_to_string(back)?, content);
    Ok(())
}

/// The engine's API over SSH's socket forwarding: how podman's remote client talks to it.
fn engine_socket(guest: &Guest) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("engine");
    let forward = format!("{}:{}", socket.display(), contract::paths::PODMAN_SOCKET);
    let mut client = ssh_client(guest, &user(), &["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward])?;
    let mut client = client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let end = Instant::now() + Duration::from_secs(120);
    let answer = loop {
        let answer = ping(&socket);
        if answer.as_deref().is_ok_and(|text| !text.is_empty()) || Instant::now() > end {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    client.kill()?;
    client.wait()?;
    let answer = answer?;
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 ") && answer.ends_with("OK"), "{answer:?}");
    Ok(())
}

fn ping(socket: &std::path::Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Somebody at keyboard and screen: Enter gives a shell, leaving it the machine's state again.
fn keyboard(guest: &Guest) -> Result<()> {
    let hint = format!("Press Enter to log in as {}", user());
    let prompt = format!("{}@{}:~$", user(), guest.ok("hostname")?);
    wait_for_screen(guest, &hint)?;
    guest.type_on_keyboard("\n")?;
    wait_for_screen(guest, &prompt)?;
    guest.type_on_keyboard("(id -un; tty; sudo -n id -u) > /tmp/typed-$((6*7))\n")?;
    let typed =
        guest.ok("for n in $(seq 60); do grep -qs '^0' /tmp/typed-42 && break; sleep 1; done; cat /tmp/typed-42")?;
    assert_eq!(typed, format!("{}\n/dev/tty1\n0", user()));
    guest.type_on_keyboard("exit\n")?;
    wait_for_screen(guest, &hint)
}

/// What tty1 shows now (vcs(4)).
fn wait_for_screen(guest: &Guest, text: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let screen = guest.ok("sudo cat /dev/vcs1")?;
        if screen.contains(text) {
            return Ok(());
        }
        assert!(Instant::now() < end, "not on the screen: {text}\n{screen}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
