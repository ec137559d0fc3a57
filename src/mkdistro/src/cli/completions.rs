//! `mkdistro completions`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;

/// Print a shell's completion script
///
/// Bash reads scripts in ~/.local/share/bash-completion/completions, fish in ~/.config/fish/completions, zsh in the
/// folders of fpath.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  mkdistro completions bash > ~/.local/share/bash-completion/completions/mkdistro
  mkdistro completions fish > ~/.config/fish/completions/mkdistro.fish
  mkdistro completions zsh > ~/.zfunc/_mkdistro")]
pub(super) struct Completions {
    /// bash, zsh or fish
    #[arg(value_parser = shell, value_name = "SHELL")]
    shell: Shell,
}

fn shell(name: &str) -> Result<Shell, String> {
    match name {
        "bash" => Ok(Shell::Bash),
        "fish" => Ok(Shell::Fish),
        "zsh" => Ok(Shell::Zsh),
        _ => Err("expected bash, zsh or fish".into()),
    }
}

impl Completions {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        std::io::stdout().write_all(&script(self.shell)).context("writing to stdout")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mkdistro", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap_complete::Shell;

    use super::{script, shell};

    #[test]
    fn scripts_name_every_command_and_are_sound() {
        for name in ["bash", "zsh", "fish"] {
            let script = script(shell(name).unwrap());
            let text = String::from_utf8(script.clone()).unwrap();
            for word in ["build", "outdated", "completions", "--offline", "--publish"] {
                let word = if name == "fish" { word.trim_start_matches("--") } else { word };
                assert!(text.contains(word), "{name} {word}");
            }
            // Where the shell is installed, it reads it.
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), script).unwrap();
            if let Ok(status) = Command::new(name).arg("-n").arg(file.path()).status() {
                assert!(status.success(), "{name}");
            }
        }
        assert_eq!(shell("powershell"), Err("expected bash, zsh or fish".into()));
        assert_eq!(shell("zsh"), Ok(Shell::Zsh));
    }
}
