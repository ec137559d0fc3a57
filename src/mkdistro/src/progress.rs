//! How long work tells about itself: bars on a terminal, a line per step otherwise. The library only calls the trait; the
//! command line decides what is shown.

/// One piece of work with a size.
pub trait Task: Send + Sync {
    /// Sets how much is done, in the unit of its total.
    fn set(&self, done: u64);
    /// Ends it, with a short result text ("28.3 MB").
    fn finish(&self, result: &str);
}

/// Where work is shown.
pub trait Progress: Send + Sync {
    /// Begins a step; `total` is in bytes, 0 if unknown.
    fn start(&self, what: &str, total: u64) -> Box<dyn Task>;
    /// A result that belongs to no step.
    fn say(&self, message: &str);
    /// Something the user must know though nothing failed.
    fn warn(&self, message: &str);
    /// What only those want to see who asked for everything.
    fn detail(&self, _message: &str) {}
}

/// Shows nothing.
pub struct Silent;

struct NoTask;

impl Task for NoTask {
    fn set(&self, _done: u64) {}
    fn finish(&self, _result: &str) {}
}

impl Progress for Silent {
    fn start(&self, _what: &str, _total: u64) -> Box<dyn Task> {
        Box::new(NoTask)
    }
    fn say(&self, _message: &str) {}
    fn warn(&self, _message: &str) {}
}
