//! Real clients that call without end while the gate is open, and take note of everything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heliogram_client::{
    Builder, Client, DataCentre, InvokeError, Notice, PublicKey, Reconnect, SavedSession,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::check::Call;
use crate::logs::Secrets;
use crate::methods::{Append, Pushed, SignIn};
use crate::round::OTHERS;

/// Clients on a runtime of their own. Two of them at a time are one user's. All have temporary keys.
pub(crate) struct Load {
    runtime: Runtime,
    clients: Vec<Arc<One>>,
    gate: watch::Sender<bool>,
    key: PublicKey,
    addresses: Vec<SocketAddr>,
}

/// A client, and what it has seen.
pub(crate) struct One {
    number: usize,
    life: Life,
    client: Client,
    /// Calls that wait for their answers.
    waiting: AtomicUsize,
    next_token: AtomicI64,
    seen: Mutex<Seen>,
}

/// How long a client's temporary keys last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Day,
    /// The client makes new keys all the time, and can't when the store is gone.
    Minute,
}

/// Who clients are: the ids of their permanent keys.
pub(crate) struct Identities {
    /// Of those whose temporary keys last for a day.
    pub(crate) daily: Vec<i64>,
    /// Of those whose temporary keys last for a minute.
    pub(crate) brief: Vec<i64>,
}

#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    /// Numbers of updates.
    updates: BTreeSet<i64>,
    /// Up to here the difference has told everything.
    made_up_to: i64,
    /// How often it was told to ask for the difference.
    missed: usize,
    /// What must never be.
    wrong: Vec<String>,
}

/// What clients saw in all of their lives.
pub(crate) struct Account {
    pub(crate) calls: Vec<Call>,
    /// How often they were told to ask for the difference.
    pub(crate) missed: usize,
    /// Updates that came.
    pub(crate) updates: usize,
    pub(crate) wrong: Vec<String>,
}

impl Load {
    /// Connects clients; each begins at another of the addresses. The temporary keys of the last, `brief` of them, last for a
    /// minute. They sign in, and call nothing yet.
    pub(crate) fn connect(count: usize, brief: usize, key: &str, addresses: &[SocketAddr]) -> Self {
        let runtime = Runtime::new().unwrap();
        let (gate, open) = watch::channel(false);
        let clients = (0..count).map(|number| {
            let mut addresses = addresses.to_vec();
            let first = number.checked_rem(addresses.len()).unwrap_or(0);
            addresses.rotate_left(first);
            let key = PublicKey::from_pem(key).unwrap();
            let is_brief = number >= count - brief;
            let life = if is_brief { Life::Minute } else { Life::Day };
            runtime.spawn(One::connect(number, life, builder(key, addresses)))
        });
        let clients: Vec<_> = clients.collect();
        let clients: Vec<_> = clients
            .into_iter()
            .map(|client| runtime.block_on(client).unwrap())
            .collect();
        for client in &clients {
            runtime.spawn(Arc::clone(client).listen());
            for lane in 0..LANES {
                runtime.spawn(Arc::clone(client).call(lane, open.clone()));
            }
        }
        Self {
            runtime,
            clients,
            gate,
            key: PublicKey::from_pem(key).unwrap(),
            addresses: addresses.to_vec(),
        }
    }

    /// Begins to connect a client that has no key yet, and ends it once it has signed in.
    pub(crate) fn newcomer(&self) -> JoinHandle<()> {
        let builder = builder(self.key.clone(), self.addresses.clone());
        let connect = One::connect(0, Life::Day, builder);
        self.runtime.spawn(async {
            connect.await.client.shutdown().await;
        })
    }

