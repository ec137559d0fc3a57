//! Counts results: libtest's output line by line, and checks that pass or fail as a whole.

use std::time::Duration;

/// What has been counted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    failures: Vec<String>,
    phases: Vec<(String, Duration)>,
}

impl Tally {
    /// Counts a check as one test.
    pub(crate) fn check(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(name.into());
        }
    }

    /// Takes a line of libtest's output.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let count = |name: &str| -> u64 {
                let part = rest.split([';', '.']).map(str::trim).find_map(|part| part.strip_suffix(name));
                part.and_then(|part| part.trim().parse().ok()).unwrap_or(0)
            };
            self.passed += count("passed");
            self.failed += count("failed");
            self.skipped += count("ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.into());
        }
    }

    /// Notes how long a phase took.
    pub(crate) fn phase(&mut self, name: &str, duration: Duration) {
        println!("-- {name}: {:.1} s", duration.as_secs_f64());
        self.phases.push((name.into(), duration));
    }

    /// The end of the output; its last line is `N passed, N failed, N skipped`.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        for (name, duration) in &self.phases {
            text.push_str(&format!("{:>8.1} s  {name}\n", duration.as_secs_f64()));
        }
        for failure in &self.failures {
            text.push_str(&format!("failed: {failure}\n"));
        }
        text + &format!("{} passed, {} failed, {} skipped\n", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use std::time::Duration;

    #[test]
    fn sums_libtest_and_checks() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
        ] {
            tally.line(line);
        }
        tally.check("format", true);
        tally.check("lints", false);
        tally.phase("unit", Duration::from_millis(1540));
        assert_eq!(tally.summary(), "     1.5 s  unit\nfailed: a::c\nfailed: lints\n14 passed, 2 failed, 1 skipped\n");
    }
}
