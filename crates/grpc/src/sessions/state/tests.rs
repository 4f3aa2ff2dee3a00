use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_ports::discovery::{Node, Owner};
use heliogram_ports::metrics::Readings;
use heliogram_ports::{KeyKind, conformance};
use heliogram_proto::ids::{AuthKeyId, MsgId, Salt, SeqNo, SessionId};

use super::*;
use crate::limits::TIES_PER_LINK_MAX;
use crate::sessions::ITEM_BYTES;

#[test]
fn frames_go_to_the_owner_of_their_identity_under_its_term() {
    let mut world = World::new();
    world.frame(A, KEY_OF_X, 1);
    world.frame(A, KEY_OF_Y, 2);
    assert_eq!(frames(&world.batch(X)), [(A, Some(OLD.0))]);
    assert_eq!(frames(&world.batch(Y)), [(A, Some(OLD.0))]);
    assert_eq!(
        world.state.term_of(Identity(AuthKeyId(KEY_OF_X))),
        Some(OLD)
    );
}

#[test]
fn a_link_with_a_frame_that_may_be_lost_is_closed_when_its_stream_breaks_and_others_come_back() {
    let mut world = World::new();
    for link in [A, B, C] {
        world.frame(link, KEY_OF_X, 1);
    }
    world.batch(X);
    // Of B and C it is not known.
    world.state.taken(X, 1);
    world.frame(A, KEY_OF_X, 2);
    world.broke(X);
    assert_eq!((world.is_closed(A), world.is_closed(B)), (false, true));
    assert!(world.is_closed(C));

    world.opened(X);
    let batch = world.batch(X);
    assert_eq!(attached(&batch), [A]);
    assert_eq!(frames(&batch), [(A, Some(OLD.0))], "it had not gone out");
    assert!(
        matches!(batch[0], UpItem::Attach(_)),
        "who comes back speaks after that"
    );
}

#[test]
fn confirmed_frames_are_counted_for_each_stream_anew() {
    let mut world = World::new();
    for link in [A, B] {
        world.frame(link, KEY_OF_X, 1);
    }
    world.batch(X);
    world.state.taken(X, 2);
    world.broke(X);
    world.opened(X);
    for link in [A, B] {
        world.frame(link, KEY_OF_X, 2);
    }
    world.batch(X);
    world.state.taken(X, 1);
    world.broke(X);
    assert_eq!((world.is_closed(A), world.is_closed(B)), (false, true));
}

#[test]
fn a_link_that_only_the_node_knew_can_not_come_back() {
    let mut world = World::new();
    world.frame(A, KEY_OF_X, 1);
    world.batch(X);
    world.state.taken(X, 1);
    // Its session has gone to Y by a hand-over, and its gateway has not heard of that.
    assert!(world.state.deliver(Y, quick_ack(A)).is_some());
    world.broke(Y);
    assert!(world.is_closed(A));
}

#[test]
fn a_link_whose_session_has_moved_stays_when_the_node_of_before_breaks() {
    let mut world = World::new();
    world.frame(A, KEY_OF_X, 1);
    world.batch(X);
    world.state.taken(X, 1);
    let mut bound = frame(A, KEY_OF_X, 2);
    bound.key.perm = Some(AuthKeyId(KEY_OF_Y));
    world.add(ToHost::Frame(bound));
    world.batch(Y);
    world.state.taken(Y, 1);
    world.broke(X);
    assert!(!world.is_closed(A));
    world.opened(X);
    assert_eq!(attached(&world.batch(X)), [], "it has nothing there");
    world.broke(Y);
    world.opened(Y);
    assert_eq!(attached(&world.batch(Y)), [A]);
}

#[test]
fn over_http_only_who_waits_for_a_response_comes_back() {
    let mut world = World::new();
    for link in [A, B] {
        let mut frame = frame(link, KEY_OF_X, 1);
        frame.is_http = true;
        world.add(ToHost::Frame(frame));
    }
    world.batch(X);
    world.state.taken(X, 2);
    assert!(world.state.deliver(X, seal(A)).is_some());
    world.broke(X);
    world.opened(X);
    assert_eq!(attached(&world.batch(X)), [B]);
    assert_eq!((world.is_closed(A), world.is_closed(B)), (false, false));
}

