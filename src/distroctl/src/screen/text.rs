//! The console's page: the state's lines, cut to the terminal.

use std::fmt::Write;

use crate::status::{self, Report};

/// Lines that change all the time; a terminal that cannot be drawn over is not told of those.
const RESTLESS: [&str; 2] = ["up ", "memory "];

/// What stands on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    lines: Vec<String>,
}

/// Printable ASCII, so that no text can do something to the terminal and every font has it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

impl Page {
    pub(super) fn of(report: &Report, columns: usize, rows: usize) -> Self {
        let hint = format!("Press Enter to log in as {}", report.user);
        Self::fit(&status::lines(report), &hint, columns, rows)
    }

    /// An empty line, the text, an empty line, the hint, and one row less than there are, so that nothing scrolls.
    fn fit(text: &str, hint: &str, columns: usize, rows: usize) -> Self {
        let room = rows.saturating_sub(5).max(1);
        let all: Vec<&str> = text.lines().collect();
        let mut lines = vec![String::new()];
        let cut = |line: &str| format!(" {}", plain(line)).chars().take(columns.saturating_sub(1)).collect::<String>();
        if all.len() > room {
            lines.extend(all.iter().take(room - 1).map(|line| cut(line)));
            lines.push(cut(&format!("... and {} more: distroctl status", all.len() + 1 - room)));
        } else {
            lines.extend(all.iter().map(|line| cut(line)));
        }
        lines.push(String::new());
        lines.push(cut(hint));
        Self { lines }
    }

    /// Whether another page says something new.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let steady = |page: &Self| -> Vec<String> {
            let is_restless = |line: &&String| RESTLESS.iter().any(|start| line.trim_start().starts_with(start));
            page.lines.iter().filter(|line| !is_restless(line)).cloned().collect()
        };
        steady(self) != steady(other)
    }

    /// For any terminal.
    pub(super) fn plain(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// Over what is there: home, each line with the rest of its row cleared, then everything below (ECMA-48: CUP, EL, ED).
    pub(super) fn ansi(&self) -> String {
        let mut text = String::from("\x1b[H");
        for line in &self.lines {
            let _ = write!(text, "{line}\x1b[K\r\n");
        }
        text + "\x1b[J"
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, plain};

    #[test]
    fn fits_the_terminal() {
        let text: String = (0..40).map(|number| format!("line {number} {}\n", "x".repeat(100))).collect();
        let page = Page::fit(&text, "Press Enter", 80, 25);
        assert_eq!(page.lines.len(), 23);
        assert!(page.lines.iter().all(|line| line.len() <= 79));
        assert_eq!(page.lines[20], " ... and 21 more: distroctl status");
        assert_eq!(page.lines.last().map(String::as_str), Some(" Press Enter"));
        let small = Page::fit("a\nb\n", "Enter", 20, 5);
        assert_eq!(small.lines, ["", " ... and 2 more: di", "", " Enter"]);
        let page = Page::fit("a\nb\n", "Enter", 80, 25);
        assert_eq!(page.plain(), "\n a\n b\n\n Enter\n");
        assert_eq!(page.ansi(), "\x1b[H\x1b[K\r\n a\x1b[K\r\n b\x1b[K\r\n\x1b[K\r\n Enter\x1b[K\r\n\x1b[J");
    }

    #[test]
    fn a_plain_terminal_is_told_what_matters() {
        let page = |text: &str| Page::fit(text, "Enter", 80, 25);
        assert!(!page("up 1 s\nmemory 5\na").differs(&page("up 2 s\nmemory 6\na")));
        assert!(page("up 1 s\na").differs(&page("up 1 s\nb")));
        assert_eq!(plain("a\x1b[2Jä\tb\n"), "a?[2J??b\n");
    }
}
