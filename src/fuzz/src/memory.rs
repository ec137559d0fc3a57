//! How much a reader allocates: an allocator that counts, for each thread on its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

/// A single request of this size while a reader runs is refused, which ends the process: the machine shall not swap.
const MAX_REQUEST_BYTES: usize = 1 << 30;

thread_local! {
    static CURRENT: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Seed and number of the input that is read.
    static READING: Cell<Option<(&'static str, u64, u64)>> = const { Cell::new(None) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A thread's cells are gone at its end; what it frees then does not matter.
fn count(bytes: isize) {
    let _ = CURRENT.try_with(|current| {
        let now = current.get() + bytes;
        current.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

fn is_refused(bytes: usize) -> bool {
    if bytes < MAX_REQUEST_BYTES {
        return false;
    }
    let reading = READING.try_with(|reading| reading.take()).ok().flatten();
    if let Some((name, seed, at)) = reading {
        // Writing numbers to stderr allocates nothing.
        let _ = writeln!(
            std::io::stderr(),
            "{name}: asks for {bytes} bytes at once; repeat with MKDISTRO_FUZZ_SEED={seed} MKDISTRO_FUZZ_AT={at}"
        );
    }
    reading.is_some()
}

// SAFETY: everything is left to the system's allocator; a null pointer is a refusal.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused(size) {
            return std::ptr::null_mut();
        }
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Counts what this thread allocates from now on.
pub(crate) struct Measured {
    before: isize,
}

impl Measured {
    pub(crate) fn start(name: &'static str, seed: u64, at: u64) -> Self {
        let before = CURRENT.get();
        PEAK.set(before);
        READING.set(Some((name, seed, at)));
        Self { before }
    }

    /// The most that was allocated at a time.
    pub(crate) fn peak_bytes(&self) -> usize {
        usize::try_from(PEAK.get() - self.before).unwrap_or(0)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        READING.set(None);
    }
}
