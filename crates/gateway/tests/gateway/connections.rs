//! Connections that are slow, idle, broken or unlucky, and stores that are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_crypto::AuthKey;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, FromHost, Inserted, KeyRecord, Unavailable,
};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::ring::Partition;
use heliogram_tl::{Serialize, mtproto};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, Event, PATIENCE, until_closed};
use crate::server::{PANIC, Server};

#[tokio::test]
async fn who_shows_no_transport_in_time_is_closed() {
    let server = Server::with(|config| config.link.detect_max = SHORT).await;
    for beginning in [&b""[..], b"\xee", b"\xee\xee\xee", &[0x55; 63]] {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        assert_eq!(until_closed(&mut stream).await, b"");
        assert!((SHORT..PATIENCE).contains(&begin.elapsed()));
    }
}

#[tokio::test]
async fn who_drips_a_frame_is_closed_when_its_time_is_up_however_often_a_byte_comes() {
    let server = Server::with(|config| config.link.frame_max = SHORT).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(b"\xee\xee\xee\xee\x28\0\0\0")
        .await
        .unwrap();
    let begin = Instant::now();
    while stream.write_all(b"\0").await.is_ok() && begin.elapsed() < PATIENCE {
        sleep(SHORT / 20).await;
    }
    assert!((SHORT / 2..PATIENCE / 2).contains(&begin.elapsed()));
}

#[tokio::test]
async fn who_makes_no_key_in_time_is_closed_and_who_has_made_one_is_not() {
    let server = Server::with(|config| config.link.handshake_max = LONG).await;
    let mut lazy = Client::connect(server.address()).await;
    lazy.ask(&mtproto::ReqPqMulti { nonce: [1; 16] }.to_bytes())
        .await;
    lazy.answer().await;
    let mut eager = Client::connect(server.address()).await;
    let key = eager.make_key().await.key;
    assert_eq!(lazy.event().await, Event::Closed);
    sleep(SHORT).await;
    assert_eq!(eager.echo(&key, b"in time!").await, b"in time!");
}

#[tokio::test]
async fn who_is_idle_for_too_long_is_closed_and_who_speaks_is_not() {
    let server = Server::with(|config| config.link.idle_max = LONG).await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    for _ in 0..8 {
        sleep(LONG / 6).await;
        client.echo(&key, b"I'm here").await;
    }
    assert_eq!(client.event().await, Event::Closed);
}

#[tokio::test]
async fn a_panic_in_one_connection_does_not_end_another() {
    let server = Server::start().await;
    let mut victim = Client::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    let key = other.make_key().await.key;
    let sealed = victim.seal(&key, PANIC);
    victim.send(&sealed).await;
    assert_eq!(victim.event().await, Event::Closed);
    assert_eq!(other.echo(&key, b"unharmed").await, b"unharmed");
    drop(victim);
    drop(other);
    while server.sessions.links() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_the_host_pushes_wakes_an_idle_connection_and_its_close_carries_the_code() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    client.echo(&key, b"who am I").await;
    let link = server.sessions.seen()[0].link;
    sleep(Duration::from_millis(20)).await;
    server.sessions.push(
        link,
        FromHost::QuickAck {
            link,
            token: 0x8000_0001,
        },
    );
    assert_eq!(client.event().await, Event::QuickAck(0x8000_0001));
    server.sessions.push(
        link,
        FromHost::Close {
            link,
            code: Some(-404),
        },
    );
    assert_eq!(client.event().await, Event::Error(-404));
    assert_eq!(client.event().await, Event::Closed);
}

#[tokio::test]
async fn who_does_not_read_is_not_read_from() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    let sealed = client.seal(&key, &[1; 500_000]);
    let frame = client.frame(&sealed, false);
    let mut sent = 0;
    while timeout(LONG / 3, client.stream.write_all(&frame))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 200, "the server takes 100 MB and more");
    }
    assert!(server.sessions.seen().len() < sent);
}

#[tokio::test]
async fn what_is_for_a_peer_that_does_not_read_waits_in_the_host() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    client.echo(&key, b"who am I").await;
    let link = server.sessions.seen()[0].link;
    for number in 0..100 {
        server.sessions.push(link, seal(link, &key, number));
        tokio::task::yield_now().await;
    }
    sleep(SHORT).await;
    assert!(server.sessions.waiting() > 50);
    for _ in 0..100 {
        assert_eq!(client.message(&key).await.len(), 500_000);
    }
}

