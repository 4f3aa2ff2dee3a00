//! Containers and the messages in them: `container_gzip.json`.

use heliogram_tl::limits::CONTAINER_MESSAGES_MAX;
use heliogram_tl::mtproto::{Message, MsgContainer, Ping};
use heliogram_tl::{Deserialize, Error, Serialize, Vector};

use crate::vectors::{bytes, hex, list, number, parse, text};

#[test]
fn containers_are_read_and_written_as_others_do() {
    let vectors = parse(CONTAINERS);
    for case in list(&vectors, "containers") {
        let Some(messages) = case["messages"].as_array() else {
            continue;
        };
        let encoded = bytes(case, "hex");
        let bodies = messages
            .iter()
            .map(|message| bytes(message, "body"))
            .collect::<Vec<_>>();
        let messages = messages.iter().zip(&bodies).map(|(message, body)| Message {
            msg_id: number(&message["msg_id"]),
            seqno: i32::try_from(number(&message["seqno"])).unwrap(),
            body,
        });
        let messages = messages.collect::<Vec<_>>();
        let container = MsgContainer {
            messages: messages.as_slice().into(),
        };
        assert_eq!(container.to_bytes(), encoded, "{}", text(case, "name"));
        let read = MsgContainer::from_bytes(&encoded).unwrap();
        assert_eq!(read.messages.iter().collect::<Vec<_>>(), messages);
    }
}

#[test]
fn a_container_of_1020_pings_is_as_long_as_that_of_others() {
    let vectors = parse(CONTAINERS);
    let case = list(&vectors, "containers")
        .iter()
        .find(|case| text(case, "name") == "1020 pings");
    let encoded = container_of(1020);
    assert_eq!(
        i64::try_from(encoded.len()).unwrap(),
        number(&case.unwrap()["len"])
    );
}

#[test]
fn a_container_of_1024_messages_is_read_and_of_1025_is_not() {
    let encoded = container_of(CONTAINER_MESSAGES_MAX);
    assert_eq!(
        MsgContainer::from_bytes(&encoded).unwrap().messages.len(),
        1024
    );
    let encoded = container_of(CONTAINER_MESSAGES_MAX + 1);
    assert_eq!(
        MsgContainer::from_bytes(&encoded),
        Err(Error::VectorTooLong)
    );
}

#[test]
fn a_body_past_the_end_or_of_half_words_is_refused() {
    let vectors = parse(CONTAINERS);
    let malformed = |name: &str| {
        let cases = list(&vectors, "malformed_containers");
        bytes(
            cases
                .iter()
                .find(|case| text(case, "name") == name)
                .unwrap(),
            "hex",
        )
    };
    let past_end = malformed("body length past end");
    assert_eq!(
        MsgContainer::from_bytes(&past_end),
        Err(Error::UnexpectedEnd)
    );
    let half_words = malformed("bytes not multiple of 4");
    assert_eq!(MsgContainer::from_bytes(&half_words), Err(Error::Unaligned));
}

#[test]
fn a_body_of_negative_length_is_refused() {
    let negative = hex("dcf8f17301000000040000000000000000000000fcffffff");
    assert_eq!(MsgContainer::from_bytes(&negative), Err(Error::Unaligned));
}

#[test]
fn ten_thousand_nested_containers_cost_one_level() {
    let mut body = Vec::new();
    for _ in 0..10_000 {
        let message = [Message {
            msg_id: 4,
            seqno: 0,
            body: &body,
        }];
        body = MsgContainer {
            messages: Vector::from(&message),
        }
        .to_bytes();
    }
    // Nobody looks into a body before its owner does, and the owner refuses a container in a container.
    let outer = MsgContainer::from_bytes(&body).unwrap();
    assert_eq!(outer.messages.len(), 1);
}

fn container_of(len: usize) -> Vec<u8> {
    let ping = Ping { ping_id: 1 }.to_bytes();
    let messages = vec![
        Message {
            msg_id: 4,
            seqno: 0,
            body: &ping
        };
        len
    ];
    MsgContainer {
        messages: messages.as_slice().into(),
    }
    .to_bytes()
}

const CONTAINERS: &str = include_str!("../../../../testdata/vectors/container_gzip.json");
