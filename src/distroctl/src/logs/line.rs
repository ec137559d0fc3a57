//! One message: when, how bad, from whom, what. Its form in the ring is one line, `MICROSECONDS SEVERITY SOURCE TEXT`, with
//! the time since the kernel's start: the clock may be set later, and then all messages get their right time.

use std::fmt::Write;

use super::time::{Clock, rfc3339};

/// The rest of a longer message becomes another one.
pub(super) const TEXT_MAX: usize = 2048;
/// Severities of syslog (RFC 5424, section 6.2.1).
pub(super) const ERROR: u8 = 3;
pub(super) const INFO: u8 = 6;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Since the kernel's start.
    pub(super) boot_us: u64,
    /// 0 (emergency) to 7 (debug).
    pub(super) severity: u8,
    /// `kernel`, `init` or a service; no spaces.
    pub(super) source: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// Appends its form in the ring. What is not printable becomes a space, so that a message is one line and cannot
    /// confuse a terminal.
    pub(super) fn encode(&self, out: &mut String) {
        let _ = write!(out, "{} {} {} ", self.boot_us, self.severity, self.source);
        out.extend(self.text.trim_end().chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
        out.push('\n');
    }

    /// Reads a line of the ring, without the line break.
    pub(super) fn decode(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let boot_us = parts.next()?.parse().ok()?;
        let severity = parts.next()?.parse().ok().filter(|severity| *severity <= 7)?;
        let source = parts.next().filter(|source| !source.is_empty())?;
        Some(Self { boot_us, severity, source, text: parts.next()? })
    }

    /// For people: `2026-11-22T10:26:25.123Z sshd: text`.
    pub(super) fn show(&self, clock: Clock) -> String {
        let word = match self.severity {
            0..=2 => "critical: ",
            3 => "error: ",
            4 => "warning: ",
            _ => "",
        };
        format!("{} {}: {word}{}\n", rfc3339(clock.wall_us(self.boot_us), 3), self.source, self.text)
    }
}

/// Severity by the prefix `<N>` that services may use (sd-daemon(3)), and the rest.
pub(super) fn severity(text: &str) -> (u8, &str) {
    let prefix = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match prefix.and_then(|(number, rest)| Some((number.parse().ok().filter(|number: &u8| *number <= 7)?, rest))) {
        Some(found) => found,
        None => (INFO, text),
    }
}

/// Parts of a text that are no longer than a message may be.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        if text.len() <= TEXT_MAX {
            rest = None;
            return Some(text);
        }
        let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at))?;
        let (part, more) = text.split_at(end);
        rest = Some(more);
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::{Clock, Line, TEXT_MAX, parts, severity};

    #[test]
    fn reads_what_it_writes() {
        let line = Line { boot_us: 1_500_000, severity: 4, source: "sshd", text: "a  b\tc: 1" };
        let mut text = String::new();
        line.encode(&mut text);
        assert_eq!(text, "1500000 4 sshd a  b\tc: 1\n");
        assert_eq!(Line::decode(text.trim_end_matches('\n')), Some(line.clone()));
        assert_eq!(line.show(Clock::fixed(0)), "1970-01-01T00:00:01.500Z sshd: warning: a  b\tc: 1\n");
        let mut text = String::new();
        Line { text: "\u{1b}[2J\r\nx\0 ", ..line }.encode(&mut text);
        assert_eq!(text, "1500000 4 sshd  [2J  x \n");
        for wrong in ["", "1", "1 2", "1 2 a", "x 2 a b", "1 8 a b", "1 -1 a b", "1 2  b"] {
            assert_eq!(Line::decode(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn takes_severities_of_services() {
        assert_eq!(severity("<3>bad"), (3, "bad"));
        assert_eq!(severity("<9>bad"), (6, "<9>bad"));
        assert_eq!(severity("<html>"), (6, "<html>"));
        assert_eq!(severity(""), (6, ""));
    }

    #[test]
    fn cuts_long_texts() {
        let text = format!("{}ä{}", "x".repeat(TEXT_MAX - 1), "y".repeat(TEXT_MAX));
        let parts: Vec<&str> = parts(&text).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [TEXT_MAX - 1, TEXT_MAX, 2]);
        assert_eq!(parts.concat(), text);
        assert_eq!(super::parts("").collect::<Vec<_>>(), [""]);
    }
}
