//! Calls that are to run one after another.

use core::time::Duration;

use bytes::Bytes;
use heliogram_proto::ids::MsgId;
use heliogram_tl::{Deserialize, api};

use super::alone::{Alone, Said};
use crate::pair::Pair;
use crate::support::METHOD;

#[test]
fn a_call_names_the_message_of_the_one_that_it_is_to_run_after_in_one_container_and_later() {
    for together in [true, false] {
        let mut alone = Alone::new();
        let first = alone.call();
        let mut said = if together { Vec::new() } else { alone.drain() };
        call_after(&mut alone, first);
        said.extend(alone.drain());
        assert_eq!(earlier_of(&said[1]), Some(said[0].msg_id), "{together}");
    }
}

#[test]
fn a_call_after_one_that_is_over_waits_for_nothing() {
    let mut alone = Alone::new();
    let (first, said) = alone.sent_call();
    alone.hear_result(said.msg_id, &METHOD);
    call_after(&mut alone, first);
    assert_eq!(alone.calls().len(), 1);
}

#[test]
fn calls_that_are_refused_together_name_each_other_anew_and_repeats_are_the_same_bytes() {
    let mut alone = Alone::new();
    let first = alone.call();
    call_after(&mut alone, first);
    let said = alone.drain();
    alone.hear_refusal(said[0].container.unwrap(), 48);
    let again = alone.drain();
    assert!(again[0].msg_id > said[1].msg_id);
    assert_eq!(earlier_of(&again[1]), Some(again[0].msg_id));

    alone.reconnect();
    let repeated = alone.drain();
    let calls = |said: &[Said]| -> Vec<_> {
        let calls = said.iter().filter(|it| it.seqno.is_content_related());
        calls.map(|it| (it.msg_id, it.body.clone())).collect()
    };
    assert_eq!(calls(&repeated), calls(&again));
}

#[test]
fn the_host_runs_the_later_call_once_the_earlier_is_answered() {
    let mut pair = Pair::new();
    pair.holds = true;
    let first = pair.call(1);
    let body = [&METHOD[..], &2_u64.to_le_bytes()].concat();
    let due = pair.world.now.mono + Duration::from_mins(1);
    let second = pair.client.call_after(body.into(), due, first).unwrap();
    pair.settle();
    assert_eq!(pair.executed.keys().collect::<Vec<_>>(), [&1]);
    let (id, call) = pair.held.pop().unwrap();
    pair.holds = false;
    pair.reply(id, &call);
    pair.settle();
    // Whatever the world has let loose meanwhile is run now.
    let (later, _) = pair.world.calls.first().cloned().unwrap();
    let call = pair.world.calls[0].1.clone();
    pair.reply(later, &call);
    pair.settle();
    assert_eq!(pair.answers().get(&second), Some(&2));
}

fn call_after(alone: &mut Alone, earlier: u64) -> u64 {
    let due = alone.now.mono + Duration::from_mins(1);
    let body = Bytes::from_static(&METHOD);
    alone.client.call_after(body, due, earlier).unwrap()
}

/// The message that a call names, if it does.
fn earlier_of(said: &Said) -> Option<MsgId> {
    let wrapped = api::InvokeAfterMsg::from_bytes(&said.body).ok()?;
    assert_eq!(wrapped.query, METHOD);
    Some(MsgId(wrapped.msg_id))
}
