//! The server's RSA keys: one that is made at first start and kept as two PEM files in the data directory, or those that
//! the operator gives.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use heliogram_crypto::rsa::{PrivateKey, PublicKey};

use crate::files::{self, Readers};
use crate::welcome::Fingerprint;

/// The key and where its public half lies.
#[derive(Debug)]
pub(crate) struct ServerKey {
    /// The key.
    private: PrivateKey,
    /// Keys that clients may know as well.
    others: Vec<PrivateKey>,
    /// The file that clients get, PKCS#1 PEM.
    pub(crate) public_path: PathBuf,
    /// Whether it was made just now.
    pub(crate) is_new: bool,
}

impl ServerKey {
    /// Reads the keys of these files, or the one of this directory if there are none.
    ///
    /// # Errors
    ///
    /// If a file can't be read or written, or holds no RSA key of 2048 bits.
    pub(crate) fn load(data: &Path, files: &[PathBuf]) -> anyhow::Result<Self> {
        let Some((first, others)) = files.split_first() else {
            return Self::ensure(data);
        };
        let private = read(first)?;
        let public_path = publish(&private, data)?;
        let others = others.iter().map(|file| read(file));
        Ok(Self {
            private,
            others: others.collect::<anyhow::Result<_>>()?,
            public_path,
            is_new: false,
        })
    }

    /// Returns all keys that clients may know.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PrivateKey> {
        std::iter::once(&self.private).chain(&self.others)
    }

    /// Reads the key of this directory, or makes one if there is none. The public file is always that of the private.
    ///
    /// # Errors
    ///
    /// If the files can't be read or written, or the private one holds no RSA key of 2048 bits. A file that is there
    /// is never replaced by a new key: all clients know the old one.
    pub(crate) fn ensure(data: &Path) -> anyhow::Result<Self> {
        files::ensure_directory(data)?;
        let private_path = data.join(PRIVATE_FILE_NAME);
        let (private, is_new) = match std::fs::read_to_string(&private_path) {
            Ok(pem) => (parse_private(&pem, &private_path)?, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (make(&private_path)?, true),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{} can't be read", private_path.display()));
            }
        };
        let public_path = publish(&private, data)?;
        Ok(Self {
            private,
            others: Vec::new(),
            public_path,
            is_new,
        })
    }

    /// Returns the fingerprint of the public key.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.private.public().fingerprint())
    }
}

/// Reads the fingerprint of a PEM file, public or private.
///
/// # Errors
///
/// If the file can't be read, or holds no RSA key of 2048 bits.
pub(crate) fn fingerprint_of_file(path: &Path) -> anyhow::Result<Fingerprint> {
    let bytes = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    // Whatever is not text is no PEM either, and is told so.
    let pem = String::from_utf8_lossy(&bytes);
    let public = match PublicKey::from_pem(&pem) {
        Ok(public) => public,
        Err(_) => parse_private(&pem, path)?.public().clone(),
    };
    Ok(Fingerprint(public.fingerprint()))
}

fn read(path: &Path) -> anyhow::Result<PrivateKey> {
    let pem = std::fs::read_to_string(path);
    let pem =
        pem.with_context(|| format!("key `server_keys`: {} can't be read", path.display()))?;
    parse_private(&pem, path)
}

/// Leaves the public half where clients' makers look for it; returns the file's absolute path.
fn publish(private: &PrivateKey, data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join(PUBLIC_FILE_NAME);
    let pem = private.public().to_pkcs1_pem();
    if std::fs::read_to_string(&path).ok().as_deref() != Some(pem.as_str()) {
        files::write_atomically(&path, Readers::Everyone, pem.as_bytes())?;
    }
    std::path::absolute(&path).context("the data directory has no absolute path")
}

fn parse_private(pem: &str, path: &Path) -> anyhow::Result<PrivateKey> {
    match PrivateKey::from_pem(pem) {
        Ok(key) => Ok(key),
        Err(error) => bail!(
            "{}: {error}; expected an RSA key of 2048 bits in PEM",
            path.display()
        ),
    }
}

fn make(path: &Path) -> anyhow::Result<PrivateKey> {
    let key = PrivateKey::generate().context("no RSA key could be made")?;
    let pem = key
        .to_pkcs1_pem()
        .context("the new RSA key can't be encoded")?;
    files::write_atomically(path, Readers::Owner, pem.as_bytes())?;
    Ok(key)
}

const PRIVATE_FILE_NAME: &str = "server_private.pem";

const PUBLIC_FILE_NAME: &str = "server_public.pem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_and_the_second_keeps_it() {
        let directory = tempfile::tempdir().unwrap();

        let first = ServerKey::ensure(directory.path()).unwrap();
        let second = ServerKey::ensure(directory.path()).unwrap();

        assert!(first.is_new && !second.is_new);
        assert_eq!(first.fingerprint(), second.fingerprint());
        let pem = std::fs::read_to_string(directory.path().join("server_public.pem")).unwrap();
        assert!(pem.starts_with("-----BEGIN RSA PUBLIC KEY-----\n"), "{pem}");
    }

    #[test]
    fn both_files_have_the_fingerprint_of_the_key() {
        let directory = tempfile::tempdir().unwrap();

        let key = ServerKey::ensure(directory.path()).unwrap();

        for name in ["server_private.pem", "server_public.pem"] {
            assert_eq!(
                fingerprint_of_file(&directory.path().join(name)).unwrap(),
                key.fingerprint()
            );
        }
    }

    #[test]
    fn given_keys_are_all_served_and_the_first_is_published() {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = ["a", "b"]
            .map(|name| {
                let made = ServerKey::ensure(&directory.path().join(name)).unwrap();
                let file = directory.path().join(name).join("server_private.pem");
                (file, made.fingerprint())
            })
            .into();
        let paths: Vec<_> = files.iter().map(|(path, _)| path.clone()).collect();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();

        let loaded = ServerKey::load(&data, &paths).unwrap();

        let fingerprints = loaded
            .all()
            .map(|key| Fingerprint(key.public().fingerprint()));
        assert!(fingerprints.eq(files.iter().map(|(_, fingerprint)| *fingerprint)));
        let published = fingerprint_of_file(&data.join("server_public.pem")).unwrap();
        assert_eq!(published, files[0].1);
        assert!(!data.join("server_private.pem").exists());
        let missing = ServerKey::load(&data, &[data.join("none.pem")]).unwrap_err();
        assert!(missing.to_string().contains("`server_keys`"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn the_private_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        ServerKey::ensure(directory.path()).unwrap();

        let mode = std::fs::metadata(directory.path().join("server_private.pem"))
            .unwrap()
            .permissions()
            .mode();

        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_holds_no_key_is_named_with_what_was_expected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        for contents in [&b"text"[..], b"", b"\xff\xfe\0"] {
            std::fs::write(&path, contents).unwrap();

            let error = fingerprint_of_file(&path).unwrap_err().to_string();

            assert!(
                error.contains("expected an RSA key of 2048 bits in PEM"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_damaged_private_file_is_an_error_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server_private.pem");
        std::fs::write(&path, "not a key").unwrap();

        let error = ServerKey::ensure(directory.path()).unwrap_err().to_string();

        assert!(
            error.contains("server_private.pem") && error.contains("2048"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"not a key");
    }
}
