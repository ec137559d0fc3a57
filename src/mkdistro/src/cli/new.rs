//! `mkdistro new`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print_line;
use crate::progress::Progress;
use crate::template::{self, TEMPLATES, Template};

/// Start a project in a new folder
///
/// Writes a distro.toml and, by template, an overlay and recipes of its own. All other recipes, the kernel fragments and
/// the key ring are built into mkdistro; a file of the same name in packages/ or kernel-config/ takes their place. Never
/// overwrites anything.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro new mydistro\n  mkdistro new site --template web\n  mkdistro new --list"
)]
pub(super) struct New {
    /// The folder to make; its name becomes the distribution's
    #[arg(value_name = "NAME", required_unless_present = "list")]
    folder: Option<PathBuf>,
    /// What to start from
    #[arg(long, short, default_value = "podman", value_name = "TEMPLATE", value_parser = template)]
    template: Template,
    /// List the templates
    #[arg(long, conflicts_with = "folder")]
    list: bool,
}

fn template(name: &str) -> Result<Template, String> {
    let found = TEMPLATES.into_iter().find(|template| template.name == name);
    found.ok_or_else(|| format!("expected one of {}", TEMPLATES.map(|template| template.name).join(", ")))
}

impl New {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.list) else {
            for Template { name, summary } in TEMPLATES {
                print_line(format_args!("{name:8} {summary}"))?;
            }
            return Ok(ExitCode::SUCCESS);
        };
        for path in template::write(self.template, folder)? {
            print_line(path.display())?;
        }
        progress.say(&format!("next: cd {} && mkdistro build && mkdistro run", folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}
