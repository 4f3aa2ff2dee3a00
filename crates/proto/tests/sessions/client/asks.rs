//! Questions about the protocol itself, and how their answers find them.

use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::session::client::{Event, KeyDestruction};
use heliogram_tl::{Bare, Serialize, mtproto as tl};

use super::alone::Alone;

#[test]
fn the_destruction_of_a_session_is_told_both_ways_and_only_if_it_was_asked_for() {
    for was_there in [true, false] {
        let mut alone = Alone::new();
        let session_id = 77;
        let answer = |alone: &mut Alone| {
            if was_there {
                alone.hear(&tl::DestroySessionOk { session_id });
            } else {
                alone.hear(&tl::DestroySessionNone { session_id });
            }
        };
        answer(&mut alone);
        assert_eq!(alone.told(), [], "nobody has asked");
        alone.client.destroy_session(SessionId(session_id));
        let said = alone.drain();
        assert_eq!(said[0].read::<tl::DestroySession>().session_id, session_id);
        answer(&mut alone);
        let session_id = SessionId(session_id);
        assert_eq!(
            alone.told(),
            [Event::SessionDestroyed {
                session_id,
                was_there
            }]
        );
        answer(&mut alone);
        assert_eq!(alone.told(), [], "it was asked once");
    }
}

#[test]
fn the_destruction_of_a_key_has_three_outcomes_bare_or_as_the_result_of_a_call() {
    let outcomes = [
        (tl::DestroyAuthKeyOk.to_bytes(), KeyDestruction::Destroyed),
        (tl::DestroyAuthKeyNone.to_bytes(), KeyDestruction::Unknown),
        (tl::DestroyAuthKeyFail.to_bytes(), KeyDestruction::Failed),
    ];
    for (body, outcome) in outcomes {
        for is_bare in [true, false] {
            let mut alone = Alone::new();
            alone.client.destroy_key();
            let asked = alone.drain().pop().unwrap();
            assert_eq!(asked.id(), tl::DestroyAuthKey::ID);
            if is_bare {
                let id = alone.server_id(1);
                alone.hear_as(id, SeqNo(0), &body).unwrap();
            } else {
                alone.hear_result(asked.msg_id, &body);
            }
            assert_eq!(alone.told(), [Event::KeyDestroyed { outcome }]);
        }
    }
}

#[test]
fn a_ping_is_answered_by_a_pong_in_both_directions() {
    let mut alone = Alone::new();
    alone.client.ping(5, None);
    alone.client.ping(6, Some(75));
    let said = alone.drain();
    assert_eq!(said[0].read::<tl::Ping>().ping_id, 5);
    let delayed = said[1].read::<tl::PingDelayDisconnect>();
    assert_eq!((delayed.ping_id, delayed.disconnect_delay), (6, 75));
    alone.hear(&tl::Pong {
        msg_id: said[1].msg_id.0,
        ping_id: 6,
    });
    assert_eq!(alone.told(), [Event::Pong { ping_id: 6 }]);

    alone.hear(&tl::Ping { ping_id: 9 });
    let said = alone.drain();
    assert_eq!(said[0].read::<tl::Pong>().ping_id, 9);
    assert_eq!(said[0].msg_id.0 & 3, 0, "a client's identifier");
}

