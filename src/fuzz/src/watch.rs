//! A reader that does not end: nothing can stop its thread, so another one ends the process and says why.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::TIME_LIMIT;

pub(crate) struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    at: AtomicU64,
    begun: Mutex<Option<Instant>>,
    over: AtomicBool,
}

impl Shared {
    fn begun(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(crate) fn start(name: &'static str, seed: u64) -> Self {
        let shared = Arc::new(Shared { at: AtomicU64::new(0), begun: Mutex::new(None), over: AtomicBool::new(false) });
        let watched = Arc::clone(&shared);
        std::thread::spawn(move || {
            while !watched.over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                // Twice the limit: one that ends late is reported with its input.
                if watched.begun().is_some_and(|begun| begun.elapsed() > TIME_LIMIT * 2) {
                    let at = watched.at.load(Ordering::Relaxed);
                    eprintln!("{name}: does not end; repeat with {}", crate::repeat(seed, at));
                    std::process::abort();
                }
            }
        });
        Self { shared }
    }

    pub(crate) fn begin(&self, at: u64) {
        self.shared.at.store(at, Ordering::Relaxed);
        *self.shared.begun() = Some(Instant::now());
    }

    /// How long it took.
    pub(crate) fn end(&self) -> Duration {
        self.shared.begun().take().map_or(Duration::ZERO, |begun| begun.elapsed())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}
