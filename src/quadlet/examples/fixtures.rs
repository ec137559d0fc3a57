//! Runs the fixtures of podman's own tests of Quadlet through the reader: `cargo run -p quadlet --example fixtures --
//! .../podman/test/e2e/quadlet`. They are in podman's source package (Apache-2.0), not here; `## assert-…` lines in them say
//! what the generator must write. As podman's tests do, each file is read alone with the units it names and its drop-ins.
//!
//! It ends with figures; what does not hold is shown before, unsupported keys too.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use quadlet::words::{Rule, join, split};
use quadlet::{Kind, Loaded, Manager, Severity, Source, Step, Unit, World, load};

/// What our messages say in other words than podman's, or not at all because nothing is generated into files here.
const OTHER_WORDS: &[&str] = &["assert-symlink", "assert-stderr-contains"];

/// podman's tests do not run it, and its assertions do not hold for what podman 5.4.2 itself writes.
const NOT_RUN: &[&str] = &["autoupdate.kube"];

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: fixtures FOLDER (test/e2e/quadlet of podman's source)");
        return ExitCode::from(2);
    };
    let sources = match read(Path::new(&folder), "") {
        Ok(sources) => sources,
        Err(error) => {
            eprintln!("reading {folder}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut figures = BTreeMap::<&str, usize>::new();
    let is_tested = |source: &&Source| Kind::of(&source.name).is_some() && !NOT_RUN.contains(&source.name.as_str());
    for source in sources.iter().filter(is_tested) {
        check(source, &sources, &mut figures);
    }
    for (what, count) in &figures {
        println!("{what}: {count}");
    }
    let wrong = figures.iter().any(|(what, count)| what.contains("NOT") && *count > 0);
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All files of a folder, with names relative to it.
fn read(folder: &Path, below: &str) -> std::io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            sources.extend(read(&entry.path(), &format!("{name}/"))?);
        } else {
            // The folder's name in the assertions.
            let path = format!("/tmp/podman-e2e-1/subtest-1/quadlet/{name}");
            sources.push(Source { path, name, text: std::fs::read_to_string(entry.path())? });
        }
    }
    Ok(sources)
}

fn check(source: &Source, all: &[Source], figures: &mut BTreeMap<&'static str, usize>) {
    let mut count = |what: &'static str| *figures.entry(what).or_default() += 1;
    count("files read");
    let world = World { manager: Manager::Systemd, exists: &|path| Path::new(path).exists() };
    // Those that two tests of podman's have under the same name, and those that are no part of a file's test.
    let is_wanted =
        |other: &&Source| other.name == source.name || other.name.contains(".d/") || !conflicts(other, source);
    let chosen: Vec<Source> = all.iter().filter(is_wanted).cloned().collect();
    let Loaded { units, problems } = load(&chosen, world);
    let own: Vec<_> = problems.iter().filter(|problem| *problem.place.file == *source.path).collect();
    for problem in own.iter().filter(|problem| problem.severity == Severity::Warning) {
        count("keys or sections named as unsupported");
        println!("{problem}");
    }
    let unit = units.iter().find(|unit| unit.file_name == source.name);
    let checks: Vec<Vec<String>> = source
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("##"))
        .filter_map(|line| split(line, Rule::Escapes).ok().or_else(|| split(line, Rule::Plain).ok()))
        .map(|words| words.iter().map(|word| word.replace("\\n", "\n").replace("\\t", "\t")).collect())
        .collect();
    let expected = checks.iter().any(|words| words.first().is_some_and(|word| word == "assert-failed"));
    match (unit, expected) {
        (None, true) => count("files refused as they should be"),
        (Some(_), false) => count("files converted"),
        (None, false) => {
            count("files NOT converted");
            own.iter().for_each(|problem| println!("{problem}"));
            return;
        }
        (Some(_), true) => {
            count("files NOT refused");
            println!("{}: should be refused", source.name);
        }
    }
    let Some(unit) = unit else { return };
    for words in &checks {
        let Some((name, arguments)) = words.split_first() else { continue };
        let (name, inverted) = name.strip_prefix('!').map_or((name.as_str(), false), |name| (name, true));
        if OTHER_WORDS.contains(&name) {
            count("assertions about messages and links of systemd, left out");
            continue;
        }
        match holds(unit, name, arguments) {
            Some(result) if result != inverted => count("assertions that hold"),
            Some(_) => {
                count("assertions that do NOT hold");
                println!("{}: {}", source.name, words.join(" "));
                for command in &unit.commands {
                    println!("    {}={}", command.step.key(), join(&command.argv));
                }
            }
            None => {
                count("assertions NOT understood");
                println!("{}: {}", source.name, words.join(" "));
            }
        }
    }
}

/// Whether another file changes what this one becomes although podman's test of it does not have it: containers of pods.
fn conflicts(other: &Source, source: &Source) -> bool {
    Kind::of(&source.name) == Some(Kind::Pod) && !source.name.starts_with("startwithpod") && other.text.contains("Pod=")
}

/// The values of a key, as podman's generator writes them.
fn values(unit: &Unit, section: &str, key: &str) -> Vec<String> {
    let mut values: Vec<String> = unit.file.all(section, key).iter().map(|entry| entry.value.clone()).collect();
    if section == "Service" {
        for command in unit.commands.iter().filter(|command| command.step.key() == key) {
            values.push(format!("{}{}", if command.may_fail { "-" } else { "" }, join(&command.argv)));
        }
    }
    values
}

