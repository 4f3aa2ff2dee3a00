//! `heliogram serve` with a backend in another process: this one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method, Notice};
use heliogram_grpc::{Address, BackendService, RemotePushes, Role, dial};
use heliogram_ports::{Answer, Backend, Call, Push, Pushes, Reply, Target};
use support::server::Server;

#[tokio::test]
async fn calls_go_to_the_backend_of_another_process_and_its_updates_come_back() {
    for streaming in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let unix = |name: &str| Address::Unix(data.path().join(name));
        let (calls, updates) = (unix("calls"), unix("updates"));
        let pushes = RemotePushes::new(dial(updates.clone(), Role::Session, None));
        let service = BackendService::new(Arc::new(Echo::default()), Some(Arc::new(pushes)));
        let bound = heliogram_grpc::Server::new().backend(service);
        let bound = bound.bind(&calls, None).await.unwrap();
        let serving = tokio::spawn(bound.serve(std::future::pending()));
        let config = data.path().join("heliogram.toml");
        let text = format!(
            "[backend]\naddress = '{calls}'\npush_listen = '{updates}'\nstreaming = {streaming}\n"
        );
        std::fs::write(&config, text).unwrap();

        let path = data.path().to_owned();
        let server = tokio::task::spawn_blocking(move || {
            Server::start(&path, &["--config", config.to_str().unwrap()])
        });
        let server = server.await.unwrap();
        let client = Client::builder()
            .api_id(4)
            .api_hash("hash")
            .server_key(server.public_key())
            .data_centre(DataCentre::new(2, [server.tcp()]));
        let client = in_time(client.connect()).await.unwrap();
        let mut notices = client.notices();
        // The built-in backend still answers how the client got here.
        let config = in_time(client.invoke(&Raw(&GET_CONFIG))).await.unwrap();
        assert_ne!(config.get(..4), Some(&GET_CONFIG[..]));
        // The other one answers by the call, after it has pushed the same.
        assert_eq!(in_time(client.invoke(&Raw(&CALL))).await.unwrap(), CALL[..]);
        let update = in_time(async {
            loop {
                if let Notice::Update { object, .. } = notices.next().await {
                    return object;
                }
            }
        });
        assert_eq!(update.await, CALL[..]);
        client.shutdown().await;
        serving.abort();
    }
}

#[tokio::test]
async fn each_route_has_a_backend_of_its_own_and_the_built_in_one_answers_the_rest() {
    let data = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let mut serving = Vec::new();
    for (methods, streaming) in [("help.getNearestDc", false), ("upload.*", true)] {
        let address = Address::Unix(data.path().join(methods));
        let service = BackendService::new(Arc::new(Fixed(methods.len())), None);
        let bound = heliogram_grpc::Server::new().backend(service);
        let bound = bound.bind(&address, None).await.unwrap();
        serving.push(tokio::spawn(bound.serve(std::future::pending())));
        text += &format!(
            "[[backend.routes]]\nmethods = ['{methods}']\naddress = '{address}'\nstreaming = {streaming}\n"
        );
    }
    let config = data.path().join("heliogram.toml");
    std::fs::write(&config, text).unwrap();
    let path = data.path().to_owned();
    let server = tokio::task::spawn_blocking(move || {
        Server::start(&path, &["--config", config.to_str().unwrap()])
    });
    let server = server.await.unwrap();
    let client = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(server.public_key())
        .data_centre(DataCentre::new(2, [server.tcp()]));
    let client = in_time(client.connect()).await.unwrap();

    for (method, answered) in [
        (GET_NEAREST_DC, word(17)),
        (GET_CDN_FILE_HASHES, word(8)),
        (GET_CONFIG, CONFIG),
    ] {
        let answer = in_time(client.invoke(&Raw(&method))).await.unwrap();
        assert_eq!(answer.get(..4), Some(&answered[..]));
    }
    client.shutdown().await;
    serving.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Answers every call with one word.
struct Fixed(usize);

impl Backend for Fixed {
    fn call(&self, _: Call) -> Answer {
        let word = word(u32::try_from(self.0).unwrap());
        Answer::Now(Reply::Result(Bytes::copy_from_slice(&word)))
    }
}

const fn word(word: u32) -> [u8; 4] {
    word.to_le_bytes()
}

/// Answers each call by itself, and pushes it, too.
#[derive(Default)]
struct Echo(OnceLock<Arc<dyn Pushes>>);

impl Backend for Echo {
    fn call(&self, call: Call) -> Answer {
        let push = Push {
            targets: vec![Target::Key(call.identity)],
            except: None,
            body: call.body.clone(),
        };
        self.0.get().unwrap().push(push).unwrap();
        Answer::Now(Reply::Result(call.body))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.0.set(pushes).is_ok());
    }
}

/// A method of bytes, whose answer is bytes.
struct Raw<'a>(&'a [u8]);

impl Method for Raw<'_> {
    type Return = Bytes;

    fn to_body(&self) -> Bytes {
        Bytes::copy_from_slice(self.0)
    }

    fn read_result(result: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(result))
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_secs(60), future).await;
    in_time.unwrap()
}

/// `help.getConfig#c4f9186b = Config`.
const GET_CONFIG: [u8; 4] = word(0xc4f9_186b);
/// `help.getNearestDc#1fb33026 = NearestDc`.
const GET_NEAREST_DC: [u8; 4] = word(0x1fb3_3026);
/// `upload.getCdnFileHashes#91dc3f31`, cut off after its id.
const GET_CDN_FILE_HASHES: [u8; 4] = word(0x91dc_3f31);
/// `config#cc1a241e = Config`.
const CONFIG: [u8; 4] = word(0xcc1a_241e);
const CALL: [u8; 8] = [0x11; 8];
