//! A value of a document with the line it stands on: what TOML, cloud-config and the others are read into.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// What no key of the document takes (a float, a date), by its TOML name.
    Other(&'static str),
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Line, from 1; 0 if unknown.
    pub line: usize,
}

/// Places do not count: the same document laid out otherwise is the same.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Node {}

/// Keys and values, in the order of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(pub Vec<(String, Node)>);

impl Node {
    /// A value at a line.
    pub fn new(value: impl Into<Value>, line: usize) -> Self {
        Self { value: value.into(), line }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// What a message says was found.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Flag(flag) => flag.to_string(),
            Value::Integer(integer) => integer.to_string(),
            Value::Text(text) if text.chars().count() > 60 => {
                format!("{:?}…", text.chars().take(57).collect::<String>())
            }
            Value::Text(text) => format!("{text:?}"),
            Value::List(_) => "an array".into(),
            Value::Table(_) => "a table".into(),
            Value::Other(kind) => format!("a value of type {kind}"),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<Vec<Node>> for Value {
    fn from(list: Vec<Node>) -> Self {
        Self::List(list)
    }
}

/// Reading a table that [`crate::check`] has passed: what is there has the right type, so a value of another one counts as
/// absent.
impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(old) => *old = node,
            None => self.0.push((key.into(), node)),
        }
    }

    /// The table of a key, made if there is none.
    pub fn table_mut(&mut self, key: &str, line: usize) -> &mut Self {
        if self.table(key).is_none() {
            self.set(key, Node::new(Self::default(), line));
        }
        match self.get_mut(key) {
            Some(Node { value: Value::Table(table), .. }) => table,
            _ => unreachable!("set above"),
        }
    }

    /// Appends to the list of a key.
    pub fn push(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(Node { value: Value::List(list), .. }) => list.push(node),
            _ => {
                let line = node.line;
                self.set(key, Node::new(vec![node], line));
            }
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_string)
    }

    /// An integer.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key)?.value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// A flag.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The entries of a list; none if there is no such list.
    pub fn list(&self, key: &str) -> &[Node] {
        match self.get(key) {
            Some(Node { value: Value::List(list), .. }) => list,
            _ => &[],
        }
    }

    /// The texts of a list.
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.list(key).iter().filter_map(|node| node.text().map(str::to_string)).collect()
    }

    /// A table.
    pub fn table(&self, key: &str) -> Option<&Self> {
        self.get(key)?.table()
    }

    /// The tables of an array of tables.
    pub fn tables(&self, key: &str) -> impl Iterator<Item = &Self> {
        self.list(key).iter().filter_map(Node::table)
    }

    /// The texts of a table with keys of the user's choice.
    pub fn pairs(&self, key: &str) -> Vec<(String, String)> {
        let pairs = self.table(key).into_iter().flat_map(|table| &table.0);
        pairs.filter_map(|(key, node)| Some((key.clone(), node.text()?.to_string()))).collect()
    }
}
