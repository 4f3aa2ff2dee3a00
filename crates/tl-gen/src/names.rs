//! From names of a schema to names of Rust.

/// Splits `help.getConfig` into its namespace and its name.
pub(crate) fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    }
}

/// Turns the last part of a name into the name of a Rust type: `req_DH_params` into `ReqDhParams`.
pub(crate) fn type_name(name: &str) -> String {
    let (_, name) = split(name);
    name.split('_').map(word_case).collect()
}

/// Turns the name of a field into a Rust identifier.
pub(crate) fn field_name(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

/// Upper-cases the first letter; in a run of capitals only the first, and the last if a word begins with it, stay.
fn word_case(word: &str) -> String {
    let letters = word.chars().collect::<Vec<_>>();
    let is_upper = |index: usize| letters.get(index).is_some_and(char::is_ascii_uppercase);
    let is_lower = |index: usize| letters.get(index).is_some_and(char::is_ascii_lowercase);
    let case = |(index, letter): (usize, &char)| {
        let within_run =
            index > 0 && is_upper(index) && is_upper(index - 1) && !is_lower(index + 1);
        match index {
            0 => letter.to_ascii_uppercase(),
            _ if within_run => letter.to_ascii_lowercase(),
            _ => *letter,
        }
    };
    letters.iter().enumerate().map(case).collect()
}

const KEYWORDS: [&str; 12] = [
    "as", "const", "enum", "final", "for", "in", "loop", "match", "mod", "static", "type", "use",
];

#[cfg(test)]
mod tests {
    use super::{field_name, type_name};

    #[test]
    fn an_acronym_counts_as_one_word() {
        assert_eq!(type_name("resPQ"), "ResPq");
        assert_eq!(type_name("req_DH_params"), "ReqDhParams");
        assert_eq!(type_name("JSONValue"), "JsonValue");
        assert_eq!(type_name("JSONObjectValue"), "JsonObjectValue");
        assert_eq!(type_name("p_q_inner_data_dc"), "PQInnerDataDc");
        assert_eq!(type_name("help.getConfig"), "GetConfig");
    }

    #[test]
    fn a_keyword_becomes_a_raw_identifier() {
        assert_eq!(field_name("static"), "r#static");
        assert_eq!(field_name("nonce"), "nonce");
    }
}
