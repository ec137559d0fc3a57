//! Dependency fields, Debian Policy 7.1: `a (>= 1) | b, c:any [amd64] <!nocheck>`.
//!
//! Binary packages of an index carry no architecture or profile restrictions, but they are skipped where they occur, as is
//! the architecture qualifier after `:`.

use std::cmp::Ordering;
use std::fmt;

use super::version;

/// One package with an optional version constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Package or virtual package.
    pub name: &'a str,
    /// Which versions will do; `None`: any.
    pub constraint: Option<(Operator, &'a str)>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`.
    Earlier,
    /// `<=` (and the obsolete `<`).
    EarlierOrEqual,
    /// `=`.
    Equal,
    /// `>=` (and the obsolete `>`).
    LaterOrEqual,
    /// `>>`.
    Later,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Earlier,
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl<'a> Relation<'a> {
    /// Whether this version of the package will do.
    pub fn accepts(&self, found: &str) -> bool {
        self.constraint.is_none_or(|(operator, wanted)| operator.accepts(version::compare(found, wanted)))
    }

    /// Reads one alternative; `None` if it is malformed.
    fn parse(text: &'a str) -> Option<Self> {
        let end = text.find([' ', '(', '[', '<', ':', '\t', '\n']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        let valid =
            name.len() >= 2 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !valid {
            return None;
        }
        let constraint = match rest.split_once('(') {
            None => None,
            Some((_, inside)) => Some(Self::parse_constraint(inside.split_once(')')?.0)?),
        };
        Some(Self { name, constraint })
    }

    fn parse_constraint(text: &'a str) -> Option<(Operator, &'a str)> {
        let text = text.trim();
        let end = text.find(|c| !matches!(c, '<' | '>' | '=')).unwrap_or(text.len());
        let (operator, version) = text.split_at_checked(end)?;
        let version = version.trim();
        if version.is_empty() { None } else { Some((Operator::parse(operator)?, version)) }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let Some((operator, version)) = self.constraint else { return Ok(()) };
        let operator = match operator {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        };
        write!(f, " ({operator} {version})")
    }
}

/// Reads a field: a list of which every entry must be met, each by one of its alternatives. `None` if it is malformed.
pub fn parse(field: &str) -> Option<Vec<Vec<Relation<'_>>>> {
    let entries = field.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| entry.split('|').map(|text| Relation::parse(text.trim())).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_split_into_alternatives() {
        let field = "libc6 (>= 2.38), default-logind | logind,\n python3:any (>> 3~), xz (= 1-1) [amd64] <!nocheck>, ";
        let read = parse(field).unwrap();
        let shown: Vec<Vec<String>> =
            read.iter().map(|entry| entry.iter().map(ToString::to_string).collect()).collect();
        let expected: [&[&str]; 4] =
            [&["libc6 (>= 2.38)"], &["default-logind", "logind"], &["python3 (>> 3~)"], &["xz (= 1-1)"]];
        assert_eq!(shown, expected);
        assert_eq!(parse("").unwrap(), Vec::<Vec<Relation<'_>>>::new());
    }

    #[test]
    fn malformed_fields_are_refused() {
        for field in ["a (>= 1", "libc6 (~ 1)", "libc6 (>=)", "libc6 ()", "| b1", "ü1", "lib/c"] {
            assert_eq!(parse(field), None, "{field}");
        }
    }

    #[test]
    fn constraints_are_met_or_not() {
        for (field, found, met) in [
            ("ab", "1", true),
            ("ab (>= 1.0)", "1.0-1", true),
            ("ab (>= 1.0)", "1.0~rc1", false),
            ("ab (<< 2)", "2", false),
            ("ab (<= 2)", "2-0", true),
            ("ab (= 2)", "2-1", false),
            ("ab (>> 2)", "2-1", true),
            ("ab (> 2)", "2", true),
        ] {
            assert_eq!(parse(field).unwrap()[0][0].accepts(found), met, "{field} with {found}");
        }
    }
}
