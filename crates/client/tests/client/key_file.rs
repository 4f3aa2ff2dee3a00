//! Key files: who may read them, who holds them, what is never overwritten.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heliogram_client::ConnectError;
use heliogram_client::storage::{File, FileError, Protection, State, Storage as _};
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_proto::client::Saved;
use heliogram_proto::ids::Salt;
use tempfile::TempDir;

use crate::server::{Count, Server};

#[tokio::test]
async fn a_client_comes_back_with_the_key_of_a_sealed_file() {
    let (_directory, path) = place();
    let server = Server::start();
    let protection = Protection::Passphrase("correct horse");
    let mut ids = Vec::new();
    for token in 1..3 {
        let file = Arc::new(File::open(&path, protection).unwrap());
        let builder = server.client().storage(Arc::<File>::clone(&file));
        let client = builder.connect().await.unwrap();
        assert_eq!(client.invoke(&Count(token)).await, Ok(token));
        client.shutdown().await;
        ids.push(file.load().unwrap().keys[&2].key.id());
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_free_once_its_client_was_shut_down_and_dropped() {
    let (_directory, path) = place();
    let server = Server::start();
    for _ in 0..30 {
        let file = File::open(&path, Protection::None).unwrap();
        let builder = server.client().without_forward_secrecy();
        let client = builder.storage(Arc::new(file)).connect().await.unwrap();
        client.shutdown().await;
    }
}

#[tokio::test]
async fn a_client_does_not_begin_with_a_file_that_was_replaced_by_something_else() {
    let (_directory, path) = place();
    let server = Server::start();
    let file = File::open(&path, Protection::None).unwrap();
    write(&path, b"a shopping list");
    let builder = server.client().storage(Arc::new(file));
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Storage(_)), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("account.key: the key file is no key file"),
        "{words}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"a shopping list");
}

#[test]
fn nothing_is_there_until_there_is_something_to_keep() {
    let (_directory, path) = place();
    let file = File::open(&path, Protection::None).unwrap();
    assert_eq!(file.load().unwrap(), State::default());
    assert!(!path.exists());
    file.store(&state(7)).unwrap();
    assert_eq!(file.load().unwrap(), state(7));
}

#[test]
fn what_each_protection_keeps_opens_with_it_and_with_no_other() {
    let (key, other) = (SecretBytes::new([1; 32]), SecretBytes::new([2; 32]));
    let (word, wrong) = ("correct horse", "correct house");
    let none = Protection::None;
    let passphrase = Protection::Passphrase(word);
    let with_key = Protection::Key(&key);
    for kept in [none, passphrase, with_key] {
        let (_directory, path) = place();
        File::open(&path, kept).unwrap().store(&state(7)).unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(File::open(&path, kept).unwrap().load().unwrap(), state(7));
        let tries = [
            none,
            passphrase,
            Protection::Passphrase(wrong),
            with_key,
            Protection::Key(&other),
        ];
        for tried in tries {
            let outcome = File::open(&path, tried).map(|file| file.load().unwrap());
            let is_right = match (&outcome, kept) {
                (Ok(it), _) => *it == state(7),
                (Err(FileError::NotSealed), Protection::None) => true,
                (Err(FileError::WrongPassphrase), Protection::Passphrase(_)) => {
                    matches!(tried, Protection::Passphrase(it) if it == wrong)
                }
                (Err(FileError::NeedsPassphrase), Protection::Passphrase(_)) => {
                    !matches!(tried, Protection::Passphrase(_))
                }
                (Err(FileError::WrongKey), Protection::Key(_)) => {
                    matches!(tried, Protection::Key(it) if *it == other)
                }
                (Err(FileError::NeedsKey), Protection::Key(_)) => {
                    !matches!(tried, Protection::Key(_))
                }
                _ => false,
            };
            assert!(is_right, "{kept:?} {tried:?} {outcome:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{kept:?}");
    }
}

#[test]
fn a_sealed_file_shows_nothing_of_its_keys_and_never_the_same_bytes_twice() {
    let (_directory, path) = place();
    let file = File::open(&path, Protection::Passphrase("correct horse")).unwrap();
    file.store(&state(7)).unwrap();
    let first = fs::read(&path).unwrap();
    assert!(!first.windows(8).any(|it| it == [7; 8]));
    file.store(&state(7)).unwrap();
    assert_ne!(fs::read(&path).unwrap(), first);
}

#[test]
fn a_file_and_its_lock_are_their_owners_alone_and_one_that_others_can_read_is_refused() {
    let (_directory, path) = place();
    let file = File::open(&path, Protection::None).unwrap();
    file.store(&state(7)).unwrap();
    drop(file);
    for path in [&path, &with_suffix(&path, ".lock")] {
        let mode = fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path:?}");
    }
    for (mode, is_right) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let outcome = File::open(&path, Protection::None);
        match outcome {
            Ok(_) => assert!(is_right, "{mode:o}"),
            Err(FileError::OthersCanRead { mode: found }) => {
                assert!(!is_right);
                assert_eq!(found, mode);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_file_is_held_by_one_at_a_time() {
    let (directory, path) = place();
    let held = File::open(&path, Protection::None).unwrap();
    let is_in_use = |path: &Path| {
        let second = File::open(path, Protection::None);
        matches!(second, Err(FileError::InUse))
    };
    assert!(is_in_use(&path));
    held.store(&state(7)).unwrap();
    assert!(is_in_use(&path), "after the file was replaced");
    let link = directory.path().join("link.key");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(is_in_use(&link), "by another name");
    drop(held);
    assert!(!is_in_use(&path));
}

#[test]
fn a_link_stays_a_link() {
    let (directory, path) = place();
    File::open(&path, Protection::None)
        .unwrap()
        .store(&state(1))
        .unwrap();
    let link = directory.path().join("link.key");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    File::open(&link, Protection::None)
        .unwrap()
        .store(&state(7))
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let file = File::open(&path, Protection::None).unwrap();
    assert_eq!(file.load().unwrap(), state(7));
}

#[test]
fn what_a_process_left_behind_that_was_stopped_while_it_wrote_is_no_hindrance() {
    let (_directory, path) = place();
    let fresh = with_suffix(&path, ".new");
    fs::write(&fresh, b"half a file").unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o444)).unwrap();
    let file = File::open(&path, Protection::None).unwrap();
    file.store(&state(7)).unwrap();
    assert_eq!(file.load().unwrap(), state(7));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(!fresh.exists());
}

#[test]
fn what_can_not_be_written_leaves_the_file_as_it_was() {
    let (_directory, path) = place();
    let file = File::open(&path, Protection::None).unwrap();
    file.store(&state(1)).unwrap();
    // Nothing can be made where a directory stands.
    let hindrance = with_suffix(&path, ".new");
    fs::create_dir(&hindrance).unwrap();
    let error = file.store(&state(7)).unwrap_err();
    assert!(error.to_string().contains("account.key"), "{error}");
    assert_eq!(file.load().unwrap(), state(1));
}

#[test]
fn a_protection_can_be_changed() {
    let (_directory, path) = place();
    let file = File::open(&path, Protection::None).unwrap();
    file.store(&state(7)).unwrap();
    file.protect(Protection::Passphrase("correct horse"))
        .unwrap();
    assert_eq!(file.load().unwrap(), state(7));
    file.store(&state(8)).unwrap();
    drop(file);
    let error = File::open(&path, Protection::None).unwrap_err();
    assert!(matches!(error, FileError::NeedsPassphrase), "{error}");
    let file = File::open(&path, Protection::Passphrase("correct horse")).unwrap();
    assert_eq!(file.load().unwrap(), state(8));
    file.protect(Protection::None).unwrap();
    drop(file);
    let file = File::open(&path, Protection::None).unwrap();
    assert_eq!(file.load().unwrap(), state(8));
}

#[test]
fn more_than_a_key_file_ever_has_is_not_read() {
    let (_directory, path) = place();
    write(&path, &vec![0; 10 << 20]);
    let error = File::open(&path, Protection::None).unwrap_err();
    assert!(matches!(error, FileError::TooLarge), "{error}");
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("account.key");
    (directory, path)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn state(byte: u8) -> State {
    let mut state = State::default();
    state.home = Some(2);
    let saved = Saved {
        key: AuthKey::new([byte; 256]),
        salt: Salt(1),
        clock_offset_ns: 2,
    };
    state.keys.insert(2, saved);
    state
}
