//! The valid spelling nearest to what was written, for hints.

/// A hint that names the candidate nearest to `word`; empty if none is near.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |candidate| format!("did you mean {candidate:?}?"))
}

/// The candidate with the fewest edits from `word`, if they are few for its length; the first of equally near ones.
/// Case and `_` for `-` do not count.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let target = fold(candidate);
            let edits = distance(&folded, &target);
            (edits <= folded.len().max(target.len()).div_ceil(3)).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    // A longer word is no misspelling; the cap keeps the square of the length small.
    word.chars().take(100).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, distance, fold, nearest};

    #[test]
    fn counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "ab", 2), ("name", "nmae", 1), ("podman", "podmann", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(&fold(a), &fold(b)), edits, "{a} {b}");
            assert_eq!(distance(&fold(b), &fold(a)), edits, "{b} {a}");
        }
    }

    #[test]
    fn finds_the_nearest() {
        let keys = ["name", "version", "volume-id", "hostname"];
        assert_eq!(nearest("nmae", keys), Some("name"));
        assert_eq!(nearest("Volume_ID", keys), Some("volume-id"));
        assert_eq!(nearest("versoin", keys), Some("version"));
        assert_eq!(nearest("kernel", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(did_you_mean("hostnam", keys), "did you mean \"hostname\"?");
        assert_eq!(did_you_mean("qqqq", keys), "");
    }
}
