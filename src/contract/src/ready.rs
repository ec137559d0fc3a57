//! The READY line: printed once on the consoles and kept in [`crate::paths::READY`] when the engine's API has answered.
//!
//! `READY <distro> <version> <seconds since kernel start> [key=value ...]`

/// Content of the READY line.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// Name of the distribution.
    pub distro: String,
    /// Its version.
    pub version: String,
    /// Kernel clock (CLOCK_BOOTTIME) in seconds.
    pub seconds: f64,
    /// Further `key=value` fields, e.g. `ip=10.0.2.15`.
    pub fields: Vec<(String, String)>,
}

impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "READY {} {} {:.2}", self.distro, self.version, self.seconds)?;
        for (key, value) in &self.fields {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

impl Ready {
    /// Reads a line; anything before `READY ` (a console prefix) is passed over.
    pub fn parse(line: &str) -> Option<Self> {
        let start = line.find("READY ")?;
        let mut words = line[start..].split_whitespace().skip(1);
        let distro = words.next()?.to_string();
        let version = words.next()?.to_string();
        let seconds = words.next()?.parse().ok()?;
        let fields =
            words.filter_map(|word| word.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Some(Self { distro, version, seconds, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::Ready;

    #[test]
    fn reads_what_it_prints() {
        let ready = Ready {
            distro: "boot2podman".into(),
            version: "1.0".into(),
            seconds: 12.5,
            fields: vec![("ip".into(), "10.0.2.15".into())],
        };
        assert_eq!(ready.to_string(), "READY boot2podman 1.0 12.50 ip=10.0.2.15");
        assert_eq!(Ready::parse(&format!("[    1.0] {ready}\r")), Some(ready));
        assert_eq!(Ready::parse("READY for what"), None);
    }
}
