//! Tables of the file, its format number, and the start counter.

use std::path::Path;

use heliogram_crypto::SecretBytes;
use heliogram_ports::record::Sealer;
use heliogram_proto::ids::Term;
use rand_core::{Rng, UnwrapErr};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableError,
};

use crate::OpenError;

/// Sealed records by key id.
pub(crate) const KEYS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("keys");

/// Ends of temporary keys: (Unix time in seconds, key id), so that a purge reads only what has ended.
pub(crate) const ENDS: TableDefinition<'_, (u32, i64), ()> = TableDefinition::new("ends");

/// Temporary keys by the permanent key that they are bound to, with their ends: (permanent key id, temporary key id).
pub(crate) const BOUND: TableDefinition<'_, (i64, i64), u32> = TableDefinition::new("bound");

/// Numbers: `format`, `term`.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// Sealed secrets: `salt`.
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");

/// The format that this release writes.
const FORMAT: u64 = 1;

/// Opens or makes the file, readable by its owner alone.
pub(crate) fn open_file(file: &Path) -> Result<Database, OpenError> {
    restrict(file).map_err(|error| data_error(file, redb::Error::Io(error)))?;
    Database::create(file).map_err(|error| {
        if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
            OpenError::InUse(file.to_owned())
        } else {
            data_error(file, error.into())
        }
    })
}

/// Makes the file with mode 0600 before anything is written to it.
fn restrict(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(file)?;
    sync_directory_of(file)
}

/// A file's name survives a power cut only once its directory is on disk.
pub(crate) fn sync_directory_of(file: &Path) -> std::io::Result<()> {
    let directory = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}

/// Tells whether anything was ever sealed: the first secret comes with the first start, in one step.
pub(crate) fn holds_secrets(database: &Database, file: &Path) -> Result<bool, OpenError> {
    let step = || -> Result<bool, redb::Error> {
        match database.begin_read()?.open_table(SECRETS) {
            Ok(secrets) => Ok(!secrets.is_empty()?),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    step().map_err(|error| data_error(file, error))
}

/// Checks the format, makes the tables, counts this start, and reads or makes the salt secret: in one durable step.
pub(crate) fn begin_term(
    database: &Database,
    sealer: &Sealer,
    file: &Path,
) -> Result<(Term, SecretBytes<32>), OpenError> {
    let step = || -> Result<Result<(Term, SecretBytes<32>), OpenError>, redb::Error> {
        let transaction = database.begin_write()?;
        let (term, salt_secret) = {
            transaction.open_table(KEYS)?;
            transaction.open_table(ENDS)?;
            transaction.open_table(BOUND)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            let format = numbers
                .get("format")?
                .map_or(FORMAT, |number| number.value());
            if format != FORMAT {
                return Ok(Err(OpenError::Format(file.to_owned(), format, FORMAT)));
            }
            numbers.insert("format", FORMAT)?;
            let term = numbers
                .get("term")?
                .map_or(0, |number| number.value())
                .saturating_add(1);
            numbers.insert("term", term)?;
            let mut secrets = transaction.open_table(SECRETS)?;
            let sealed = secrets.get("salt")?.map(|sealed| sealed.value().to_vec());
            let Some(secret) =
                sealed.map_or_else(|| Some(new_secret()), |s| sealer.open_secret("salt", &s))
            else {
                return Ok(Err(OpenError::WrongMasterKey(file.to_owned())));
            };
            // Sealed anew at each start, so that it moves to the newest master key.
            secrets.insert("salt", sealer.seal_secret("salt", &secret).as_slice())?;
            (Term(term), secret)
        };
        transaction.commit()?;
        Ok(Ok((term, salt_secret)))
    };
    step().map_err(|error| data_error(file, error))?
}

fn new_secret() -> SecretBytes<32> {
    let mut secret = [0; 32];
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut secret);
    SecretBytes::new(secret)
}

fn data_error(file: &Path, error: redb::Error) -> OpenError {
    OpenError::Data(file.to_owned(), Box::new(error))
}
