//! The end of keys: destroyed, dropped, refused for ever after.

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_proto::host::{Asked, Effect, Input};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, SessionId};
use heliogram_proto::port::{Frame, KeyFacts, KeyKind, Reply};
use heliogram_tl::Deserialize;
use heliogram_tl::api::auth::DropTempAuthKeys;
use heliogram_tl::mtproto as tl;

use crate::support::{LINK, METHOD, START_S, Sent, World, ping};

#[test]
fn a_destroyed_key_is_answered_last_and_refused_for_every_frame_after() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    world.received();
    let asked = ask(&mut world);
    assert_eq!(asked.identity, Identity(world.facts.id));
    assert_eq!(world.received(), []);

    let keys = Some(vec![world.facts.id]);
    world.input(Input::Destroyed { asked, keys });

    assert_eq!(ids(&world.received()), [tl::DestroyAuthKeyOk::ID]);
    assert_eq!(world.closed, [], "its answer is not overtaken");
    assert_eq!(world.cancelled.len(), 1);
    assert_eq!(world.host.sessions(), 0);
    for link in [LINK, LinkId(2)] {
        let (msg_id, seqno) = (world.client_id(), world.seqno(false));
        let frame = world.frame(msg_id, seqno, ping(1));
        world.submit(Frame { link, ..frame });
        assert_eq!(world.drain(link), []);
    }
    assert_eq!(world.closed, [(LINK, Some(-404)), (LinkId(2), Some(-404))]);
}

#[test]
fn the_other_connections_of_a_destroyed_key_are_closed_unless_they_carry_another_key() {
    let mut world = World::new();
    let other = KeyFacts {
        id: AuthKeyId(6),
        ..world.facts
    };
    for link in [2, 3].map(LinkId) {
        let (msg_id, seqno) = (world.client_id(), world.seqno(false));
        let frame = world.frame(msg_id, seqno, ping(1));
        world.submit(Frame { link, ..frame });
    }
    let (msg_id, seqno) = (world.client_id(), world.seqno(false));
    let frame = world.frame(msg_id, seqno, ping(1));
    world.submit(Frame {
        link: LinkId(3),
        key: other,
        session_id: SessionId(5),
        ..frame
    });
    let asked = ask(&mut world);
    let keys = Some(vec![world.facts.id]);
    world.input(Input::Destroyed { asked, keys });
    for link in [LINK, LinkId(2), LinkId(3)] {
        world.drain(link);
    }
    assert_eq!(world.closed, [(LinkId(2), Some(-404))]);
}

#[test]
fn a_key_that_was_gone_already_is_none_and_one_that_the_store_keeps_has_failed() {
    let mut world = World::new();
    let asked = ask(&mut world);
    world.received();
    world.input(Input::Destroyed { asked, keys: None });
    assert_eq!(ids(&world.received()), [tl::DestroyAuthKeyFail::ID]);
    world.send_bytes(false, ping(1));
    assert_eq!(ids(&world.received()), [tl::Pong::ID]);

    let asked = ask(&mut world);
    let keys = Some(vec![]);
    world.input(Input::Destroyed { asked, keys });
    assert_eq!(ids(&world.received()), [tl::DestroyAuthKeyNone::ID]);
    world.send_bytes(false, ping(1));
    assert_eq!(world.received(), []);
}

#[test]
fn a_key_is_destroyed_once_however_often_that_is_asked() {
    let mut world = World::new();
    ask(&mut world);
    world.send(false, &tl::DestroyAuthKey);
    assert!(world.about_keys.is_empty());
}

#[test]
fn an_unbound_temporary_key_is_not_destroyed_and_a_bound_one_has_its_permanent_key_destroyed() {
    let mut world = World::new();
    let perm = world.facts.id;
    world.facts = temporary(&world, None);
    world.send(false, &tl::DestroyAuthKey);
    let sent = world.answers();
    assert_eq!(ids(&sent), [tl::DestroyAuthKeyFail::ID]);
    assert!(world.about_keys.is_empty());

    let mut world = World::new();
    world.facts = temporary(&world, Some(perm));
    let asked = ask(&mut world);
    assert_eq!(asked.identity, Identity(perm));
    let keys = Some(vec![perm, world.facts.id]);
    world.input(Input::Destroyed { asked, keys });
    world.received();
    // Under either key.
    for perm_known in [None, Some(perm)] {
        world.closed.clear();
        world.facts.perm = perm_known;
        let link = LinkId(if perm_known.is_some() { 3 } else { 2 });
        let (msg_id, seqno) = (world.client_id(), world.seqno(false));
        let frame = world.frame(msg_id, seqno, ping(1));
        world.submit(Frame { link, ..frame });
        world.drain(link);
        assert_eq!(world.closed, [(link, Some(-404))]);
    }
}

