//! One connection: a socket, its link, and the turns between them.
//!
//! A turn handles all that is there: it takes the mail, reads what has come, hands the host all frames at once, drains
//! what the host has ready, and writes once. Between turns a connection holds no buffer, unless its peer reads slowly.

mod backlog;
mod scratch;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use heliogram_ports::{ToHost, random};
use heliogram_proto::cx::{Cx, Mono, Now};
use heliogram_proto::edge::limiter::Admission;
use heliogram_proto::ids::LinkId;
use heliogram_proto::link::{Effect, Input, Link};
use heliogram_proto::transport::server::Transport;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use self::backlog::Backlog;
use self::scratch::Scratch;
use crate::edge::{Edge, Phase};
use crate::handle::Handle;
use crate::metrics::Reason;
use crate::traces::Traces;

/// A connection and all that is to be given back when it ends, however it ends.
pub(crate) struct Connection {
    edge: Arc<Edge>,
    stream: TcpStream,
    link: Link,
    id: LinkId,
    handle: Arc<Handle>,
    admission: Option<Admission>,
    backlog: Backlog,
    /// The host has, or may have, something to drain.
    wants_drain: bool,
    /// Somebody else drains the host for this connection, and wakes it after that.
    is_claimed: bool,
    /// When bytes came last, or the connection began.
    heard_at: Mono,
    /// The last drain of a shutdown is done.
    is_drained: bool,
    end: Option<End>,
    /// Why it ends: the first reason counts.
    reason: Option<Reason>,
    traces: Traces,
    /// As it was when the turn began.
    phase: Phase,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer is gone, or nothing more is to be said to it.
    Now,
    /// When what waits is written.
    AfterFlush,
}

impl Connection {
    pub(crate) fn new(
        edge: Arc<Edge>,
        stream: TcpStream,
        peer: SocketAddr,
        transport: Transport,
        admission: Admission,
    ) -> Self {
        let (id, handle) = edge.attach();
        let heard_at = edge.clock.now().mono;
        let link = Link::new(id, peer, transport, edge.config.link, heard_at);
        tracing::debug!(link = id.0, %peer, "connected");
        Self {
            backlog: Backlog::new(edge.config.backlog_bytes_max, edge.config.backlog_age_max),
            edge,
            stream,
            link,
            id,
            handle,
            admission: Some(admission),
            wants_drain: false,
            is_claimed: false,
            heard_at,
            is_drained: false,
            end: None,
            reason: None,
            traces: Traces::default(),
            phase: Phase::Running,
        }
    }

