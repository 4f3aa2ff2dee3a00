//! Files: downloads and uploads in parts, several in flight, over connections of their own.
//!
//! Memory is bounded by the parts in flight. What was moved is hashed on its way, and a download that is
//! [verified](Download::verified) is compared with the server's hashes, where it offers some, before it is handed out. Dropping a transfer ends it; another one can go on where
//! it was.
//!
//! ```
//! use heliogram_client::tl::types::InputDocumentFileLocation;
//! # use heliogram_client::{Client, DataCentre};
//! # use heliogram_testkit::backend::{Content, generated};
//! # use heliogram_testkit::server::{Servers, public_key};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let servers = Servers::start([2])?;
//! # let content = Content::Generated { bytes: 700_000, seed: 7 };
//! # servers.cloud().files().add(1, 2, content);
//! # let location: InputDocumentFileLocation = servers.cloud().files().location(1).unwrap();
//! # let client = Client::builder()
//! #     .api_id(4)
//! #     .api_hash("hash")
//! #     .server_key(public_key())
//! #     .data_centre(DataCentre::new(2, [servers.at(2).address()]))
//! #     .connect()
//! #     .await?;
//! let mut download = client.download(location.into()).on_progress(|it| println!("{it:?}"));
//! let mut file = Vec::new();
//! while let Some(part) = download.next().await? {
//!     file.extend_from_slice(&part);
//! }
//! assert_eq!(download.position(), 700_000);
//! # assert_eq!(file, generated(7, 0, 700_000));
//!
//! let mut upload = client.upload(&file[..], "again.bin").size(700_000);
//! let uploaded = upload.send().await?;
//! assert_eq!(uploaded.sha256, download.sha256());
//! # Ok(())
//! # }
//! ```
//!
//! Source: <https://core.telegram.org/api/files>.

mod download;
mod error;
mod hashes;
mod parts;
mod upload;

pub use download::Download;
pub use error::FileError;
pub use upload::{Upload, Uploaded};

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "how far, of how much")]
pub struct Progress {
    /// Bytes of the file that were moved, from its beginning.
    pub bytes: u64,
    /// Bytes of the file, if that is known.
    pub total: Option<u64>,
}

/// Who is told of progress.
type OnProgress = Box<dyn FnMut(Progress) + Send>;
