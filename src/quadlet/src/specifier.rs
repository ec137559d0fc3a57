//! What stands for something else in a value: specifiers (`%N`; systemd.unit(5), "Specifiers") and variables of command lines
//! (`$NAME`; systemd.service(5), "Command lines").

/// What specifiers stand for besides the unit's own name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// `%H`, `%l`, `%q`.
    pub name: String,
    /// `%m`.
    pub machine_id: String,
    /// `%b`.
    pub boot_id: String,
    /// `%v`.
    pub kernel: String,
}

/// Replaces the specifiers in a value of the service `name` (without `.service`).
///
/// # Errors
/// Names the specifier that there is not.
pub(crate) fn expand(value: &str, name: &str, host: &Host) -> Result<String, String> {
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => out.push('%'),
            Some('n') => out.extend([name, ".service"]),
            Some('N') => out.push_str(name),
            Some('p' | 'P') => out.push_str(prefix),
            Some('i' | 'I') => out.push_str(instance),
            Some('j' | 'J') => out.push_str(prefix.rsplit('-').next().unwrap_or_default()),
            Some('f') => out.extend(["/", if instance.is_empty() { prefix } else { instance }]),
            Some('t') => out.push_str("/run"),
            Some('S') => out.push_str("/var/lib"),
            Some('C') => out.push_str("/var/cache"),
            Some('L') => out.push_str("/var/log"),
            Some('E') => out.push_str("/etc"),
            Some('T') => out.push_str("/tmp"),
            Some('V') => out.push_str("/var/tmp"),
            Some('h') => out.push_str("/root"),
            Some('u' | 'g') => out.push_str("root"),
            Some('U' | 'G') => out.push('0'),
            Some('s') => out.push_str("/bin/sh"),
            Some('H' | 'q') => out.push_str(&host.name),
            Some('l') => out.push_str(host.name.split('.').next().unwrap_or_default()),
            Some('m') => out.push_str(&host.machine_id),
            Some('b') => out.push_str(&host.boot_id),
            Some('v') => out.push_str(&host.kernel),
            Some('a') => out.push_str("x86-64"),
            Some(other) => return Err(format!("there is no specifier %{}", other.escape_default())),
            // As systemd has it, one at the end is itself.
            None => out.push('%'),
        }
    }
    Ok(out)
}

/// Replaces `$NAME` (a word of its own becomes as many words as its value has) and `${NAME}` (anywhere); `$$` is a dollar
/// sign. What has no value becomes nothing. The program's name stays as it is.
pub(crate) fn variables(argv: &[String], value: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(argv.len());
    for (index, word) in argv.iter().enumerate() {
        let name = word.strip_prefix('$').filter(|name| is_name(name));
        match name {
            _ if index == 0 => out.push(word.clone()),
            Some(name) => out.extend(value(name).unwrap_or_default().split_whitespace().map(str::to_owned)),
            None => out.push(within(word, value)),
        }
    }
    out
}

fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_letter) && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn within(word: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}')).filter(|(name, _)| is_name(name));
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = braced {
            out.push_str(&value(name).unwrap_or_default());
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Host, expand, variables};

    #[test]
    fn expands_specifiers() {
        let host = Host { name: "box.example".into(), ..Host::default() };
        for (value, name, expected) in [
            ("%t/%N.cid", "web", "/run/web.cid"),
            ("systemd-%p_%i", "web@1", "systemd-web_1"),
            ("%n 100%% %", "a-b", "a-b.service 100% %"),
            ("%j %H %l", "a-b", "b box.example box"),
        ] {
            assert_eq!(expand(value, name, &host).as_deref(), Ok(expected));
        }
        assert_eq!(expand("%y", "a", &host), Err("there is no specifier %y".into()));
    }

    #[test]
    fn replaces_variables() {
        let value = |name: &str| (name == "A").then(|| "1  2".to_owned());
        let argv = ["$A", "$A", "x${A}y", "$$A", "${B}", "$B", "a$", "${A", "$1", "$A$A"].map(str::to_owned);
        let expected = ["$A", "1", "2", "x1  2y", "$A", "", "a$", "${A", "$1", "$A$A"];
        assert_eq!(variables(&argv, &value), expected);
    }
}
