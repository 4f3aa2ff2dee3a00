//! `heliogram keygen`: the server's RSA key without a server.

use std::path::Path;

use crate::server_key::ServerKey;

/// Makes the key if there is none, and prints where it is. An existing key is kept.
///
/// # Errors
///
/// If the files can't be read or written.
pub(crate) fn run(data: &Path) -> anyhow::Result<()> {
    let key = ServerKey::ensure(data)?;
    println!(
        "{}  {}",
        if key.is_new { "made" } else { "kept" },
        key.public_path.display()
    );
    println!("{}", key.fingerprint());
    Ok(())
}
