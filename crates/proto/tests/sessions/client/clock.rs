//! What a client learns of the server's clock, and which ages it accepts.

use std::time::Duration;

use heliogram_proto::ids::{MsgId, SeqNo};
use heliogram_proto::session::client::Unacceptable;
use heliogram_tl::{Serialize, mtproto as tl};

use super::alone::Alone;
use crate::support::METHOD;

#[test]
fn a_message_300_s_old_is_accepted_and_one_301_s_old_is_not() {
    for (age_s, expected) in [(300, Ok(())), (301, Err(Unacceptable::Stale))] {
        let mut alone = Alone::new();
        let id = old_id(&mut alone, age_s);
        assert_eq!(alone.hear_as(id, SeqNo(1), &METHOD), expected);
        assert_eq!(alone.told().len(), usize::from(expected.is_ok()));
    }
}

#[test]
fn a_message_of_a_server_that_is_ahead_sets_the_clock() {
    let mut alone = Alone::new();
    let id = MsgId(alone.server_id(3).0 + (1000 << 32));
    assert_eq!(alone.hear_as(id, SeqNo(1), &METHOD), Ok(()));
    assert_eq!(alone.client.clock_offset_ns(), 1000 * 1_000_000_000);
    let (_, sent) = alone.sent_call();
    assert!(sent.msg_id.0 >> 32 >= id.0 >> 32);
}

#[test]
fn a_refusal_about_time_is_heard_however_old_it_looks() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    let refusal = tl::BadMsgNotification {
        bad_msg_id: sent.msg_id.0,
        bad_msg_seqno: sent.seqno.0,
        error_code: 17,
    };
    let id = MsgId(old_id(&mut alone, 5000).0 & !3 | 1);
    let body = refusal.to_bytes();
    assert_eq!(alone.hear_as(id, SeqNo(0), &body), Ok(()));
    assert_eq!(alone.client.clock_offset_ns(), -5000 * 1_000_000_000);
}

#[test]
fn an_answer_far_older_than_its_call_sets_the_clock_back() {
    for (age_s, offset_s) in [(15, 0), (16, -16)] {
        let mut alone = Alone::new();
        let (_, sent) = alone.sent_call();
        let id = MsgId(old_id(&mut alone, age_s).0 & !3 | 1);
        let result = tl::RpcResult {
            req_msg_id: sent.msg_id.0,
            result: &METHOD,
        };
        alone.hear_as(id, SeqNo(1), &result.to_bytes()).unwrap();
        assert_eq!(
            alone.client.clock_offset_ns(),
            offset_s * 1_000_000_000,
            "{age_s} s"
        );
    }
}

#[test]
fn a_wall_clock_that_is_stepped_by_ten_minutes_makes_no_message_of_the_server_stale() {
    for step_s in [-600_i64, 600] {
        let mut alone = Alone::new();
        alone.hear_update(0xe317_af7e);
        let next = MsgId(alone.server_id(3).0 + (1 << 32));
        alone.now.mono = alone.now.mono + Duration::from_secs(1);
        let moved_ns = (1 + step_s) * 1_000_000_000;
        alone.now.unix.0 = alone.now.unix.0.checked_add_signed(moved_ns).unwrap();
        assert_eq!(alone.hear_as(next, SeqNo(3), &METHOD), Ok(()), "{step_s}");
        assert_eq!(alone.told().len(), 2, "{step_s}");
        let (_, sent) = alone.sent_call();
        assert_eq!(sent.msg_id.0 >> 32, next.0 >> 32, "{step_s}");
        // What is old by the server's clock is old.
        let old = MsgId(next.0 - (301 << 32));
        let outcome = alone.hear_as(old, SeqNo(1), &METHOD);
        assert_eq!(outcome, Err(Unacceptable::Stale), "{step_s}");
    }
}

fn old_id(alone: &mut Alone, age_s: i64) -> MsgId {
    MsgId(alone.server_id(3).0 - (age_s << 32))
}
