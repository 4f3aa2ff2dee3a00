//! Sessions of different keys know nothing of each other, whatever their clients call them.

use bytes::Bytes;
use heliogram_proto::ids::{AuthKeyId, LinkId, SeqNo};
use heliogram_proto::port::Reply;
use heliogram_tl::mtproto as tl;

use crate::support::{METHOD, Rules, Sent, World};

const OTHERS_LINK: LinkId = LinkId(2);

#[test]
fn an_answer_reaches_the_session_of_its_own_key_alone() {
    let mut world = World::new();
    let msg_id = world.send_bytes(true, METHOD.to_vec());
    let mut same = world.frame(msg_id, SeqNo(1), METHOD.to_vec());
    same.link = OTHERS_LINK;
    same.key.id = AuthKeyId(same.key.id.0 ^ 1);
    world.submit(same);
    assert_eq!(world.calls.len(), 2, "each key makes a call of its own");

    for (id, call) in std::mem::take(&mut world.calls) {
        let of_whom = if call.key.id == world.facts.id {
            1_u32
        } else {
            2
        };
        let result = Bytes::from(of_whom.to_le_bytes().to_vec());
        world.answer(id, Reply::Result(result));
    }

    assert_eq!(answers(&world.received()), [1]);
    world.rules = Rules::default();
    assert_eq!(answers(&world.drain(OTHERS_LINK)), [2]);
}

/// The results, each a number.
fn answers(sent: &[Sent]) -> Vec<u32> {
    let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
    results
        .map(|it| u32::from_le_bytes(it.body[12..].try_into().unwrap()))
        .collect()
}
