//! The valid spelling nearest to what was written, for hints.

/// A hint that names the candidate nearest to `word`; empty if none is near. Case and `_` for `-` do not count.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let folded = fold(word);
    let near = candidates.into_iter().filter_map(|candidate| {
        let target = fold(candidate);
        let edits = distance(&folded, &target);
        (edits <= folded.len().max(target.len()).div_ceil(3)).then_some((edits, candidate))
    });
    near.min_by_key(|(edits, _)| *edits).map_or_else(String::new, |(_, name)| format!("did you mean {name:?}?"))
}

fn fold(word: &str) -> Vec<char> {
    // A longer word is no misspelling; the cap keeps the square of the length small.
    word.chars().take(60).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Insertions, deletions and replacements.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            row[j + 1] = left;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn finds_the_nearest() {
        let keys = ["hostname", "timezone", "ca-certificates"];
        assert_eq!(did_you_mean("hostnam", keys), "did you mean \"hostname\"?");
        assert_eq!(did_you_mean("CA_certificate", keys), "did you mean \"ca-certificates\"?");
        assert_eq!(did_you_mean("kernel", keys), "");
        assert_eq!(did_you_mean("", keys), "");
    }
}
