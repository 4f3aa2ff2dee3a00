//! Puts figures into the document about them.

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Puts what a command has found between the lines that name the command.
///
/// # Errors
///
/// When the document has no such lines, or can't be written.
pub(super) fn put(command: &str, text: &str) -> Result<()> {
    let path = process::root().join(DOCUMENT);
    let old = std::fs::read_to_string(&path).context(DOCUMENT)?;
    std::fs::write(&path, replaced(&old, command, text)?).context(DOCUMENT)
}

fn replaced(document: &str, command: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- begin of what `{command}` writes -->");
    let halves = document.split_once(&begin);
    let Some((before, (_, after))) =
        halves.and_then(|(before, rest)| Some((before, rest.split_once(END)?)))
    else {
        bail!("{DOCUMENT}: no lines `{begin}` and `{END}`");
    };
    let text = text.trim();
    Ok(format!("{before}{begin}\n\n{text}\n\n{END}{after}"))
}

const DOCUMENT: &str = "docs/benchmarks.md";
const END: &str = "<!-- end -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_the_old_ones_of_their_command_and_nothing_else() {
        let begin = |command| format!("<!-- begin of what `{command}` writes -->");
        let (first, second) = (begin("x"), begin("y"));
        let document = format!("a\n{first}\nold\n{END}\n{second}\nolder\n{END}\nz\n");
        assert_eq!(
            replaced(&document, "y", "new\n").unwrap(),
            format!("a\n{first}\nold\n{END}\n{second}\n\nnew\n\n{END}\nz\n")
        );
        assert!(replaced("a\nz\n", "x", "new").is_err());
    }
}
