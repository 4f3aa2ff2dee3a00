//! Encrypted round trips per second over loopback TCP, beside a plain tokio echo of the same frames.
//!
//! Sketch of one ping: 92 bytes each way; on the server 4 + 4 AES blocks, 6 short SHA-256, a lock, and a share of one
//! `epoll_wait`, one `recv`, one `send`. With one in flight the system calls are most of it (5 us, so 200,000 /s and more
//! than 0.75 of the echo); with 16 in flight they are shared, and the cryptography is (1 us, so 0.30 of the echo). A
//! call is a ping that also passes the backend, and whose answer is kept until it is acknowledged.
//!
//! Server and echo have one thread each, the clients another, the same for both; that one never sleeps, or who is
//! slower than its clients would pay for waking them at every answer. Requests are sealed before the clock
//! starts and answers opened after it has stopped, so what is measured is the server; every request must have got its
//! answer. Rounds of the two alternate; the figures are medians.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use heliogram_proto::session::client::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::rig::client::{Connection, Talker};
use super::rig::{self, SERVER_THREAD, Server, Store};
use super::{cpu, table};

/// Measures and prints.
///
/// # Errors
///
/// If something is not answered.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (kind, in_flight) in [
        (Kind::Ping, 1),
        (Kind::Ping, 16),
        (Kind::Call, 1),
        (Kind::Call, 16),
    ] {
        table::progress(&format!("{}, {in_flight} in flight", kind.name()));
        rows.push((kind, in_flight, measure(kind, in_flight)?));
    }
    table::heading(
        &format!("round trips /s, {CONNECTIONS} connections, server of one thread"),
        "TCP echo",
    );
    for (kind, in_flight, (ours, echo)) in rows {
        let target = if in_flight == 1 { ">= 0.75" } else { ">= 0.30" };
        let what = format!("{}, {in_flight} in flight", kind.name());
        table::compare(&what, ours.rate, echo.rate, target);
        if let (Some(ours), Some(echo)) = (ours.per_core, echo.per_core) {
            let target = if in_flight == 1 { "-" } else { ">= 500000 /s" };
            table::compare("  per core of the server", ours, echo, target);
        }
    }
    Ok(())
}

/// What a round trip consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `ping`, answered by the session.
    Ping,
    /// A call of 52 bytes, answered by the backend with 40.
    Call,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Ping => "encrypted pings of 92 bytes",
            Self::Call => "encrypted calls of 124 bytes",
        }
    }

    /// Returns the bytes of an answer's message within a container, with its header.
    const fn item_bytes(self) -> usize {
        match self {
            Self::Ping => 16 + 20,
            Self::Call => 16 + 12 + 40,
        }
    }

    /// Returns the bytes of one request's frame, without its length. Lone answers have as many.
    const fn frame_bytes(self) -> usize {
        match self {
            Self::Ping => 88,
            Self::Call => 120,
        }
    }

    /// Returns how many answers a frame holds: envelope, header, container and least padding have 76 bytes.
    const fn answers_in(self, frame_bytes: usize) -> usize {
        let answers = frame_bytes.saturating_sub(76) / self.item_bytes();
        if answers == 0 { 1 } else { answers }
    }

    fn request(self, number: i64, talker: &mut Talker, out: &mut Vec<u8>) -> anyhow::Result<()> {
        match self {
            Self::Ping => talker.ping(number, out),
            Self::Call => talker.call(Bytes::from_static(&QUERY), out),
        }
    }
}

/// Rates per second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    rate: f64,
    /// Per second of the server's processor time.
    per_core: Option<f64>,
}

