//! How long to wait before a process is started again.

/// Back-off: doubles with each early end, is forgotten when the process ran for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
    least_ms: u64,
    longest_ms: u64,
    steady_ms: u64,
}

/// Early ends in a row after which a service counts as given up by those that come `after` it.
pub(crate) const MANY_FAILURES: u32 = 5;

impl Backoff {
    /// For a service: 100 ms doubling to 30 s, forgotten after a minute; never less than what it says itself.
    pub(crate) fn service(least_ms: u64) -> Self {
        Self { failures: 0, least_ms, longest_ms: 30_000, steady_ms: 60_000 }
    }

    /// For a login shell, which ends whenever its user leaves: up to 5 s, forgotten after one second.
    pub(crate) fn terminal() -> Self {
        Self { failures: 0, least_ms: 0, longest_ms: 5_000, steady_ms: 1_000 }
    }

    /// The process ended after `ran_ms`: milliseconds to wait.
    pub(crate) fn ended(&mut self, ran_ms: u64) -> u64 {
        if ran_ms >= self.steady_ms {
            self.failures = 0;
        }
        let wait = 100u64.saturating_mul(1 << self.failures.min(16)).min(self.longest_ms).max(self.least_ms);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Another least wait.
    pub(crate) fn set_least(&mut self, least_ms: u64) {
        self.least_ms = least_ms;
    }

    /// Somebody has looked after it.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Early ends in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn doubles_is_capped_and_forgets() {
        assert_eq!([Backoff::service(1500).ended(0), Backoff::service(99_000).ended(0)], [1500, 99_000]);
        let mut backoff = Backoff::service(0);
        let waits: Vec<u64> = (0..11).map(|_| backoff.ended(10)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(backoff.ended(60_000), 100);
        assert_eq!(backoff.failures(), 1);
        for _ in 0..100 {
            backoff.ended(0);
        }
        assert_eq!(backoff.ended(0), 30000);
        let mut terminal = Backoff::terminal();
        assert_eq!([terminal.ended(0), terminal.ended(0), terminal.ended(1000)], [100, 200, 100]);
    }
}
