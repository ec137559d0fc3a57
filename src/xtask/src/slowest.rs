//! How long each test of a libtest run took: stable libtest tells only that a test has ended. It begins tests in the order
//! of their names, the next one when one ends, so the ends are enough.

use std::time::{Duration, Instant};

/// Tests that are shown.
const SHOWN: usize = 12;

/// Ends of tests since the first of their program began, in their order.
type Ends = Vec<(String, Duration)>;

/// The programs that `cargo test` has run.
#[derive(Debug, Default)]
pub(crate) struct Runs(Vec<(Instant, Ends)>);

impl Runs {
    /// Takes a line of libtest's output.
    pub(crate) fn line(&mut self, line: &str) {
        if line.starts_with("running ") {
            self.0.push((Instant::now(), Ends::new()));
        } else if let Some((name, _)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
            && let Some((begin, ends)) = self.0.last_mut()
        {
            ends.push((name.into(), begin.elapsed()));
        }
    }

    /// The longest tests, longest first, a line for each; so many ran at a time.
    pub(crate) fn slowest(&self, threads: usize) -> String {
        let mut tests: Vec<_> = self.0.iter().flat_map(|(_, ends)| durations(ends, threads)).collect();
        tests.sort_by(|one, other| other.cmp(one));
        tests.iter().take(SHOWN).map(|(took, name)| format!("{:>8.1} s  {name}\n", took.as_secs_f64())).collect()
    }
}

/// With so many at a time, the next one has begun when the one so many places before it in the order of ends ended.
fn durations(ends: &Ends, threads: usize) -> Vec<(Duration, String)> {
    let mut tests = ends.clone();
    tests.sort();
    let took = tests.into_iter().enumerate().map(|(index, (name, end))| {
        let begin =
            index.checked_sub(threads).and_then(|before| ends.get(before)).map_or(Duration::ZERO, |(_, end)| *end);
        (end.saturating_sub(begin), name)
    });
    took.collect()
}

#[cfg(test)]
mod tests {
    use super::{Runs, durations};
    use std::time::Duration;

    #[test]
    fn begins_follow_from_ends() {
        // Two at a time: a and b begin at 0, c at 2, d at 3.
        let ends = [("b", 2), ("c", 3), ("d", 4), ("a", 7)].map(|(name, at)| (name.into(), Duration::from_secs(at)));
        let took = durations(&ends.into(), 2).into_iter().map(|(took, name)| (took.as_secs(), name));
        let expected = [(7, "a"), (2, "b"), (1, "c"), (1, "d")].map(|(took, name)| (took, name.to_string()));
        assert!(took.eq(expected));
    }

    #[test]
    fn reads_libtest() {
        let mut runs = Runs::default();
        for line in [
            "running 1 test",
            "test lib ... ok",
            "running 2 tests",
            "test a::b ... FAILED",
            "test c ... ok",
            "test result: ok.",
        ] {
            runs.line(line);
        }
        let mut names: Vec<_> = runs.0.iter().flat_map(|(_, ends)| ends).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a::b", "c", "lib"]);
        assert_eq!(runs.slowest(2).lines().count(), 3);
    }
}
