//! TL values as JSON: how they are shown to people and scripts, and how they are taken from them.
//!
//! The form is described in `docs/json.md`, its reasons in `docs/adr/0022-json-of-tl-values.md`. What is shown is taken
//! back as the same value; what is taken may be written in shorter ways than it is shown.

mod arguments;
mod mismatch;
mod names;
mod show;
mod take;

pub(crate) use arguments::merge;
pub(crate) use show::{BytesForm, Shown, hex};
pub(crate) use take::{Taker, unhex};

#[cfg(test)]
mod tests;
