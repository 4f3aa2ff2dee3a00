//! Updates downwards: whom a push reaches, what is kept of it, and what stands for what is not.

use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::host::{Input, Learned, PreparedPush};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, SeqNo, SessionId};
use heliogram_proto::port::{Push, PushRefused, Target};
use heliogram_tl::{Serialize, api, gzip, layer, mtproto as tl};

use crate::support::{LINK, METHOD, PACKED, Rules, SESSION, Sent, UPDATE, UPDATES_TOO_LONG, World};

#[test]
fn a_push_to_a_key_reaches_its_sessions_and_keeps_its_order() {
    let mut world = subscribed();
    world.push(&[Target::Key(world.identity())], 1);
    world.push(&[Target::Key(world.identity())], 2);
    assert_eq!(world.ready, [LINK]);
    assert_eq!(numbers(&world.received()), [1, 2]);
}

#[test]
fn a_push_to_a_user_reaches_the_keys_that_the_user_has_logged_in_with() {
    let mut world = subscribed();
    assert_eq!(world.unknown, [world.identity()]);
    world.push(&[Target::User(7)], 1);
    world.set_user(Some(7));
    world.push(&[Target::User(7)], 2);
    world.push(&[Target::User(8)], 3);
    world.set_user(Some(8));
    world.push(&[Target::User(7)], 4);
    world.push(&[Target::User(8)], 5);
    world.set_user(None);
    world.push(&[Target::User(8)], 6);
    assert_eq!(numbers(&world.received()), [2, 5]);
}

#[test]
fn the_answer_to_who_has_logged_in_does_not_undo_what_was_told_meanwhile() {
    let mut world = subscribed();
    world.set_user(Some(7));
    world.learn(Some(8), Learned::Found);
    world.push(&[Target::User(8)], 1);
    world.push(&[Target::User(7)], 2);
    assert_eq!(numbers(&world.received()), [2]);
}

