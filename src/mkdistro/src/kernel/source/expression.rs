//! Kconfig's expressions: what an option depends on (kernel `Documentation/kbuild/kconfig-language.rst`, "Menu dependencies").
//!
//! Values are n < m < y. Macros (`$(cc-option,…)`) are answers of the compiler that only Kconfig itself can get: they are
//! shown as they are and count as met.

use std::fmt;

/// n < m < y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tristate {
    /// Off.
    No,
    /// A module.
    Module,
    /// Built in.
    Yes,
}

impl Tristate {
    /// From a value of a configuration; `None`: not set. Strings and numbers count as n, as for Kconfig.
    fn of(value: Option<&str>) -> Self {
        match value {
            Some("y") => Self::Yes,
            Some("m") => Self::Module,
            _ => Self::No,
        }
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// A symbol without `CONFIG_`, or a constant `y`, `m`, `n`.
    Symbol(String),
    /// `"text"`.
    Text(String),
    /// `$(macro)`.
    Macro(String),
    /// `!A`.
    Not(Box<Expression>),
    /// `A && B`.
    And(Box<Expression>, Box<Expression>),
    /// `A || B`.
    Or(Box<Expression>, Box<Expression>),
    /// `A = B` and the like, with the operator.
    Compare(Box<Expression>, &'static str, Box<Expression>),
}

/// Value of a symbol by name without `CONFIG_`; `None`: not set.
pub(super) type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

const COMPARISONS: [&str; 6] = ["!=", "<=", ">=", "=", "<", ">"];

impl Expression {
    /// Reads the text of an expression; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { rest: text.trim() };
        let expression = parser.or()?;
        parser.rest.is_empty().then_some(expression)
    }

    /// Its value.
    pub(super) fn value(&self, values: Values<'_>) -> Tristate {
        match self {
            Self::Symbol(name) => match name.as_str() {
                "y" => Tristate::Yes,
                // Without modules there is no m.
                "m" if values("MODULES").as_deref() == Some("y") => Tristate::Module,
                "m" | "n" => Tristate::No,
                name => Tristate::of(values(name).as_deref()),
            },
            Self::Text(text) => Tristate::of(Some(text)),
            Self::Macro(_) => Tristate::Yes,
            Self::Not(inner) => match inner.value(values) {
                Tristate::No => Tristate::Yes,
                Tristate::Module => Tristate::Module,
                Tristate::Yes => Tristate::No,
            },
            Self::And(a, b) => a.value(values).min(b.value(values)),
            Self::Or(a, b) => a.value(values).max(b.value(values)),
            Self::Compare(a, operator, b) => {
                let (a, b) = (a.operand(values), b.operand(values));
                let order = match (number(&a), number(&b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => a.cmp(&b),
                };
                let holds = match *operator {
                    "=" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                };
                if holds { Tristate::Yes } else { Tristate::No }
            }
        }
    }

    /// One side of a comparison, as text.
    fn operand(&self, values: Values<'_>) -> String {
        match self {
            Self::Text(text) | Self::Macro(text) => text.clone(),
            Self::Symbol(name) if is_constant(name) => name.clone(),
            Self::Symbol(name) => values(name).unwrap_or("n".into()).trim_matches('"').to_owned(),
            _ => String::new(),
        }
    }

    /// The parts that `&&` joins.
    pub(super) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(a, b) => [a.conjuncts(), b.conjuncts()].concat(),
            other => vec![other],
        }
    }

    /// As text, each symbol with its value: `PCI [=y] && !UML [=n]`.
    pub(super) fn shown<'a>(&'a self, values: Values<'a>) -> impl fmt::Display + 'a {
        Shown { expression: self, values, inside: 0 }
    }
}

/// Numbers and letters that stand for themselves.
fn is_constant(name: &str) -> bool {
    matches!(name, "y" | "m" | "n") || number(name).is_some()
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

struct Shown<'a> {
    expression: &'a Expression,
    values: Values<'a>,
    /// How tightly the surrounding operator binds: 0 none, 1 `||`, 2 `&&`, 3 `!`.
    inside: u8,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |expression, inside| Shown { expression, values: self.values, inside };
        let bracketed = |f: &mut fmt::Formatter<'_>, binds: u8, a, operator: &str, b| {
            let (open, close) = if binds < self.inside { ("(", ")") } else { ("", "") };
            write!(f, "{open}{} {operator} {}{close}", part(a, binds), part(b, binds))
        };
        match self.expression {
            Expression::Symbol(name) if is_constant(name) => f.write_str(name),
            Expression::Symbol(name) => write!(f, "{name} [={}]", (self.values)(name).unwrap_or("n".into())),
            Expression::Text(text) => write!(f, "{text:?}"),
            Expression::Macro(text) => f.write_str(text),
            Expression::Not(inner) => write!(f, "!{}", part(inner, 3)),
            Expression::Or(a, b) => bracketed(f, 1, a, "||", b),
            Expression::And(a, b) => bracketed(f, 2, a, "&&", b),
            Expression::Compare(a, operator, b) => bracketed(f, 3, a, operator, b),
        }
    }
}

