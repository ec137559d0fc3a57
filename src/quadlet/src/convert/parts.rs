//! What several kinds have in common: keys that become an option each, ports, networks, health.

use super::Conversion;
use crate::argv::Argv;
use crate::problem::Problem;
use crate::words::Rule;

impl Conversion<'_> {
    /// The last value of each key.
    pub(super) fn strings(&self, argv: &mut Argv, keys: &[(&str, &str)]) {
        for (key, flag) in keys {
            self.filled(key).into_iter().for_each(|value| argv.option(flag, value));
        }
    }

    /// All values of each key.
    pub(super) fn all_strings(&self, argv: &mut Argv, keys: &[(&str, &str)]) {
        for (key, flag) in keys {
            for entry in self.file.all(self.section, key) {
                argv.option(flag, &entry.value);
            }
        }
    }

    /// Yes or no.
    pub(super) fn booleans(&self, argv: &mut Argv, keys: &[(&str, &str)]) {
        for (key, flag) in keys {
            self.boolean(key).into_iter().for_each(|value| argv.boolean(flag, value));
        }
    }

    /// All words of a key.
    pub(super) fn each_word(&self, argv: &mut Argv, key: &str, flag: &str, rule: Rule) -> Result<(), Problem> {
        for word in self.words(key, rule)? {
            argv.option(flag, word);
        }
        Ok(())
    }

    /// `NAME=VALUE` words, by name.
    pub(super) fn pairs(&self, argv: &mut Argv, key: &str, flag: &str) -> Result<(), Problem> {
        argv.pairs(flag, &self.file.pairs(self.section, key)?);
        Ok(())
    }

    /// What stands in `PodmanArgs=`.
    pub(super) fn podman_args(&self, argv: &mut Argv) -> Result<(), Problem> {
        argv.extend(self.words("PodmanArgs", Rule::Escapes)?);
        Ok(())
    }

    /// Where the messages go.
    pub(super) fn logging(&self, argv: &mut Argv) -> Result<(), Problem> {
        self.value("LogDriver").into_iter().for_each(|driver| argv.option("--log-driver", driver));
        self.each_word(argv, "LogOpt", "--log-opt", Rule::Plain)
    }

    /// Names or units that are networks.
    pub(super) fn networks(&mut self, argv: &mut Argv) -> Result<(), Problem> {
        for entry in self.file.all(self.section, "Network") {
            let value = entry.value.as_str();
            let (name, options) = value.split_once(':').map_or((value, None), |(name, rest)| (name, Some(rest)));
            let is_container = name.ends_with(".container");
            if !is_container && !name.ends_with(".network") {
                argv.option("--network", value);
                continue;
            }
            let error = |text: String| Problem::error(&entry.place, text);
            let known =
                self.names.get(name).ok_or_else(|| error(format!("requested Quadlet unit {name} was not found")))?;
            if known.resource.is_empty() {
                return Err(error(format!("cannot get the resource name of {name}")));
            }
            let (service, resource) = (known.service.clone(), known.resource.clone());
            self.needs(&service);
            let network = match (options, is_container) {
                (Some(_), true) => {
                    return Err(error(
                        "extra options are not supported when joining another container's network".into(),
                    ));
                }
                (Some(options), false) => format!("{resource}:{options}"),
                (None, true) => format!("container:{resource}"),
                (None, false) => resource,
            };
            argv.option("--network", network);
        }
        Ok(())
    }

    /// An image, or the unit that brings it.
    pub(super) fn image(&mut self, key: &str, image: &str) -> Result<String, Problem> {
        if !image.ends_with(".build") && !image.ends_with(".image") {
            return Ok(image.to_owned());
        }
        let missing = || self.error(key, format!("requested Quadlet image {image} was not found"));
        let known = self.names.get(image).ok_or_else(missing)?.clone();
        self.needs(&known.service);
        Ok(known.resource)
    }

    /// Health checks, which are run by the guest's own keeper.
    pub(super) fn health(&self, argv: &mut Argv) {
        self.strings(
            argv,
            &[
                ("HealthCmd", "--health-cmd"),
                ("HealthInterval", "--health-interval"),
                ("HealthOnFailure", "--health-on-failure"),
                ("HealthLogDestination", "--health-log-destination"),
                ("HealthMaxLogCount", "--health-max-log-count"),
                ("HealthMaxLogSize", "--health-max-log-size"),
                ("HealthRetries", "--health-retries"),
                ("HealthStartPeriod", "--health-start-period"),
                ("HealthTimeout", "--health-timeout"),
                ("HealthStartupCmd", "--health-startup-cmd"),
                ("HealthStartupInterval", "--health-startup-interval"),
                ("HealthStartupRetries", "--health-startup-retries"),
                ("HealthStartupSuccess", "--health-startup-success"),
                ("HealthStartupTimeout", "--health-startup-timeout"),
            ],
        );
    }

    /// A service that makes something once.
    pub(super) fn one_shot(&mut self, remain: bool) {
        if !self.file.has("Service", "Type") {
            self.out.set("Service", "Type", "oneshot");
        }
        if remain && !self.file.has("Service", "RemainAfterExit") {
            self.out.set("Service", "RemainAfterExit", "yes");
        }
    }

    /// `KillMode=` and `Type=` of what runs on, checked; true if it says itself when it is ready.
    pub(super) fn running(&mut self) -> Result<bool, Problem> {
        match self.file.last("Service", "KillMode") {
            Some(mode) if mode.value != "mixed" && mode.value != "control-group" => {
                return Err(Problem::error(&mode.place, format!("invalid KillMode '{}'", mode.value)));
            }
            Some(_) => {}
            None => self.out.set("Service", "KillMode", "mixed"),
        }
        self.out.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n");
        let kind = self.file.last("Service", "Type");
        match kind.map(|entry| entry.value.trim_end()) {
            Some("oneshot") => return Ok(false),
            None | Some("notify") => {}
            Some(other) => {
                let place = kind.map_or(self.file.place(), |entry| &entry.place);
                return Err(Problem::error(place, format!("invalid service Type '{other}'")));
            }
        }
        self.out.set("Service", "Type", "notify");
        self.out.set("Service", "NotifyAccess", "all");
        Ok(true)
    }
}
