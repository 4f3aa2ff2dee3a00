//! Connects to a server and calls methods of the API.
//!
//! Teaches: what every client needs ([`Client::builder`]), what a typed call looks like, how an error of the server's is
//! told from one of the connection's, and how to end so that nothing is lost.

use anyhow::Context as _;
use heliogram_client::tl::functions::{help, users};
use heliogram_client::tl::{enums, types};
use heliogram_client::{Client, DataCentre, InvokeError, PublicKey};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: connect_and_call ADDRESS PUBLIC_KEY_FILE";
    let address = arguments.next().context(usage)?.parse()?;
    let pem = std::fs::read_to_string(arguments.next().context(usage)?)?;

    // The key is the server's: `heliogram serve` prints it. Nothing else makes sure that it is the right server.
    let client = Client::builder()
        .api_id(4)
        .api_hash("014b35b6184100b085b0d0572f9b5103")
        .server_key(PublicKey::from_pem(&pem)?)
        .data_centre(DataCentre::new(2, [address]))
        .connect()
        .await?;

    let nearest: types::NearestDc = client.invoke(&help::GetNearestDc {}).await?.into();
    println!("data centre {} answers", nearest.this_dc);

    let myself = users::GetUsers {
        id: vec![enums::InputUser::UserSelf],
    };
    match client.invoke(&myself).await {
        Ok(found) => {
            let number = found.first().map(enums::User::id);
            println!("signed in as user {}", number.context("no such user")?);
        }
        // The server has answered, and does not know us.
        Err(InvokeError::Rpc(error)) if error.code == 401 => println!("not signed in: {error}"),
        // Everything else: the connection, a time that has passed, an answer that can't be read.
        Err(error) => return Err(error.into()),
    }

    // Both travel together: calls that are made at the same time share a container.
    let (config, nearest) = tokio::join!(
        client.invoke(&help::GetConfig {}),
        client.invoke(&help::GetNearestDc {}),
    );
    let config: types::Config = config?.into();
    let nearest: types::NearestDc = nearest?.into();
    println!(
        "{} addresses of data centres are known; the nearest is {}",
        config.dc_options.len(),
        nearest.nearest_dc
    );

    client.shutdown().await;
    Ok(())
}
