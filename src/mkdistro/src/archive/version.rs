//! Order of Debian versions, deb-version(7): `[epoch:]upstream[-revision]`.
//!
//! Each part is compared by alternating runs of other characters and of digits. Among the other characters `~` sorts
//! before the end of the part, letters before everything else. A missing epoch or revision equals `0`.

use std::cmp::Ordering;

/// Compares two versions as dpkg does. Every text has a place in the order; validity is not checked.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (split(left), split(right));
    compare_part(left.epoch, right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

fn split(version: &str) -> Parts<'_> {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    Parts { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = left.split_at(run(left, |b| !b.is_ascii_digit()));
        let (right_text, right_rest) = right.split_at(run(right, |b| !b.is_ascii_digit()));
        let (left_digits, left_rest) = left_rest.split_at(run(left_rest, u8::is_ascii_digit));
        let (right_digits, right_rest) = right_rest.split_at(run(right_rest, u8::is_ascii_digit));
        let order = compare_text(left_text, right_text).then_with(|| compare_digits(left_digits, right_digits));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

/// Length of the leading bytes that fit.
fn run(bytes: &[u8], fits: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().position(|b| !fits(b)).unwrap_or(bytes.len())
}

fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    let weights = |text: &[u8], index: usize| text.get(index).map_or(0, |b| weight(*b));
    (0..left.len().max(right.len()))
        .map(|index| weights(left, index).cmp(&weights(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// `~` < end of the part (0) < letters < the rest.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        b if b.is_ascii_alphabetic() => i32::from(b),
        b => i32::from(b) + 256,
    }
}

/// Numbers of any length.
fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let left = left.get(run(left, |b| *b == b'0')..).unwrap_or_default();
    let right = right.get(run(right, |b| *b == b'0')..).unwrap_or_default();
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each version sorts before the next one; checked with `dpkg --compare-versions`.
    const ASCENDING: &[&str] = &[
        "0~~",
        "0~",
        "0",
        "0a",
        "0+",
        "0.0~rc1",
        "0.0",
        "1.0~~",
        "1.0~~a",
        "1.0~",
        "1.0~beta1~svn1245",
        "1.0~beta1",
        "1.0",
        "1.0-1~bpo12+1",
        "1.0-1",
        "1.0-1+b1",
        "1.0-1+deb13u1",
        "1.0-1.1",
        "1.0-9",
        "1.0-10",
        "1.0a",
        "1.0+dfsg",
        "1.0.1",
        "1.2",
        "1.10",
        "5.4.2+ds1-2+b2",
        "6.12.107-1",
        "20240203",
        "99999999999999999999",
        "1:0.1",
        "1:0.1-1-1",
        "2:0",
        "10:0",
    ];

    /// dpkg says these are the same.
    const EQUAL: &[(&str, &str)] = &[
        ("1.0", "1.0-0"),
        ("0:1.0-1", "1.0-1"),
        ("1.0a", "1.0a0"),
        ("2.0+dfsg", "2.0+dfsg0"),
        ("1.02", "1.2"),
        ("1.0-1", "1.0-01"),
        ("00:1", "1"),
    ];

    #[test]
    fn order_is_that_of_dpkg() {
        for (i, left) in ASCENDING.iter().enumerate() {
            for (j, right) in ASCENDING.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} against {right}");
            }
        }
        for (left, right) in EQUAL {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} against {right}");
        }
    }

    /// The tables themselves against dpkg, where it is installed.
    #[test]
    fn tables_agree_with_dpkg() {
        let dpkg = |left: &str, operator: &str, right: &str| {
            std::process::Command::new("dpkg").args(["--compare-versions", left, operator, right]).status()
        };
        if dpkg("1", "eq", "1").is_err() {
            return;
        }
        for pair in ASCENDING.windows(2) {
            assert!(dpkg(pair[0], "lt", pair[1]).unwrap().success(), "{} < {}", pair[0], pair[1]);
        }
        for (left, right) in EQUAL {
            assert!(dpkg(left, "eq", right).unwrap().success(), "{left} = {right}");
        }
    }
}
