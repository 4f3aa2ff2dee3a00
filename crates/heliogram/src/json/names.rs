//! What somebody may have meant who wrote a name that there is not.

/// Words a list of names for the end of a sentence: `; did you mean a, b or c?`.
pub(crate) fn did_you_mean<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(written, names);
    match near.as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [rest @ .., last] => format!("; did you mean {} or {last}?", rest.join(", ")),
    }
}

/// Returns the names that are like the one that was written, the likest first.
fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let written = written.to_ascii_lowercase();
    let mut ranked: Vec<_> = names
        .filter_map(|name| Some((distance(&written, &name.to_ascii_lowercase())?, name)))
        .collect();
    ranked.sort_unstable();
    let best = ranked.first().map_or(0, |(distance, _)| *distance);
    let close = ranked.iter().take_while(|(it, _)| *it <= best + 1);
    close.take(NAMES_MAX).map(|(_, name)| *name).collect()
}

/// Tells how far apart two names are; `None` if too far.
fn distance(written: &str, name: &str) -> Option<usize> {
    let short = last(name);
    if written == name {
        return Some(0);
    }
    // The namespace forgotten or another one, or the beginning of a name.
    if last(written) == short || (written.len() >= 4 && short.starts_with(written)) {
        return Some(1);
    }
    let edits = edits(written, name).min(1 + edits(written, short));
    (edits <= EDITS_MAX.min(written.len() / 3)).then_some(edits)
}

fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// Counts the letters to insert, to remove or to replace.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<_> = (0..=to.len()).collect();
    for (at, letter) in from.bytes().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

const NAMES_MAX: usize = 5;
const EDITS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_levenshtein_does() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }

    #[test]
    fn typos_and_forgotten_namespaces_are_guessed_and_strangers_are_not() {
        let names = [
            "help.getConfig",
            "help.getNearestDc",
            "users.getUsers",
            "account.getPassword",
        ];
        let guess = |written| nearest(written, names.into_iter());
        assert_eq!(guess("help.getConfg"), ["help.getConfig"]);
        assert_eq!(guess("getconfig"), ["help.getConfig"]);
        assert_eq!(guess("helpgetConfig"), ["help.getConfig"]);
        assert_eq!(guess("user.getUsers"), ["users.getUsers"]);
        assert_eq!(guess("messages.getHistory"), [""; 0]);
        assert_eq!(guess(""), [""; 0]);
    }

    #[test]
    fn names_are_put_into_words() {
        let words = |names: &[&'static str]| did_you_mean("abcdef", names.iter().copied());
        assert_eq!(words(&["zzzzzz"]), "");
        assert_eq!(words(&["abcdeg"]), "; did you mean abcdeg?");
        assert_eq!(
            words(&["abcdeh", "abcdeg"]),
            "; did you mean abcdeg or abcdeh?"
        );
    }
}