    /// Waits until a newcomer has been and gone.
    pub(crate) fn welcome(&self, newcomer: JoinHandle<()>) {
        let welcomed = async { tokio::time::timeout(PATIENCE, newcomer).await };
        self.runtime.block_on(welcomed).unwrap().unwrap();
    }

    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Lets no new calls begin, and waits for the answers to all that have.
    ///
    /// # Errors
    ///
    /// How many have none.
    pub(crate) fn close(&self) -> Result<(), String> {
        self.gate.send_replace(false);
        let waiting = || -> usize {
            let waiting = |client: &Arc<One>| client.waiting.load(Ordering::SeqCst);
            self.clients.iter().map(waiting).sum()
        };
        let is_quiet = || waiting() == 0;
        if until(is_quiet) {
            Ok(())
        } else {
            Err(format!("{} calls have no answer", waiting()))
        }
    }

    /// Waits until each client whose keys last has had an answer to a call that it began after `since`; returns how long
    /// after it that was, from the quickest to the slowest, in milliseconds.
    ///
    /// # Errors
    ///
    /// Names the clients that have none.
    pub(crate) fn recovered(&self, since: u64) -> Result<Vec<u64>, String> {
        let times = || -> Vec<Option<u64>> {
            let lasting = self.clients.iter().filter(|it| it.life == Life::Day);
            let first = |client: &Arc<One>| client.first_answer_since(since);
            lasting.map(first).collect()
        };
        until(|| times().iter().all(Option::is_some));
        let times = times();
        if let Some(client) = times.iter().position(Option::is_none) {
            return Err(format!("client {client} is not answered any more"));
        }
        let mut times: Vec<_> = times.into_iter().flatten().map(|at| at - since).collect();
        times.sort_unstable();
        Ok(times)
    }

    /// Waits until each client has got every update, or has made up for it; returns what clients have seen.
    pub(crate) fn account(&self) -> Account {
        let mut account = Account {
            calls: Vec::new(),
            missed: 0,
            updates: 0,
            wrong: Vec::new(),
        };
        for client in &self.clients {
            let pushed = self.runtime.block_on(client.ask(&Pushed));
            until(|| client.seen().lacks(pushed).is_empty());
            let seen = client.seen();
            let (number, lacks) = (client.number, seen.lacks(pushed));
            if !lacks.is_empty() {
                account.wrong.push(format!(
                    "client {number} has not heard of updates {lacks:?} of {pushed}"
                ));
            }
            account.wrong.extend(seen.wrong.iter().cloned());
            account.calls.extend(seen.calls.iter().cloned());
            account.missed += seen.missed;
            account.updates += seen.updates.len();
        }
        account
    }

    /// Returns who the clients are.
    pub(crate) fn identities(&self) -> Identities {
        let of = |life| {
            let clients = self.clients.iter().filter(|it| it.life == life);
            clients.map(|it| it.saved().key.id().0).collect()
        };
        Identities {
            daily: of(Life::Day),
            brief: of(Life::Minute),
        }
    }

    /// Tells what clients hold that nobody may read: their permanent keys, and a salt each.
    pub(crate) fn tell_secrets(&self, secrets: &mut Secrets) {
        for client in &self.clients {
            let saved = client.saved();
            secrets.key(saved.key.expose());
            secrets.salt(saved.salt.0);
        }
    }
}

impl One {
    async fn connect(number: usize, life: Life, builder: Builder) -> Arc<Self> {
        let builder = match life {
            Life::Day => builder,
            Life::Minute => builder.temp_key_life_s(60),
        };
        let client = builder.connect().await.unwrap();
        let first = i64::try_from(number + 1).unwrap() * OTHERS;
        let one = Arc::new(Self {
            number,
            life,
            client,
            waiting: AtomicUsize::new(0),
            next_token: AtomicI64::new(first + 1),
            seen: Mutex::default(),
        });
        let user = i64::try_from(1 + number / 2).unwrap();
        one.ask(&SignIn(user)).await;
        one
    }

