//! The manual: how to do with this crate what people do with clients. Every example here is run by the tests, against a
//! server in the same process.
//!
//! 1. [Connect](connect): what every client needs, transports, proxies, test servers.
//! 2. [Call](call): typed methods, other schemas, what happens to errors, how calls end.
//! 3. [Keep keys](keys): so that the next start needs no new ones.
//! 4. [Data centres](data_centres): where things are, and who moves.
//! 5. [Read updates](updates): in order and without gaps, across restarts.
//! 6. [Move files](files): downloads and uploads in parts, on from where they were.
//! 7. [Know what goes on](notices): connections, lost keys.
//! 8. [What is never done](mod@never).
//!
//! Programs to start from are in the folder `examples/` of the repository.

pub mod connect {
    //! # Connect
    //!
    //! Every client needs four things: the application's number and hash, the public key of the server, and where a data
    //! centre is. Whatever is missing is an error that names it.
    //!
    //! ```
    //! use heliogram_client::{Client, DataCentre, PublicKey};
    //!
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let address = servers.at(2).address();
    //! # let pem = public_key().to_pkcs1_pem();
    //! let client = Client::builder()
    //!     .api_id(4)
    //!     .api_hash("014b35b6184100b085b0d0572f9b5103")
    //!     .server_key(PublicKey::from_pem(&pem)?)
    //!     .data_centre(DataCentre::new(2, [address]))
    //!     .connect()
    //!     .await?;
    //! client.shutdown().await;
    //!
    //! let missing = Client::builder().api_id(4).connect().await.unwrap_err();
    //! assert_eq!(missing.to_string(), "api_hash is missing: call Builder::api_hash");
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! [`Builder::connect`](crate::Builder::connect) returns once calls go out. From then on the client comes back by
    //! itself whenever a connection is lost, as [`Reconnect`](crate::Reconnect) says: after one second, then longer, for
    //! ever unless told otherwise.
    //!
    //! The server's key is all that makes sure that it is the right server. Nothing from the network ever adds to the keys
    //! that a client was given.
    //!
    //! ## Transports and proxies
    //!
    //! A client speaks obfuscated intermediate frames unless told otherwise. Below, one that speaks padded frames, and one
    //! that goes through an `MTProxy`: the link prescribes how.
    //!
    //! ```
    //! use heliogram_client::{Client, Framing, MtProxy, Obfuscation, Transport};
    //!
    //! let padded = Client::builder().transport(Transport::Tcp {
    //!     framing: Framing::PaddedIntermediate,
    //!     obfuscation: Some(Obfuscation::default()),
    //! });
    //! let link = "tg://proxy?server=proxy.example&port=443&secret=dd000102030405060708090a0b0c0d0e0f";
    //! let hidden = Client::builder().mtproxy(link.parse::<MtProxy>()?);
    //! # drop((padded, hidden));
    //! # Ok::<(), heliogram_client::BadProxy>(())
    //! ```
    //!
    //! [`Transport::WebSocket`](crate::Transport::WebSocket) is for networks that let nothing else through;
    //! [`Builder::proxy`](crate::Builder::proxy) for SOCKS5; [`Builder::ip_versions`](crate::Builder::ip_versions) for
    //! those that want IPv6 first, or only.
    //!
    //! ## Forward secrecy
    //!
    //! A client seals calls with a temporary key that is bound to its permanent one and renewed before it ends. Nothing of
    //! that is to be seen; [`Builder::without_forward_secrecy`](crate::Builder::without_forward_secrecy) is for servers
    //! that don't know it.
}

