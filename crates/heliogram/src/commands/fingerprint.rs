//! `heliogram fingerprint FILE`: how clients name a key.

use std::path::Path;

use crate::server_key;

/// Prints the fingerprint of a PEM file.
///
/// # Errors
///
/// If the file holds no RSA key of 2048 bits.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    println!("{}", server_key::fingerprint_of_file(file)?);
    Ok(())
}
