//! Builds of the default distribution, with their peak memory: what each kind of rebuild costs.

use super::{Figure, ROUNDS, median, seconds};
use crate::run::{Result, create_folder, root, succeeds, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A name, what is done before the build, and the build's options.
type Kind = (&'static str, fn(&Bench, usize) -> Result<()>, &'static [&'static str]);

const KINDS: [Kind; 5] = [
    ("build, only downloads cached", Bench::forget, &[]),
    ("build --fast, only downloads cached", Bench::forget, &["--fast"]),
    ("build, other overlay file", Bench::change, &[]),
    ("build, nothing changed", Bench::leave, &[]),
    ("build, 1 GB and 50,000 files in the overlay, --fast", Bench::grow, &["--fast"]),
];

/// Files of the large overlay, and bytes of each.
const LARGE: (usize, usize) = (50_000, 20_000);

struct Bench {
    project: PathBuf,
    cache: PathBuf,
}

/// A copy of the workspace's project, built in every way.
pub(super) fn figures(folder: &Path) -> Result<Vec<Figure>> {
    let bench = Bench { project: folder.join("project"), cache: folder.join("cache") };
    let _ = fs::remove_dir_all(&bench.project);
    create_folder(&bench.project)?;
    for name in ["distro.toml", "packages", "kernel-config", "overlay"] {
        let copied = succeeds(Command::new("cp").arg("-r").arg(root().join(name)).arg(&bench.project))?;
        copied.then_some(()).ok_or_else(|| format!("copying {name}"))?;
    }
    let mut figures = Vec::new();
    // Nothing cached at all: the network's time, so once, and only where nothing has been downloaded yet.
    let downloaded = bench.cache.join("sha256").exists();
    let (time, _) = bench.build(&["--fast"])?;
    if !downloaded {
        figures.push(("build --fast, nothing cached".into(), time, "s"));
    }
    for (name, prepare, options) in KINDS {
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            prepare(&bench, round)?;
            let (time, peak) = bench.build(options)?;
            times.push(time);
            peaks.push(peak);
        }
        figures.push((name.into(), median(times), "s"));
        figures.push((format!("{name}: peak memory"), median(peaks), "MiB"));
    }
    let _ = fs::remove_dir_all(bench.project.join("overlay/srv"));
    Ok(figures)
}

impl Bench {
    fn program(&self) -> Command {
        let mut command = Command::new(target().join("release/mkdistro"));
        command.current_dir(&self.project);
        command
    }

    /// Seconds and peak memory in MiB.
    fn build(&self, options: &[&str]) -> Result<(f64, f64)> {
        let timings = self.project.join("timings.json");
        let mut command = self.program();
        command.arg("build").args(options).arg("--cache").arg(&self.cache);
        let time = seconds(command.arg(format!("--timings={}", timings.display())))?;
        let text = fs::read_to_string(&timings).map_err(|error| format!("reading {}: {error}", timings.display()))?;
        let peak = number(&text, "peak-memory-kib").ok_or_else(|| format!("no peak memory in {text}"))?;
        Ok((time, peak / 1024.0))
    }

    fn forget(&self, _round: usize) -> Result<()> {
        seconds(self.program().args(["cache", "clean", "--cache"]).arg(&self.cache)).map(drop)
    }

    fn change(&self, round: usize) -> Result<()> {
        self.write("overlay/etc/motd", format!("round {round} of {}\n", std::process::id()).as_bytes())
    }

    fn leave(&self, _round: usize) -> Result<()> {
        Ok(())
    }

    /// Files that are all different and compress like programs do: parts of this one, each with its number in it.
    fn grow(&self, round: usize) -> Result<()> {
        self.forget(round)?;
        if self.project.join("overlay/srv").exists() {
            return Ok(());
        }
        let program = target().join("release/mkdistro");
        let program = fs::read(&program).map_err(|error| format!("reading {}: {error}", program.display()))?;
        let (count, size) = LARGE;
        for number in 0..count {
            let start = number * 7919 % program.len().saturating_sub(size).max(1);
            let mut content = program.get(start..start + size).unwrap_or_default().to_vec();
            content.chunks_mut(4096).for_each(|page| {
                let tag = format!("{number:016}");
                let length = page.len().min(tag.len());
                page[..length].copy_from_slice(&tag.as_bytes()[..length]);
            });
            self.write(&format!("overlay/srv/{}/{number}", number / 500), &content)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.project.join(name);
        create_folder(path.parent().unwrap_or(&self.project))?;
        fs::write(&path, content).map_err(|error| format!("writing {}: {error}", path.display()))
    }
}

/// The number behind a name in JSON that we have written.
fn number(json: &str, name: &str) -> Option<f64> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ' ').unwrap_or(rest.len());
    rest[..end].trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        let json = "{\n  \"figures\": {\n    \"peak-memory-kib\": 1234,\n    \"total-ms\":7}\n}";
        assert_eq!(number(json, "peak-memory-kib"), Some(1234.0));
        assert_eq!(number(json, "total-ms"), Some(7.0));
        assert_eq!(number(json, "other"), None);
    }
}
