//! Looks at the finished root for what should not go into an image: named checks, each fatal or a warning.
//!
//! A finding that is all right is allowed with a reason: `[[allow]]` in the recipe that brings the file, `[[lint.allow]]`
//! in distro.toml. The checks read headers, names and text; nothing is run.

mod content;
mod elf;
mod names;
mod owner;
mod programs;
mod quadlet;
mod report;
mod secrets;
#[cfg(test)]
mod tests;

use anyhow::Result;
use bytes::Bytes;
use formats::tree::{Node, Tree, clean, show, split};
use rayon::prelude::*;

use crate::config::{Allow, Checked};
use crate::elf::Hardening;
use crate::pattern::Pattern;
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub use report::{Finding, Report, checks_json};

/// What a finding of a check means for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No image is made.
    Fatal,
    /// It is told.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Warning => "warning",
        }
    }
}

/// A check.
pub struct Check {
    /// Its name, as in `allow`.
    pub name: &'static str,
    /// What a finding means.
    pub severity: Severity,
    /// What is wrong with what it finds, one sentence.
    pub summary: &'static str,
    run: fn(&Subject<'_>, &mut Found) -> Result<()>,
}

const fn fatal(name: &'static str, summary: &'static str, run: fn(&Subject<'_>, &mut Found) -> Result<()>) -> Check {
    Check { name, severity: Severity::Fatal, summary, run }
}

const fn warning(name: &'static str, summary: &'static str, run: fn(&Subject<'_>, &mut Found) -> Result<()>) -> Check {
    Check { name, severity: Severity::Warning, summary, run }
}

/// All checks, by name.
pub static CHECKS: [Check; 27] = [
    warning("build-path", "A file names a folder of the machine that built it.", content::build_path),
    warning("dangling-symlink", "A symbolic link leads to nothing.", names::dangling_symlink),
    fatal("device-node", "A device node; the guest's devtmpfs makes them.", owner::device_node),
    warning("duplicate", "Files have the same content; one could be a link.", content::duplicate),
    fatal("executable-stack", "A program or library asks for a stack that may be executed.", elf::executable_stack),
    warning("folder-mode", "A folder has mode bits that make no sense.", owner::folder_mode),
    warning("hidden", "A file is below a folder that another file system is mounted on.", names::hidden),
    fatal("interpreter", "What a script or program is started with is missing.", programs::interpreter),
    warning("large-file", "A file is larger than lint.max-file-mib.", content::large_file),
    warning("leftover", "A file is left from editing or from a package's upgrade.", names::leftover),
    fatal("library", "A shared library is missing, or lacks a symbol version.", programs::library),
    fatal("machine-identity", "What every machine must have of its own is in the image.", secrets::machine_identity),
    warning("name", "A name is not plain text.", names::name),
    warning("no-pie", "A program is loaded at a fixed address.", elf::no_pie),
    warning("no-relro", "A program's or library's linkage tables stay writable.", elf::no_relro),
    warning("no-stack-protector", "A program or library in C checks no stack frame.", elf::no_stack_protector),
    warning("not-executable", "A program in a folder of programs may not be executed.", programs::not_executable),
    warning("not-reproducible", "A file holds a time or is made anew by use.", content::not_reproducible),
    warning("owner", "An owner or group is not in /etc/passwd or /etc/group.", owner::owner),
    fatal("quadlet", "The guest would make no service of a Quadlet file.", quadlet::quadlet),
    warning("quadlet-key", "The guest would pass over a key of a Quadlet file.", quadlet::quadlet_key),
    fatal("run-path", "Libraries are looked for in a folder that others may fill.", elf::run_path),
    warning("run-path-missing", "Libraries are looked for in a folder that is not there.", elf::run_path_missing),
    fatal("secret", "A file holds a private key, a token or a password.", secrets::secret),
    fatal("service-program", "A service's program is missing or cannot be executed.", programs::service_program),
    fatal("set-uid", "A program takes on rights that no recipe's modes grant it.", owner::set_uid),
    fatal("writable", "Everybody may write a file, a folder without sticky bit, or code.", owner::writable),
];

/// What the checks look at.
struct Subject<'a> {
    checked: &'a Checked,
    tree: &'a Tree,
    /// All programs and libraries.
    programs: Vec<Program<'a>>,
}

/// A program or library.
struct Program<'a> {
    path: &'a [u8],
    node: &'a Node,
    elf: Hardening,
}

/// What a check found: paths and what is wrong there.
#[derive(Default)]
struct Found(Vec<(String, String)>);

impl Found {
    fn add(&mut self, path: &[u8], message: impl Into<String>) {
        self.0.push((show(path), message.into()));
    }
}

impl<'a> Subject<'a> {
    fn new(checked: &'a Checked, tree: &'a Tree) -> Self {
        let files: Vec<(&[u8], &Node, &Bytes)> =
            tree.iter().filter_map(|(path, node)| Some((path, node, node.content()?))).collect();
        let program = |&(path, node, content): &(&'a [u8], &'a Node, &Bytes)| {
            Some(Program { path, node, elf: Hardening::read(content)? })
        };
        Self { checked, tree, programs: files.par_iter().filter_map(program).collect() }
    }

