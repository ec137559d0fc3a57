//! Other programs: run with input and a limit, command lines ready to paste, failures in words.

use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + number for a signal.
    pub status: i32,
    /// Its output, bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Its messages, likewise.
    pub stderr: String,
}

const POLL: Duration = Duration::from_millis(20);
const STDERR_TAIL_BYTES: usize = 4096;

/// A command line ready to paste into a shell.
pub fn paste(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// An exit status in words.
pub(crate) fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Runs a program that must succeed; the error has command line, status and the end of stderr.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    let output = capture(command, &[], limit, &|| Ok(()))?;
    if output.status != 0 {
        bail!("running {}: exit status {}\n{}", paste(command), output.status, tail(&output.stderr));
    }
    Ok(output)
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(STDERR_TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].trim_end()
}

/// Runs a program with `stdin`, at most for `limit`, as long as `check` finds nothing wrong. How it ends is no error.
///
/// # Errors
/// It cannot be started, takes too long, or the check's.
pub fn capture(command: &mut Command, stdin: &[u8], limit: Duration, check: &dyn Fn() -> Result<()>) -> Result<Output> {
    let context = || format!("running {}", paste(command));
    let what = context();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| what.clone())?;
    let (Some(mut input), Some(output), Some(messages)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        bail!("{what}: no pipes");
    };
    let end = Instant::now() + limit;
    std::thread::scope(|scope| {
        // A program need not read its input: an error of the writer is no news beside its exit status.
        scope.spawn(move || input.write_all(stdin));
        let stdout = scope.spawn(move || read_all(output));
        let stderr = scope.spawn(move || read_all(messages));
        let mut problem = None;
        let status = loop {
            if let Some(status) = child.try_wait().with_context(|| what.clone())? {
                break status;
            }
            if problem.is_none() {
                problem = check().err();
                if problem.is_none() && Instant::now() > end {
                    problem = Some(anyhow!("no end after {} s", limit.as_secs()));
                }
                if problem.is_some() {
                    let _ = child.kill();
                }
            }
            std::thread::sleep(POLL);
        };
        let text =
            |bytes: std::thread::Result<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).replace('\r', "");
        let (stdout, stderr) = (text(stdout.join()), text(stderr.join()));
        if let Some(problem) = problem {
            return Err(problem.context(format!("{what}\nstdout: {}\nstderr: {}", tail(&stdout), tail(&stderr))));
        }
        Ok(Output { status: code(status), stdout, stderr })
    })
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn quotes_what_a_shell_would_split() {
        assert_eq!(paste(Command::new("a").args(["-b=c,d", "e f", "it's", ""])), r"a -b=c,d 'e f' 'it'\''s' ''");
    }

    #[test]
    fn gives_input_and_takes_output() {
        let output = capture(Command::new("sh").args(["-c", "cat; echo e >&2; exit 3"]), b"in", LIMIT, &|| Ok(()));
        assert_eq!(output.unwrap(), Output { status: 3, stdout: "in".into(), stderr: "e\n".into() });
    }

    #[test]
    fn a_failure_says_all_of_it() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 4"]), LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "running sh -c 'echo why >&2; exit 4': exit status 4\nwhy");
        assert!(run(&mut Command::new("/no/such"), LIMIT).unwrap_err().to_string().contains("/no/such"));
    }

    #[test]
    fn a_limit_ends_it() {
        let begin = Instant::now();
        let error = capture(Command::new("sleep").arg("60"), b"", Duration::from_millis(50), &|| Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("no end after"), "{error:#}");
        assert!(begin.elapsed() < LIMIT);
        let stop = || bail!("the guest is gone");
        let error = capture(Command::new("sleep").arg("60"), b"", LIMIT, &stop).unwrap_err();
        assert!(format!("{error:#}").contains("the guest is gone"));
    }
}
