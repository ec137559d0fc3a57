//! Reads the kernel's Kconfig files as far as it takes to say why an option did not stick: where it is defined, what it
//! depends on, whether it can be asked for at all, and what selects it (kernel `Documentation/kbuild/kconfig-language.rst`).
//!
//! Left out: defaults, ranges, help texts, variables of the file itself. Kconfig itself decides values; this explains them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::expression::Expression;

/// Files nest about 10 deep.
const MAX_DEPTH: usize = 40;
/// The largest has 100 KB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// All options of a kernel, by name without `CONFIG_`.
#[derive(Debug, Default)]
pub(super) struct Kconfig {
    options: BTreeMap<String, Vec<Definition>>,
    selectors: BTreeMap<String, Vec<String>>,
}

/// One `config` or `menuconfig` entry. An option may have several.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    /// `drivers/net/Kconfig:12`.
    pub(super) place: String,
    /// What it depends on, outermost first, each with its place.
    pub(super) depends: Vec<Condition>,
    /// Whether a configuration may ask for it: it has a prompt.
    pub(super) prompt: bool,
    /// When its prompt is shown (`bool "…" if EXPERT`).
    pub(super) prompt_if: Option<Condition>,
    /// The choice it is one of, by number.
    pub(super) choice: Option<usize>,
}

/// An expression, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// `drivers/net/Kconfig:10`.
    pub(super) place: String,
    /// The expression.
    pub(super) expression: Expression,
}

impl Kconfig {
    /// Reads the files of a kernel tree for x86.
    pub(super) fn read(source: &Path) -> Result<Self> {
        Self::read_with(&|path| {
            let path = source.join(path);
            let size = path.metadata().with_context(|| format!("reading {}", path.display()))?.len();
            ensure!(size <= MAX_FILE_BYTES, "reading {}: {size} bytes are too many", path.display());
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        })
    }

    /// The same with the content of the files from a function.
    pub(super) fn read_with(file: &dyn Fn(&str) -> Result<String>) -> Result<Self> {
        let mut reader = Reader { file, kconfig: Self::default(), blocks: Vec::new(), choices: 0 };
        reader.file("Kconfig", 0)?;
        Ok(reader.kconfig)
    }

    /// The definitions of an option; none: it does not exist.
    pub(super) fn definitions(&self, name: &str) -> &[Definition] {
        self.options.get(name).map_or(&[], Vec::as_slice)
    }

    /// What sets an option whenever it is set itself.
    pub(super) fn selectors(&self, name: &str) -> &[String] {
        self.selectors.get(name).map_or(&[], Vec::as_slice)
    }

    /// The other options of the choice that one is in.
    pub(super) fn rivals<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let choice = self.definitions(name).iter().find_map(|definition| definition.choice);
        self.options
            .iter()
            .filter(move |(other, definitions)| {
                choice.is_some() && *other != name && definitions.iter().any(|definition| definition.choice == choice)
            })
            .map(|(other, _)| other.as_str())
    }

    /// Names of all options.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.options.keys().map(String::as_str)
    }
}

/// A block that is open: what `endif`, `endmenu` and `endchoice` close.
struct Block {
    condition: Option<Condition>,
    choice: Option<usize>,
}

/// What the lines of attributes belong to.
enum Entry {
    /// Before the first entry, and after a comment.
    None,
    /// An option.
    Option(String),
    /// A menu or choice, whose conditions are its block's.
    Block,
}

