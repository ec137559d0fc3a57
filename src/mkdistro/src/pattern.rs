//! Shell-like patterns of absolute paths, as recipes write them.
//!
//! | written | stands for |
//! |---|---|
//! | `*` | any characters but `/` |
//! | `?` | one character but `/` |
//! | `**` | as a whole part of the path: any folders, also none; at the end: everything below |
//! | `[a-z]`, `[!a-z]` | one character of (not of) a set, never `/`; `]` as the first of a set is itself |
//! | `{a,b}` | one of the alternatives; they may hold `/` and nest |
//! | `\x` | the character x itself |

use std::fmt;

/// Linux knows no longer paths (PATH_MAX of limits.h).
const MAX_BYTES: usize = 4096;
/// Alternatives multiply; nobody writes more by hand.
const MAX_ALTERNATIVES: usize = 1000;

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    alternatives: Vec<Alternative>,
}

/// Several patterns as one.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatternSet {
    alternatives: Vec<Alternative>,
}

/// Why a pattern cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// `[` without `]`.
    OpenSet,
    /// `[z-a]`.
    EmptyRange,
    /// `{` without `}`, or the other way round.
    Braces,
    /// `\` at the end.
    OpenEscape,
    /// More than [`MAX_ALTERNATIVES`].
    TooMany,
    /// More than [`MAX_BYTES`].
    TooLong,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSet => "\"[\" without \"]\"",
            Self::EmptyRange => "a range that ends before it begins",
            Self::Braces => "\"{\" and \"}\" do not fit",
            Self::OpenEscape => "\"\\\" at the end",
            Self::TooMany => "too many alternatives",
            Self::TooLong => "longer than any path",
        })
    }
}

impl std::error::Error for PatternError {}

/// A pattern without braces.
#[derive(Debug, Clone)]
struct Alternative {
    /// What every path that fits begins with; most paths are refused by it alone.
    prefix: String,
    /// Between `/`.
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    /// `**`
    Deep,
    Literal(String),
    Wild(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Between parts; not in one.
    Slash,
}

/// The pattern that fits `path` alone.
pub(crate) fn escape(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for letter in path.chars() {
        if "*?[]{},\\".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_BYTES {
            return Err(PatternError::TooLong);
        }
        let mut alternatives = Vec::new();
        for text in expand(text)? {
            alternatives.push(Alternative::parse(&text)?);
        }
        Ok(Self { alternatives })
    }

    /// Whether the whole path fits.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        self.alternatives.iter().any(|alternative| alternative.is_match(path))
    }
}

impl PatternSet {
    /// Adds a pattern.
    pub(crate) fn add(&mut self, pattern: Pattern) {
        self.alternatives.extend(pattern.alternatives);
    }

    /// Whether the whole path fits one of them.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        self.alternatives.iter().any(|alternative| alternative.is_match(path))
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let tokens = tokens(text)?;
        let literal = |token: &Token| match token {
            Token::Char(c) => Some(*c),
            Token::Slash => Some('/'),
            _ => None,
        };
        let prefix = tokens.iter().map_while(literal).collect::<String>();
        let parts = tokens.split(|token| *token == Token::Slash).map(|part| match part {
            [Token::Any, Token::Any] => Part::Deep,
            part => part.iter().map(literal).collect::<Option<_>>().map_or(Part::Wild(part.to_vec()), Part::Literal),
        });
        let mut alternative = Self { prefix, parts: parts.collect() };
        // `/a/**` is what is below /a; `/a/**/b` may be /a/b.
        if let Some(Part::Deep) = alternative.parts.last() {
            alternative.parts.push(Part::Wild(vec![Token::Any]));
        }
        Ok(alternative)
    }

    fn is_match(&self, path: &str) -> bool {
        path.starts_with(&self.prefix) && fits(&self.parts, path)
    }
}

/// Whether the parts of a path fit those of a pattern. Only the last `**` passed needs to be tried again with one part
/// more: an earlier one cannot reach further.
fn fits(pattern: &[Part], path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    let step = |at: usize, part: &str| match pattern.get(at) {
        Some(Part::Literal(text)) => text == part,
        Some(Part::Wild(tokens)) => fits_part(tokens, part),
        Some(Part::Deep) | None => false,
    };
    walk(
        pattern.len(),
        path.len(),
        |at| matches!(pattern.get(at), Some(Part::Deep)),
        |at, index| path.get(index).is_some_and(|part| step(at, part)),
    )
}