/// Lets server and echo take turns; returns the rates of both.
fn measure(kind: Kind, in_flight: usize) -> anyhow::Result<(Rates, Rates)> {
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = Server::start(1, Store::in_memory())?;
    let mut talkers = Vec::new();
    let mut ours = Peers::new(kind, in_flight, SERVER_THREAD);
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(server.listening.address)?;
        let (key, salt) = connection.make_key(&server.listening.key)?;
        let (stream, talker) = connection.into_talker(key, salt);
        talkers.push(talker);
        ours.add(&client, stream)?;
    }
    let echo_runtime = rig::runtime(1, ECHO_THREAD)?;
    let address = echo_runtime.block_on(start_echo())?;
    let mut echo = Peers::new(kind, in_flight, ECHO_THREAD);
    for _ in 0..CONNECTIONS {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        echo.add(&client, stream)?;
    }
    let plain = Requests::plain(kind, in_flight);
    for round in 0..=ROUNDS {
        let requests = talkers
            .iter_mut()
            .map(|talker| Requests::sealed(kind, in_flight, talker));
        ours.round(&client, requests.collect::<anyhow::Result<_>>()?)?;
        ours.check(&mut talkers)?;
        echo.round(&client, vec![plain.clone(); CONNECTIONS])?;
        if round == 0 {
            // The first one opens windows, fills caches, and grows buffers.
            ours.forget();
            echo.forget();
        }
    }
    Ok((ours.rates(), echo.rates()))
}

/// The clients of one server.
struct Peers {
    kind: Kind,
    in_flight: usize,
    server_thread: &'static str,
    /// With what was received in the last round.
    streams: Vec<(TcpStream, Vec<u8>)>,
    rates: Vec<f64>,
    per_core: Vec<f64>,
}

impl Peers {
    const fn new(kind: Kind, in_flight: usize, server_thread: &'static str) -> Self {
        Self {
            kind,
            in_flight,
            server_thread,
            streams: Vec::new(),
            rates: Vec::new(),
            per_core: Vec::new(),
        }
    }

    fn add(&mut self, runtime: &Runtime, stream: std::net::TcpStream) -> anyhow::Result<()> {
        let _entered = runtime.enter();
        stream.set_nonblocking(true)?;
        let received = Vec::with_capacity(PER_CONNECTION * (self.kind.frame_bytes() + 16));
        self.streams.push((TcpStream::from_std(stream)?, received));
        Ok(())
    }

    /// Lets all clients send what they have, at once.
    fn round(&mut self, runtime: &Runtime, requests: Vec<Requests>) -> anyhow::Result<()> {
        let is_servers = |name: &str| name == self.server_thread;
        let (kind, in_flight) = (self.kind, self.in_flight);
        let mut tasks = JoinSet::new();
        for ((stream, received), requests) in self.streams.drain(..).zip(requests) {
            let task = converse(kind, in_flight, stream, received, requests);
            tasks.spawn_on(patiently(task), runtime.handle());
        }
        let spinning = runtime.spawn(async {
            loop {
                yield_now().await;
            }
        });
        let (before, start) = (cpu::of_threads(is_servers), Instant::now());
        let ended = runtime.block_on(tasks.join_all());
        let (elapsed, spent) = (start.elapsed(), cpu::since(before, is_servers));
        spinning.abort();
        self.streams = ended.into_iter().collect::<anyhow::Result<_>>()?;
        let count = f64::from(u32::try_from(CONNECTIONS * PER_CONNECTION)?);
        self.rates.push(count / elapsed.as_secs_f64());
        if let Some(spent) = spent {
            self.per_core.push(count / spent.as_secs_f64());
        }
        Ok(())
    }

    /// Checks that each request of the round has got its answer.
    fn check(&mut self, talkers: &mut [Talker]) -> anyhow::Result<()> {
        let mut answers = 0;
        for (_, received) in &mut self.streams {
            // Connections come back in the order in which they ended; their frames name their keys.
            let talker = talkers.iter_mut().find(|talker| talker.is_for(received));
            let events = talker.context("frames of nobody")?.receive(received)?;
            answers += events.iter().filter(|&event| is_answer(event)).count();
        }
        if answers != CONNECTIONS * PER_CONNECTION {
            bail!(
                "{answers} answers to {} requests",
                CONNECTIONS * PER_CONNECTION
            );
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.rates.clear();
        self.per_core.clear();
    }

    fn rates(mut self) -> Rates {
        Rates {
            rate: table::median(&mut self.rates),
            per_core: (!self.per_core.is_empty()).then(|| table::median(&mut self.per_core)),
        }
    }
}

const fn is_answer(event: &Event) -> bool {
    match event {
        Event::Answer { .. } | Event::Pong { .. } => true,
        Event::Dropped { .. }
        | Event::GaveUp
        | Event::KeyDestroyed { .. }
        | Event::Missed
        | Event::NewSession
        | Event::Refused { .. }
        | Event::Restarted { .. }
        | Event::SessionDestroyed { .. }
        | Event::TimedOut { .. }
        | Event::Uncertain { .. }
        | Event::Update(_) => false,
    }
}

/// What one client sends in a round.
#[derive(Clone, Debug, Default)]
struct Requests {
    bytes: Vec<u8>,
    /// Where what is in flight together ends.
    ends: Vec<usize>,
}

impl Requests {
    fn sealed(kind: Kind, in_flight: usize, talker: &mut Talker) -> anyhow::Result<Self> {
        let mut requests = Self::default();
        for number in 0..PER_CONNECTION {
            kind.request(i64::try_from(number)?, talker, &mut requests.bytes)?;
            if (number + 1).is_multiple_of(in_flight) {
                requests.ends.push(requests.bytes.len());
            }
        }
        Ok(requests)
    }