pub mod call {
    //! # Call
    //!
    //! A method of layer 222 is a value of [`tl::functions`](crate::tl::functions). What the server answers has the type
    //! that the schema says.
    //!
    //! ```
    //! use std::time::Duration;
    //!
    //! use heliogram_client::tl::{functions, types};
    //! use heliogram_client::{Client, InvokeError, RpcErrorKind};
    //!
    //! # use heliogram_client::DataCentre;
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let client = builder.connect().await?;
    //! let nearest: types::NearestDc = client.invoke(&functions::help::GetNearestDc {}).await?.into();
    //! assert_eq!(nearest.this_dc, 2);
    //!
    //! # servers.at(2).backend().script().fail::<functions::updates::GetState>(1, 420, "FLOOD_WAIT_4242");
    //! match client.invoke(&functions::updates::GetState {}).await {
    //!     // The server has answered: it was executed, or refused.
    //!     Ok(state) => println!("{state:?}"),
    //!     Err(InvokeError::Rpc(error)) => {
    //!         assert_eq!((error.name.as_str(), error.parameter), ("FLOOD_WAIT", Some(4242)));
    //!         assert_eq!(error.kind(), RpcErrorKind::FloodWait(Duration::from_secs(4242)));
    //!     }
    //!     // No answer: whether it was executed is not known.
    //!     Err(InvokeError::TimedOut | InvokeError::Uncertain) => println!("make it again if that does no harm"),
    //!     Err(error) => println!("{error}"),
    //! }
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! Calls may be made from as many tasks as there are: they travel together where they can, and answers come in any
    //! order. A call that is dropped is given up, and the server is told.
    //!
    //! ## What a client does by itself
    //!
    //! | error | what is done |
    //! | --- | --- |
    //! | `FLOOD_WAIT_X` and the like | waited for, up to [`Builder::flood_wait_max`](crate::Builder::flood_wait_max) for one call; longer waits are told |
    //! | `PHONE_`, `NETWORK_`, `USER_MIGRATE_X` | that data centre is home from then on, and the call made there |
    //! | `FILE_`, `STATS_MIGRATE_X` | this call alone is made there |
    //! | `CONNECTION_NOT_INITED`, `CONNECTION_LAYER_INVALID` | the client introduces itself again |
    //! | 500 and the like | made again after 1, 2 and 4 s |
    //! | `AUTH_KEY_UNREGISTERED` away from home | the account is carried there, once |
    //! | anything else | told: it is the caller's |
    //!
    //! While the connection is gone calls wait, each for its own time
    //! ([`Builder::call_time_max`](crate::Builder::call_time_max)). After reconnecting they are sent again under the same
    //! message id, by which a server that still has the session recognises what it has run. If
    //! [`Builder::reconnect`](crate::Builder::reconnect) allows no further try, they end with
    //! [`InvokeError::ConnectionLost`](crate::InvokeError::ConnectionLost), and the next call tries again;
    //! [`with_reconnect`](crate::with_reconnect) puts the same policy around anything.
    //!
    //! ## In an order
    //!
    //! [`Client::begin`](crate::Client::begin) queues a call before it returns, and
    //! [`Client::begin_after`](crate::Client::begin_after) has the server run one after another without a round trip between
    //! them: if the first fails, so does the second. Nothing is done by itself about their errors.
    //!
    //! ```
    //! use heliogram_client::tl::functions::help::{GetConfig, GetNearestDc};
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let client = builder.connect().await?;
    //! let first = client.begin(&GetConfig {})?;
    //! let second = client.begin_after(&first, &GetNearestDc {})?;
    //! first.answer().await?;
    //! second.answer().await?;
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! ## Other schemas
    //!
    //! [`Method`](crate::Method) is two functions: how a method is written, how its result is read.
    //! [`Raw`](crate::Raw) is the one for bytes.
    //!
    //! ```
    //! use heliogram_client::{Bytes, Method};
    //!
    //! /// `test.count#7e570011 token:long = test.Count`, answered with itself.
    //! struct Count(i64);
    //!
    //! impl Method for Count {
    //!     type Return = i64;
    //!
    //!     fn to_body(&self) -> Bytes {
    //!         [&0x7e57_0011_u32.to_le_bytes()[..], &self.0.to_le_bytes()].concat().into()
    //!     }
    //!
    //!     fn read_result(result: &[u8]) -> Result<i64, String> {
    //!         let token = result.get(4..).and_then(|it| it.try_into().ok());
    //!         token.map(i64::from_le_bytes).ok_or_else(|| "not of its length".to_owned())
    //!     }
    //! }
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let client = builder.connect().await?;
    //! assert_eq!(client.invoke(&Count(7)).await?, 7);
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! ## The end
    //!
    //! [`Client::shutdown`](crate::Client::shutdown) waits for the calls that are under way, for five seconds at most, and
    //! acknowledges what came. Whatever is asked afterwards ends with
    //! [`InvokeError::ConnectionLost`](crate::InvokeError::ConnectionLost). Dropping the last clone does no harm: it hangs up.
}

