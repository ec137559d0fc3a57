//! How a key of the document is described: its name, the kind of its value, how sources add up, what it means.

/// A rule for one text.
pub struct Rule {
    /// Follows "expected" in a message.
    pub expected: &'static str,
    /// Whether a value keeps it.
    pub valid: fn(&str) -> bool,
    /// What to write instead of a value that does not; may be empty.
    pub hint: fn(&str) -> String,
}

impl Rule {
    /// A rule without hint.
    pub const fn new(expected: &'static str, valid: fn(&str) -> bool) -> Self {
        Self { expected, valid, hint: |_| String::new() }
    }
}

/// What a key's value must be, and what becomes of a lighter source's value.
pub enum Kind {
    /// A text; replaced.
    Text(&'static Rule),
    /// An integer from, to; replaced.
    Integer(i64, i64),
    /// A boolean; replaced.
    Flag,
    /// An array of texts; replaced as a whole.
    List(&'static Rule),
    /// An array of texts; what is not there yet is appended.
    Sum(&'static Rule),
    /// A table with keys of the user's choice and texts as values; key by key.
    Map(&'static Rule, &'static Rule),
    /// A table; key by key.
    Table(&'static [Key]),
    /// An array of tables. An entry replaces the one with the same value of the key that is named; others are appended.
    Tables(&'static str, &'static [Key]),
}

/// A key of a table.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// One sentence for the schema and the reference; markdown.
    pub meaning: &'static str,
}

/// A key that must be there.
pub const fn required(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { name, kind, required: true, meaning }
}

/// A key that may be there.
pub const fn optional(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { name, kind, required: false, meaning }
}