    /// Serves the connection to its end. Boxed, since a task would else hold room for it twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        {
            let far = self.edge.clock.instant(Mono(u64::MAX));
            let mut sleep = pin!(tokio::time::sleep_until(far.into()));
            poll_fn(|task| self.poll(task, sleep.as_mut())).await;
        }
        self.handle.settle(Phase::Ended);
        if self.end == Some(End::AfterFlush) {
            // Boxed, so that a task has no room for it before its end.
            Box::pin(self.linger()).await;
        }
    }

    /// Takes turns until nothing is there, or too many were taken for this time.
    fn poll(&mut self, task: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            let is_active = Scratch::lend(|scratch| self.turn(task, scratch));
            if self.is_over() {
                return Poll::Ready(());
            }
            if !is_active
                && !self.is_due(task, sleep.as_mut())
                && self.handle.sleep(task.waker(), self.takes_more())
            {
                return Poll::Pending;
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Handles all that is there; `false` if there was nothing.
    fn turn(&mut self, task: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        let now = self.edge.clock.now();
        self.phase = self.edge.phase();
        let mut is_active = self.flush(task, now);
        self.take_mail(scratch);
        is_active |= self.may_drain() || !scratch.mail.is_empty();
        self.handle_mail(now, scratch);
        is_active |= self.read(task, now, scratch);
        if self.link.next_deadline().is_some_and(|end| end <= now.mono) {
            self.step(now, scratch, |link, write, cx| {
                link.handle_deadline(write, cx);
            });
        }
        if self.backlog.is_overdue(now.mono) {
            self.end_now(Reason::SlowReader);
        }
        if self.phase == Phase::Ended {
            self.end_now(Reason::Shutdown);
        }
        // A key at hand answers at once: its frames go with this turn.
        for _ in 0..MAIL_ROUNDS_MAX {
            self.submit(scratch);
            self.take_mail(scratch);
            if scratch.mail.is_empty() {
                break;
            }
            // The mail may make input welcome that this turn has not asked the socket for.
            is_active = true;
            self.handle_mail(now, scratch);
        }
        self.submit(scratch);
        self.drain(now, scratch);
        self.write(task, now, scratch);
        self.handle.settle(self.phase);
        is_active
    }

    fn take_mail(&mut self, scratch: &mut Scratch) {
        self.wants_drain |= self.handle.take(&mut scratch.mail);
        self.is_claimed = self.is_claimed && self.handle.is_claimed();
    }

    fn handle_mail(&mut self, now: Now, scratch: &mut Scratch) {
        let mut mail = std::mem::take(&mut scratch.mail);
        for input in mail.drain(..) {
            self.step(now, scratch, |link, write, cx| {
                link.handle(input, write, cx);
            });
        }
        scratch.mail = mail;
    }

    /// Reads what is there, if more is welcome; `false` if there was nothing.
    fn read(&mut self, task: &mut Context<'_>, now: Now, scratch: &mut Scratch) -> bool {
        let mut is_active = false;
        for _ in 0..READS_MAX {
            let is_welcome = self.end.is_none()
                && self.phase == Phase::Running
                && self.link.wants_input()
                && self.backlog.may_grow()
                && self.edge.sessions.takes_more(self.id);
            if !is_welcome {
                break;
            }
            let mut buffer = std::mem::take(&mut scratch.read);
            let mut unread = ReadBuf::new(&mut buffer);
            let outcome = Pin::new(&mut self.stream).poll_read(task, &mut unread);
            let input = unread.filled_mut();
            let is_full = input.len() == scratch::READ_BYTES;
            let is_pending = outcome.is_pending();
            match outcome {
                Poll::Ready(Ok(())) if input.is_empty() => self.end_now(Reason::Peer),
                Poll::Ready(Ok(())) => {
                    is_active = true;
                    self.heard_at = now.mono;
                    let bytes = u64::try_from(input.len()).unwrap_or(0);
                    self.edge.counts.received_bytes.add(bytes);
                    self.step(now, scratch, |link, write, cx| {
                        link.receive(input, write, cx);
                    });
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(link = self.id.0, %error, "the connection broke");
                    self.end_now(Reason::Broken);
                }
                Poll::Pending => {}
            }
            scratch.read = buffer;
            if is_pending || !is_full {
                break;
            }
        }
        is_active
    }

    /// Lets the link take a step, and takes note of what it wants.
    fn step(
        &mut self,
        now: Now,
        scratch: &mut Scratch,
        step: impl FnOnce(&mut Link, &mut Vec<u8>, &mut Cx<'_, Effect>),
    ) {
        let Scratch {
            write,
            effects,
            to_host,
            ..
        } = scratch;
        step(
            &mut self.link,
            write,
            &mut Cx {
                now,
                rng: &mut random::lend(),
                out: effects,
            },
        );
        for effect in effects.drain(..) {
            match effect {
                Effect::Close { cause, code } => {
                    tracing::debug!(link = self.id.0, ?cause, ?code, "closing");
                    self.end.get_or_insert(End::AfterFlush);
                    self.reason.get_or_insert(Reason::Link(cause));
                    if let Some(code) = code {
                        self.edge.counts.code(code);
                    }
                }
                Effect::Exchange { body, starts } => {
                    if starts && !self.may_start_handshake(now) {
                        tracing::debug!(link = self.id.0, "too many handshakes");
                        self.edge.counts.handshakes_refused.add_one();
                        self.handle.post(Input::Refuse { code: FLOOD });
                    } else {
                        self.edge.counts.handshakes.add(u64::from(starts));
                        self.edge.request(self.id, &body);
                    }
                }
                Effect::Frame(mut frame) => {
                    if let Some(tracer) = &self.edge.config.tracer {
                        self.traces.frame(tracer, &mut frame);
                    }
                    to_host.push(ToHost::Frame(frame));
                }
                Effect::LoadKey { id } => self.edge.want_key(self.id, id),
                Effect::Peer(peer) => {
                    tracing::debug!(link = self.id.0, %peer, "announced");
                    if !self.is_admitted(peer, now) {
                        self.end_now(Reason::Limits);
                        break;
                    }
                }
            }
        }
    }

    fn may_start_handshake(&self, now: Now) -> bool {
        let Some(admission) = &self.admission else {
            return true;
        };
        self.edge
            .limiter
            .lock()
            .start_handshake(admission, now.mono)
    }

    /// Tells whether the client that a proxy has announced is within the limits.
    fn is_admitted(&mut self, peer: SocketAddr, now: Now) -> bool {
        let Some(admission) = &mut self.admission else {
            return true;
        };
        self.edge
            .limiter
            .lock()
            .name(admission, peer.ip(), now.mono)
            .is_ok()
    }

    /// Hands the host all frames. Those whose key is found during a shutdown are dropped: nobody has acknowledged them.
    fn submit(&mut self, scratch: &mut Scratch) {
        if self.end == Some(End::Now) || self.phase != Phase::Running {
            scratch.to_host.clear();
        }
        if !scratch.to_host.is_empty() {
            let frames = u64::try_from(scratch.to_host.len()).unwrap_or(0);
            self.edge.counts.frames.add(frames);
            self.edge.sessions.submit(&mut scratch.to_host);
            self.wants_drain = true;
        }
    }

    fn may_drain(&self) -> bool {
        self.wants_drain && !self.is_claimed && self.takes_more()
    }

    fn takes_more(&self) -> bool {
        self.end.is_none() && self.backlog.may_grow()
    }

    /// Takes what the host has ready, if the socket takes it.
    fn drain(&mut self, now: Now, scratch: &mut Scratch) {
        let is_closing =
            self.phase == Phase::Closing || self.leaves_at().is_some_and(|at| at <= now.mono);
        if is_closing && !self.is_drained {
            self.wants_drain = true;
        }
        if !self.may_drain() {
            return;
        }
        // What somebody else has drained before comes first.
        self.is_claimed = !self.handle.take_to_drain(&mut scratch.mail);
        self.handle_mail(now, scratch);
        self.submit(scratch);
        if !self.may_drain() {
            return;
        }
        self.wants_drain = false;
        self.edge.sessions.drain(self.id, &mut scratch.from_host);
        if !scratch.from_host.is_empty() {
            self.traces.sent(&scratch.from_host);
            let mut from_host = std::mem::take(&mut scratch.from_host);
            let mut link = std::mem::take(&mut scratch.link);
            self.step(now, scratch, |this, write, cx| {
                this.send(&mut from_host, &mut link, write, cx);
            });
            (scratch.from_host, scratch.link) = (from_host, link);
        }
        if is_closing {
            self.is_drained = true;
            self.end = Some(End::AfterFlush);
            self.reason.get_or_insert(Reason::Shutdown);
        }
    }

    /// Writes what this turn has appended; what the socket does not take waits.
    fn write(&mut self, task: &mut Context<'_>, now: Now, scratch: &mut Scratch) {
        if self.end != Some(End::Now)
            && self
                .backlog
                .write(&mut self.stream, task, &mut scratch.write, now.mono)
                .is_err()
        {
            self.end_now(Reason::Broken);
        }
        scratch.write.clear();
    }

    /// Writes what waits; `false` if there was nothing, or nothing could be written.
    fn flush(&mut self, task: &mut Context<'_>, now: Now) -> bool {
        match self.backlog.flush(&mut self.stream, task, now.mono) {
            Ok(has_progress) => has_progress,
            Err(_) => {
                self.end_now(Reason::Broken);
                true
            }
        }
    }

    /// Returns when the connection closes of itself if nothing comes, so that its client goes to another gateway.
    fn leaves_at(&self) -> Option<Mono> {
        let leaves = self.end.is_none() && self.handle.leaves();
        leaves.then(|| self.heard_at + ASKED_FOR)
    }

    fn end_now(&mut self, reason: Reason) {
        self.end = Some(End::Now);
        self.reason.get_or_insert(reason);
    }

    fn is_over(&self) -> bool {
        match self.end {
            None => false,
            Some(End::Now) => true,
            Some(End::AfterFlush) => self.backlog.is_empty(),
        }
    }

    /// Tells whether a deadline has come; else sets the timer.
    fn is_due(&self, task: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> bool {
        let link = self.link.next_deadline();
        let next = [link, self.backlog.next_deadline(), self.leaves_at()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else { return false };
        let next = self.edge.clock.instant(next).into();
        loop {
            // A deadline mostly moves away: the timer stays, and looks again when it rings.
            if next < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(task).is_pending() {
                return false;
            }
            if next <= sleep.deadline() {
                return true;
            }
        }
    }

    /// Closes so that the peer can read the last bytes: a socket that is closed with unread input sends a reset, which
    /// overtakes them.
    async fn linger(&mut self) {
        let drained = async {
            if self.stream.shutdown().await.is_ok() {
                let mut buffer = [0; 4096];
                let mut bytes = 0;
                while let Ok(read @ 1..) = self.stream.read(&mut buffer).await {
                    bytes += read;
                    if bytes > LINGER_BYTES_MAX {
                        break;
                    }
                }
            }
        };
        // The peer's time is up either way.
        let _ = tokio::time::timeout(LINGER_MAX, drained).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(link = self.id.0, "a connection panicked");
        }
        let (held, awaited) = (
            self.link.held_keys().collect(),
            self.link.awaited_keys().collect(),
        );
        // A second panic while the first unwinds would end the process.
        let detach = || self.edge.detach(self.id, held, awaited);
        if catch_unwind(AssertUnwindSafe(detach)).is_err() {
            tracing::error!(
                link = self.id.0,
                "the host panicked over a connection that is gone"
            );
        }
        if let Some(admission) = self.admission.take() {
            self.edge.disconnect(admission);
        }
        self.edge
            .counts
            .closed(self.reason.unwrap_or(Reason::Broken));
        tracing::debug!(link = self.id.0, "disconnected");
    }
}

/// How long a client that has said something may be waiting for an answer to it.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// Turns before other connections get theirs.
const TURNS_MAX: usize = 8;

/// Reads of a turn.
const READS_MAX: usize = 4;

/// Rounds of mail that a turn brings about itself.
const MAIL_ROUNDS_MAX: usize = 4;

/// What the peer is still given to take the last bytes.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// "Transport flood".
const FLOOD: Option<i32> = Some(-429);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Weak;
    use std::task::Waker;

    use heliogram_ports::memory::MemoryKeys;
    use heliogram_ports::{FromHost, SessionPort, Wake};
    use heliogram_proto::exchange::server::{Config as ExchangeConfig, Dcs, Keyring};
    use heliogram_proto::ids::Term;
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_connection_that_only_waits_for_a_slow_reader_is_not_active() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let _reader = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let exchange = ExchangeConfig {
            keys: Keyring::new([]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Term(1).into(),
        };
        let keys = Arc::new(MemoryKeys::new());
        let edge = Edge::new(Config::default(), keys, Arc::new(Silent), exchange).unwrap();
        let edge = Arc::new(edge);
        let transport = Transport::new(Arc::default());
        let admission = edge.limiter.lock().connect_unnamed().unwrap();
        let mut connection = Connection::new(edge, stream, peer, transport, admission);
        let mut task = Context::from_waker(Waker::noop());
        // More than the socket takes, and less than stops a drain.
        while connection.backlog.is_empty() {
            let mut bytes = vec![0; 32 << 10];
            let now = connection.edge.clock.now().mono;
            connection
                .backlog
                .write(&mut connection.stream, &mut task, &mut bytes, now)
                .unwrap();
        }
        assert!(connection.backlog.may_grow());

        connection.wants_drain = true;
        connection.end = Some(End::AfterFlush);
        // The system may yet move a little.
        let active = (0..100)
            .filter(|_| Scratch::lend(|scratch| connection.turn(&mut task, scratch)))
            .count();
        assert!(active < 100 && !connection.is_over(), "{active}");
    }

    /// A host that has nothing to say.
    struct Silent;

    impl SessionPort for Silent {
        fn open(&self, _: Weak<dyn heliogram_ports::Edge>) {}

        fn attach(&self, _: LinkId, _: Arc<dyn Wake>) {}

        fn submit(&self, inputs: &mut Vec<ToHost>) {
            inputs.clear();
        }

        fn drain(&self, _: LinkId, _: &mut Vec<FromHost>) {}

        fn is_quiet(&self) -> bool {
            true
        }
    }

    /// Every idle connection holds this much, and its session comes on top: see the target of 2 KiB for both.
    #[test]
    fn an_idle_connection_is_small() {
        fn size_of_output<F>(_: fn(Box<Connection>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(
            size_of::<Connection>() <= 640,
            "{}",
            size_of::<Connection>()
        );
        assert!(
            size_of_output(Connection::run) <= 192,
            "{}",
            size_of_output(Connection::run)
        );
    }
}