pub mod keys {
    //! # Keep keys
    //!
    //! A key takes a handshake to make, and whoever signs in is signed in by it. [`storage`](crate::storage) keeps what must
    //! not be lost; a [`File`](crate::storage::File) is for programs, [`Memory`](crate::storage::Memory) for tests, and
    //! [`Storage`](crate::storage::Storage) for a place of your own.
    //!
    //! ```
    //! use std::sync::Arc;
    //!
    //! use heliogram_client::storage::{File, Protection, Storage as _};
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let directory = tempfile::tempdir()?;
    //! # let path = directory.path().join("account.key");
    //! let file = Arc::new(File::open(&path, Protection::None)?);
    //! let client = builder.storage(Arc::<File>::clone(&file)).connect().await?;
    //! client.shutdown().await;
    //! // One permanent key for each data centre, and which of them is home.
    //! assert!(file.load()?.keys.contains_key(&2));
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! Without a passphrase a file is protected by its permissions alone;
    //! [`Protection::Passphrase`](crate::storage::Protection::Passphrase) seals it, and
    //! [`Protection::Key`](crate::storage::Protection::Key) with a key that a keyring or a vault keeps. A file that can't be read is
    //! an error and never overwritten; two clients can't have the same file at once.
    //!
    //! ## From and to other programs
    //!
    //! [`SavedSession`](crate::SavedSession) is the form of 284 bytes that `@mtproto2/mtproto` keeps.
    //! [`Builder::session`](crate::Builder::session) goes on with one, [`Client::export_session`](crate::Client::export_session)
    //! gives one away. [`Builder::exchange`](crate::Builder::exchange) makes a key and nothing else.
}

pub mod data_centres {
    //! # Data centres
    //!
    //! A client has a home, where its account lives, and goes elsewhere for files and when it is told to. It makes one key
    //! for each data centre; keys never move.
    //!
    //! ```
    //! use heliogram_client::DataCentre;
    //! use heliogram_client::tl::functions::help::GetNearestDc;
    //!
    //! # use heliogram_client::Client;
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2, 4])?;
    //! # let (second, fourth) = (servers.at(2).address(), servers.at(4).address());
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key());
    //! let client = builder
    //!     .data_centre(DataCentre::new(2, [second]))
    //!     .data_centre(DataCentre::new(4, [fourth]))
    //!     .connect()
    //!     .await?;
    //! assert_eq!(client.home(), 2);
    //! // A call that belongs to a certain data centre is made there.
    //! client.invoke_at(4, &GetNearestDc {}).await?;
    //!
    //! # servers.at(2).backend().script().fail::<GetNearestDc>(1, 303, "USER_MIGRATE_4");
    //! // The account has moved: the server says so, and the client follows.
    //! client.invoke(&GetNearestDc {}).await?;
    //! assert_eq!(client.home(), 4);
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! Whoever is signed in at home is signed in where a call goes: the first that is refused there with
    //! `AUTH_KEY_UNREGISTERED` has the account carried over (`auth.exportAuthorization`, `auth.importAuthorization`), once
    //! for all calls that wait, and is made again.
    //!
    //! A client asks its home where the others are (`help.getConfig`): at its start, when the answer expires, when it is sent
    //! to one that it does not know, and when you
    //! [tell it to](crate::Client::refresh_data_centres). What it hears is tried first, what its builder was told after;
    //! with [`Builder::fixed_addresses`](crate::Builder::fixed_addresses) it never asks.
    //!
    //! [`Builder::telegram`](crate::Builder::telegram) and [`telegram_test`](crate::Builder::telegram_test) know where
    //! Telegram's are and the keys that its own clients are built with.
}