#[tokio::test]
async fn who_does_not_read_is_closed_in_the_end() {
    let server = Server::with(|config| config.backlog_age_max = SHORT * 2).await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    let sealed = client.seal(&key, &[1; 500_000]);
    let frame = client.frame(&sealed, false);
    let begin = Instant::now();
    while let Ok(Ok(())) = timeout(PATIENCE, client.stream.write_all(&frame)).await {}
    assert!(begin.elapsed() < PATIENCE);
    while server.sessions.links() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_code_is_followed_by_an_orderly_end_though_more_has_come() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let mut bytes = b"\x04\0\0\0\x01\x02\x03\x04".to_vec();
    bytes.resize(bytes.len() + 500_000, 0xee);
    client.stream.write_all(&bytes).await.unwrap();
    sleep(SHORT).await;
    let mut answer = Vec::new();
    let end = timeout(PATIENCE, client.stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(end.is_ok(), "a reset may overtake the code");
    assert_eq!(answer, b"\x04\0\0\0\x6c\xfe\xff\xff");
}

#[tokio::test]
async fn a_slow_reader_gets_all_that_it_asked_for() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    let mut bytes = Vec::new();
    for number in 0..24_u8 {
        let sealed = client.seal(&key, &vec![number; 400_000]);
        bytes.extend(client.frame(&sealed, false));
    }
    let (mut reader, mut writer) = client.stream.into_split();
    let sending = tokio::spawn(async move { writer.write_all(&bytes).await.map(|()| writer) });
    sleep(SHORT).await;
    let mut left = 24 * 400_000_usize;
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let bytes = reader.read(&mut buffer).await.unwrap();
        assert_ne!(bytes, 0, "closed with {left} bytes to come");
        left = left.saturating_sub(bytes);
    }
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_is_unavailable_closes_without_a_code_and_never_says_404() {
    let keys = Arc::new(Moody::default());
    let server = Server::with_keys(Arc::<Moody>::clone(&keys), |_| ()).await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    drop(client);
    *keys.mood.lock() = Mood::Unavailable;

    let mut client = Client::connect(server.address()).await;
    let unknown = AuthKey::new([8; 256]);
    let sealed = client.seal(&unknown, b"who am I");
    client.send(&sealed).await;
    assert_eq!(client.event().await, Event::Closed);

    let mut client = Client::connect(server.address()).await;
    assert_eq!(client.echo(&key, b"at hand.").await, b"at hand.");
}

#[tokio::test]
async fn a_store_that_says_nothing_closes_without_a_code_after_a_while() {
    let keys = Arc::new(Moody::default());
    let server = Server::with_keys(Arc::<Moody>::clone(&keys), |config| {
        config.link.key_wait_max = SHORT;
    })
    .await;
    *keys.mood.lock() = Mood::Silent;
    let begin = Instant::now();
    let mut client = Client::connect(server.address()).await;
    let sealed = client.seal(&AuthKey::new([8; 256]), b"who am I");
    client.send(&sealed).await;
    assert_eq!(client.event().await, Event::Closed);
    assert!(begin.elapsed() >= SHORT);
}