#[test]
fn a_link_with_more_sessions_than_can_be_brought_back_is_closed_and_one_less_is_not() {
    for (sessions, is_closed) in [(TIES_PER_LINK_MAX, false), (TIES_PER_LINK_MAX + 1, true)] {
        let mut world = World::new();
        for session in 0..sessions {
            let mut frame = frame(A, KEY_OF_X, 1);
            frame.session_id = SessionId(i64::try_from(session).unwrap());
            world.add(ToHost::Frame(frame));
        }
        world.batch(X);
        world.state.taken(X, u64::try_from(sessions).unwrap());
        world.broke(X);
        assert_eq!(world.is_closed(A), is_closed, "{sessions}");
    }
}

#[test]
fn frames_without_an_owner_wait_and_go_to_the_one_that_comes() {
    let mut world = World::new();
    world.own(&[(X, OLD)]);
    world.frame(A, KEY_OF_Y, 1);
    assert_eq!(world.batch(Y).len(), 0);
    world.own(&[(X, OLD), (Y, NEW)]);
    assert_eq!(frames(&world.batch(Y)), [(A, Some(NEW.0))]);
    assert!(!world.is_closed(A));
}

#[test]
fn frames_wait_for_5_s_and_no_longer() {
    let mut world = World::new();
    world.broke(Y);
    world.frame(A, KEY_OF_Y, 1);
    assert_eq!(
        world.state.next_deadline(),
        Some(world.now + FRAMES_WAITING_MAX)
    );
    world.pass(FRAMES_WAITING_MAX - Duration::from_millis(1));
    assert!(!world.is_closed(A));
    world.pass(Duration::from_millis(1));
    assert!(world.is_closed(A));
    assert_eq!(world.state.next_deadline(), None);
    world.opened(Y);
    assert_eq!(frames(&world.batch(Y)), []);
}

#[test]
fn who_used_a_partition_that_has_moved_is_let_go_after_what_the_old_owner_has_for_it() {
    let mut world = World::new();
    world.frame(A, KEY_OF_X, 1);
    world.frame(B, KEY_OF_Y, 1);
    world.batch(X);
    world.state.taken(X, 1);
    let doubted = world.own(&[(X, NEW), (Y, OLD)]);
    assert_eq!(
        doubted,
        Partition::all().filter(is_of(X)).collect::<Vec<_>>()
    );
    assert!(!world.is_closed(A));
    assert!(
        world.state.deliver(X, seal(A)).is_some(),
        "its answer arrives"
    );
    world.frame(A, KEY_OF_X, 2);
    assert_eq!(
        frames(&world.batch(X)),
        [],
        "the new owner does not know it"
    );
    world.pass(LEAVING_MAX - Duration::from_millis(1));
    assert!(!world.is_closed(A));
    world.pass(Duration::from_millis(1));
    assert!(world.is_closed(A) && !world.is_closed(B));
    assert!(matches!(
        world.drained(A)[..],
        [FromHost::Seal { .. }, FromHost::Close { .. }]
    ));
}

#[test]
fn who_used_a_partition_that_has_moved_from_a_node_that_is_gone_is_closed_at_once() {
    let mut world = World::new();
    world.frame(A, KEY_OF_X, 1);
    world.batch(X);
    world.state.taken(X, 1);
    world.broke(X);
    assert!(!world.is_closed(A));
    world.own(&[(X, NEW), (Y, OLD)]);
    assert!(world.is_closed(A));
}

#[test]
fn a_node_that_nobody_knows_any_more_is_spoken_to_until_its_stream_ends() {
    let mut world = World::new();
    world.own(&[(X, OLD)]);
    assert!(world.state.is_spoken_to(Y));
    world.broke(Y);
    assert!(!world.state.is_spoken_to(Y) && world.state.is_spoken_to(X));
    // It comes back as another.
    assert_eq!(world.apply(&[(X, OLD), (Y, NEW)]).0.len(), 1);
}

#[test]
fn a_gateway_is_whole_with_a_stream_to_the_owner_of_everything() {
    let mut world = World::new();
    assert!(world.state.is_whole());
    world.broke(Y);
    assert!(!world.state.is_whole());
    world.opened(Y);
    world.own(&[(X, OLD)]);
    assert!(!world.state.is_whole());
}

#[test]
fn what_comes_for_a_link_that_is_gone_is_answered_by_its_end() {
    let mut world = World::new();
    assert!(world.state.deliver(X, quick_ack(LinkId(99))).is_none());
    assert_eq!(world.batch(X), [UpItem::Detach(99)]);
}

