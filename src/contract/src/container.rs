//! What a container is told when it is started, with PID 1 as its entry point: environment variables, and arguments in
//! place of the kernel command line.

/// Block devices and where they are mounted, `DEVICE:FOLDER[,DEVICE:FOLDER]`. The second name is that of Miget's images.
pub const VOLUMES: [&str; 2] = ["MKDISTRO_VOLUMES", "MIGET_MACHINE_VOLUMES"];
/// Lines in the format of `authorized_keys`, added to those of the user.
pub const AUTHORIZED_KEYS: &str = "MKDISTRO_AUTHORIZED_KEYS";
/// The configuration document.
pub const CONFIG: &str = "MKDISTRO_CONFIG";

/// `SIGRTMIN+3` of glibc, which podman and systemd-nspawn send to what looks like an init; the kernel's first real-time
/// signal is 32, of which the C library keeps two.
pub const STOP_SIGNAL: i32 = 37;
/// The same in an image's configuration.
pub const STOP_SIGNAL_NAME: &str = "SIGRTMIN+3";

/// The value of a variable in an environment as the kernel shows it, `NAME=VALUE` words each ended by a zero byte
/// (proc_pid_environ(5)). The first one counts, as for getenv(3).
pub fn variable(environ: &[u8], name: &str) -> Option<String> {
    let words = environ.split(|&byte| byte == 0);
    let mut values = words.filter_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.next().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// PID 1's arguments as the words of a kernel command line: a value with white space is quoted ([`crate::cmdline`]).
pub fn options<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |argument: &str| match argument.split_once('=') {
        Some((key, value)) if value.contains(char::is_whitespace) => format!("{key}=\"{value}\""),
        _ => argument.to_string(),
    };
    let words: Vec<String> = arguments.into_iter().map(quoted).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{options, variable};

    #[test]
    fn finds_variables() {
        let environ = b"A=1\0AB=x=y\nz\0\0A=2\0C\0D=\0";
        let found = |name: &str| variable(environ, name);
        assert_eq!(found("A").as_deref(), Some("1"));
        assert_eq!(found("AB").as_deref(), Some("x=y\nz"));
        assert_eq!((found("C"), found("B"), found("D").as_deref()), (None, None, Some("")));
        assert_eq!(variable(b"", "A"), None);
    }

    #[test]
    fn arguments_are_options() {
        let line = options(["distro.verbose", "distro.hostname=my box", "x=1"]);
        assert_eq!(line, "distro.verbose distro.hostname=\"my box\" x=1");
        assert_eq!(crate::cmdline::value(&line, "distro.hostname"), Some("my box"));
        assert_eq!(options([]), "");
    }
}
