//! A bot that answers every message with its own words.
//!
//! Teaches: how a bot signs in, how updates are read in their order, where to go on after a restart, and how to send so
//! that a repeat is not sent twice.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use heliogram_client::tl::enums;
use heliogram_client::tl::functions::auth::ImportBotAuthorization;
use heliogram_client::tl::functions::messages::SendMessage;
use heliogram_client::updates::{Position, Updates};
use heliogram_client::{Client, DataCentre, InvokeError, PublicKey};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: echo_bot ADDRESS PUBLIC_KEY_FILE BOT_TOKEN POSITION_FILE";
    let address = arguments.next().context(usage)?.parse()?;
    let pem = std::fs::read_to_string(arguments.next().context(usage)?)?;
    let token = arguments.next().context(usage)?;
    let position = PathBuf::from(arguments.next().context(usage)?);

    let client = Client::builder()
        .api_id(4)
        .api_hash("014b35b6184100b085b0d0572f9b5103")
        .server_key(PublicKey::from_pem(&pem)?)
        .data_centre(DataCentre::new(2, [address]))
        .connect()
        .await?;
    sign_in(&client, token).await?;

    let mut updates = client.updates(load(&position)?);
    loop {
        tokio::select! {
            echoed = echo_next(&client, &mut updates) => {
                let echoed = echoed?;
                // Only now: what was not answered yet comes again after a restart.
                store(&position, &updates.position())?;
                println!("echoed {echoed}");
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    client.shutdown().await;
    Ok(())
}

/// A bot signs in with its token, as often as it likes. With keys that are kept, once would do.
async fn sign_in(client: &Client, token: String) -> anyhow::Result<()> {
    let (api_id, api_hash) = client.application();
    let request = ImportBotAuthorization {
        flags: 0,
        api_id,
        api_hash: api_hash.to_owned(),
        bot_auth_token: token,
    };
    let enums::auth::Authorization::Authorization(it) = client.invoke(&request).await? else {
        anyhow::bail!("a bot can't sign up");
    };
    println!("signed in as bot {}", it.user.id());
    Ok(())
}

/// Waits for the next message from somebody, and answers it. Returns its text.
async fn echo_next(client: &Client, updates: &mut Updates) -> anyhow::Result<String> {
    loop {
        let update = updates
            .next_update()
            .await
            .context("the stream has ended")?;
        let enums::Update::NewMessage(new) = update.update else {
            continue;
        };
        let enums::Message::Message(message) = new.message else {
            continue;
        };
        // What we have sent ourselves comes, too.
        let from = message.from_id.as_ref().unwrap_or(&message.peer_id);
        let Some(peer) = updates
            .input_peer(&message.peer_id)
            .filter(|_| !message.out)
        else {
            continue;
        };
        let answer = text(peer, &message.message, random_id(from, message.id));
        match client.invoke(&answer).await {
            Ok(_) => return Ok(message.message),
            // An earlier run of ours has answered, and ended before it could note that.
            Err(InvokeError::Rpc(error)) if error.name == "RANDOM_ID_DUPLICATE" => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same number for the same message, whenever it is answered: a server sends what has one number once.
fn random_id(from: &enums::Peer, message: i32) -> i64 {
    let from = match from {
        enums::Peer::User(it) => it.user_id,
        enums::Peer::Chat(it) => it.chat_id,
        enums::Peer::Channel(it) => it.channel_id,
    };
    from.rotate_left(32) ^ i64::from(message)
}

fn text(peer: enums::InputPeer, message: &str, random_id: i64) -> SendMessage {
    SendMessage {
        no_webpage: false,
        silent: false,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer,
        reply_to: None,
        message: message.to_owned(),
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
    }
}

fn load(path: &Path) -> anyhow::Result<Option<Position>> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Position::from_bytes(&std::fs::read(path)?)?))
}

fn store(path: &Path, position: &Position) -> anyhow::Result<()> {
    // In one piece: whoever reads it finds the old one or the new one.
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, position.to_bytes())?;
    Ok(std::fs::rename(unfinished, path)?)
}