    /// Frames of the same length, with nothing in them.
    fn plain(kind: Kind, in_flight: usize) -> Self {
        let mut frame = vec![0; 4 + kind.frame_bytes()];
        let length = u32::try_from(kind.frame_bytes()).unwrap_or_default();
        if let Some(head) = frame.first_chunk_mut() {
            *head = length.to_le_bytes();
        }
        let batch = in_flight * frame.len();
        Self {
            bytes: frame.repeat(PER_CONNECTION),
            ends: (1..=PER_CONNECTION / in_flight)
                .map(|count| count * batch)
                .collect(),
        }
    }
}

/// Sends batch after batch, each when the one before is answered.
async fn converse(
    kind: Kind,
    in_flight: usize,
    mut stream: TcpStream,
    mut received: Vec<u8>,
    requests: Requests,
) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    received.clear();
    let (mut sent, mut seen) = (0, 0);
    for end in requests.ends {
        stream
            .write_all(requests.bytes.get(sent..end).unwrap_or_default())
            .await?;
        sent = end;
        let mut wanted = in_flight;
        while wanted > 0 {
            if stream.read_buf(&mut received).await? == 0 {
                bail!("the server closed a connection");
            }
            while let Some(length) = whole_frame(received.get(seen..).unwrap_or_default()) {
                wanted = wanted.saturating_sub(kind.answers_in(length));
                seen += 4 + length;
            }
        }
    }
    Ok((stream, received))
}

/// Returns the length of the frame that `bytes` begins with, if all of it is there.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (rest.len() >= length).then_some(length)
}

async fn patiently<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(ROUND_MAX, task)
        .await
        .context("requests without an answer")?
}

/// Starts the peer: it sends back what it gets.
async fn start_echo() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut buffer = vec![0; 64 << 10];
                while let count @ 1.. = stream.read(&mut buffer).await? {
                    stream
                        .write_all(buffer.get(..count).unwrap_or_default())
                        .await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

const CONNECTIONS: usize = 64;

/// Requests of a connection in one round: as many as a session lets wait, and a multiple of what is in flight.
const PER_CONNECTION: usize = 960;

/// After the one that does not count.
const ROUNDS: usize = 5;

const ROUND_MAX: Duration = Duration::from_secs(20);

const ECHO_THREAD: &str = "bench-echo";

/// A method that no layer has.
const QUERY: [u8; 52] = [0x22; 52];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_tells_by_its_length_how_many_answers_it_holds() {
        for kind in [Kind::Ping, Kind::Call] {
            assert_eq!(kind.answers_in(kind.frame_bytes()), 1);
            for count in 2..=16 {
                let body = 8 + count * kind.item_bytes();
                let frame = heliogram_proto::envelope::sealed_len(body);
                assert_eq!(kind.answers_in(frame), count, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_not_all_there_is_not_counted() {
        assert_eq!(whole_frame(&[2, 0, 0, 0, 9]), None);
        assert_eq!(whole_frame(&[2, 0, 0, 0, 9, 9]), Some(2));
        assert_eq!(whole_frame(&[2, 0, 0]), None);
    }
}
