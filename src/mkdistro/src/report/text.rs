//! The report for a terminal: terse tables, the largest first.

use std::fmt::Write as _;

use super::data::{Amount, Change, Report, Timeline};

/// Rows of the table of packages.
const PACKAGES_SHOWN: usize = 20;
/// Rows of the table of files that differ.
const CHANGES_SHOWN: usize = 20;

/// A report as text.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    head(report, &mut out);
    packages(report, &mut out);
    recipes(report, &mut out);
    subjects(report, &mut out);
    for (title, timeline) in [("build", &report.build), ("boot", &report.boot)] {
        if let Some(timeline) = timeline {
            longest(title, timeline, &mut out);
        }
    }
    difference(report, &mut out);
    for note in &report.notes {
        line(&mut out, format_args!("\nnote: {note}"));
    }
    out
}

fn head(report: &Report, out: &mut String) {
    line(out, format_args!("{} {}", report.name, report.version));
    let unpacked: u64 = report.files.iter().map(|file| file.bytes).sum();
    let mut rows = Vec::new();
    if let Some(image) = &report.image {
        rows.push(vec![image.name.clone(), size(image.bytes)]);
        rows.extend(image.parts.iter().map(|part| vec![format!("  {}", part.name), size(part.bytes)]));
    }
    rows.push(vec!["root, unpacked".into(), size(unpacked)]);
    rows.push(vec![format!("kernel {}", report.kernel.release), size(report.kernel.bytes)]);
    rows.push(vec!["files".into(), report.files.len().to_string()]);
    table(out, &[Side::Left, Side::Right], &rows);
}

fn packages(report: &Report, out: &mut String) {
    let mut rows = vec![headings(report, &["packages", "version"], &["files", "bytes"])];
    for package in report.packages.iter().take(PACKAGES_SHOWN) {
        let mut row = vec![package.name.clone(), package.version.clone(), package.total.files.to_string()];
        row.extend(sizes(report, &package.total));
        rows.push(row);
    }
    let rest = &report.packages[PACKAGES_SHOWN.min(report.packages.len())..];
    if !rest.is_empty() {
        let mut total = Amount::default();
        for package in rest {
            total.files += package.total.files;
            total.bytes += package.total.bytes;
            total.stored =
                total.stored.or(package.total.stored.map(|_| 0)).zip(package.total.stored).map(|(a, b)| a + b);
        }
        let mut row = vec![format!("{} more", rest.len()), String::new(), total.files.to_string()];
        row.extend(sizes(report, &total));
        rows.push(row);
    }
    out.push('\n');
    table(out, &[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right], &rows);
}

fn recipes(report: &Report, out: &mut String) {
    if report.recipes.is_empty() {
        return;
    }
    let mut rows =
        vec![vec!["recipes".into(), "own".into(), "libraries".into(), "frees".into(), "goes with it".into()]];
    for cost in &report.recipes {
        rows.push(vec![
            cost.name.clone(),
            size(cost.own.weight()),
            size(cost.libraries.weight()),
            size(cost.dropped.weight()),
            cost.goes_with.join(" "),
        ]);
    }
    let what = if report.image.is_some() { "in the image" } else { "unpacked" };
    line(out, format_args!("\nwhat dropping a recipe would free, {what}:"));
    table(out, &[Side::Left, Side::Right, Side::Right, Side::Right, Side::Left], &rows);
}

fn subjects(report: &Report, out: &mut String) {
    if report.kernel.subjects.is_empty() {
        return;
    }
    let mut rows = vec![headings(report, &["kernel modules"], &["modules", "bytes"])];
    for subject in &report.kernel.subjects {
        let mut row = vec![subject.name.clone(), subject.total.files.to_string()];
        row.extend(sizes(report, &subject.total));
        rows.push(row);
    }
    out.push('\n');
    table(out, &[Side::Left, Side::Right, Side::Right, Side::Right], &rows);
}

/// The ten longest events.
fn longest(title: &str, timeline: &Timeline, out: &mut String) {
    let mut events: Vec<_> = timeline.events.iter().collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.end_ms.saturating_sub(event.start_ms)));
    let mut rows = vec![vec![title.to_owned(), String::new(), "start".into(), "takes".into()]];
    for event in events.iter().take(10) {
        let seconds = |ms: u64| ms as f64 / 1e3;
        let (start, takes) = (seconds(event.start_ms), seconds(event.end_ms.saturating_sub(event.start_ms)));
        rows.push(vec![event.lane.clone(), event.name.clone(), format!("{start:.2} s"), format!("{takes:.2} s")]);
    }
    out.push('\n');
    table(out, &[Side::Left, Side::Left, Side::Right, Side::Right], &rows);
}

fn difference(report: &Report, out: &mut String) {
    let Some(difference) = &report.difference else { return };
    let count = |wanted| difference.files.iter().filter(|file| file.change == wanted).count();
    line(
        out,
        format_args!(
            "\nsince {} ({}): {} files added, {} removed, {} changed",
            difference.old.name,
            size(difference.old.bytes),
            count(Change::Added),
            count(Change::Removed),
            count(Change::Changed)
        ),
    );
    let mut rows: Vec<Vec<String>> = Vec::new();
    for package in &difference.packages {
        rows.push(vec![
            word(package.change).into(),
            package.name.clone(),
            format!("{} → {}", or_dash(&package.old_version), or_dash(&package.new_version)),
        ]);
    }
    let mut files: Vec<_> = difference.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.new_bytes.abs_diff(file.old_bytes)));
    for file in files.iter().take(CHANGES_SHOWN) {
        rows.push(vec![
            word(file.change).into(),
            file.path.clone(),
            format!("{} → {}", size(file.old_bytes), size(file.new_bytes)),
        ]);
    }
    table(out, &[Side::Left; 3], &rows);
    if files.len() > CHANGES_SHOWN {
        line(out, format_args!("  and {} more files", files.len() - CHANGES_SHOWN));
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn headings(report: &Report, before: &[&str], after: &[&str]) -> Vec<String> {
    let last = report.image.as_ref().map(|_| "in image");
    before.iter().chain(after).copied().chain(last).map(str::to_owned).collect()
}

fn sizes(report: &Report, amount: &Amount) -> Vec<String> {
    let stored = report.image.as_ref().map(|_| amount.stored.unwrap_or(0));
    std::iter::once(amount.bytes).chain(stored).map(size).collect()
}

/// For people: `12.3 MB`, `4.5 kB`, `17 B`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Columns as wide as they must be, two spaces apart.
fn table(out: &mut String, sides: &[Side], rows: &[Vec<String>]) {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(sides).zip(&widths).map(|((cell, side), width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        let cells: Vec<String> = cells.collect();
        line(out, format_args!("  {}", cells.join("  ").trim_end()));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