/// Whether the characters of one part fit.
fn fits_part(tokens: &[Token], part: &str) -> bool {
    let characters: Vec<char> = part.chars().collect();
    walk(
        tokens.len(),
        characters.len(),
        |at| tokens.get(at) == Some(&Token::Any),
        |at, index| {
            let (Some(token), Some(c)) = (tokens.get(at), characters.get(index)) else { return false };
            match token {
                Token::Char(expected) => expected == c,
                Token::One => true,
                Token::Set { negated, ranges } => {
                    ranges.iter().any(|(first, last)| (*first..=*last).contains(c)) != *negated
                }
                Token::Any | Token::Slash => false,
            }
        },
    )
}

/// Matches a sequence of `length` items against a pattern of `end` items, of which some (`is_star`) stand for any number
/// of items. In the time of both lengths multiplied, at most.
fn walk(end: usize, length: usize, is_star: impl Fn(usize) -> bool, step: impl Fn(usize, usize) -> bool) -> bool {
    let (mut at, mut index) = (0, 0);
    // Behind the last star, and how far that star reaches.
    let mut again: Option<(usize, usize)> = None;
    loop {
        if at < end && is_star(at) {
            at += 1;
            again = Some((at, index));
        } else if at < end && index < length && step(at, index) {
            (at, index) = (at + 1, index + 1);
        } else if at == end && index == length {
            return true;
        } else if let Some((behind, reached)) = again.filter(|(_, reached)| *reached < length) {
            again = Some((behind, reached + 1));
            (at, index) = (behind, reached + 1);
        } else {
            return false;
        }
    }
}

/// The patterns that the braces of one stand for.
fn expand(text: &str) -> Result<Vec<String>, PatternError> {
    let mut pending = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = pending.pop() {
        match braces(&text)? {
            None => done.push(text),
            Some(Braces { before, alternatives, after }) => {
                pending.extend(alternatives.iter().rev().map(|middle| format!("{before}{middle}{after}")));
            }
        }
        if pending.len() + done.len() > MAX_ALTERNATIVES {
            return Err(PatternError::TooMany);
        }
    }
    Ok(done)
}

/// A pair of braces in a pattern.
struct Braces<'a> {
    before: &'a str,
    alternatives: Vec<&'a str>,
    after: &'a str,
}

/// The first outermost pair of braces.
fn braces(text: &str) -> Result<Option<Braces<'_>>, PatternError> {
    let mut depth = 0_usize;
    let mut open = None;
    let mut alternatives = Vec::new();
    let mut begin = 0;
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => drop(rest.next().ok_or(PatternError::OpenEscape)?),
            '[' => {
                let (_, length) = set(text.get(at..).unwrap_or_default())?;
                rest = text.char_indices();
                // On to the character behind the set.
                while rest.clone().next().is_some_and(|(next, _)| next < at + length) {
                    rest.next();
                }
            }
            '{' => {
                if depth == 0 {
                    open = Some(at);
                    begin = at + 1;
                }
                depth += 1;
            }
            ',' if depth == 1 => {
                alternatives.push(text.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            '}' => {
                depth = depth.checked_sub(1).ok_or(PatternError::Braces)?;
                if let (0, Some(open)) = (depth, open) {
                    alternatives.push(text.get(begin..at).unwrap_or_default());
                    let (before, after) = (text.get(..open), text.get(at + 1..));
                    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
                    return Ok(Some(Braces { before, alternatives, after }));
                }
            }
            _ => {}
        }
    }
    if depth > 0 { Err(PatternError::Braces) } else { Ok(None) }
}

