//! The known name that somebody probably meant.

/// Returns the candidate nearest to `name`, if one is near enough to be meant: a third of the letters may be wrong, missing or
/// too many. Case does not count. Of two equally near the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    let limit = (wanted.len() / 3).clamp(1, 6);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let found = distance(&wanted, &fold(candidate));
        if found <= limit && best.is_none_or(|(least, _)| found < least) {
            best = Some((found, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn fold(text: &str) -> Vec<char> {
    // Nobody means a name of more than a few hundred characters, and the distance takes the product of the lengths.
    text.chars().take(300).map(|character| character.to_ascii_lowercase()).collect()
}

/// Counts the edits between two words: a character wrong, missing or too many, or two neighbors swapped (optimal string
/// alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, right) in b.iter().enumerate() {
            let substitute = above[j] + usize::from(left != right);
            row[j + 1] = substitute.min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(a: &str, b: &str) -> usize {
        distance(&fold(a), &fold(b))
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(between("", ""), 0);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("rign", "ring"), 1);
        assert_eq!(between("ab", "ba"), 1);
        assert_eq!(between("PowerState", "powerstate"), 0);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["PowerState", "SetSystemTime", "SetSystemState"];
        assert_eq!(nearest("PowerStat", known), Some("PowerState"));
        assert_eq!(nearest("setsystemtme", known), Some("SetSystemTime"));
        assert_eq!(nearest("Elephant", known), None);
        assert_eq!(nearest("", known), None);
    }
}
