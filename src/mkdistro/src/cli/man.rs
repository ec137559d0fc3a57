//! `mkdistro man`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;

use super::{Arguments, print_line};
use crate::problem::{Class, Problem};

/// Write the man pages
///
/// One page for each command, from the same text as --help.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro man ~/.local/share/man/man1 && man mkdistro-build")]
pub(super) struct Man {
    /// Where they go; made if it does not exist
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        let folder = &self.folder;
        let refused = |path: &Path, error: std::io::Error| {
            Problem::error(Class::Output, format!("writing {}: {error}", path.display()), "")
        };
        std::fs::create_dir_all(folder).map_err(|error| refused(folder, error))?;
        for (name, text) in pages()? {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| refused(&path, error))?;
            print_line(path.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// File names and texts, the program's own page first, each command before those below it.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut program = Arguments::command();
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    pages.push(page(command.clone().disable_help_subcommand(true))?);
    let mut below = command.get_subcommands().filter(|command| command.get_name() != "help");
    below.try_for_each(|command| collect(command, pages))
}

fn page(command: Command) -> Result<(String, Vec<u8>)> {
    let page = Page::new(command).section("1").manual("mkdistro");
    let file = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text).with_context(|| format!("rendering {file}"))?;
    Ok((file, text))
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn every_command_has_a_page() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "mkdistro.1");
        for name in
            ["mkdistro-add.1", "mkdistro-build.1", "mkdistro-kernel-check.1", "mkdistro-man.1", "mkdistro-run.1"]
        {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        for (name, text) in &pages {
            let text = String::from_utf8(text.clone()).unwrap();
            let title = name.trim_end_matches(".1");
            assert!(text.contains(&format!(".TH {title} 1")), "{text}");
            assert!(text.contains(".SH SYNOPSIS"), "{text}");
            let is_direct = title.matches('-').count() == 1;
            assert!(!is_direct || text.contains("Examples:"), "{text}");
        }
    }
}