    /// Calls a method until it is answered.
    async fn ask<M: heliogram_client::Method>(&self, method: &M) -> M::Return {
        loop {
            match self.client.invoke(method).await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// One call after another while the gate is open.
    async fn call(self: Arc<Self>, lane: u64, mut gate: watch::Receiver<bool>) {
        tokio::time::sleep(PACE * u32::try_from(lane).unwrap() / 2).await;
        while let Ok(open) = gate.wait_for(|is_open| *is_open).await.map(|it| *it) {
            debug_assert!(open);
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let token = self.next_token.fetch_add(1, Ordering::SeqCst);
            let at = self.seen().begin(token);
            loop {
                match self.client.invoke(&Append(token)).await {
                    Ok(answer) => break self.seen().answered(at, answer),
                    Err(error) => self.seen().failed(at, &error),
                }
                tokio::time::sleep(RETRY).await;
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Takes updates, and asks for the difference when it is told to.
    async fn listen(self: Arc<Self>) {
        let mut notices = self.client.notices();
        loop {
            let is_missed = match notices.next().await {
                Notice::Missed { .. } => true,
                Notice::Update { object, .. } => self.seen().update(&object),
                Notice::KeyLost { .. } => {
                    let number = self.number;
                    let lost = format!("client {number} was told that its key is unknown");
                    self.seen().wrong.push(lost);
                    false
                }
                Notice::Connection { .. } | _ => false,
            };
            if is_missed {
                let pushed = self.ask(&Pushed).await;
                let mut seen = self.seen();
                seen.missed += 1;
                seen.made_up_to = seen.made_up_to.max(pushed);
            }
        }
    }

    fn saved(&self) -> SavedSession {
        self.client.export_session(DC).unwrap()
    }

    fn first_answer_since(&self, since: u64) -> Option<u64> {
        let seen = self.seen();
        let since = seen.calls.iter().rev().take_while(|it| it.begun >= since);
        since.filter_map(|call| call.answered).min()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn begin(&mut self, token: i64) -> usize {
        self.calls.push(Call {
            token,
            begun: unix_ms(),
            answered: None,
            errors: Vec::new(),
        });
        self.calls.len() - 1
    }

    fn answered(&mut self, at: usize, answer: i64) {
        let call = &mut self.calls[at];
        call.answered = Some(unix_ms());
        if call.token != answer {
            let wrong = format!("{} got the answer to {answer}", call.token);
            self.wrong.push(wrong);
        }
    }

    fn failed(&mut self, at: usize, error: &InvokeError) {
        self.calls[at].errors.push(error.to_string());
    }

    /// Takes an update; tells whether the difference is to be asked for.
    fn update(&mut self, object: &[u8]) -> bool {
        let words: Vec<_> = object.chunks(4).map(word).collect();
        match words[..] {
            [0x78d4_dec1, 0x3354_678f, number] => {
                self.updates.insert(number.into());
                false
            }
            [0xe317_af7e] => true,
            _ => {
                self.wrong.push(format!("an update of nobody: {words:x?}"));
                false
            }
        }
    }

    /// Returns the numbers up to `pushed` that it has neither seen nor made up for.
    fn lacks(&self, pushed: i64) -> Vec<i64> {
        let numbers = self.made_up_to + 1..=pushed;
        numbers
            .filter(|number| !self.updates.contains(number))
            .collect()
    }
}

/// Returns what all clients have in common.
pub(crate) fn builder(key: PublicKey, addresses: Vec<SocketAddr>) -> Builder {
    Client::builder()
        .api_id(4)
        .api_hash("014b35b6184100b085b0d0572f9b5103")
        .server_key(key)
        .data_centre(DataCentre::new(DC, addresses))
        .fixed_addresses()
        .ping_every(Duration::from_secs(3))
        .reconnect(Reconnect {
            first: Duration::from_millis(100),
            max: Duration::from_secs(1),
            ..Reconnect::default()
        })
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

/// Waits for something; returns `false` if it takes too long.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Returns Unix time in milliseconds.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

const DC: i32 = 2;

/// Calls of a client at a time.
const LANES: u64 = 2;

/// Between the answer to a call and the next.
const PACE: Duration = Duration::from_millis(60);

/// Between an error and the next try: what a user does.
const RETRY: Duration = Duration::from_millis(100);

/// For whatever must come at last: longer than a call waits, connecting included.
const PATIENCE: Duration = Duration::from_secs(90);