/// Recursive descent: `||` binds less than `&&`, that less than `!` and comparisons. `None` is a syntax error.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn or(&mut self) -> Option<Expression> {
        let mut left = self.and()?;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expression> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Some(left)
    }

    fn comparison(&mut self) -> Option<Expression> {
        let left = self.atom()?;
        for operator in COMPARISONS {
            if self.take(operator) {
                return Some(Expression::Compare(Box::new(left), operator, Box::new(self.atom()?)));
            }
        }
        Some(left)
    }

    fn atom(&mut self) -> Option<Expression> {
        if self.take("!") {
            return Some(Expression::Not(Box::new(self.atom()?)));
        }
        if self.rest.starts_with("$(") {
            return Some(Expression::Macro(self.until(macro_end(self.rest)?).to_owned()));
        }
        if self.take("(") {
            let inner = self.or()?;
            return self.take(")").then_some(inner);
        }
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            let length = self.rest.get(1..)?.find(quote)?;
            let text = self.until(length + 2);
            return Some(Expression::Text(text.get(1..text.len() - 1)?.to_owned()));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        (length > 0).then(|| Expression::Symbol(self.until(length).to_owned()))
    }

    /// Takes that many bytes, a place between characters.
    fn until(&mut self, length: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest.trim_start();
        text
    }
}

/// Where the bracket of `$(…)` closes.
fn macro_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (c == ')' && depth == 0).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::{Expression, Tristate};

    fn values(name: &str) -> Option<String> {
        let value = match name {
            "A" | "Y" | "MODULES" => "y",
            "M" => "m",
            "CPUS" => "64",
            "GCC_VERSION" => "120200",
            "NAME" => "\"x y\"",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn evaluates_and_shows() {
        use Tristate::{Module, No, Yes};
        for (text, expected, shown) in [
            ("A", Yes, "A [=y]"),
            ("A&&M", Module, "A [=y] && M [=m]"),
            ("A && (B || M)", Module, "A [=y] && (B [=n] || M [=m])"),
            ("A || B && C", Yes, "A [=y] || B [=n] && C [=n]"),
            ("!B", Yes, "!B [=n]"),
            ("!(A || B)", No, "!(A [=y] || B [=n])"),
            ("!M", Module, "!M [=m]"),
            ("M = y", No, "M [=m] = y"),
            ("M!=n", Yes, "M [=m] != n"),
            ("CPUS > 8", Yes, "CPUS [=64] > 8"),
            ("GCC_VERSION >= 120300", No, "GCC_VERSION [=120200] >= 120300"),
            ("NAME = \"x y\"", Yes, "NAME [=\"x y\"] = \"x y\""),
            ("m", Module, "m"),
            ("$(cc-option,-fcf-protection=branch (x)) && B", No, "$(cc-option,-fcf-protection=branch (x)) && B [=n]"),
            ("64BIT", No, "64BIT [=n]"),
        ] {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(expression.value(&values), expected, "{text}");
            assert_eq!(expression.shown(&values).to_string(), shown, "{text}");
        }
        assert_eq!(Expression::parse("m").unwrap().value(&|_| None), No);
    }

    #[test]
    fn takes_conjunctions_apart() {
        let expression = Expression::parse("A && (B || C) && !D").unwrap();
        let parts: Vec<String> = expression.conjuncts().iter().map(|part| part.shown(&values).to_string()).collect();
        assert_eq!(parts, ["A [=y]", "B [=n] || C [=n]", "!D [=n]"]);
    }

    #[test]
    fn refuses_what_is_no_expression() {
        for text in ["", "A &&", "(A", "A B", "\"x", "$(x", "&& A", "A =", "!"] {
            assert_eq!(Expression::parse(text), None, "{text}");
        }
    }
}
