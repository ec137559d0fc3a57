//! An error as a user sees it: what failed, its causes, what to do about it, and the exit code.

use std::io::Write;

use super::progress::{Style, stderr_style};
use crate::problem::{Problem, exit_code};

/// Prints an error with its causes and hints to stderr and returns the exit code.
pub fn report(error: &anyhow::Error) -> u8 {
    // Nothing is left to tell it to if stderr is closed.
    let _ = std::io::stderr().lock().write_all(render(error, stderr_style()).as_bytes());
    exit_code(error)
}

/// The text of [`report`].
pub fn render(error: &anyhow::Error, style: Style) -> String {
    let mut messages: Vec<String> = Vec::new();
    for message in error.chain().map(ToString::to_string) {
        // Some errors end with the text of their cause.
        if !messages.last().is_some_and(|last| last.ends_with(&message)) {
            messages.push(message);
        }
    }
    let mut out = String::new();
    for (index, message) in messages.iter().enumerate() {
        let message = message.trim_end();
        if index == 0 {
            // Lines after the first are not indented: editors find `file:line:` at the start of a line.
            out.push_str(&format!("{} {message}\n", style.paint(Style::RED, "error:")));
        } else {
            out.push_str(&format!("  caused by: {}\n", message.replace('\n', "\n    ")));
        }
    }
    let hints = error.chain().filter_map(|cause| cause.downcast_ref::<Problem>()).map(|problem| &problem.hint);
    for hint in hints.filter(|hint| !hint.is_empty()) {
        out.push_str(&format!("{} {hint}\n", style.paint(Style::CYAN, "hint:")));
    }
    out
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::{Style, render};
    use crate::problem::{Class, Problem};

    #[test]
    fn shows_chain_and_hint() {
        let failed: Result<(), std::io::Error> = Err(std::io::Error::other("disk full"));
        let plain = failed.context("writing out.iso").context("building").unwrap_err();
        let problem = Problem::error(Class::Verify, "sha256 of a.deb: got e3b0..", "run it again");
        let listed = Problem::error(Class::Config, "the project has a problem\ndistro.toml:1: x: y\n", "");
        for (error, expected) in [
            (plain, "error: building\n  caused by: writing out.iso\n  caused by: disk full\n"),
            (
                problem.context("fetching packages"),
                "error: fetching packages\n  caused by: sha256 of a.deb: got e3b0..\nhint: run it again\n",
            ),
            (
                anyhow::anyhow!("read: end of file").context("reading: read: end of file"),
                "error: reading: read: end of file\n",
            ),
            (anyhow::anyhow!("one"), "error: one\n"),
            (anyhow::anyhow!("one\ntwo").context("top"), "error: top\n  caused by: one\n    two\n"),
            (listed, "error: the project has a problem\ndistro.toml:1: x: y\n"),
        ] {
            assert_eq!(render(&error, Style::Plain), expected);
        }
    }

    #[test]
    fn colours_only_the_words() {
        let error = Problem::error(Class::Lock, "a", "b");
        assert_eq!(render(&error, Style::Colours), "\u{1b}[1;31merror:\u{1b}[0m a\n\u{1b}[1;36mhint:\u{1b}[0m b\n");
    }
}
