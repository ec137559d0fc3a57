//! A client of QEMU's machine protocol: one JSON object a line over a Unix socket.
//!
//! Reference: QEMU `docs/interop/qmp-spec.rst`. The server greets, the client answers with `qmp_capabilities`; events may
//! come between a command and its answer and are passed over here.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to a machine's QMP server.
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes a fresh connection, reads the greeting and enters command mode.
    pub fn new(stream: UnixStream, limit: Duration) -> Result<Self> {
        stream.set_read_timeout(Some(limit)).context("setting the limit of QMP answers")?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.read()?;
        if greeting.get("QMP").is_none() {
            bail!("QMP: expected a greeting, found {greeting}");
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command; the value is its `return`.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        writeln!(self.stream.get_mut(), "{request}").with_context(|| format!("sending {request} over QMP"))?;
        loop {
            let mut answer = self.read().with_context(|| format!("waiting for QMP's answer to {command}"))?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QMP {request}: {}", error["desc"].as_str().unwrap_or("no description"));
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).context("reading from QMP")?;
        if length == 0 {
            bail!("QMP: the connection is closed");
        }
        serde_json::from_str(&line).with_context(|| format!("reading QMP's {line:?}"))
    }

    /// Presses the power button.
    pub fn system_powerdown(&mut self) -> Result<()> {
        self.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Presses the reset button.
    pub fn system_reset(&mut self) -> Result<()> {
        self.execute("system_reset", &json!({})).map(drop)
    }

    /// Ends QEMU.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", &json!({})).map(drop)
    }

    /// `running`, `paused`, `shutdown`, …
    pub fn status(&mut self) -> Result<String> {
        let value = self.execute("query-status", &json!({}))?;
        value["status"].as_str().map(str::to_string).with_context(|| format!("QMP query-status: no status in {value}"))
    }

    /// Writes the screen as a PPM image.
    pub fn screendump(&mut self, path: &Path) -> Result<()> {
        self.execute("screendump", &json!({"filename": path})).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::Qmp;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A server that answers each line it reads with the next of `answers`.
    fn server(greeting: &'static str, answers: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            writeln!(theirs.get_mut(), "{greeting}").unwrap();
            for answer in answers {
                let mut line = String::new();
                theirs.read_line(&mut line).unwrap();
                assert!(line.starts_with('{'), "{line}");
                writeln!(theirs.get_mut(), "{answer}").unwrap();
            }
        });
        ours
    }

    const LIMIT: Duration = Duration::from_secs(20);
    const GREETING: &str = r#"{"QMP": {}}"#;

    #[test]
    fn passes_over_events_and_reports_errors() {
        let answers = &[
            r#"{"return": {}}"#,
            "{\"event\": \"RESET\"}\n{\"return\": {\"status\": \"running\"}}",
            r#"{"error": {"desc": "no such thing"}}"#,
        ];
        let mut qmp = Qmp::new(server(GREETING, answers), LIMIT).unwrap();
        assert_eq!(qmp.status().unwrap(), "running");
        assert!(qmp.quit().unwrap_err().to_string().ends_with("no such thing"));
        assert!(format!("{:#}", qmp.quit().unwrap_err()).contains("QMP"));
    }

    #[test]
    fn refuses_another_protocol() {
        assert!(Qmp::new(server("{}", &[]), LIMIT).is_err());
        assert!(Qmp::new(server("SSH-2.0", &[]), LIMIT).is_err());
    }
}
