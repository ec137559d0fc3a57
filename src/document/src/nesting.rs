//! How deep a TOML text nests. The parser keeps a limit of its own, but loses count where brackets do not match, and then
//! calls itself once for each of them: a broken file of some hundred kilobytes would end the program.

/// More than any file of ours has, and few enough for every stack.
const MAX_DEPTH: usize = 64;

/// The line, from 1, in which a text begins to nest too deeply, if it does. What closes nothing is passed over, so that a
/// text that is wrong counts as deeper than it is rather than as less deep. Strings and comments are skipped as TOML 1.0 has
/// them.
pub fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = Vec::with_capacity(MAX_DEPTH);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' if open.len() == MAX_DEPTH => {
                return Some(1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count());
            }
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' if open.last() == Some(byte) => drop(open.pop()),
            b'#' => at += to_line_end(&bytes[at..]),
            b'"' | b'\'' => at = after_string(bytes, at - 1),
            _ => {}
        }
    }
    None
}

fn to_line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

/// Where a string that begins at `start` has ended; one of a single line ends with its line at the latest.
fn after_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let is_long = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if is_long { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'\\' if quote == b'"' => 2,
            byte if *byte == quote && is_long && !bytes[at..].starts_with(&[quote; 3]) => 1,
            byte if *byte == quote => return at + if is_long { 3 } else { 1 },
            b'\n' if !is_long => return at,
            _ => 1,
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, too_deep};

    #[test]
    fn counts_what_is_open() {
        for (text, line) in [
            (format!("a = {}", "[".repeat(MAX_DEPTH)), None),
            (format!("\na = {}", "[".repeat(MAX_DEPTH + 1)), Some(2)),
            ("[[a]]\nb = [{ c = 1 }]\n".repeat(1000), None),
            // What makes the parser lose count.
            ("[[a]]\nb = {\"x\"\nc = [\"y\"]\n".repeat(1000), Some(190)),
            ("a = { ] [ }".repeat(1000), Some(1)),
            (format!("a = \"{}\"\nb = '{0}' # {0}\n", "{[".repeat(100)), None),
            (
                format!("a = \"\\\"{}\"\nb = \"\"\"\n\"{0}\"\" \\\"\"\"\" \n c = '''\n{0}\n'''\n", "{[".repeat(100)),
                None,
            ),
            (format!("a = \"open\n{}", "{".repeat(100)), Some(2)),
            ("\"\\".into(), None),
            ("a = '''x''".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(too_deep(&text), line, "{}", &text[..text.len().min(80)]);
        }
    }
}