fn tokens(text: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        tokens.push(match c {
            '\\' => {
                let escaped = rest.chars().nth(1).ok_or(PatternError::OpenEscape)?;
                length += escaped.len_utf8();
                if escaped == '/' { Token::Slash } else { Token::Char(escaped) }
            }
            '[' => {
                let (token, used) = set(rest)?;
                length = used;
                token
            }
            '*' => Token::Any,
            '?' => Token::One,
            '/' => Token::Slash,
            c => Token::Char(c),
        });
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// The set that a text begins with, and how many bytes it is written in.
fn set(text: &str) -> Result<(Token, usize), PatternError> {
    let mut rest = text.char_indices().skip(1).peekable();
    let negated = rest.next_if(|(_, c)| matches!(c, '!' | '^')).is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let (at, first) = rest.next().ok_or(PatternError::OpenSet)?;
        if first == ']' && !ranges.is_empty() {
            return Ok((Token::Set { negated, ranges }, at + 1));
        }
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some((_, '-')), Some((_, last))) if last != ']' => {
                if last < first {
                    return Err(PatternError::EmptyRange);
                }
                ranges.push((first, last));
                rest = ahead;
            }
            _ => ranges.push((first, first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_path_fits_itself_alone() {
        let path = "/usr/bin/[a,{b}]*?\\c";
        let pattern = Pattern::parse(&escape(path)).unwrap();
        assert!(pattern.is_match(path), "{}", escape(path));
        assert!(!pattern.is_match("/usr/bin/a*?c"));
        assert_eq!(escape("/usr/bin/tool"), "/usr/bin/tool");
    }

    #[test]
    fn what_fits() {
        for (pattern, fitting, others) in [
            ("/usr/bin/ip", &["/usr/bin/ip"][..], &["/usr/bin/ip6", "/usr/bin", "usr/bin/ip", "/usr/bin/ip/"][..]),
            ("/usr/bin/*", &["/usr/bin/a", "/usr/bin/.a", "/usr/bin/"], &["/usr/bin", "/usr/bin/a/b", "/usr/bina"]),
            ("/a/*.so*", &["/a/x.so", "/a/.so.6", "/a/b.so.so.1"], &["/a/x.s", "/a/b/x.so"]),
            ("/a/*b*c", &["/a/bc", "/a/abbcc", "/a/xbyc"], &["/a/cb", "/a/b/c", "/a/bcd"]),
            ("/a/?", &["/a/b", "/a/ü"], &["/a/", "/a/bb", "/a//"]),
            ("/a/**", &["/a/b", "/a/b/c", "/a/"], &["/a", "/ab/c"]),
            ("/a/**/b", &["/a/b", "/a/x/b", "/a/x/y/b", "/a/b/b"], &["/a/xb", "/ab", "/a/b/c"]),
            ("/**/b/**/c", &["/b/c", "/x/b/y/b/c/z/c"], &["/c/b", "/b/x"]),
            ("/**", &["/a", "/a/b"], &["a"]),
            ("**", &["/a", "a", "/"], &[]),
            ("/a/x**y", &["/a/xy", "/a/x12y"], &["/a/x/y"]),
            ("/a/[a-c0]", &["/a/b", "/a/0"], &["/a/d", "/a/-", "/a/ab"]),
            ("/a/[!a-c]", &["/a/d", "/a/-"], &["/a/b", "/a/", "/a//"]),
            ("/a/[^a]x", &["/a/bx"], &["/a/ax"]),
            ("/a/[]-]", &["/a/]", "/a/-"], &["/a/a"]),
            ("/a[/]b", &[], &["/a/b"]),
            ("/{etc,usr/bin}/a", &["/etc/a", "/usr/bin/a"], &["/usr/a", "/{etc,usr/bin}/a"]),
            ("/a{,.d}", &["/a", "/a.d"], &["/a.", "/a,"]),
            ("/{a,b{c,d}}x", &["/ax", "/bcx", "/bdx"], &["/bx", "/cx"]),
            ("/{a}{b,c}", &["/ab", "/ac"], &["/a"]),
            ("/[{]a[,}]", &["/{a,", "/{a}"], &["/a"]),
            ("/a\\*\\{\\\\", &["/a*{\\"], &["/ab{\\"]),
            ("/a,b", &["/a,b"], &["/a"]),
            ("", &[""], &["/"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            for path in fitting {
                assert!(parsed.is_match(path), "{pattern} should fit {path}");
            }
            for path in others {
                assert!(!parsed.is_match(path), "{pattern} should not fit {path}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        for (pattern, expected) in [
            ("/a[", PatternError::OpenSet),
            ("/a[]", PatternError::OpenSet),
            ("/a[!]", PatternError::OpenSet),
            ("/a[z-a]", PatternError::EmptyRange),
            ("/{a,b", PatternError::Braces),
            ("/a}", PatternError::Braces),
            ("/{a{b}", PatternError::Braces),
            ("/{[}]", PatternError::Braces),
            ("/a\\", PatternError::OpenEscape),
            (&"{a,b}".repeat(10), PatternError::TooMany),
            (&"a".repeat(4097), PatternError::TooLong),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap_err(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_set_of_patterns() {
        let mut set = PatternSet::default();
        assert!(!set.is_match("/a"));
        for pattern in ["/a", "/b/*"] {
            set.add(Pattern::parse(pattern).unwrap());
        }
        assert!(set.is_match("/a") && set.is_match("/b/c") && !set.is_match("/c"));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = format!("/{}b", "*a".repeat(50));
        assert!(!Pattern::parse(&pattern).unwrap().is_match(&format!("/{}", "a".repeat(5000))));
        let deep = format!("{}/b", "/**/a".repeat(50));
        assert!(!Pattern::parse(&deep).unwrap().is_match(&"/a".repeat(2000)));
    }
}
