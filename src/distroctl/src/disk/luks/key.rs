//! Keys, where they come from, and in which order they are tried.

use std::path::Path;

use anyhow::{Result, bail};

use super::program::Attempt;
use crate::file;

/// Longer ones are not read.
const MAX_BYTES: usize = 64 << 10;
/// What to do when the machine is up without it.
const LATER: &str = "hint: \"sudo distroctl disk unlock\" asks again";
/// How often consoles ask.
pub(super) const TRIES: usize = 3;

/// A key or passphrase. It cannot be printed, and is overwritten when it is dropped.
pub(super) struct Key(Vec<u8>);

impl Key {
    /// `None`: it is empty.
    ///
    /// # Errors
    /// If it is too long.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Option<Self>> {
        let key = Self(bytes);
        match key.0.len() {
            0 => Ok(None),
            1..=MAX_BYTES => Ok(Some(key)),
            length => bail!("the key has {length} bytes, at most {MAX_BYTES} are taken"),
        }
    }

    /// Of a file; `None` if there is none, or nothing in it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        Self::new(file::read_limited(path, MAX_BYTES as u64 + 1)?.unwrap_or_default())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What an editor or `echo` has ended with a line break that is no part of the passphrase.
    fn without_line_break(&self) -> Option<Self> {
        let rest = self.0.strip_suffix(b"\n")?;
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        (!rest.is_empty()).then(|| Self(rest.to_vec()))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.fill(0);
        // Or the compiler would leave it out.
        std::hint::black_box(&self.0);
    }
}

/// A key, and where it was found.
pub(super) struct Found {
    pub(super) place: String,
    pub(super) key: Key,
}

/// Where keys come from.
pub(super) trait Sources {
    /// What the hypervisor hands over.
    fn firmware(&mut self) -> Result<Option<Found>>;
    /// A volume that has not been tried yet; waits for slow ones.
    fn volume(&mut self) -> Result<Option<Found>>;
    /// Somebody who is asked, or who puts in a volume then; `None`: nobody has answered in time.
    fn somebody(&mut self, tries_left: usize) -> Result<Option<Found>>;
}

/// Tries one source after the other until the container is open; otherwise why it is not. `say` gets a sentence for each
/// key that does not fit.
pub(super) fn unlock(
    sources: &mut impl Sources,
    mut open: impl FnMut(&Key) -> Result<Attempt>,
    mut say: impl FnMut(&str),
) -> Result<()> {
    let mut fits = |found: &Found, say: &mut dyn FnMut(&str)| -> Result<bool> {
        let mut attempt = open(&found.key)?;
        if attempt == Attempt::WrongKey
            && let Some(key) = found.key.without_line_break()
        {
            attempt = open(&key)?;
        }
        match attempt {
            Attempt::Opened => return Ok(true),
            Attempt::WrongKey => say(&format!("{} does not open it", found.place)),
            Attempt::Hopeless(reason) => bail!(reason),
        }
        Ok(false)
    };
    let mut seen = false;
    for source in [Sources::firmware, Sources::volume] {
        match source(sources) {
            Ok(Some(found)) => {
                seen = true;
                if fits(&found, &mut say)? {
                    return Ok(());
                }
            }
            Ok(None) => {}
            Err(error) => say(&format!("{error:#}")),
        }
    }
    for tries_left in (1..=TRIES).rev() {
        let Some(found) = sources.somebody(tries_left)? else {
            bail!("{}\n{LATER}", if seen { "no other key was given" } else { "no key was given" });
        };
        seen = true;
        if fits(&found, &mut say)? {
            return Ok(());
        }
    }
    bail!("none of {TRIES} passphrases opens it\n{LATER}")
}

#[cfg(test)]
mod tests {
    use anyhow::{Result, bail};

    use super::{Attempt, Found, Key, LATER, MAX_BYTES, Sources, unlock};

    fn key(text: &str) -> Key {
        Key::new(text.into()).unwrap().unwrap()
    }

