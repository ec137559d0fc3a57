//! A plan as text, from the generator to the runner: `KEY VALUE` lines, line breaks and backslashes in values escaped.

use super::{Main, Plan};
use crate::convert::{Command, Step};

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, false) => out.push(character),
            _ => match characters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
        }
    }
    out
}

impl Plan {
    /// The text, without what stands in PID 1's table.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: &str| {
            out.push_str(key);
            out.push(' ');
            out.push_str(&escape(value));
            out.push('\n');
        };
        line("source", &self.source);
        match &self.main {
            Main::Once => line("main", "once"),
            Main::Command => line("main", "command"),
            Main::Children => line("main", "children"),
            Main::PidFile(path) => line("pid-file", path),
        }
        if self.says_ready {
            line("says-ready", "");
        }
        self.env.iter().for_each(|(name, value)| line("env", &format!("{name}={value}")));
        self.directory.iter().for_each(|path| line("directory", path));
        self.starts.iter().for_each(|name| line("starts", name));
        self.stops_with.iter().for_each(|name| line("stops-with", name));
        self.start_timeout_secs.iter().for_each(|secs| line("start-timeout-secs", &secs.to_string()));
        for command in &self.commands {
            line(if command.may_fail { "attempt" } else { "command" }, command.step.key());
            command.argv.iter().for_each(|argument| line("arg", argument));
        }
        out
    }

    /// Reads the text into the plan of a service.
    ///
    /// # Errors
    /// Names the line that is none.
    pub fn decode(service: contract::service::Service, text: &str) -> Result<Self, String> {
        let mut plan = Self {
            service,
            source: String::new(),
            main: Main::Once,
            says_ready: false,
            env: Vec::new(),
            directory: None,
            commands: Vec::new(),
            starts: Vec::new(),
            stops_with: Vec::new(),
            start_timeout_secs: None,
        };
        for (line, number) in text.split_terminator('\n').zip(1..) {
            let (key, value) = line.split_once(' ').ok_or_else(|| format!("line {number}: no value"))?;
            let value = unescape(value);
            let wrong = || format!("line {number}: {key}: {value:?}");
            match key {
                "source" => plan.source = value,
                "main" => {
                    plan.main = match value.as_str() {
                        "once" => Main::Once,
                        "command" => Main::Command,
                        "children" => Main::Children,
                        _ => return Err(wrong()),
                    }
                }
                "pid-file" => plan.main = Main::PidFile(value),
                "says-ready" => plan.says_ready = true,
                "env" => {
                    let (name, value) = value.split_once('=').ok_or_else(wrong)?;
                    plan.env.push((name.into(), value.into()));
                }
                "directory" => plan.directory = Some(value),
                "starts" => plan.starts.push(value),
                "stops-with" => plan.stops_with.push(value),
                "start-timeout-secs" => plan.start_timeout_secs = Some(value.parse().map_err(|_| wrong())?),
                "command" | "attempt" => {
                    let step = Step::ALL.into_iter().find(|step| step.key() == value).ok_or_else(wrong)?;
                    plan.commands.push(Command { step, may_fail: key == "attempt", argv: Vec::new() });
                }
                "arg" => match plan.commands.last_mut() {
                    Some(command) => command.argv.push(value),
                    None => return Err(wrong()),
                },
                _ => return Err(wrong()),
            }
        }
        Ok(plan)
    }
}
