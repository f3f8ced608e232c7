//! Names that are near to one that was written wrongly, for errors that say what may have been meant.

/// Longer names are no slips of the pen, and comparing them takes time in proportion to the product of their lengths.
const BYTES_MAX: usize = 64;

/// The name that was probably meant: the one that the fewest slips make of what was written, a slip for each three letters
/// at most; else the only one that contains it.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    if !(2..=BYTES_MAX).contains(&written.len()) {
        return None;
    }
    let written = written.to_ascii_lowercase();
    let slips_max = (written.len() / 3).max(1);
    let near = names.clone().filter_map(|name| {
        let slips = slips(written.as_bytes(), name.to_ascii_lowercase().as_bytes(), slips_max)?;
        Some((slips, name))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name).or_else(|| {
        let mut within = names.filter(|name| name.to_ascii_lowercase().contains(&written));
        within.next().filter(|_| written.len() > 2 && within.next().is_none())
    })
}

/// How many letters must be put in, left out, replaced or swapped with the next one; `None` if more than `most`.
fn slips(written: &[u8], name: &[u8], most: usize) -> Option<usize> {
    if written.len().abs_diff(name.len()) > most {
        return None;
    }
    // Of the name up to each letter: what it takes from the written letters so far, from one fewer, and from two fewer.
    let mut row: Vec<usize> = (0..=name.len()).collect();
    let mut before = Vec::new();
    for (line, letter) in written.iter().enumerate() {
        let long_before = std::mem::replace(&mut before, std::mem::replace(&mut row, vec![line + 1]));
        for (place, other) in name.iter().enumerate() {
            let replaced = before[place] + usize::from(letter != other);
            let inserted = (before[place + 1] + 1).min(row[place] + 1);
            let mut least = replaced.min(inserted);
            if line > 0 && place > 0 && *letter == name[place - 1] && written[line - 1] == *other {
                least = least.min(long_before[place - 1] + 1);
            }
            row.push(least);
        }
    }
    row.last().copied().filter(|slips| *slips <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let check = |written: &str, name: &str, expected| {
            assert_eq!(slips(written.as_bytes(), name.as_bytes(), 3), expected, "{written} {name}");
            assert_eq!(slips(name.as_bytes(), written.as_bytes(), 3), expected, "{name} {written}");
        };
        check("", "", Some(0));
        check("pipes", "pipes", Some(0));
        check("pipe", "pipes", Some(1));
        check("piped", "pipes", Some(1));
        check("ppies", "pipes", Some(1));
        check("abc", "cab", Some(2));
        check("", "abc", Some(3));
        check("abcd", "", None);
        check("abcdefg", "tuvwxyz", None);
    }

    #[test]
    fn the_nearest_name_is_offered() {
        let names = ["users_auth", "users_data", "pipes", "pipes_messages", "users_messages", "id", "time"];
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(nearest(written, names.into_iter()), expected, "{written}");
        };
        check("pipe_message", Some("pipes_messages"));
        check("PIPE", Some("pipes"));
        check("user_data", Some("users_data"));
        check("tiem", Some("time"));
        check("auth", Some("users_auth"));
        // Of two that contain it, neither.
        check("messages", None);
        check("ix", Some("id"));
        check("x", None);
        check("", None);
        check("nowhere", None);
        check(&"pipes".repeat(20), None);
        check("жд", None);
    }
}