#[test]
fn salts_are_taken_only_from_an_answer_to_a_question() {
    let mut alone = Alone::new();
    let hear = |alone: &mut Alone, req_msg_id: MsgId| {
        let now = i32::try_from(alone.now.unix.seconds()).unwrap();
        let salts = [7, 8, 9].map(|salt| {
            let valid_since = now - 60 + 1800 * i32::try_from(salt - 7).unwrap();
            Bare(tl::FutureSalt {
                valid_since,
                valid_until: valid_since + 1800,
                salt,
            })
        });
        let salts = salts.as_slice().into();
        let req_msg_id = req_msg_id.0;
        alone.hear(&tl::FutureSalts {
            req_msg_id,
            now,
            salts,
        });
    };
    hear(&mut alone, MsgId(4));
    assert_eq!(alone.client.salts().later().count(), 0);
    alone.client.ask_for_salts(3);
    let asked = alone.drain().pop().unwrap();
    assert_eq!(asked.read::<tl::GetFutureSalts>().num, 3);
    assert_eq!(asked.salt, Salt(1));
    hear(&mut alone, asked.msg_id);
    assert_eq!(alone.sent_call().1.salt, Salt(7));
    alone.pass_s(1800);
    assert_eq!(alone.calls_after_salts()[0].salt, Salt(8));
}

#[test]
fn the_salt_of_another_key_is_used_from_the_next_message_on() {
    let mut alone = Alone::new();
    assert_eq!(alone.sent_call().1.salt, Salt(1));
    alone.client.set_salt(Salt(5));
    assert_eq!(alone.sent_call().1.salt, Salt(5));
    assert_eq!(alone.client.salt(), Salt(5));
}

#[test]
fn after_a_refused_salt_more_are_asked_for_at_once_and_otherwise_after_a_minute() {
    let mut alone = Alone::new();
    let (_, call) = alone.sent_call();
    alone.pass_s(59);
    alone.call();
    assert!(
        alone
            .drain()
            .iter()
            .all(|it| it.id() != tl::GetFutureSalts::ID)
    );
    alone.hear_bad_salt(call.msg_id, 3);
    let said = alone.drain();
    assert!(said.iter().any(|it| it.id() == tl::GetFutureSalts::ID));
    assert!(said.iter().all(|it| it.salt == Salt(3)));

    let mut alone = Alone::new();
    alone.sent_call();
    alone.pass_s(60);
    alone.call();
    let said = alone.drain();
    assert!(said.iter().any(|it| it.id() == tl::GetFutureSalts::ID));
}

#[test]
fn sixty_four_questions_are_kept_and_the_oldest_makes_room_for_one_more() {
    let mut alone = Alone::new();
    for ping_id in 0..64 {
        alone.client.ping(ping_id, None);
    }
    let pings = alone.drain();
    let outer = pings[0].container.unwrap();
    alone.hear_refusal(outer, 33);
    alone.client.ping(64, None);
    let again = alone.drain();
    let ids = again.iter().filter(|it| it.id() == tl::Ping::ID);
    let ids: Vec<_> = ids.map(|it| it.read::<tl::Ping>().ping_id).collect();
    assert_eq!(ids, (1..=64).collect::<Vec<_>>());
}

#[test]
fn how_long_an_answer_over_http_may_be_held_is_said_and_never_asked_again() {
    let mut alone = Alone::new();
    alone.client.http_wait(1, 2, 3);
    let said = alone.drain().pop().unwrap();
    let wait = said.read::<tl::HttpWait>();
    assert_eq!((wait.max_delay, wait.wait_after, wait.max_wait), (1, 2, 3));
    alone.hear_bad_salt(said.msg_id, 2);
    assert!(alone.drain().iter().all(|it| it.id() != tl::HttpWait::ID));
}

#[test]
fn what_arrived_last_is_told_unasked() {
    let mut alone = Alone::new();
    let ids: Vec<_> = (0..3).map(|_| alone.hear_update(0xe317_af7e).0).collect();
    alone.client.tell_states(2);
    let said = alone.drain();
    let info = said[0].read::<tl::MsgsAllInfo<'_>>();
    assert_eq!(info.msg_ids.iter().collect::<Vec<_>>(), ids[1..]);
    assert!(info.info.iter().all(|state| state & 7 == 4), "received");
}

impl Alone {
    /// The calls that the client sends with one more call; the salt follows the time only when something is sent.
    fn calls_after_salts(&mut self) -> Vec<super::alone::Said> {
        self.call();
        self.calls()
    }
}
