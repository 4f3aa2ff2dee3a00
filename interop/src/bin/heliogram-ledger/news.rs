//! Updates, by whichever session node takes them: as a backend in any language does it, with the contract alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_grpc::contract::push_client::PushClient;
use heliogram_grpc::contract::{PushRequest, SetUserRequest, Target, target};
use heliogram_grpc::{Address, Role, Tls};
use heliogram_proto::ids::Identity;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Makes a client of a session node, which need not be there yet.
pub(crate) fn dial(node: Address, tls: Option<Tls>) -> PushClient<Channel> {
    PushClient::new(heliogram_grpc::dial(node, Role::Session, tls))
}

/// Pushes what it is given, in order, one at a time.
#[derive(Clone)]
pub(crate) struct News {
    waiting: mpsc::UnboundedSender<PushRequest>,
    nodes: Nodes,
}

#[derive(Clone)]
struct Nodes {
    clients: Arc<[PushClient<Channel>]>,
    /// The one that took the last.
    at: Arc<AtomicUsize>,
}

impl News {
    pub(crate) fn new(nodes: impl Iterator<Item = PushClient<Channel>>) -> Self {
        let nodes = Nodes {
            clients: nodes.collect(),
            at: Arc::default(),
        };
        let (waiting, taken) = mpsc::unbounded_channel();
        tokio::spawn(run(nodes.clone(), taken));
        Self { waiting, nodes }
    }

    /// Pushes an update that bears a number.
    pub(crate) fn update(&self, user: i64, number: i64) {
        let number = i32::try_from(number).unwrap_or(i32::MAX).cast_unsigned();
        self.push(user, &[UPDATE_SHORT, UPDATE_PTS_CHANGED, number]);
    }

    /// Sends a user for the difference.
    pub(crate) fn everything_missed(&self, user: i64) {
        self.push(user, &[UPDATES_TOO_LONG]);
    }

    fn push(&self, user: i64, words: &[u32]) {
        let body: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let target = target::Target::User(user);
        // The other end lives as long as the process.
        let _ = self.waiting.send(PushRequest {
            targets: vec![Target {
                target: Some(target),
            }],
            except: None,
            body: body.into(),
        });
    }

    /// Tells the session nodes who has signed in; comes back once one of them has taken it.
    pub(crate) async fn signed_in(&self, identity: Identity, user: i64) {
        let request = SetUserRequest {
            identity: identity.0.0,
            user: Some(user),
        };
        self.nodes.until_taken(Word::User(request)).await;
    }
}

async fn run(nodes: Nodes, mut waiting: mpsc::UnboundedReceiver<PushRequest>) {
    while let Some(push) = waiting.recv().await {
        nodes.until_taken(Word::Push(push)).await;
    }
}

/// What session nodes are told.
#[derive(Clone)]
enum Word {
    Push(PushRequest),
    User(SetUserRequest),
}

impl Nodes {
    /// Asks one node after another. What a node has perhaps taken is sent again to the next: clients may see it twice.
    async fn until_taken(&self, word: Word) {
        loop {
            let at = self.at.load(Ordering::Relaxed);
            let Some(node) = at.checked_rem(self.clients.len()) else {
                return;
            };
            let Some(node) = self.clients.get(node) else {
                return;
            };
            match ask(node.clone(), word.clone()).await {
                Ok(()) => return,
                Err(status) if status.code() == Code::InvalidArgument => {
                    eprintln!("refused: {status}");
                    return;
                }
                Err(status) => {
                    eprintln!("node {at} takes nothing: {status}");
                    self.at.store(at + 1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn ask(mut node: PushClient<Channel>, word: Word) -> Result<(), Status> {
    match word {
        Word::Push(push) => {
            let mut request = Request::new(push);
            request.set_timeout(PATIENCE);
            node.push(request).await.map(drop)
        }
        Word::User(user) => {
            let mut request = Request::new(user);
            request.set_timeout(PATIENCE);
            node.set_user(request).await.map(drop)
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);
const UPDATE_SHORT: u32 = 0x78d4_dec1;
const UPDATE_PTS_CHANGED: u32 = 0x3354_678f;
const UPDATES_TOO_LONG: u32 = 0xe317_af7e;