    /// Keys by source: `None` is not there, `Some("")` cannot be read.
    struct Fake {
        firmware: Option<&'static str>,
        volume: Option<&'static str>,
        somebody: Vec<&'static str>,
    }

    fn found(place: &str, text: Option<&str>) -> Result<Option<Found>> {
        match text {
            Some("") => bail!("reading {place}: error"),
            text => Ok(text.map(|text| Found { place: place.into(), key: key(text) })),
        }
    }

    impl Sources for Fake {
        fn firmware(&mut self) -> Result<Option<Found>> {
            found("fw_cfg", self.firmware)
        }

        fn volume(&mut self) -> Result<Option<Found>> {
            found("stick", self.volume)
        }

        fn somebody(&mut self, tries_left: usize) -> Result<Option<Found>> {
            let text = (!self.somebody.is_empty()).then(|| self.somebody.remove(0));
            found(&format!("passphrase {tries_left}"), text)
        }
    }

    /// What was tried, said, and came of it.
    fn run(mut sources: Fake) -> (Vec<String>, Vec<String>, Result<()>) {
        let (mut tried, mut said) = (Vec::new(), Vec::new());
        let open = |key: &Key| {
            let text = String::from_utf8_lossy(key.bytes()).into_owned();
            tried.push(text.clone());
            Ok(match text.as_str() {
                "good" => Attempt::Opened,
                "bad header" => Attempt::Hopeless("damaged".into()),
                _ => Attempt::WrongKey,
            })
        };
        let result = unlock(&mut sources, open, |text| said.push(text.into()));
        (tried, said, result)
    }

    #[test]
    fn the_order_is_firmware_volume_somebody() {
        let (tried, said, result) = run(Fake { firmware: Some("good"), volume: Some("x"), somebody: vec!["y"] });
        assert!(result.is_ok() && said.is_empty());
        assert_eq!(tried, ["good"]);
        let (tried, said, result) = run(Fake { firmware: Some("x\r\n"), volume: Some("good"), somebody: vec!["y"] });
        assert!(result.is_ok());
        assert_eq!(tried, ["x\r\n", "x", "good"]);
        assert_eq!(said, ["fw_cfg does not open it"]);
        let (tried, said, result) = run(Fake { firmware: Some(""), volume: None, somebody: vec!["x", "good\n"] });
        assert!(result.is_ok());
        assert_eq!(tried, ["x", "good\n", "good"]);
        assert_eq!(said, ["reading fw_cfg: error", "passphrase 3 does not open it"]);
    }

    #[test]
    fn it_ends() {
        let (tried, _, result) = run(Fake { firmware: None, volume: None, somebody: vec!["1", "2", "3", "good"] });
        assert_eq!(tried, ["1", "2", "3"]);
        assert_eq!(result.unwrap_err().to_string(), format!("none of 3 passphrases opens it\n{LATER}"));
        let (_, _, result) = run(Fake { firmware: None, volume: None, somebody: vec![] });
        assert_eq!(result.unwrap_err().to_string(), format!("no key was given\n{LATER}"));
        let (_, _, result) = run(Fake { firmware: Some("1"), volume: None, somebody: vec![] });
        assert_eq!(result.unwrap_err().to_string(), format!("no other key was given\n{LATER}"));
        let (tried, _, result) = run(Fake { firmware: Some("bad header"), volume: Some("good"), somebody: vec![] });
        assert_eq!((tried.len(), result.unwrap_err().to_string()), (1, "damaged".into()));
    }

    #[test]
    fn keys_have_limits() {
        assert!(Key::new(vec![]).unwrap().is_none());
        assert!(Key::new(vec![0; MAX_BYTES]).unwrap().is_some());
        assert!(Key::new(vec![0; MAX_BYTES + 1]).is_err());
        assert!(key("\n").without_line_break().is_none() && key("a").without_line_break().is_none());
        assert!(Key::read("/nonexistent".as_ref()).unwrap().is_none());
    }
}