struct Reader<'a> {
    file: &'a dyn Fn(&str) -> Result<String>,
    kconfig: Kconfig,
    blocks: Vec<Block>,
    choices: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) -> Result<()> {
        ensure!(depth <= MAX_DEPTH, "reading {path}: files include each other");
        let text = (self.file)(path)?;
        let mut entry = Entry::None;
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let place = format!("{path}:{}", index + 1);
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().map_or("", |(_, next)| next));
            }
            let (word, rest) = split_word(line.trim_start());
            match word {
                "help" | "---help---" => skip_help(&mut lines),
                "source" => {
                    let path = rest.trim_matches('"').replace("$(SRCARCH)", "x86");
                    // $(…) stands for a file of the build host, which the kernel's own tree does not have.
                    if !path.contains("$(") {
                        self.file(&path, depth + 1)?;
                    }
                    entry = Entry::None;
                }
                "if" => self.open(condition(&place, rest), None),
                "menu" => {
                    self.open(None, None);
                    entry = Entry::Block;
                }
                "choice" => {
                    self.choices += 1;
                    self.open(None, Some(self.choices));
                    entry = Entry::Block;
                }
                "endif" | "endmenu" | "endchoice" => {
                    self.blocks.pop();
                    entry = Entry::None;
                }
                "comment" | "mainmenu" => entry = Entry::None,
                "config" | "menuconfig" => {
                    self.define(rest, place);
                    entry = Entry::Option(rest.to_owned());
                }
                _ => self.attribute(&entry, &place, word, rest),
            }
        }
        Ok(())
    }

    /// Opens a block; all that is in it depends on the condition.
    fn open(&mut self, condition: Option<Condition>, choice: Option<usize>) {
        self.blocks.push(Block { condition, choice });
    }

    fn define(&mut self, name: &str, place: String) {
        let depends = self.blocks.iter().filter_map(|block| block.condition.clone()).collect();
        let choice = self.blocks.iter().rev().find_map(|block| block.choice);
        let definition = Definition { place, depends, choice, ..Definition::default() };
        self.kconfig.options.entry(name.to_owned()).or_default().push(definition);
    }

    fn attribute(&mut self, entry: &Entry, place: &str, word: &str, rest: &str) {
        let depends = match (word, rest.strip_prefix("on ")) {
            ("depends", Some(expression)) => condition(place, expression),
            _ => None,
        };
        match entry {
            Entry::Block => {
                if let (Some(block), Some(new)) = (self.blocks.last_mut(), depends) {
                    block.condition = Some(match block.condition.take() {
                        Some(old) => Condition {
                            place: old.place,
                            expression: Expression::And(Box::new(old.expression), Box::new(new.expression)),
                        },
                        None => new,
                    });
                }
            }
            Entry::Option(name) => {
                if word == "select" || word == "imply" {
                    let (selected, _) = split_word(rest);
                    self.kconfig.selectors.entry(selected.to_owned()).or_default().push(name.clone());
                }
                let Some(definition) = self.kconfig.options.get_mut(name).and_then(|all| all.last_mut()) else {
                    return;
                };
                definition.depends.extend(depends);
                if is_type(word) || word == "prompt" {
                    definition.add_prompt(place, rest);
                }
            }
            Entry::None => {}
        }
    }
}

impl Definition {
    /// `"Text" if EXPRESSION`, after a type.
    fn add_prompt(&mut self, place: &str, rest: &str) {
        let Some(quote @ ('"' | '\'')) = rest.chars().next() else { return };
        let Some((_, after)) = rest.get(1..).and_then(|text| text.split_once(quote)) else { return };
        self.prompt = true;
        if let Some(expression) = after.trim().strip_prefix("if ") {
            self.prompt_if = condition(place, expression);
        }
    }
}

fn is_type(word: &str) -> bool {
    matches!(word, "bool" | "tristate" | "int" | "hex" | "string")
}

/// An expression that cannot be read is left out rather than shown wrongly.
fn condition(place: &str, text: &str) -> Option<Condition> {
    let text = text.split(" #").next().unwrap_or(text);
    Some(Condition { place: place.to_owned(), expression: Expression::parse(text)? })
}

fn split_word(line: &str) -> (&str, &str) {
    let end = line.find([' ', '\t', '"']).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim())
}

/// A help text ends before the first line that is indented less than its first one, or not at all.
fn skip_help<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>) {
    let mut least = None;
    while let Some((_, line)) = lines.peek() {
        if !line.trim().is_empty() {
            let indentation = indentation(line);
            if indentation == 0 || indentation < *least.get_or_insert(indentation) {
                return;
            }
        }
        lines.next();
    }
}

/// Columns of white space, a tab up to the next multiple of 8.
fn indentation(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).fold(0, |at, c| if c == '\t' { at / 8 * 8 + 8 } else { at + 1 })
}