#[test]
fn dropped_temporary_keys_are_refused_and_their_sessions_live_on() {
    let mut world = World::new();
    let perm = world.facts;
    let temp = temporary(&world, Some(perm.id));
    world.facts = temp;
    world.send_bytes(true, METHOD.to_vec());
    world.received();
    let (msg_id, seqno) = (world.client_id(), world.seqno(true));
    world.facts = perm;
    let drop_keys = DropTempAuthKeys {
        except_auth_keys: (&[5, 6]).into(),
    };
    let body = heliogram_tl::Serialize::to_bytes(&drop_keys);
    let frame = world.frame(msg_id, seqno, body);
    let link = LinkId(2);
    world.submit(Frame { link, ..frame });

    let [
        Effect::DropKeys {
            id,
            perm: of,
            except,
        },
    ] = &world.about_keys[..]
    else {
        panic!("{:?}", world.about_keys)
    };
    assert_eq!(*of, perm.id);
    assert_eq!(*except, [AuthKeyId(5), AuthKeyId(6), perm.id]);
    assert_eq!(id.msg_id, msg_id);
    let (identity, keys) = (Identity(perm.id), vec![temp.id]);
    world.input(Input::Revoked { identity, keys });

    world.received();
    assert_eq!(world.closed, [(LINK, Some(-404))]);
    world.closed.clear();
    world.answer_next(&METHOD);
    assert!(ids(&world.drain(link)).contains(&tl::RpcResult::ID));
    world.facts = temp;
    let (msg_id, seqno) = (world.client_id(), world.seqno(false));
    let frame = world.frame(msg_id, seqno, ping(1));
    let link = LinkId(3);
    world.submit(Frame { link, ..frame });
    world.drain(link);
    assert_eq!(world.closed, [(link, Some(-404))]);
}

#[test]
fn temporary_keys_are_dropped_by_one_request_at_a_time() {
    let mut world = World::new();
    let drop_keys = DropTempAuthKeys::default();
    let body = heliogram_tl::Serialize::to_bytes(&drop_keys);
    world.send_bytes(true, body.clone());
    let Some(Effect::DropKeys { id, .. }) = world.about_keys.pop() else {
        panic!("not asked for")
    };

    world.send_bytes(true, body.clone());
    assert!(world.about_keys.is_empty());
    let sent = world.answers();
    let result: tl::RpcResult<'_> = sent[0].read();
    let error = tl::RpcError::from_bytes(result.result).unwrap();
    assert_eq!(error.error_message, b"FLOOD_WAIT_1");

    world.answer(id, Reply::Result(Bytes::from_static(&METHOD)));
    world.send_bytes(true, body);
    assert_eq!(world.about_keys.len(), 1);
}

#[test]
fn an_unbound_key_that_is_no_more_takes_its_own_sessions_with_it() {
    let mut world = World::new();
    world.facts = temporary(&world, None);
    world.send_bytes(false, ping(1));
    world.received();
    let (identity, keys) = (Identity(world.facts.id), vec![world.facts.id]);
    world.input(Input::Revoked { identity, keys });
    assert_eq!(world.host.sessions(), 0);
    world.received();
    assert_eq!(world.closed, [(LINK, Some(-404))]);
}

fn temporary(world: &World, perm: Option<AuthKeyId>) -> KeyFacts {
    KeyFacts {
        id: AuthKey::new([9; 256]).id(),
        kind: KeyKind::Temporary {
            expires_at_unix_s: u32::try_from(START_S).unwrap() + 3600,
        },
        perm,
        ..world.facts
    }
}

/// Asks for the end of the key; returns what the host wants done.
fn ask(world: &mut World) -> Asked {
    world.send(false, &tl::DestroyAuthKey);
    let Some(Effect::DestroyKey { asked }) = world.about_keys.pop() else {
        panic!("the host wants nothing done")
    };
    asked
}

fn ids(sent: &[Sent]) -> Vec<u32> {
    let mut ids: Vec<_> = sent.iter().map(Sent::id).collect();
    ids.retain(|&id| id != tl::NewSessionCreated::ID && id != tl::MsgsAck::ID);
    ids
}