#[test]
fn input_is_welcome_below_the_limit_and_who_waits_is_woken_once_there_is_room() {
    let mut world = World::new();
    let mut large = frame(A, KEY_OF_X, 1);
    large.body = vec![0; FRAMES_WELCOME_BYTES_MAX - ITEM_BYTES - 1].into();
    world.add(ToHost::Frame(large));
    assert!(world.state.takes_more(A));
    world.frame(B, KEY_OF_X, 1);
    world.frame(C, KEY_OF_Y, 1);
    assert!(!world.state.takes_more(A) && !world.state.takes_more(B));
    assert_eq!(
        world.reads(["ring_stalled_connections", "ring_nodes"]),
        [2, 2]
    );
    assert!(world.state.takes_more(C), "its node has room");
    assert_eq!(world.woken(), 0);
    while !world.batch(X).is_empty() {}
    assert_eq!(world.woken(), 2);
    assert!(world.state.takes_more(A));
}

#[test]
fn streams_what_waits_and_why_connections_are_closed_are_counted() {
    let mut world = World::new();
    let cost = u64::try_from(frame(A, KEY_OF_X, 1).body.len() + ITEM_BYTES).unwrap();
    world.frame(A, KEY_OF_X, 1);
    assert_eq!(world.reads(["ring_nodes", "ring_streams"]), [2, 2]);
    assert_eq!(
        world.reads(["ring_waiting_bytes", "ring_unconfirmed_frames"]),
        [cost, 0]
    );
    world.batch(X);
    assert_eq!(
        world.reads(["ring_waiting_bytes", "ring_unconfirmed_frames"]),
        [0, 1]
    );
    world.broke(X);
    assert_eq!(world.reads(["ring_streams", CLOSED_LOST]), [1, 1]);
    world.frame(B, KEY_OF_X, 1);
    assert_eq!(
        world.reads(["ring_parked_frames", "ring_parked_bytes"]),
        [1, cost]
    );
    world.pass(FRAMES_WAITING_MAX);
    assert_eq!(world.reads(["ring_parked_frames", CLOSED_NO_OWNER]), [0, 1]);
    world.frame(C, KEY_OF_Y, 1);
    world.own(&[(X, OLD), (Y, NEW)]);
    world.pass(LEAVING_MAX);
    assert_eq!(world.reads([CLOSED_MOVED, CLOSED_FULL]), [1, 0]);
    world.opened(X);
    assert_eq!(
        world.reads(["ring_opened_streams", "ring_stalled_connections"]),
        [3, 0]
    );
}

const CLOSED_FULL: &str = r#"ring_closed_connections{reason="full"}"#;
const CLOSED_LOST: &str = r#"ring_closed_connections{reason="lost"}"#;
const CLOSED_MOVED: &str = r#"ring_closed_connections{reason="moved"}"#;
const CLOSED_NO_OWNER: &str = r#"ring_closed_connections{reason="no_owner"}"#;

