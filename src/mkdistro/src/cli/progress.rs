//! Progress on stderr: bars on a terminal, one line for each finished step otherwise.
//!
//! `fetching packages: 57 files, 186.2 MB, 4.1 s`

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::progress::{Progress, Task};

const BAR: &str = "{msg:30!} [{bar:30}] {decimal_bytes:>9} of {decimal_total_bytes} {eta:>4}";
const SPINNER: &str = "{msg:30!} {spinner} {elapsed}";
const TICK: Duration = Duration::from_millis(120);

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Steps too.
    #[default]
    Normal,
    /// A line at the start of each step too.
    Verbose,
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences.
    Plain,
    /// ANSI colours (ECMA-48 SGR).
    Colours,
}

impl Style {
    /// SGR parameters of errors.
    pub const RED: &str = "1;31";
    /// Of warnings.
    pub const YELLOW: &str = "1;33";
    /// Of hints.
    pub const CYAN: &str = "1;36";

    /// A word in a colour, if colours are wanted.
    pub fn paint(self, colour: &str, word: &str) -> String {
        match self {
            Self::Plain => word.into(),
            Self::Colours => format!("\u{1b}[{colour}m{word}\u{1b}[0m"),
        }
    }
}

/// The style of stderr: colours on a terminal unless `NO_COLOR` is set and not empty (no-color.org).
pub fn stderr_style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_capable() && !refused { Style::Colours } else { Style::Plain }
}

/// Whether stderr is a terminal that can move its cursor.
fn is_capable() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows progress on stderr.
pub struct Reporter {
    output: Arc<Output>,
    verbosity: Verbosity,
    style: Style,
}

/// Where lines go, around the bars if there are any.
struct Output {
    bars: Option<MultiProgress>,
    writer: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    fn line(&self, line: &str) {
        let write = || {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody reads it if it fails.
            let _ = writeln!(writer, "{line}").and_then(|()| writer.flush());
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Reporter {
    /// Progress on stderr: with bars if it is a terminal.
    pub fn stderr(verbosity: Verbosity) -> Self {
        let bars = (is_capable() && verbosity > Verbosity::Quiet).then(MultiProgress::new);
        Self::new(verbosity, stderr_style(), bars, Box::new(std::io::stderr()))
    }

    fn new(verbosity: Verbosity, style: Style, bars: Option<MultiProgress>, writer: Box<dyn Write + Send>) -> Self {
        Self { output: Arc::new(Output { bars, writer: Mutex::new(writer) }), verbosity, style }
    }
}

impl Progress for Reporter {
    fn start(&self, what: &str, total: u64) -> Box<dyn Task> {
        if self.verbosity == Verbosity::Quiet {
            return crate::progress::Silent.start(what, total);
        }
        if self.verbosity == Verbosity::Verbose {
            self.output.line(&format!("{what} ..."));
        }
        let bar = self.output.bars.as_ref().map(|bars| bars.add(bar(what, total)));
        Box::new(Step { what: what.into(), started: Instant::now(), output: Arc::clone(&self.output), bar })
    }

    fn say(&self, message: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.output.line(message);
        }
    }

    fn warn(&self, message: &str) {
        self.output.line(&format!("{} {message}", self.style.paint(Style::YELLOW, "warning:")));
    }

    fn detail(&self, message: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.output.line(message);
        }
    }
}

fn bar(what: &str, total: u64) -> ProgressBar {
    let (bar, template) = match total {
        0 => (ProgressBar::new_spinner(), SPINNER),
        _ => (ProgressBar::new(total), BAR),
    };
    let style = ProgressStyle::with_template(template).expect("the templates are constant and tested");
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_string());
    bar.enable_steady_tick(TICK);
    bar
}

/// A step that runs.
struct Step {
    what: String,
    started: Instant,
    output: Arc<Output>,
    bar: Option<ProgressBar>,
}

impl Task for Step {
    fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn finish(&self, result: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.output.line(&line(&self.what, result, self.started.elapsed()));
    }
}

impl Drop for Step {
    /// A step that failed leaves no bar behind.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(what: &str, result: &str, took: Duration) -> String {
    let separator = if result.is_empty() { "" } else { ", " };
    format!("{what}: {result}{separator}{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use indicatif::{MultiProgress, ProgressDrawTarget};

    use super::{Reporter, Style, Verbosity, line};
    use crate::progress::Progress;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a build-like run writes; the time of a step is left out.
    fn shown(verbosity: Verbosity, bars: bool) -> Vec<String> {
        let out = Shared::default();
        let bars = bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        let reporter = Reporter::new(verbosity, Style::Plain, bars, Box::new(out.clone()));
        let task = reporter.start("fetching packages", 1000);
        task.set(500);
        reporter.warn("the lock is old");
        let unknown = reporter.start("reading", 0);
        unknown.set(5);
        drop(unknown);
        task.finish("57 files, 186.2 MB");
        reporter.say("done: 51.3 MB");
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split(", 0.").next().unwrap().to_string()).collect()
    }

    #[test]
    fn one_line_for_a_finished_step() {
        let (warning, fetched) = ("warning: the lock is old", "fetching packages: 57 files, 186.2 MB");
        let done = "done: 51.3 MB";
        for bars in [false, true] {
            assert_eq!(shown(Verbosity::Normal, bars), [warning, fetched, done]);
            assert_eq!(shown(Verbosity::Quiet, bars), [warning]);
            let all = ["fetching packages ...", warning, "reading ...", fetched, done];
            assert_eq!(shown(Verbosity::Verbose, bars), all);
        }
    }

    #[test]
    fn lines_tell_the_time() {
        let took = Duration::from_millis(4100);
        assert_eq!(
            line("fetching packages", "57 files, 186.2 MB", took),
            "fetching packages: 57 files, 186.2 MB, 4.1 s"
        );
        assert_eq!(line("checking", "", took), "checking: 4.1 s");
    }
}
