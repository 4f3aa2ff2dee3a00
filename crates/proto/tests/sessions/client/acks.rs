//! When a client acknowledges what it has received.

use std::time::Duration;

use heliogram_tl::mtproto as tl;

use super::alone::Alone;
use crate::support::METHOD;

#[test]
fn fifteen_acknowledgements_wait_for_company_and_sixteen_do_not() {
    let mut alone = Alone::new();
    for _ in 0..15 {
        alone.hear_update(UPDATE);
    }
    assert!(!alone.client.has_output(alone.now.mono));
    assert_eq!(alone.drain(), []);
    alone.hear_update(UPDATE);
    assert!(alone.client.has_output(alone.now.mono));
    let said = alone.drain();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].read::<tl::MsgsAck<'_>>().msg_ids.len(), 16);
    assert_eq!(said[0].seqno.0, 0, "nobody acknowledges acknowledgements");
}

#[test]
fn an_acknowledgement_waits_5_s_and_no_longer() {
    let mut alone = Alone::new();
    let id = alone.hear_update(UPDATE);
    let due = alone.now.mono + Duration::from_secs(5);
    assert_eq!(alone.client.next_deadline(), Some(due));
    alone.pass(Duration::from_nanos(4_999_999_999));
    assert_eq!(alone.drain(), []);
    alone.pass(Duration::from_nanos(1));
    let said = alone.drain();
    let acks = said[0].read::<tl::MsgsAck<'_>>();
    assert_eq!(acks.msg_ids.iter().collect::<Vec<_>>(), [id.0]);
    assert_eq!(alone.client.next_deadline(), None);
}

#[test]
fn acknowledgements_ride_along_with_whatever_is_sent() {
    let mut alone = Alone::new();
    alone.hear_update(UPDATE);
    alone.call();
    let said = alone.drain();
    assert_eq!(said.len(), 2);
    assert_eq!(said[0].body, METHOD[..]);
    assert_eq!(said[1].id(), tl::MsgsAck::ID);
    assert_eq!(said[0].container, said[1].container);
}

#[test]
fn a_second_copy_is_acknowledged_again_and_not_told_again() {
    let mut alone = Alone::new();
    let id = alone.hear_update(UPDATE);
    alone.pass_s(5);
    assert_eq!(alone.drain().len(), 1);
    assert_eq!(alone.told().len(), 1);
    alone
        .hear_as(id, heliogram_proto::ids::SeqNo(1), &UPDATE.to_le_bytes())
        .unwrap();
    assert_eq!(alone.told(), []);
    alone.pass_s(5);
    let said = alone.drain();
    let acks = said[0].read::<tl::MsgsAck<'_>>();
    assert_eq!(acks.msg_ids.iter().collect::<Vec<_>>(), [id.0]);
}

const UPDATE: u32 = 0xe317_af7e;