pub mod updates {
    //! # Read updates
    //!
    //! [`Client::updates`](crate::Client::updates) is a stream in which every update comes once, in the order of its box, with
    //! the users and chats that it speaks of. What was missed is asked for; what was missed for too long is said.
    //!
    //! ```
    //! use heliogram_client::tl::enums;
    //! use heliogram_client::updates::Position;
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::server::{GUEST, Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let client = builder.connect().await?;
    //! # let state = servers.cloud().news().state(GUEST).unwrap_or_default();
    //! # let stored = Position { state, ..Position::default() }.to_bytes();
    //! # servers.cloud().news().write(GUEST, GUEST, "while you were out").map_err(|it| it.message)?;
    //! // Where the last run has ended; `None` begins where the account is now.
    //! let mut updates = client.updates(Some(Position::from_bytes(&stored)?));
    //! let update = updates.next_update().await.ok_or("the client was shut down")?;
    //! if let enums::Update::NewMessage(new) = &update.update
    //!     && let enums::Message::Message(message) = &new.message
    //! {
    //!     assert_eq!(message.message, "while you were out");
    //!     // How requests name whoever has written.
    //!     let answer_to = updates.input_peer(&message.peer_id);
    //!     assert!(answer_to.is_some());
    //! }
    //! // Store this once what was told is dealt with: a restart goes on from there.
    //! let position = updates.position().to_bytes();
    //! # drop(position);
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! [`Updates::next`](crate::updates::Updates::next) tells, beside updates, how they are come by: gaps, differences that
    //! are asked for, channels that are gone, and [`Event::TooLong`](crate::updates::Event::TooLong), after which whoever
    //! shows histories fetches them anew.
}

pub mod files {
    //! # Move files
    //!
    //! [`Client::download`](crate::Client::download) and [`Client::upload`](crate::Client::upload) move files in parts of half a
    //! mebibyte, four at a time unless told otherwise, over connections of their own:
    //! [`Builder::file_connections`](crate::Builder::file_connections). They follow a file that lives in another data centre, and
    //! wait where the server asks to, as all calls do.
    //!
    //! ```
    //! use heliogram_client::tl::types::InputDocumentFileLocation;
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::backend::{Content, generated};
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! # let client = builder.connect().await?;
    //! # servers.cloud().files().add(1, 2, Content::Generated { bytes: 1_500_000, seed: 7 });
    //! # let location: InputDocumentFileLocation = servers.cloud().files().location(1).ok_or("no file")?;
    //! let mut file = Vec::new();
    //! let mut download = client.download(location.clone().into()).at(2).size(1_500_000).verified();
    //! while let Some(part) = download.next().await? {
    //!     file.extend_from_slice(&part);
    //!     # #[expect(unused_variables, reason = "what a program would write down")]
    //!     let stored = download.position();
    //!     # break;
    //! }
    //! drop(download);
    //!
    //! // The next run goes on where this one was given up, at any byte.
    //! let stored = file.len() as u64;
    //! let mut rest = client.download(location.into()).resume_from(stored).verified();
    //! rest.write_to(&mut file).await?;
    //! assert_eq!(rest.position(), 1_500_000);
    //! # assert!(file == generated(7, 0, 1_500_000));
    //!
    //! let mut upload = client.upload(&file[..], "sun.bin").size(1_500_000);
    //! // What another upload needs to go on with this one, should it fail: its id, and how many parts are there.
    //! let (id, parts) = (upload.file_id(), upload.parts_done());
    //! # let _ = (id, parts);
    //! let uploaded = upload.send().await?;
    //! assert_eq!(uploaded.bytes, 1_500_000);
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
    //!
    //! Either is ended by dropping it. [`Download::next`](crate::files::Download::next) may also be dropped while it waits and
    //! asked again: nothing is left out. After an error it asks anew for what it has not handed out. With
    //! `FILE_REFERENCE_EXPIRED`, fetch the message that the file came with, and begin a download at the new location with
    //! [`Download::resume_from`](crate::files::Download::resume_from).
    //!
    //! An upload reads its source once. Another one goes on with it
    //! ([`Upload::resume`](crate::files::Upload::resume)): it reads the source from its beginning, for the hashes, and sends what
    //! is missing. Say the [size](crate::files::Upload::size) if you know it: files of up to ten mebibytes carry their MD5 then.
}

pub mod notices {
    //! # Know what goes on
    //!
    //! [`Client::notices`](crate::Client::notices) tells of connections that come and go, of keys that the server does not
    //! know any more, and of every object that comes unasked. Nobody has to listen.
    //!
    //! ```
    //! use heliogram_client::Notice;
    //!
    //! # use heliogram_client::{Client, DataCentre};
    //! # use heliogram_testkit::server::{Servers, public_key};
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    //! # let servers = Servers::start([2])?;
    //! # let dc = DataCentre::new(2, [servers.at(2).address()]);
    //! # let builder = Client::builder().api_id(4).api_hash("hash").server_key(public_key()).data_centre(dc);
    //! let client = builder.connect().await?;
    //! let mut notices = client.notices();
    //! loop {
    //!     match notices.next().await {
    //!         Notice::Connection { dc, is_connected: true } => break assert_eq!(dc, 2),
    //!         Notice::KeyLost { .. } => println!("nobody is signed in any more"),
    //!         other => println!("{other:?}"),
    //!     }
    //! }
    //! # client.shutdown().await;
    //! # Ok(())
    //! # }
    //! ```
}

pub mod never {
    //! # What is never done
    //!
    //! - Talk to anybody but the servers and proxies that the client was given.
    //! - Take a server's key from the network, or go on with a server that shows another.
    //! - Make a call again that may have been executed, behind its caller's back: such a call ends with
    //!   [`InvokeError::Uncertain`](crate::InvokeError::Uncertain) or [`TimedOut`](crate::InvokeError::TimedOut).
    //! - Overwrite kept keys that can't be read.
    //! - Show a key, a secret or the body of a call in a log or in `Debug`.
    //! - Grow without bound: what waits is counted, in calls and in bytes.
}