    /// Regular files.
    fn files(&self) -> impl Iterator<Item = (&'a [u8], &'a Node, &'a Bytes)> + use<'a> {
        self.tree.iter().filter_map(|(path, node)| Some((path, node, node.content()?)))
    }

    /// Where a path of a recipe really is: folders' links followed, the last part not.
    fn real(&self, path: &str) -> Vec<u8> {
        let path = clean(path.as_bytes());
        let (folder, name) = split(&path);
        match self.tree.resolve(folder) {
            Some(folder) => clean(&[&folder, &b"/"[..], name].concat()),
            None => path,
        }
    }
}

/// Runs all checks on a finished root.
pub fn run(checked: &Checked, tree: &Tree) -> Result<Report> {
    let subject = Subject::new(checked, tree);
    let found = CHECKS.par_iter().map(|check| {
        let mut found = Found::default();
        (check.run)(&subject, &mut found)?;
        Ok((check, found))
    });
    let found: Vec<(&Check, Found)> = found.collect::<Result<_>>()?;
    let mut allowances: Vec<Allowance> = Vec::new();
    allowances.extend(checked.distro.lint.allow.iter().map(|allow| Allowance::new(&subject, "distro.toml", allow)));
    for (name, recipe) in &checked.recipes {
        let file = format!("packages/{name}.toml");
        allowances.extend(recipe.allow.iter().map(|allow| Allowance::new(&subject, &file, allow)));
    }
    let mut report = Report::default();
    for (check, Found(list)) in found {
        for (path, message) in list {
            let mut fits = allowances.iter_mut().filter(|allowance| allowance.fits(check, &path)).peekable();
            let allowed = fits.peek().map(|allowance| allowance.reason.clone());
            fits.for_each(|allowance| allowance.is_used = true);
            let origin = tree.get(path.as_bytes()).map(|node| node.origin.to_string()).unwrap_or_default();
            report.findings.push(Finding { check, path, origin, message, allowed });
        }
    }
    report
        .findings
        .sort_by(|a, b| (a.check.severity, a.check.name, &a.path).cmp(&(b.check.severity, b.check.name, &b.path)));
    let unused = allowances.iter().filter(|allowance| !allowance.is_used);
    report.unused = unused.map(|allowance| allowance.shown.clone()).collect();
    Ok(report)
}

/// The same as a step of a build.
///
/// # Errors
/// A fatal finding that is not allowed; class `Config`.
pub fn gate(checked: &Checked, tree: &Tree, progress: &dyn Progress) -> Result<()> {
    let task = progress.start("checking the root", 0);
    let report = run(checked, tree)?;
    let (fatal, warnings) = (report.of(Severity::Fatal).count(), report.warnings());
    task.finish(&format!("{} checks", CHECKS.len()));
    report.lines(Severity::Warning).iter().for_each(|line| progress.detail(line));
    if warnings > 0 {
        progress.warn(&format!("{}; \"mkdistro lint\" lists them", report.summary(Severity::Warning)));
    }
    if fatal == 0 {
        return Ok(());
    }
    let message =
        format!("the root has {}\n{}", report.summary(Severity::Fatal), report.lines(Severity::Fatal).join("\n"));
    Err(Problem::error(Class::Config, message, HINT))
}

/// What to do about findings.
pub const HINT: &str = "if it is meant to be so, say why: [[lint.allow]] in distro.toml or [[allow]] in the recipe, with \
                        check, path and reason";

/// An `allow` of distro.toml or of a recipe.
struct Allowance {
    check: String,
    paths: Option<Pattern>,
    /// The path itself, links in its folders followed.
    real: String,
    reason: String,
    shown: String,
    is_used: bool,
}

impl Allowance {
    fn new(subject: &Subject<'_>, file: &str, allow: &Allow) -> Self {
        Self {
            check: allow.check.clone(),
            paths: Pattern::parse(&allow.path).ok(),
            real: show(&subject.real(&allow.path)),
            reason: allow.reason.clone(),
            shown: format!("{file}: allow: {} finds nothing at {}", allow.check, allow.path),
            is_used: false,
        }
    }

    fn fits(&self, check: &Check, path: &str) -> bool {
        self.check == check.name && (self.real == path || self.paths.as_ref().is_some_and(|paths| paths.is_match(path)))
    }
}