fn holds(unit: &Unit, name: &str, arguments: &[String]) -> Option<bool> {
    if let Some(rest) = name.strip_prefix("assert-podman-") {
        let (step, rest) = [("pre-", Step::StartPre), ("stop-post-", Step::StopPost), ("stop-", Step::Stop)]
            .into_iter()
            .find_map(|(prefix, step)| Some((step, rest.strip_prefix(prefix)?)))
            .unwrap_or((Step::Start, rest));
        let command = unit.commands.iter().rev().find(|command| command.step == step)?;
        return podman(&command.argv, rest, arguments);
    }
    let [section, key, wanted @ ..] = arguments else { return None };
    let section = section.strip_prefix("X-").unwrap_or(section);
    let found = values(unit, section, key);
    let last = found.last().cloned().or_else(|| unit.file.value(section, key).map(str::to_owned));
    let same = |matches: &dyn Fn(&str, &str) -> bool| {
        found.len() == wanted.len() && wanted.iter().zip(&found).all(|(wanted, found)| matches(wanted, found))
    };
    Some(match name {
        "assert-key-is" => same(&|wanted, found| wanted == found),
        "assert-key-is-regex" => same(&matches),
        "assert-key-is-empty" => found.is_empty(),
        "assert-last-key-is-regex" => matches(wanted.first()?, &last?),
        "assert-key-contains" => last?.contains(wanted.first()?),
        "assert-key-not-contains" => !last.unwrap_or_default().contains(wanted.first()?),
        _ => return None,
    })
}

fn podman(argv: &[String], check: &str, arguments: &[String]) -> Option<bool> {
    let (check, argv, arguments) = match check.strip_prefix("global-") {
        Some(check) => {
            let (command, arguments) = arguments.split_first()?;
            let end = argv.iter().position(|argument| argument == command)?;
            (check, argv.get(..end)?, arguments)
        }
        None => (check, argv, arguments),
    };
    let equal = |wanted: &str, found: &str| wanted == found;
    let list = |part: &[String], test: &dyn Fn(&str, &str) -> bool| {
        part.len() == arguments.len() && arguments.iter().zip(part).all(|(wanted, found)| test(wanted, found))
    };
    let somewhere =
        |test: &dyn Fn(&str, &str) -> bool| argv.windows(arguments.len().max(1)).any(|part| list(part, test));
    let end = argv.len().checked_sub(arguments.len()).and_then(|at| argv.get(at..)).unwrap_or_default();
    Some(match check {
        "args" => somewhere(&equal),
        "args-regex" => somewhere(&matches),
        "final-args" => list(end, &equal),
        "final-args-regex" => list(end, &matches),
        "args-key-val" | "args-key-val-regex" => {
            let [flag, separator, wanted] = arguments else { return None };
            let pairs = |text: &str| -> BTreeMap<String, String> {
                let parts = text.split(separator.as_str()).map(|part| part.split_once('=').unwrap_or((part, "")));
                parts.map(|(key, value)| (key.into(), value.into())).collect()
            };
            let wanted = pairs(wanted);
            let test: &dyn Fn(&str, &str) -> bool = if check.ends_with("regex") { &matches } else { &equal };
            let fits = |found: BTreeMap<String, String>| {
                found.len() == wanted.len()
                    && wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| test(value, found)))
            };
            argv.windows(2)
                .any(|part| part.first() == Some(flag) && part.last().is_some_and(|value| fits(pairs(value))))
        }
        _ => return None,
    })
}

/// The few regular expressions that the fixtures use: `.`, `*`, `[…]`, `^`, `$`, `\`, and `|` at the outermost level.
fn matches(pattern: &str, text: &str) -> bool {
    pattern.split('|').any(|pattern| {
        let text: Vec<char> = text.chars().collect();
        let pattern: Vec<char> = pattern.chars().collect();
        match pattern.split_first() {
            Some(('^', rest)) => here(rest, &text),
            _ => (0..=text.len()).any(|at| here(&pattern, text.get(at..).unwrap_or_default())),
        }
    })
}

fn here(pattern: &[char], text: &[char]) -> bool {
    let (length, accepts): (usize, Box<dyn Fn(char) -> bool>) = match pattern {
        [] => return true,
        ['$'] => return text.is_empty(),
        ['\\', escaped, ..] => (2, Box::new(move |c| c == *escaped)),
        ['.', ..] => (1, Box::new(|_| true)),
        ['[', rest @ ..] => {
            let end = rest.iter().position(|c| *c == ']').unwrap_or(rest.len());
            let set: Vec<char> = rest.get(..end).unwrap_or_default().to_vec();
            (end + 2, Box::new(move |c| set.contains(&c)))
        }
        [literal, ..] => (1, Box::new(move |c| c == *literal)),
    };
    let rest = pattern.get(length..).unwrap_or_default();
    match rest.split_first() {
        Some(('*', rest)) => {
            let most = text.iter().take_while(|c| accepts(**c)).count();
            (0..=most).any(|count| here(rest, text.get(count..).unwrap_or_default()))
        }
        _ => text.split_first().is_some_and(|(first, after)| accepts(*first) && here(rest, after)),
    }
}
