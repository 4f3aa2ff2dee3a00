//! A client whose keys are kept by your own code: here in a table of an embedded database.
//!
//! Teaches: [`Storage`], what is to be kept ([`State`]), and what that saves: the second start makes no key.
//! What a client keeps is all that it takes to be that client. This example leaves the record as it is; seal it, or use
//! [`storage::File`](heliogram_client::storage::File), which does.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use heliogram_client::storage::{State, Storage, StorageError};
use heliogram_client::tl::functions::help;
use heliogram_client::tl::types;
use heliogram_client::{Client, DataCentre, PublicKey};
use redb::{Database, ReadableDatabase as _, TableDefinition, TableError};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: custom_key_store DATABASE ADDRESS PUBLIC_KEY_FILE";
    let table = Table::open(Path::new(&arguments.next().context(usage)?))?;
    let address: SocketAddr = arguments.next().context(usage)?.parse()?;
    let pem = std::fs::read_to_string(arguments.next().context(usage)?)?;

    let known = table.load()?.keys.len();
    println!("{known} keys are kept");

    let client = Client::builder()
        .api_id(4)
        .api_hash("014b35b6184100b085b0d0572f9b5103")
        .server_key(PublicKey::from_pem(&pem)?)
        .data_centre(DataCentre::new(2, [address]))
        .storage(std::sync::Arc::new(table))
        .connect()
        .await?;
    let nearest: types::NearestDc = client.invoke(&help::GetNearestDc {}).await?.into();
    println!("data centre {} answers", nearest.this_dc);
    client.shutdown().await;
    Ok(())
}

/// One row of one table. Bring your own vault: all that it must do is to replace the row in one piece.
struct Table {
    database: Database,
}

impl Table {
    fn open(path: &Path) -> anyhow::Result<Self> {
        // Refused while another process has it open: two clients with one key would be in each other's way.
        let database = Database::create(path)?;
        Ok(Self { database })
    }

    fn read(&self) -> Result<Option<Vec<u8>>, redb::Error> {
        let reading = self.database.begin_read()?;
        let table = match reading.open_table(CLIENTS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(table.get(ME)?.map(|row| row.value().to_vec()))
    }

    fn write(&self, record: &[u8]) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        writing.open_table(CLIENTS)?.insert(ME, record)?;
        // Durable when this returns: a key that the server knows and we don't is lost, and whoever was signed in with it.
        writing.commit()?;
        Ok(())
    }
}

impl Storage for Table {
    fn load(&self) -> Result<State, StorageError> {
        let record = self
            .read()
            .map_err(|error| StorageError(error.to_string()))?;
        let Some(record) = record else {
            return Ok(State::default());
        };
        // An error here keeps the client from beginning: it would write over what somebody may still rescue.
        State::from_bytes(&record)
            .ok_or_else(|| StorageError("the record is damaged: restore the database".to_owned()))
    }

    fn store(&self, state: &State) -> Result<(), StorageError> {
        self.write(&state.to_bytes())
            .map_err(|error| StorageError(error.to_string()))
    }
}

const CLIENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("clients");
const ME: &str = "me";
