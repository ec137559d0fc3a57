//! A small mutation fuzzer for readers of outside bytes, as ordinary tests of stable Rust: no coverage feedback, no
//! toolchain of its own, the same inputs on every machine.
//!
//! An input is a function of the seed and its number alone, so a finding is repeated by naming both. What counts as one:
//! a panic, more than [`TIME_LIMIT`] for an input, more memory at a time than the reader is allowed.
//!
//! Environment: `MKDISTRO_FUZZ_SECONDS` runs each reader so long instead of the number of inputs in the test,
//! `MKDISTRO_FUZZ_SEED` chooses other inputs, `MKDISTRO_FUZZ_AT` runs one input.

mod memory;
mod mutate;
mod random;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

pub use mutate::fix_tar;
pub use random::Random;

/// No input is longer.
const MAX_INPUT_BYTES: usize = 256 << 10;
/// For one input. Generous: machines that run tests are busy.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// A finding's input is shown up to here.
const SHOWN_BYTES: usize = 4 << 10;

/// One reader and what to feed it.
pub struct Fuzz {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    iterations: u64,
    memory_bytes: usize,
}

impl Fuzz {
    /// A reader, by the name of its test.
    pub fn new(name: &'static str) -> Self {
        Self { name, corpus: Vec::new(), tokens: Vec::new(), iterations: 3000, memory_bytes: 64 << 20 }
    }

    /// Adds an input that is right, from which wrong ones are made. At least one is needed.
    #[must_use]
    pub fn seed(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.corpus.push(input.into());
        self
    }

    /// Adds strings that mean something to the reader.
    #[must_use]
    pub fn tokens(mut self, tokens: &[&str]) -> Self {
        self.tokens.extend(tokens.iter().map(|token| token.as_bytes().to_vec()));
        self
    }

    /// How many inputs are tried when no time is given.
    #[must_use]
    pub fn iterations(mut self, count: u64) -> Self {
        self.iterations = count;
        self
    }

    /// What the reader may have allocated at a time.
    #[must_use]
    pub fn memory_mib(mut self, mib: usize) -> Self {
        self.memory_bytes = mib << 20;
        self
    }

    /// Feeds the reader; first the corpus as it is.
    ///
    /// # Panics
    /// At the first finding, with what repeats it.
    pub fn run(&self, read: impl Fn(&[u8])) {
        assert!(!self.corpus.is_empty(), "{}: no input to begin with", self.name);
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let seed = number("MKDISTRO_FUZZ_SEED").unwrap_or(1);
        let watch = watch::Watch::start(self.name, seed);
        if let Some(at) = number("MKDISTRO_FUZZ_AT") {
            return self.one(seed, at, &watch, &read);
        }
        let seconds = number("MKDISTRO_FUZZ_SECONDS").map(Duration::from_secs);
        let begin = Instant::now();
        let mut at = 0;
        while seconds.map_or(at < self.iterations, |limit| begin.elapsed() < limit) {
            self.one(seed, at, &watch, &read);
            at += 1;
        }
        println!("{}: {at} inputs in {:.1} s, seed {seed}", self.name, begin.elapsed().as_secs_f64());
    }

    fn one(&self, seed: u64, at: u64, watch: &watch::Watch, read: &impl Fn(&[u8])) {
        let input = match usize::try_from(at).ok().and_then(|at| self.corpus.get(at)) {
            Some(input) => input.clone(),
            None => mutate::input(&self.corpus, &self.tokens, seed, at),
        };
        watch.begin(at);
        let measured = memory::Measured::start(self.name, seed, at);
        let result = catch_unwind(AssertUnwindSafe(|| read(&input)));
        let peak = measured.peak_bytes();
        drop(measured);
        let took = watch.end();
        let problem = match &result {
            Err(_) => "it panics".to_owned(),
            Ok(()) if peak > self.memory_bytes => format!("{peak} bytes at a time, more than {}", self.memory_bytes),
            Ok(()) if took > TIME_LIMIT => format!("it takes {:.1} s", took.as_secs_f64()),
            Ok(()) => return,
        };
        let shown = &input[..input.len().min(SHOWN_BYTES)];
        eprintln!("{}: {problem}; repeat with {}", self.name, repeat(seed, at));
        eprintln!("the input, {} bytes: b\"{}\"", input.len(), shown.escape_ascii());
        match result {
            Err(payload) => resume_unwind(payload),
            Ok(()) => assert!(problem.is_empty(), "{}: {problem}", self.name),
        }
    }
}

/// The environment that repeats an input.
fn repeat(seed: u64, at: u64) -> String {
    format!("MKDISTRO_FUZZ_SEED={seed} MKDISTRO_FUZZ_AT={at}")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::Fuzz;

    #[test]
    fn the_same_inputs_every_time() {
        let inputs = || {
            let seen = RefCell::new(Vec::new());
            let fuzz = Fuzz::new("same").seed("abc").seed("12345 x").tokens(&["word"]).iterations(500);
            fuzz.run(|input| seen.borrow_mut().push(input.to_vec()));
            seen.into_inner()
        };
        let first = inputs();
        assert_eq!(first, inputs());
        assert_eq!((first.len(), &first[0][..], &first[1][..]), (500, &b"abc"[..], &b"12345 x"[..]));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(distinct.len() > 350, "{}", distinct.len());
        assert!(first.iter().any(|input| input.windows(4).any(|part| part == b"word")));
    }

    #[test]
    #[should_panic(expected = "a trap")]
    fn panics_are_found() {
        // Needs the length to say more than there is, which is what broken files do.
        Fuzz::new("trap").seed([4, 0, 0, 0, b'd', b'a', b't', b'a']).run(|input| {
            let Some((length, rest)) = input.split_first_chunk() else { return };
            if u32::from_le_bytes(*length) as usize > rest.len() + 1000 {
                panic!("a trap");
            }
        });
    }

    #[test]
    #[should_panic(expected = "bytes at a time, more than 1048576")]
    fn greed_is_found() {
        Fuzz::new("greed").seed("size 10").memory_mib(1).run(|input| {
            let digits: String = input.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
            let size: usize = digits.parse().unwrap_or(0);
            std::hint::black_box(Vec::<u8>::with_capacity(size.min(100 << 20)));
        });
    }
}
