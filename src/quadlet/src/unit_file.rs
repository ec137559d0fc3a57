//! The syntax of unit files: systemd.syntax(7), read as podman's own reader does where the two differ (a backslash at the end
//! of a line joins it to the next one without a space between).

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::problem::{Place, Problem};
use crate::words::{self, Rule};

/// A longer file is none.
pub const FILE_MAX: usize = 256 << 10;

/// One `Key=value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of the section that it stands in.
    pub group: Rc<str>,
    /// Key.
    pub key: String,
    /// Value as it stands there, continuation lines joined.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

/// A unit file: its entries in their order, those of drop-ins behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    entries: Vec<Entry>,
    place: Place,
}

impl UnitFile {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// The first line that is no section, entry or comment.
    pub fn parse(path: &str, text: &str) -> Result<Self, Problem> {
        let place = Place::file(path);
        if text.len() > FILE_MAX {
            return Err(Problem::error(&place, format!("is longer than {FILE_MAX} bytes")));
        }
        let mut file = Self { entries: Vec::new(), place: place.clone() };
        let mut group: Option<Rc<str>> = None;
        let mut pending: Option<(usize, String)> = None;
        let mut lines = text.lines().zip(1..).peekable();
        while let Some((line, number)) = lines.next() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let (first, mut whole) = pending.take().unwrap_or((number, String::new()));
            if let Some(part) = line.strip_suffix('\\') {
                whole.push_str(part);
                if lines.peek().is_some() {
                    pending = Some((first, whole));
                    continue;
                }
            } else {
                whole.push_str(line);
            }
            let place = Place { file: place.file.clone(), line: first };
            file.line(&whole, &mut group, place)?;
        }
        // Only comments followed: the entry is there all the same.
        if let Some((first, whole)) = pending {
            file.line(&whole, &mut group, Place { line: first, ..place })?;
        }
        Ok(file)
    }

    fn line(&mut self, line: &str, group: &mut Option<Rc<str>>, place: Place) -> Result<(), Problem> {
        let wrong = |text: &str| Problem::error(&place, format!("{text}: {}", shorten(line)));
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.trim_end().strip_suffix(']').ok_or_else(|| wrong("a section's name without ]"))?;
            if name.is_empty() || name.contains(['[', ']']) || name.chars().any(char::is_control) {
                return Err(wrong("a section's name that is none"));
            }
            *group = Some(name.into());
            return Ok(());
        }
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("neither a section nor KEY=VALUE"))?;
        let key = key.trim_end();
        if key.is_empty() {
            return Err(wrong("no key before the ="));
        }
        let group = group.clone().ok_or_else(|| wrong("stands before the first section"))?;
        let value = value.trim_start().to_owned();
        if value.contains('\0') || key.contains('\0') {
            return Err(wrong("a zero byte"));
        }
        self.entries.push(Entry { group, key: key.to_owned(), value, place });
        Ok(())
    }

    /// The file as a whole.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Appends what a drop-in says.
    pub fn merge(&mut self, drop_in: Self) {
        self.entries.extend(drop_in.entries);
    }

    /// All entries, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Appends an entry that follows from others.
    pub fn add(&mut self, group: &str, key: &str, value: impl Into<String>) {
        let place = self.place.clone();
        self.entries.push(Entry { group: group.into(), key: key.into(), value: value.into(), place });
    }

    /// The same in front of all others.
    pub fn add_first(&mut self, group: &str, key: &str, value: &str) {
        let entry = Entry { group: group.into(), key: key.into(), value: value.into(), place: self.place.clone() };
        self.entries.insert(0, entry);
    }

    /// Makes the last entry of the key have this value, or adds one.
    pub fn set(&mut self, group: &str, key: &str, value: &str) {
        match self.entries.iter_mut().rev().find(|entry| *entry.group == *group && entry.key == key) {
            Some(entry) => value.clone_into(&mut entry.value),
            None => self.add(group, key, value),
        }
    }

    /// The last entry of a key.
    pub fn last(&self, group: &str, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| *entry.group == *group && entry.key == key)
    }

    /// Whether there is one.
    pub fn has(&self, group: &str, key: &str) -> bool {
        self.last(group, key).is_some()
    }

    /// The last value of a key, without quotes around it.
    pub fn value(&self, group: &str, key: &str) -> Option<&str> {
        self.last(group, key).map(|entry| entry.value.trim_end().trim_matches('"'))
    }

    /// The same if it is not empty.
    pub fn filled(&self, group: &str, key: &str) -> Option<&str> {
        self.value(group, key).filter(|value| !value.is_empty())
    }

    /// The last value of a key as yes or no; what is no yes is a no.
    pub fn boolean(&self, group: &str, key: &str) -> Option<bool> {
        let is_yes = |value: &str| ["1", "yes", "true", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
        self.value(group, key).map(is_yes)
    }

    /// All entries of a key; an empty one makes those before it void.
    pub fn all(&self, group: &str, key: &str) -> Vec<&Entry> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| *entry.group == *group && entry.key == key) {
            if entry.value.is_empty() { found.clear() } else { found.push(entry) }
        }
        found
    }

    /// The words of all entries of a key.
    ///
    /// # Errors
    /// As [`words::split`].
    pub fn words(&self, group: &str, key: &str, rule: Rule) -> Result<Vec<String>, Problem> {
        let mut found = Vec::new();
        for entry in self.all(group, key) {
            found.extend(entry.words(rule)?);
        }
        Ok(found)
    }

    /// `NAME=VALUE` words of all entries of a key, the last of each name.
    ///
    /// # Errors
    /// As [`words::split`].
    pub fn pairs(&self, group: &str, key: &str) -> Result<BTreeMap<String, String>, Problem> {
        let words = self.words(group, key, Rule::Escapes)?;
        let pairs = words.iter().filter_map(|word| word.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Entry {
    /// The words of the value.
    ///
    /// # Errors
    /// As [`words::split`].
    pub fn words(&self, rule: Rule) -> Result<Vec<String>, Problem> {
        words::split(&self.value, rule).map_err(|reason| Problem::error(&self.place, format!("{}: {reason}", self.key)))
    }
}

/// The beginning of a line, for messages.
fn shorten(line: &str) -> String {
    let mut shown: String = line.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if shown.len() < line.len() {
        shown.push('\u{2026}');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Rule, UnitFile};

    fn read(text: &str) -> UnitFile {
        UnitFile::parse("a.container", text).unwrap()
    }

    #[test]
    fn reads_sections_comments_and_continuations() {
        let file = read(
            "# c\n[Unit]\n After = b c  \n; x\n[Container] \nExec=one \\\n# between\n\n  \"two\\\n three\"\nImage=\"a\"\nImage=\n[Unit]\nAfter=d\n",
        );
        let seen: Vec<(&str, &str, &str, usize)> =
            file.entries().iter().map(|e| (&*e.group, &*e.key, &*e.value, e.place.line)).collect();
        let expected = [
            ("Unit", "After", "b c", 3),
            ("Container", "Exec", "one \"twothree\"", 6),
            ("Container", "Image", "\"a\"", 11),
            ("Container", "Image", "", 12),
            ("Unit", "After", "d", 14),
        ];
        assert_eq!(seen, expected);
        assert_eq!(file.words("Unit", "After", Rule::Plain).unwrap(), ["b", "c", "d"]);
        assert_eq!((file.value("Container", "Image"), file.filled("Container", "Image")), (Some(""), None));
        assert!(file.all("Container", "Image").is_empty());
        assert_eq!(read("[A]\nX=a \\").value("A", "X"), Some("a"));
        assert_eq!(read("[A]\nX=a \\\n#").value("A", "X"), Some("a"));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (text, expected) in [
            ("Image=x", "a.container:1: error: stands before the first section: Image=x"),
            ("[A]\n\nword\n", "a.container:3: error: neither a section nor KEY=VALUE: word"),
            ("[A\n", "a.container:1: error: a section's name without ]: [A"),
            ("[]\n", "a.container:1: error: a section's name that is none: []"),
            ("[A]\n=x", "a.container:2: error: no key before the =: =x"),
            ("[A]\nX=\0", "a.container:2: error: a zero byte: X=\u{fffd}"),
        ] {
            assert_eq!(UnitFile::parse("a.container", text).unwrap_err().to_string(), expected);
        }
        assert!(UnitFile::parse("a", &"#".repeat(300_000)).is_err());
    }

    #[test]
    fn later_values_weigh_more_and_empty_ones_clear() {
        let mut file = read("[A]\nX=1\nY=yes\nE=a=1 'b=2 3' a=4\n");
        file.merge(UnitFile::parse("d", "[A]\nX=\nX=2\nX=3\nY=off").unwrap());
        assert_eq!(file.all("A", "X").iter().map(|e| &*e.value).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!((file.boolean("A", "Y"), file.boolean("A", "Z")), (Some(false), None));
        let pairs: Vec<(String, String)> = file.pairs("A", "E").unwrap().into_iter().collect();
        assert_eq!(pairs, [("a".into(), "4".into()), ("b".into(), "2 3".into())]);
        file.set("A", "Y", "1");
        assert_eq!(file.boolean("A", "Y"), Some(true));
    }
}
