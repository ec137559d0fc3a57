//! Mirrors: each is asked for the beginning of an `InRelease`, the first thing that `lock` wants.

use std::io::Read;
use std::time::Instant;

use anyhow::Result;

use super::{BUILD, Finding, Known, State, Subject};
use crate::archive::http::{Client, OpenError};
use crate::archive::mirrors::{Mirror, Mirrors};

/// How a signed text begins (RFC 9580, section 7).
const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";

/// A mirror and the suites' kind it is for.
struct Question<'a> {
    mirror: &'a Mirror,
    suite: &'a str,
}

pub(super) fn check(subject: &Subject, known: &Known, missing: Option<u64>) -> Result<Vec<Finding>> {
    let mut sources = known.sources.clone();
    for list in [&mut sources.mirrors, &mut sources.security_mirrors] {
        list.splice(0..0, subject.mirrors.iter().cloned());
    }
    let mirrors = Mirrors::of_system(&sources)?;
    // What is in the cache needs no mirror.
    let for_build = missing != Some(0);
    let mut findings = Vec::new();
    for is_security in [false, true] {
        let is_kind = |suite: &&String| suite.ends_with("-security") == is_security;
        let Some(suite) = sources.suites.iter().find(is_kind) else { continue };
        let list = if is_security { &mirrors.security } else { &mirrors.plain };
        findings.extend(group(suite, list, subject.offline, for_build));
    }
    Ok(findings)
}

/// The mirrors of one kind: one that works is enough.
fn group(suite: &str, mirrors: &[Mirror], offline: bool, for_build: bool) -> Vec<Finding> {
    if mirrors.is_empty() {
        let needed_by = if for_build && !offline { BUILD } else { "lock" };
        let fix = "name one with --mirror, or in [sources] of distro.toml";
        let found = "apt's configuration of this machine names none of Debian's";
        return vec![Finding::bad(format!("mirror of {suite}"), needed_by, State::Missing, found, fix)];
    }
    if offline {
        let skipped =
            |mirror: &Mirror| Finding { state: State::Skipped, ..Finding::ok(&mirror.base, "lock", "not asked") };
        return mirrors.iter().map(skipped).collect();
    }
    let client = &Client::default();
    let answers: Vec<(&Mirror, Result<String, String>)> = std::thread::scope(|scope| {
        let ask = |mirror| scope.spawn(move || ask(client, &Question { mirror, suite }));
        let threads: Vec<_> = mirrors.iter().map(|mirror| (mirror, ask(mirror))).collect();
        let join = |(mirror, thread): (_, std::thread::ScopedJoinHandle<'_, _>)| {
            (mirror, thread.join().unwrap_or_else(|_| Err("asking it failed".into())))
        };
        threads.into_iter().map(join).collect()
    });
    let works = answers.iter().any(|(_, answer)| answer.is_ok());
    let needed_by = if for_build && !works { BUILD } else { "lock" };
    let finding = |(mirror, answer): (&Mirror, Result<String, String>)| match answer {
        Ok(found) => Finding::ok(&mirror.base, needed_by, found),
        Err(found) => {
            let fix = if works {
                "another mirror works; this one costs time"
            } else {
                "check network and proxy settings, or name another with --mirror"
            };
            Finding::bad(&mirror.base, needed_by, State::Broken, found, fix)
        }
    };
    answers.into_iter().map(finding).collect()
}

/// What it said and how long it took, or why it is of no use.
fn ask(client: &Client, question: &Question<'_>) -> Result<String, String> {
    let Question { mirror, suite } = question;
    let begun = Instant::now();
    let through = mirror.proxy.as_ref().map_or(String::new(), |_| " through a proxy".to_owned());
    let took = || format!("{:.2} s{through}", begun.elapsed().as_secs_f64());
    let body = client.open(mirror, &format!("dists/{suite}/InRelease"), 0).map_err(|error| match error {
        OpenError::Missing(reason) => format!("it does not have {suite}: {reason}, {}", took()),
        OpenError::Transient(reason) | OpenError::Fatal(reason) => format!("{reason}, {}", took()),
    })?;
    let mut begin = Vec::new();
    let read = body.reader.take(BEGIN.len() as u64).read_to_end(&mut begin);
    read.map_err(|error| format!("{error}, {}", took()))?;
    if begin != BEGIN {
        return Err(format!("what it sends as InRelease of {suite} is none (a login page?), {}", took()));
    }
    Ok(format!("{suite}, {}", took()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::{Files, Server};

    fn mirror(base: &str) -> Mirror {
        Mirror { base: base.to_owned(), proxy: None }
    }

    #[test]
    fn one_that_works_is_enough() {
        let release = |text: &[u8]| Files::from([("dists/trixie/InRelease".to_owned(), text.to_vec())]);
        let good = Server::start(release(&[BEGIN, b"\nHash: SHA256\n"].concat()));
        let portal = Server::start(release(b"<html>Please log in</html> and more and more"));
        let without = Server::start(Files::new());
        let dead = "http://127.0.0.1:9";
        let bases = [&good.url, &portal.url, &without.url, dead];
        let mirrors: Vec<Mirror> = bases.iter().map(|base| mirror(base)).collect();
        let findings = group("trixie", &mirrors, false, true);
        let states: Vec<(&str, State)> = findings.iter().map(|finding| (finding.needed_by, finding.state)).collect();
        let broken = ("lock", State::Broken);
        assert_eq!(states, [("lock", State::Ok), broken, broken, broken]);
        for (finding, text) in
            findings.iter().zip(["trixie, ", "a login page?", "does not have trixie: HTTP status 404", ""])
        {
            assert!(finding.found.contains(text), "{finding:?}");
        }
        // Without it a build that has to fetch cannot work; one that has everything can.
        for (for_build, expected) in [(true, BUILD), (false, "lock")] {
            let findings = group("trixie", &mirrors[1..], false, for_build);
            assert!(findings.iter().all(|finding| finding.needed_by == expected), "{findings:?}");
        }
        let findings = group("trixie", &mirrors, true, true);
        assert!(findings.iter().all(|finding| finding.state == State::Skipped));
        assert!(group("trixie", &[], false, true)[0].prevents_build());
        assert_eq!(good.requests("dists/trixie/InRelease").len(), 1);
    }
}
