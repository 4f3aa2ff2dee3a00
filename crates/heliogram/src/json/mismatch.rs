//! Why JSON is no value of a type, in words that say what to write instead.

use std::fmt;

/// What is wrong with an argument, and where.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Names of the fields that lead there, the outermost last.
    path: Vec<String>,
    /// What is wrong.
    problem: String,
    /// What the schema says about it.
    declared: Option<String>,
}

impl Mismatch {
    pub(crate) const fn new(problem: String) -> Self {
        Self {
            path: Vec::new(),
            problem,
            declared: None,
        }
    }

    /// Adds what the schema says, unless something nearer has been added.
    pub(crate) fn declared(mut self, declared: &impl ToString) -> Self {
        self.declared.get_or_insert_with(|| declared.to_string());
        self
    }

    /// Says within which field it is.
    pub(crate) fn within(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.path.iter().rev().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{name}")?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.problem)?;
        if let Some(declared) = &self.declared {
            write!(f, "\n  {declared}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
