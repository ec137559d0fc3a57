//! What follows from a checked project: derived values, the guest's settings and its service table.

use contract::paths::MODULES_SERVICE;
use contract::service::{Limits, Listen, Place, Readiness, Restart, Service};
use contract::settings::Settings;

use super::rules::{SIGNALS, d_characters};
use super::{Checked, Distro, ServiceEntry};

/// Name of the service that is the login shell on a terminal.
pub(super) fn console_service(tty: &str) -> String {
    format!("console-{tty}")
}

impl Distro {
    /// The ISO 9660 volume identifier: the one given, or the name with all that ECMA-119 does not allow as `_`.
    pub fn volume_id(&self) -> String {
        let given = &self.distro.volume_id;
        if given.is_empty() { d_characters(&self.distro.name) } else { given.clone() }
    }

    /// Home folder of the login user.
    pub fn home(&self) -> String {
        format!("/home/{}", self.user.name)
    }

    /// Terminals of the READY line: those with a login shell, then those of `console=` on the kernel's command line.
    fn consoles(&self) -> Vec<String> {
        let mut consoles = self.console.autologin.clone();
        for word in self.boot.command_line.split_whitespace() {
            let named = word.strip_prefix("console=").and_then(|value| value.split(',').next());
            if let Some(tty) = named.filter(|tty| tty.starts_with("tty") || tty.starts_with("hvc"))
                && !consoles.iter().any(|console| console == tty)
            {
                consoles.push(tty.into());
            }
        }
        consoles
    }
}

impl Checked {
    /// What the guest's programs need to know.
    pub fn settings(&self) -> Settings {
        let distro = &self.distro;
        Settings {
            name: distro.distro.name.clone(),
            version: distro.distro.version.clone(),
            hostname: distro.distro.hostname.clone(),
            user: distro.user.name.clone(),
            uid: distro.user.uid,
            data_label: distro.data.label.clone(),
            overlay_percent: distro.root.overlay_percent,
            zram_percent: distro.memory.zram_percent,
            swap_file_mib: distro.swap.file_mib,
            log_remote: distro.logs.remote.clone(),
            log_disk_mib: distro.logs.disk_mib,
            consoles: distro.consoles(),
            ..Settings::default()
        }
    }

    /// The service table: login shells in the order of distro.toml, then services by recipe and order in it. What a
    /// service names in `after` and the distribution does not have is left out.
    pub fn services(&self) -> Vec<Service> {
        let entries = || self.recipes.values().flat_map(|recipe| &recipe.services);
        let consoles = self.distro.console.autologin.iter().map(|tty| self.login_shell(tty));
        let mut services: Vec<Service> = consoles.chain(entries().map(|entry| self.service(entry))).collect();
        let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
        for service in &mut services {
            service.after.retain(|name| names.contains(name) || name == MODULES_SERVICE);
        }
        services
    }

    /// Replaces `${user}`, `${uid}`, `${hostname}`, `${name}` and `${version}`. Other `${...}` stay: a shell's variables.
    pub fn expand(&self, text: &str) -> String {
        let distro = &self.distro;
        let uid = distro.user.uid.to_string();
        let known = [
            ("user", distro.user.name.as_str()),
            ("uid", &uid),
            ("hostname", &distro.distro.hostname),
            ("name", &distro.distro.name),
            ("version", &distro.distro.version),
        ];
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            let found = known.iter().find_map(|(name, value)| {
                rest[2..].strip_prefix(name).and_then(|rest| rest.strip_prefix('}')).map(|rest| (*value, rest))
            });
            let (value, after) = found.unwrap_or(("${", &rest[2..]));
            out.push_str(value);
            rest = after;
        }
        out + rest
    }

    fn login_shell(&self, tty: &str) -> Service {
        // Virtual terminals are named by their number alone; all others are lines to a terminal of unknown make.
        let number = tty.strip_prefix("tty").unwrap_or("");
        let is_screen = number.starts_with(|c: char| c.is_ascii_digit());
        let term = if is_screen { "linux" } else { "vt220" };
        Service {
            env: vec![("TERM".into(), term.into())],
            uid: self.distro.user.uid,
            home: self.distro.home(),
            tty: Some(tty.into()),
            // In a container the terminals are the host's.
            place: Some(Place::Machine),
            ..Service::new(console_service(tty), self.console_command(is_screen))
        }
    }

    /// The status screen, which opens a login shell when Enter is pressed; a line to elsewhere gets the status once and then
    /// the shell. A distribution without our programs has only the shell.
    fn console_command(&self, is_screen: bool) -> Vec<String> {
        let command: &[&str] = match (self.recipes.contains_key("distroctl"), is_screen) {
            (true, true) => &["/usr/bin/distroctl", "console"],
            (true, false) => &["/usr/bin/distroctl", "console", "--once"],
            (false, _) => &["/bin/sh", "-l"],
        };
        command.iter().map(ToString::to_string).collect()
    }

    fn service(&self, entry: &ServiceEntry) -> Service {
        let defaults = Service::new(&entry.name, entry.command.clone());
        let signal = SIGNALS.iter().find(|(name, _)| *name == entry.stop_signal);
        Service {
            env: entry.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            uid: if entry.user { self.distro.user.uid } else { 0 },
            home: if entry.user { self.distro.home() } else { defaults.home.clone() },
            needs: entry.needs.clone(),
            after: entry.after.clone(),
            ready: readiness(&entry.ready),
            listen: entry.listen.as_ref().map(|path| Listen {
                path: path.clone(),
                // Checked by `rules::MODE`.
                mode: u16::from_str_radix(&entry.listen_mode, 8).unwrap_or(0o600),
                gid: if entry.listen_user { self.distro.user.uid } else { 0 },
            }),
            place: entry.place.as_deref().and_then(Place::from_word),
            restart: Restart::from_word(&entry.restart).unwrap_or_default(),
            limits: Limits {
                nofile: entry.limits.nofile,
                memory_mib: entry.limits.memory_mib,
                pids: entry.limits.pids,
                cpu_percent: entry.limits.cpu_percent,
            },
            stop_command: entry.stop_command.clone(),
            stop_signal: signal.map_or(defaults.stop_signal, |(_, number)| *number),
            stop_timeout_secs: entry.stop_timeout,
            required: entry.required,
            ..defaults
        }
    }
}

/// The words were checked by [`super::rules::READY`].
fn readiness(words: &str) -> Readiness {
    match words.split_once(' ') {
        Some(("socket", path)) => Readiness::Socket(path.into()),
        Some(("file", path)) => Readiness::File(path.into()),
        _ if words == "exit" => Readiness::Exit,
        _ if words == "notify" => Readiness::Notify,
        _ => Readiness::Started,
    }
}