#[test]
fn who_is_found_out_late_is_told_to_ask_for_the_difference_and_who_is_found_at_once_is_not() {
    for (learned, expected) in [
        (Learned::Found, vec![UPDATE]),
        (Learned::FoundLate, vec![UPDATES_TOO_LONG]),
    ] {
        let mut world = subscribed();
        world.learn(Some(7), learned);
        world.push(&[Target::User(7)], 1);
        let ids: Vec<_> = world.received().iter().map(Sent::id).collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn a_session_gets_one_copy_however_many_targets_name_it() {
    let mut world = subscribed();
    world.set_user(Some(7));
    let identity = world.identity();
    let session = Target::Session {
        identity,
        session_id: SESSION,
    };
    let targets = [
        session,
        Target::User(7),
        Target::Key(identity),
        session,
        Target::User(7),
    ];
    world.push(&targets, 1);
    assert_eq!(numbers(&world.received()), [1]);
}

#[test]
fn the_session_that_brought_an_update_about_does_not_get_it() {
    let mut world = subscribed();
    let identity = world.identity();
    let targets = vec![
        Target::Key(identity),
        Target::Session {
            identity,
            session_id: SESSION,
        },
    ];
    let push = Push {
        targets,
        except: Some((identity, SESSION)),
        body: update(1),
    };
    world.input(Input::Push(PreparedPush::new(push).unwrap()));
    assert!(numbers(&world.received()).is_empty());
}

#[test]
fn a_session_that_only_called_without_updates_or_moved_files_gets_none_until_it_calls_otherwise() {
    let upload = layer::method_by_name("upload.saveFilePart").unwrap().id();
    let without = api::InvokeWithoutUpdates { query: &METHOD }.to_bytes();
    for body in [without, upload.to_le_bytes().to_vec()] {
        let mut world = World::new();
        world.send_bytes(true, body);
        let key = Target::Key(world.identity());
        world.push(&[key], 1);
        world.send_bytes(true, METHOD.to_vec());
        world.push(&[key], 2);
        assert_eq!(numbers(&world.received()), [2]);
    }
}

#[test]
fn a_push_to_one_session_reaches_it_whether_it_wants_updates_or_not() {
    let mut world = World::new();
    world.send(false, &tl::Ping { ping_id: 1 });
    let identity = world.identity();
    world.push(&[Target::Key(identity)], 1);
    world.push(
        &[Target::Session {
            identity,
            session_id: SESSION,
        }],
        2,
    );
    world.push(
        &[Target::Session {
            identity,
            session_id: SessionId(SESSION.0 + 1),
        }],
        3,
    );
    assert_eq!(numbers(&world.received()), [2]);
}

#[test]
fn updates_are_kept_until_they_are_acknowledged_and_sent_again_in_order_on_the_next_link() {
    let mut world = subscribed();
    let key = Target::Key(world.identity());
    for number in 1..=3 {
        world.push(&[key], number);
        world.pass(Duration::from_millis(1));
        assert_eq!(numbers(&world.received()), [number]);
    }
    world.push(&[key], 4);
    let first = update_ids(&world.received());
    world.push(&[key], 5);
    world.acknowledge(&first);
    world.input(Input::Detach { link: LINK });
    world.push(&[key], 6);
    world.on_link(NEXT_LINK);

    let again = world.drain(NEXT_LINK);
    // The first four are old; the rules see to it that they come with their first numbers.
    assert_eq!(numbers(&again), [1, 2, 3, 5, 6]);
}

#[test]
fn an_acknowledged_update_is_not_sent_again() {
    let mut world = subscribed();
    world.push(&[Target::Key(world.identity())], 1);
    let ids = update_ids(&world.received());
    world.acknowledge(&ids);
    world.input(Input::Detach { link: LINK });
    world.on_link(NEXT_LINK);
    assert!(numbers(&world.drain(NEXT_LINK)).is_empty());
}

#[test]
fn five_hundred_updates_wait_for_a_link_and_one_more_becomes_updates_too_long() {
    let mut world = subscribed();
    let key = Target::Key(world.identity());
    for number in 0..500 {
        world.push(&[key], number);
    }
    assert_eq!(numbers(&world.received()), (0..500).collect::<Vec<_>>());

    for number in 0..502 {
        world.push(&[key], number);
    }
    let sent = world.received();
    assert_eq!(
        sent.iter().map(Sent::id).collect::<Vec<_>>(),
        [UPDATES_TOO_LONG]
    );

    world.push(&[key], 7);
    assert_eq!(numbers(&world.received()), [7], "the queue is open again");
}

#[test]
fn a_quarter_of_a_megabyte_of_updates_waits_for_a_link_and_four_bytes_more_do_not() {
    for (bytes, fits) in [(128 << 10, true), ((128 << 10) + 4, false)] {
        let mut world = subscribed();
        let key = Target::Key(world.identity());
        world.push_body(&[key], incompressible(128 << 10));
        world.push_body(&[key], incompressible(bytes));
        let ids: Vec<_> = world.received().iter().map(Sent::id).collect();
        let expected = if fits {
            vec![UPDATE, UPDATE]
        } else {
            vec![UPDATES_TOO_LONG]
        };
        assert_eq!(ids, expected, "{bytes}");
    }
}

#[test]
fn updates_too_long_is_kept_until_it_is_acknowledged() {
    let mut world = subscribed();
    let key = Target::Key(world.identity());
    for number in 0..501 {
        world.push(&[key], number);
    }
    world.received();
    world.input(Input::Detach { link: LINK });
    world.on_link(NEXT_LINK);
    let again: Vec<_> = world.drain(NEXT_LINK).iter().map(Sent::id).collect();
    assert!(again.contains(&UPDATES_TOO_LONG), "{again:x?}");
}

#[test]
fn more_than_500_unacknowledged_updates_become_updates_too_long_when_the_link_is_lost() {
    for (pushes, expected) in [(500, 500), (501, 0)] {
        let mut world = subscribed();
        let key = Target::Key(world.identity());
        for number in 0..pushes {
            world.push(&[key], number);
            assert_eq!(numbers(&world.received()), [number]);
        }
        world.input(Input::Detach { link: LINK });
        world.on_link(NEXT_LINK);
        let again = world.drain(NEXT_LINK);
        assert_eq!(numbers(&again).len(), expected);
        let too_long = again.iter().filter(|it| it.id() == UPDATES_TOO_LONG);
        assert_eq!(too_long.count(), usize::from(expected == 0));
    }
}

#[test]
fn a_large_update_is_announced_on_the_next_connection_and_comes_when_it_is_asked_for() {
    for (bytes, is_whole) in [(1024, true), (1028, false)] {
        let mut world = subscribed();
        let key = Target::Key(world.identity());
        world.push_body(&[key], incompressible(bytes));
        let first = world.received();
        world.input(Input::Detach { link: LINK });
        world.on_link(NEXT_LINK);
        let again = world.drain(NEXT_LINK);
        assert_eq!(again.contains(&first[0]), is_whole, "{bytes} bytes");
        let announced = again
            .iter()
            .find(|it| it.id() == tl::MsgNewDetailedInfo::ID);
        let announced = announced.map(|it| it.read::<tl::MsgNewDetailedInfo>());
        let size = i32::try_from(bytes).unwrap();
        let expected = (!is_whole).then_some((first[0].msg_id.0, size, 0));
        let announced = announced.map(|it| (it.answer_msg_id, it.bytes, it.status));
        assert_eq!(announced, expected);
        let msg_ids = [first[0].msg_id.0];
        let msg_ids = (&msg_ids).into();
        world.send(false, &tl::MsgResendReq { msg_ids });
        assert_eq!(world.received(), first);
    }
}

#[test]
fn half_a_megabyte_of_unacknowledged_updates_is_kept_and_four_bytes_more_are_not() {
    for (extra, expected) in [(0, tl::MsgNewDetailedInfo::ID), (4, UPDATES_TOO_LONG)] {
        let mut world = subscribed();
        let key = Target::Key(world.identity());
        for bytes in [128 << 10, 128 << 10, 128 << 10, (128 << 10) + extra] {
            world.push_body(&[key], incompressible(bytes));
            assert_eq!(world.received()[0].id(), UPDATE);
        }
        world.input(Input::Detach { link: LINK });
        world.on_link(NEXT_LINK);
        let again: Vec<_> = world.drain(NEXT_LINK).iter().map(Sent::id).collect();
        assert!(again.contains(&expected), "{again:x?}");
    }
}

#[test]
fn an_update_that_nobody_acknowledges_for_ten_minutes_becomes_updates_too_long() {
    let mut world = subscribed();
    world.push(&[Target::Key(world.identity())], 1);
    world.received();
    world.input(Input::Detach { link: LINK });
    world.pass_s(880);
    world.on_link(NEXT_LINK);
    let again: Vec<_> = world.drain(NEXT_LINK).iter().map(Sent::id).collect();
    assert!(again.contains(&UPDATES_TOO_LONG), "{again:x?}");
    assert!(!again.contains(&UPDATE));
}

#[test]
fn updates_do_not_displace_answers() {
    let mut world = subscribed();
    let (id, _) = world.calls.remove(0);
    world.answer(
        id,
        heliogram_proto::port::Reply::Result(Bytes::from_static(&[9; 8])),
    );
    world.received();
    let key = Target::Key(world.identity());
    for _ in 0..1100 {
        world.push(&[key], 1);
        world.received();
    }
    world.input(Input::Detach { link: LINK });
    world.on_link(NEXT_LINK);
    let again = world.drain(NEXT_LINK);
    assert!(again.iter().any(|it| it.id() == tl::RpcResult::ID));
}

#[test]
fn a_large_update_is_packed_once_if_that_makes_it_smaller() {
    let mut world = subscribed();
    let mut body = update(1).to_vec();
    body.resize(4096, 0);
    world.push_body(&[Target::Key(world.identity())], body.clone().into());
    let sent = world.received();
    assert_eq!(sent[0].id(), PACKED);
    let packed: tl::GzipPacked<'_> = sent[0].read();
    assert_eq!(gzip::unpack(packed.packed_data, 1 << 20).unwrap(), body);
}

#[test]
fn what_is_no_object_is_not_pushed() {
    let push = |body: &'static [u8], targets| {
        PreparedPush::new(Push {
            targets: vec![Target::User(1); targets],
            except: None,
            body: Bytes::from_static(body),
        })
        .map(drop)
    };
    assert_eq!(push(&[], 1), Err(PushRefused::NotAnObject));
    assert_eq!(push(&[1, 2, 3, 4, 5], 1), Err(PushRefused::NotAnObject));
    assert_eq!(push(&[1, 2, 3, 4], 65_536), Ok(()));
    assert_eq!(
        push(&[1, 2, 3, 4], 65_537),
        Err(PushRefused::TooManyTargets)
    );
}

#[test]
fn one_push_to_many_links_leaves_as_one_fanout_and_a_link_that_was_told_is_not_told_again() {
    let mut world = World::new();
    let mut links = Vec::new();
    for key in 1..=5 {
        world.facts.id = AuthKeyId(key);
        let call = world.client_id();
        let mut frame = world.frame(call, SeqNo(1), METHOD.to_vec());
        frame.link = LinkId(key.cast_unsigned());
        frame.session_id = SessionId(key);
        world.submit(frame);
        links.push(LinkId(key.cast_unsigned()));
    }
    for &link in &links {
        world.drain(link);
    }
    let targets: Vec<_> = (1..=5)
        .map(|key| Target::Key(Identity(AuthKeyId(key))))
        .collect();
    world.push(&targets[1..2], 0);
    assert_eq!(world.fanouts, [[]; 0], "one link is simply woken");
    world.push(&targets, 1);
    let rest = [links[0], links[2], links[3], links[4]];
    assert_eq!(world.fanouts, [rest]);
    assert_eq!(numbers(&world.drain(links[1])), [0, 1]);
    assert_eq!(numbers(&world.drain(links[4])), [1]);
}

#[test]
fn the_user_of_a_key_is_asked_for_again_after_all_of_it_was_forgotten() {
    let mut world = subscribed();
    world.set_user(Some(7));
    world.input(Input::Detach { link: LINK });
    world.pass_s(1500);
    world.rules = Rules::default();
    world.on_link(NEXT_LINK);
    assert_eq!(world.unknown, [world.identity(), world.identity()]);
    world.push(&[Target::User(7)], 1);
    assert!(numbers(&world.drain(NEXT_LINK)).is_empty());
}

/// A world whose only session has called something, and has drained what it got so far.
fn subscribed() -> World {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    world.received();
    world
}

impl World {
    pub(crate) fn identity(&self) -> Identity {
        self.facts.identity()
    }

    pub(crate) fn push(&mut self, targets: &[Target], number: i32) {
        self.push_body(targets, update(number));
    }

    fn push_body(&mut self, targets: &[Target], body: Bytes) {
        let targets = targets.to_vec();
        let push = Push {
            targets,
            except: None,
            body,
        };
        self.input(Input::Push(PreparedPush::new(push).unwrap()));
    }

    fn set_user(&mut self, user: Option<i64>) {
        self.learn(user, Learned::Told);
    }

    fn learn(&mut self, user: Option<i64>, learned: Learned) {
        let identity = self.identity();
        self.input(Input::User {
            identity,
            user,
            learned,
        });
    }

    fn acknowledge(&mut self, ids: &[i64]) {
        let ack = tl::MsgsAck {
            msg_ids: ids.into(),
        };
        self.send(false, &ack);
    }

    /// Calls something on another link.
    fn on_link(&mut self, link: LinkId) {
        let (msg_id, seqno) = (self.client_id(), self.seqno(true));
        let mut frame = self.frame(msg_id, seqno, METHOD.to_vec());
        frame.link = link;
        self.submit(frame);
    }
}

/// An update that nobody reads.
fn update(number: i32) -> Bytes {
    let mut body = UPDATE.to_le_bytes().to_vec();
    body.extend_from_slice(&number.to_le_bytes());
    body.into()
}

fn incompressible(bytes: usize) -> Bytes {
    let mut state = 1_u32;
    let mut body = UPDATE.to_le_bytes().to_vec();
    while body.len() < bytes {
        state = state.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
        body.extend_from_slice(&(state ^ state >> 15).to_le_bytes());
    }
    body.into()
}

fn numbers(sent: &[Sent]) -> Vec<i32> {
    let updates = sent.iter().filter(|it| it.id() == UPDATE);
    updates
        .map(|it| i32::from_le_bytes(it.body[4..8].try_into().unwrap()))
        .collect()
}

fn update_ids(sent: &[Sent]) -> Vec<i64> {
    let updates = sent.iter().filter(|it| it.id() == UPDATE);
    updates.map(|it| it.msg_id.0).collect()
}

const NEXT_LINK: LinkId = LinkId(2);