#[cfg(test)]
pub(super) mod tests {
    use anyhow::{Context, Result};

    use super::Kconfig;

    /// A small kernel with the shapes that occur in the real one.
    pub(crate) fn kconfig() -> Kconfig {
        let file = |path: &str| -> Result<String> {
            let text = match path {
                "Kconfig" => {
                    "mainmenu \"Linux\"\nsource \"scripts/Kconfig.include\"\nsource \"drivers/Kconfig\"\n\
                     source \"arch/$(SRCARCH)/Kconfig\"\nsource \"$(HOME)/Kconfig\"\n"
                }
                "scripts/Kconfig.include" => "cc-option = $(success,trap $(CC) $(1))\n",
                "drivers/Kconfig" => {
                    "menu \"Drivers\"\n\tdepends on PCI && \\\n\t\tHAS_IOMEM\n\nmenuconfig VIRT_DRIVERS\n\tbool \"Guests\"\n\
                     \thelp\n\t  config NOT_ONE\n\n\t    depends on NOTHING\n\nif VIRT_DRIVERS\n\nconfig VBOX\n\
                     \ttristate \"VirtualBox\" if EXPERT\n\tdepends on X86 && INPUT # why\n\tselect HELPER if X86\n\nendif\n\n\
                     config HELPER\n\tbool\n\nconfig LOST\n\tbool \"Lost\"\n\nendmenu\n"
                }
                "arch/x86/Kconfig" => {
                    "config X86\n\tdef_bool y\n\nchoice\n\tprompt \"Compression\"\n\nconfig GZIP\n\tbool \"gzip\"\n\n\
                     config ZSTD\n\tbool \"zstd\"\n\tdepends on HAVE_ZSTD\n\nendchoice\nconfig LOST\n\tbool\n\tdepends on X86\n"
                }
                _ => return Err(anyhow::anyhow!("no such file")).context(path.to_owned()),
            };
            Ok(text.to_owned())
        };
        Kconfig::read_with(&file).unwrap()
    }

    #[test]
    fn finds_dependencies() {
        let kconfig = kconfig();
        let values = |_: &str| None;
        let told = |name: &str| -> Vec<String> {
            let definitions = kconfig.definitions(name).iter();
            definitions
                .flat_map(|definition| {
                    let prompt = definition
                        .prompt_if
                        .iter()
                        .map(|c| format!("{} shown if {}", c.place, c.expression.shown(&values)));
                    let head = format!("{} prompt {}", definition.place, definition.prompt);
                    let depends =
                        definition.depends.iter().map(|c| format!("{} {}", c.place, c.expression.shown(&values)));
                    [head].into_iter().chain(depends).chain(prompt).collect::<Vec<_>>()
                })
                .collect()
        };
        let menu = "drivers/Kconfig:2 PCI [=n] && HAS_IOMEM [=n]";
        assert_eq!(told("VIRT_DRIVERS"), ["drivers/Kconfig:5 prompt true", menu]);
        let vbox = [
            "drivers/Kconfig:14 prompt true",
            menu,
            "drivers/Kconfig:12 VIRT_DRIVERS [=n]",
            "drivers/Kconfig:16 X86 [=n] && INPUT [=n]",
            "drivers/Kconfig:15 shown if EXPERT [=n]",
        ];
        assert_eq!(told("VBOX"), vbox);
        assert_eq!(told("HELPER"), ["drivers/Kconfig:21 prompt false", menu]);
        assert_eq!(kconfig.selectors("HELPER"), ["VBOX"]);
        assert_eq!(told("LOST").len(), 4);
        assert!(told("NOT_ONE").is_empty());
        assert_eq!(kconfig.rivals("ZSTD").collect::<Vec<_>>(), ["GZIP"]);
        assert_eq!(kconfig.rivals("VBOX").count(), 0);
    }

    #[test]
    fn a_loop_of_files_ends() {
        let error = Kconfig::read_with(&|_| Ok("source \"Kconfig\"\n".into())).unwrap_err();
        assert_eq!(error.to_string(), "reading Kconfig: files include each other");
    }
}
