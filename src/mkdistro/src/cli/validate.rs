//! `mkdistro validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use crate::problem::{Class, Problem};

/// Check what a running image is told, before it boots
///
/// A document (TOML), cloud-config, network-config or Ignition file, by the same code as in the image: all problems at
/// once, each with its line.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro validate config.toml\n  mkdistro validate seed/user-data \
                             seed/network-config\n  mkdistro validate --schema > config.schema.json")]
pub(super) struct Validate {
    /// Files to check
    #[arg(required_unless_present = "schema", conflicts_with = "schema")]
    files: Vec<PathBuf>,
    /// Print the document's JSON schema
    #[arg(long)]
    schema: bool,
}

impl Validate {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        if self.schema {
            print_line(document::schema().trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut found = Vec::new();
        for path in &self.files {
            let shown = path.display().to_string();
            let bytes = std::fs::read(path).with_context(|| format!("reading {shown}"))?;
            let (format, problems) = document::validate(path.file_name().and_then(|name| name.to_str()), &bytes);
            if problems.is_empty() {
                print_line(format_args!("{shown}: good ({format})"))?;
            }
            found.extend(problems.into_iter().map(|problem| problem.within(&shown).to_string()));
        }
        if found.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Problem::error(Class::Config, found.join("\n"), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::Validate;
    use crate::problem::exit_code;

    #[test]
    fn tells_all_problems_of_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let good = file("a.toml", "hostname = \"a\"\n");
        let files = vec![
            good.clone(),
            file("b.toml", "hostname = 5\nhostnam = \"b\"\n"),
            file("user-data", "#cloud-config\nxyz: 1\n"),
        ];
        let error = Validate { files, schema: false }.execute().unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
        let text = error.to_string();
        for part in ["b.toml:1: hostname: ", "b.toml:2: hostnam: ", "user-data:2: xyz: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("a.toml"), "{text}");
        assert!(Validate { files: vec![good], schema: false }.execute().is_ok());
    }
}
