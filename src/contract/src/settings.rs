//! What the guest's own programs need to know of distro.toml, as `key value` lines in [`crate::paths::SETTINGS`].

use crate::fields::{Malformed, lines, number, push};

/// The guest's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the distribution.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Host name if nothing else gives one.
    pub hostname: String,
    /// Name of the login user.
    pub user: String,
    /// Uid and gid of the login user.
    pub uid: u32,
    /// File-system label of the data disk.
    pub data_label: String,
    /// Limit of the overlay's upper layer, in percent of RAM.
    pub overlay_percent: u8,
    /// Seconds PID 1 waits for services at shutdown before it kills.
    pub stop_timeout_secs: u32,
    /// Size of the compressed swap in RAM (zram) in percent of RAM; 0: none.
    pub zram_percent: u16,
    /// Size of a swap file on the data disk; 0: none.
    pub swap_file_mib: u32,
    /// Where messages are sent, `udp://HOST[:PORT]` or `tcp://HOST[:PORT]`, separated by spaces; empty: nowhere.
    pub log_remote: String,
    /// Most that logs may take on the data disk; 0: none are kept there.
    pub log_disk_mib: u32,
    /// Terminals that the READY line and messages go to, without `/dev/`.
    pub consoles: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "mkdistro".into(),
            version: "0".into(),
            hostname: "box".into(),
            user: "core".into(),
            uid: 1000,
            data_label: crate::DEFAULT_DATA_LABEL.into(),
            overlay_percent: 50,
            stop_timeout_secs: 60,
            zram_percent: 100,
            swap_file_mib: 0,
            log_remote: String::new(),
            log_disk_mib: 32,
            consoles: vec!["ttyS0".into(), "tty1".into()],
        }
    }
}

impl Settings {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push(&mut out, "name", &self.name);
        push(&mut out, "version", &self.version);
        push(&mut out, "hostname", &self.hostname);
        push(&mut out, "user", &self.user);
        push(&mut out, "uid", self.uid);
        push(&mut out, "data-label", &self.data_label);
        push(&mut out, "overlay-percent", self.overlay_percent);
        push(&mut out, "stop-timeout-secs", self.stop_timeout_secs);
        push(&mut out, "zram-percent", self.zram_percent);
        push(&mut out, "swap-file-mib", self.swap_file_mib);
        push(&mut out, "log-remote", &self.log_remote);
        push(&mut out, "log-disk-mib", self.log_disk_mib);
        for console in &self.consoles {
            push(&mut out, "console", console);
        }
        out
    }

    /// Reads the text of the file; what it does not say keeps its default.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        let mut settings = Self { consoles: Vec::new(), ..Self::default() };
        settings.set_all(text)?;
        Ok(settings)
    }

    /// Takes over what the text of another file says, the lines before a malformed one too. Consoles are added.
    pub fn set_all(&mut self, text: &str) -> Result<(), Malformed> {
        let settings = self;
        for (line, key, value) in lines(text) {
            match key {
                "name" => settings.name = value.into(),
                "version" => settings.version = value.into(),
                "hostname" => settings.hostname = value.into(),
                "user" => settings.user = value.into(),
                "uid" => settings.uid = number(line, key, value)?,
                "data-label" => settings.data_label = value.into(),
                "overlay-percent" => settings.overlay_percent = number(line, key, value)?,
                "stop-timeout-secs" => settings.stop_timeout_secs = number(line, key, value)?,
                "zram-percent" => settings.zram_percent = number(line, key, value)?,
                "swap-file-mib" => settings.swap_file_mib = number(line, key, value)?,
                "log-remote" => settings.log_remote = value.into(),
                "log-disk-mib" => settings.log_disk_mib = number(line, key, value)?,
                "console" => settings.consoles.push(value.into()),
                _ => return Err(Malformed { line, reason: format!("unknown key {key:?}") }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn reads_what_it_writes() {
        let settings = Settings { name: "a b".into(), overlay_percent: 7, ..Settings::default() };
        assert_eq!(Settings::decode(&settings.encode()), Ok(settings));
    }

    #[test]
    fn what_is_provisioned_weighs_more() {
        let mut settings = Settings { log_remote: "udp://a".into(), ..Settings::default() };
        settings.set_all("log-remote tcp://b:601\nswap-file-mib 64\n").unwrap();
        assert_eq!((settings.log_remote.as_str(), settings.swap_file_mib, settings.uid), ("tcp://b:601", 64, 1000));
        settings.set_all("log-remote\n").unwrap();
        assert_eq!(settings.log_remote, "");
        assert_eq!(settings.set_all("uid 7\nx 1\n").unwrap_err().line, 2);
        assert_eq!(settings.uid, 7);
    }

    #[test]
    fn names_the_line() {
        let error = Settings::decode("# c\n\nuid many\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: uid: expected a number, found \"many\"");
        assert_eq!(Settings::decode("nonsense 1").unwrap_err().line, 1);
    }
}
