//! `cargo xtask bench`: measures and keeps the figures. Nothing here passes or fails.
//!
//! Each time is the median of [`ROUNDS`]; what is compared is measured in turns, so that a busy machine is no advantage
//! to either.

mod builds;
mod squashfs;

use crate::run::{Result, cargo, create_folder, target};
use crate::setup::setup;
use crate::tally::Tally;
use crate::test::build_image;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// RAM sizes that the image is booted with.
const MEMORY_MIB: [u32; 4] = [512, 256, 144, 128];

/// How often each thing is done.
const ROUNDS: usize = 3;

/// A figure: name, value, unit.
type Figure = (String, f64, &'static str);

/// Measures, prints a table, appends to `target/bench/results.jsonl`.
pub(crate) fn bench() -> Result<bool> {
    setup()?;
    let folder = target().join("bench");
    let Some(iso) = build_image(&mut Tally::default(), &folder)? else { return Ok(false) };
    let mut figures = builds::figures(&folder)?;
    figures.extend(squashfs::figures(&folder, &iso)?);
    let size =
        std::fs::metadata(&iso).map_err(|error| format!("reading the size of {}: {error}", iso.display()))?.len();
    figures.push(("ISO".into(), size as f64 / 1e6, "MB"));
    for memory in MEMORY_MIB {
        // A size that is too small is a result as well.
        match boot(&iso, memory) {
            Ok(found) => figures.extend(found),
            Err(message) => {
                println!("-m {memory}: does not reach READY: {}", message.lines().last().unwrap_or_default());
            }
        }
    }
    for (name, value, unit) in &figures {
        println!("{name:<60} {value:>10.2} {unit}");
    }
    keep(&folder, &figures)?;
    Ok(true)
}

/// One boot, measured by the program `measure` of the boot tests: `key value unit` lines.
fn boot(iso: &Path, memory_mib: u32) -> Result<Vec<Figure>> {
    let mut command = cargo(&["run", "--quiet", "--package", "qemu-tests", "--bin", "measure", "--"]);
    let output = command.arg(iso).arg(memory_mib.to_string()).output();
    let output = output.map_err(|error| format!("running measure: {error}"))?;
    if !output.status.success() {
        return Err(format!("booting with {memory_mib} MiB:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| figure(line, memory_mib)).collect())
}

fn figure(line: &str, memory_mib: u32) -> Option<Figure> {
    let (name, value) = line.rsplit_once(' ')?;
    let unit = match name {
        _ if name.contains("seconds") => "s",
        "mem-available" => "KiB",
        _ => return None,
    };
    Some((format!("-m {memory_mib}: {name}"), value.parse().ok()?, unit))
}

/// Seconds that a command takes. It must succeed; its output goes nowhere.
fn seconds(command: &mut Command) -> Result<f64> {
    let shown = crate::run::shown(command);
    let begin = Instant::now();
    let output = command.output().map_err(|error| format!("running {shown}: {error}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(seconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn keep(folder: &Path, figures: &[Figure]) -> Result<()> {
    create_folder(folder)?;
    let path = folder.join("results.jsonl");
    let context = |error: std::io::Error| format!("writing {}: {error}", path.display());
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(context)?;
    for (name, value, unit) in figures {
        // Names are ours and hold nothing that JSON would escape.
        writeln!(file, r#"{{"time": {time}, "name": "{name}", "value": {value}, "unit": "{unit}"}}"#)
            .map_err(context)?;
    }
    println!("added to {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{figure, median};

    #[test]
    fn medians() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![]), median(vec![5.0])), (2.0, 0.0, 5.0));
    }

    #[test]
    fn figures() {
        let expected = Some(("-m 512: READY, seconds since kernel start".to_string(), 12.5, "s"));
        assert_eq!(figure("READY, seconds since kernel start 12.5", 512), expected);
        assert_eq!(figure("mem-available 432100", 128), Some(("-m 128: mem-available".to_string(), 432_100.0, "KiB")));
        assert_eq!(figure("ip 10.0.2.15", 512), None);
    }
}