#[tokio::test]
async fn connections_that_ask_for_one_key_at_once_ask_the_store_once() {
    let keys = Arc::new(Moody::default());
    let server = Server::with_keys(Arc::<Moody>::clone(&keys), |_| ()).await;
    *keys.mood.lock() = Mood::Slow;
    let absent = AuthKey::new([8; 256]);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.address()).await;
        let sealed = client.seal(&absent, b"who am I");
        client.send(&sealed).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.event().await, Event::Error(-404));
    }
    assert_eq!(keys.finds.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_doubted_key_is_looked_up_before_its_next_frame_and_another_is_not() {
    let keys = Arc::new(Moody::default());
    let server = Server::with_keys(Arc::<Moody>::clone(&keys), |_| ()).await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    assert_eq!(client.echo(&key, b"at hand.").await, b"at hand.");
    let own = Partition::of(Identity(key.id()));
    let others: Vec<_> = Partition::all().filter(|&it| it != own).collect();

    server.sessions.edge().doubt(&others);
    assert_eq!(client.echo(&key, b"believed").await, b"believed");
    assert_eq!(keys.finds.load(Ordering::Relaxed), 0);
    server.sessions.edge().doubt(&[own]);
    assert_eq!(client.echo(&key, b"doubted.").await, b"doubted.");
    assert_eq!(keys.finds.load(Ordering::Relaxed), 1);
    assert_eq!(client.echo(&key, b"believed").await, b"believed");
    assert_eq!(keys.finds.load(Ordering::Relaxed), 1);

    // Its end was missed.
    keys.remove(key.id()).await.unwrap();
    server.sessions.edge().doubt(&[own]);
    let sealed = client.seal(&key, b"no more.");
    client.send(&sealed).await;
    assert_eq!(client.event().await, Event::Error(-404));
    assert_eq!(server.sessions.seen().len(), 4);
}

#[tokio::test]
async fn no_more_is_read_of_a_connection_whose_host_takes_no_more_until_it_does() {
    let server = Server::start().await;
    let mut full = Client::connect(server.address()).await;
    let key = full.make_key().await.key;
    assert_eq!(full.echo(&key, b"the 1st.").await, b"the 1st.");
    let link = server.sessions.seen()[0].link;
    server.sessions.fill(Some(link));
    let sealed = full.seal(&key, b"the 2nd.");
    full.send(&sealed).await;

    let mut other = Client::connect(server.address()).await;
    for _ in 0..10 {
        assert_eq!(other.echo(&key, b"in time!").await, b"in time!");
    }
    assert!(
        server
            .sessions
            .seen()
            .iter()
            .filter(|it| it.link == link)
            .count()
            == 1
    );
    server.sessions.fill(None);
    assert_eq!(full.message(&key).await, b"the 2nd.");
}

#[tokio::test]
async fn a_key_that_is_not_stored_is_not_confirmed() {
    let keys = Arc::new(Moody::default());
    let server = Server::with_keys(Arc::<Moody>::clone(&keys), |_| ()).await;
    *keys.mood.lock() = Mood::Unavailable;
    let mut client = Client::connect(server.address()).await;
    let outcome = tokio::spawn(async move { client.make_key().await }).await;
    assert!(outcome.is_err(), "closed before `dh_gen_ok`");
}

#[tokio::test]
async fn a_temporary_key_is_refused_from_its_end_on() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key_that_expires(Some(4)).await.key;
    assert_eq!(client.echo(&key, b"for now.").await, b"for now.");
    sleep(Duration::from_millis(4100)).await;
    let sealed = client.seal(&key, b"too late");
    client.send(&sealed).await;
    assert_eq!(client.event().await, Event::Error(-404));
    assert_eq!(client.event().await, Event::Closed);
}

/// Makes a large message for a client.
fn seal(link: LinkId, key: &AuthKey, number: i64) -> FromHost {
    FromHost::Seal {
        link,
        key: key.id(),
        salt: Salt(1),
        session_id: SessionId(2),
        msg_id: MsgId(number * 4 + 1),
        seqno: SeqNo(0),
        body: vec![7; 500_000].into(),
    }
}

/// Keys in memory, with moods.
#[derive(Default)]
struct Moody {
    keys: MemoryKeys,
    mood: Mutex<Mood>,
    finds: AtomicUsize,
}

#[derive(Clone, Copy, Default)]
enum Mood {
    #[default]
    Fine,
    Silent,
    Slow,
    Unavailable,
}

impl Moody {
    async fn feel(&self) -> Result<(), Unavailable> {
        let mood = *self.mood.lock();
        match mood {
            Mood::Fine => Ok(()),
            Mood::Silent => std::future::pending().await,
            Mood::Slow => {
                sleep(SHORT).await;
                Ok(())
            }
            Mood::Unavailable => Err(Unavailable),
        }
    }
}

impl AuthKeys for Moody {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.feel().await?;
            self.keys.find(id).await
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async move {
            self.feel().await?;
            self.keys.insert(record).await
        })
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        self.keys.bind(binding)
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.keys.remove(id)
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.keys.remove_bound(perm, except)
    }
}

/// A time limit that a test can wait for.
const SHORT: Duration = Duration::from_millis(300);

/// A time limit that a client keeps, even on a busy machine.
const LONG: Duration = Duration::from_secs(3);
