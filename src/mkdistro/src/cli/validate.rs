//! `mkdistro validate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use crate::problem::{Class, Problem};
use crate::quadlets;

/// Check what a running image is told, before it boots
///
/// A document (TOML), cloud-config, network-config, Ignition or Quadlet file, by the same code as in the image: all
/// problems at once, each with its line. Quadlet files are read with the others of their folder; keys that are passed over
/// are told and are no failure.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro validate config.toml\n  mkdistro validate seed/user-data \
                             seed/network-config\n  mkdistro validate overlay/etc/containers/systemd/*\n  mkdistro validate --schema > config.schema.json")]
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
            if path.file_name().is_some_and(|name| quadlet::Kind::of(&name.to_string_lossy()).is_some()) {
                found.extend(quadlet_file(path)?);
                continue;
            }
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

/// What costs the unit; the rest is told.
fn quadlet_file(path: &Path) -> Result<Vec<String>> {
    // That it is there is not known yet: its folder is what is read.
    path.metadata().with_context(|| format!("reading {}", path.display()))?;
    let problems = quadlets::of_file(path)?;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == quadlet::Severity::Error);
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    if errors.is_empty() {
        print_line(format_args!("{}: good (Quadlet)", path.display()))?;
    }
    Ok(errors.iter().map(ToString::to_string).collect())
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
            file("c.container", "[Container]\nImage=a\nNetwork=gone.network\n"),
        ];
        let error = Validate { files, schema: false }.execute().unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
        let text = error.to_string();
        for part in ["b.toml:1: hostname: ", "b.toml:2: hostnam: ", "user-data:2: xyz: ", "c.container:3: error: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("a.toml"), "{text}");
        let warned = file("d.container", "[Container]\nImage=a\nFrobnicate=1\n");
        assert!(Validate { files: vec![good, warned], schema: false }.execute().is_ok());
    }
}
