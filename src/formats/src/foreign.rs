//! Other people's programs that read what our writers made. The test set-up installs them (`cargo xtask test`).

use std::process::{Command, Stdio};

/// Runs a program; gives back stdout and stderr together, fails the test if the program fails.
pub(crate) fn run(program: &str, args: &[&str], stdin: Option<&std::path::Path>) -> String {
    let stdin = stdin.map_or(Stdio::null(), |path| std::fs::File::open(path).unwrap().into());
    let mut command = Command::new(program);
    command.args(args).stdin(stdin).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let output = command.output().unwrap_or_else(|error| panic!("running {program}: {error}; hint: install it"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