/// Two nodes, each with half of the partitions and an open stream, and three connections.
struct World {
    state: State,
    now: Instant,
    wakes: Arc<Count>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::new(),
            now: Instant::now(),
            wakes: Arc::default(),
        };
        let (new, _) = world.apply(&[(X, OLD), (Y, OLD)]);
        assert_eq!(new.iter().map(|it| it.id).collect::<Vec<_>>(), [X, Y]);
        for peer in [X, Y] {
            assert_eq!(world.opened(peer).len(), 32);
        }
        for link in [A, B, C] {
            let wake = Arc::<Count>::clone(&world.wakes);
            world.state.attach(link, wake);
        }
        world
    }

    fn apply(&mut self, owners: &[(PeerId, Term)]) -> (Vec<NewPeer>, Vec<Partition>) {
        let owner = |partition: Partition| {
            let owner = owners.iter().find(|(peer, _)| is_of(*peer)(&partition))?;
            Some(Owner {
                node: address(owner.0),
                address: address(owner.0),
                term: owner.1,
            })
        };
        let node = |&(peer, _): &(PeerId, Term)| Node {
            name: address(peer),
            address: address(peer),
        };
        let view = View {
            revision: 1,
            nodes: owners.iter().map(node).collect(),
            owners: Partition::all().map(owner).collect(),
        };
        let mut wakes = Wakes::new();
        let applied = self.state.apply(&view, self.now, &mut wakes);
        wake(&wakes);
        applied
    }

    /// Applies a view in which nobody is new; returns the partitions to doubt.
    fn own(&mut self, owners: &[(PeerId, Term)]) -> Vec<Partition> {
        let (new, owned) = self.apply(owners);
        assert!(new.is_empty());
        owned
    }

    fn add(&mut self, input: ToHost) {
        let mut wakes = Wakes::new();
        self.state.add(input, self.now, &mut wakes);
        wake(&wakes);
    }

    fn frame(&mut self, link: LinkId, key: i64, msg: i64) {
        self.add(ToHost::Frame(frame(link, key, msg)));
    }

    fn batch(&mut self, peer: PeerId) -> Vec<UpItem> {
        let mut wakes = Wakes::new();
        let batch = self.state.batch(peer, &mut wakes);
        wake(&wakes);
        let items = batch.into_iter().flat_map(|it| it.items);
        items.filter_map(|it| it.item).collect()
    }

    fn opened(&mut self, peer: PeerId) -> Vec<Partition> {
        let mut wakes = Wakes::new();
        let owned = self.state.opened(peer, &mut wakes);
        wake(&wakes);
        owned
    }

    fn broke(&mut self, peer: PeerId) {
        let mut wakes = Wakes::new();
        self.state.broke(peer, self.now, &mut wakes);
        wake(&wakes);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let mut wakes = Wakes::new();
        self.state.overdue(self.now, &mut wakes);
        wake(&wakes);
    }

    fn reads(&self, names: [&str; 2]) -> [u64; 2] {
        let mut readings = Readings::default();
        self.state.measure(&mut readings);
        names.map(|name| readings.0[name])
    }

    fn is_closed(&self, link: LinkId) -> bool {
        self.state.links[&link].is_ended
    }

    fn drained(&mut self, link: LinkId) -> Vec<FromHost> {
        let mut out = Vec::new();
        self.state.drain(link, &mut out);
        out
    }

    fn woken(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wake(wakes: &[Arc<dyn Wake>]) {
    wakes.iter().for_each(|wake| wake.wake());
}

/// X has what is even.
fn is_of(peer: PeerId) -> impl Fn(&Partition) -> bool {
    move |partition| (partition.number() % 2 == 0) == (peer == X)
}

fn address(peer: PeerId) -> Arc<str> {
    format!("127.0.0.1:{}", peer.0).into()
}

fn frames(items: &[UpItem]) -> Vec<(LinkId, Option<u64>)> {
    let frame = |item: &UpItem| match item {
        UpItem::Frame(frame) => Some((LinkId(frame.link), frame.term)),
        UpItem::Attach(_) | UpItem::Credit(_) | UpItem::Detach(_) | UpItem::Probe(_) => None,
    };
    items.iter().filter_map(frame).collect()
}

fn attached(items: &[UpItem]) -> Vec<LinkId> {
    let attach = |item: &UpItem| match item {
        UpItem::Attach(attach) => Some(LinkId(attach.link)),
        UpItem::Frame(_) | UpItem::Credit(_) | UpItem::Detach(_) | UpItem::Probe(_) => None,
    };
    items.iter().filter_map(attach).collect()
}

fn frame(link: LinkId, key: i64, msg: i64) -> Frame {
    let mut facts = conformance::record(1, KeyKind::Permanent).facts;
    facts.id = AuthKeyId(key);
    Frame {
        link,
        key: facts,
        peer: ([192, 0, 2, 1], 443).into(),
        salt: Salt(1),
        session_id: SessionId(1),
        msg_id: MsgId(4 * msg),
        seqno: SeqNo(1),
        body: vec![0; 4].into(),
        quick_ack: None,
        is_http: false,
        term: None,
        trace: None,
    }
}

fn seal(link: LinkId) -> FromHost {
    FromHost::Seal {
        link,
        key: AuthKeyId(KEY_OF_X),
        salt: Salt(2),
        session_id: SessionId(1),
        msg_id: MsgId(5),
        seqno: SeqNo(5),
        body: vec![0; 4].into(),
    }
}

fn quick_ack(link: LinkId) -> FromHost {
    FromHost::QuickAck { link, token: 1 }
}

const X: PeerId = PeerId(0);
const Y: PeerId = PeerId(1);
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);
const KEY_OF_X: i64 = 2;
const KEY_OF_Y: i64 = 3;
const OLD: Term = Term(10);
const NEW: Term = Term(20);
