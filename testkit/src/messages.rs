//! Reads what is on the wire, apart from the product's own reading of it.

use heliogram_proto::envelope::Header;
use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

use crate::coverage::name_of;

/// A message within an outer one, or the outer one itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner<'a> {
    /// `None` for the outer message itself.
    pub(crate) numbers: Option<(i64, i32)>,
    pub(crate) body: &'a [u8],
}

/// Hands out each message that an outer body holds.
pub(crate) fn walk<'a>(body: &'a [u8], each: &mut dyn FnMut(Inner<'a>)) {
    match peek_id(body) {
        Some(tl::MsgContainer::ID) => {
            if let Ok(container) = tl::MsgContainer::from_bytes(body) {
                for it in &container.messages {
                    each(Inner {
                        numbers: Some((it.msg_id, it.seqno)),
                        body: it.body,
                    });
                }
            }
        }
        Some(tl::MsgCopy::ID) => {
            if let Ok(copy) = tl::MsgCopy::from_bytes(body) {
                let it = copy.orig_message;
                each(Inner {
                    numbers: Some((it.msg_id, it.seqno)),
                    body: it.body,
                });
            }
        }
        _ => each(Inner {
            numbers: None,
            body,
        }),
    }
}

/// Says in a line what a message holds.
pub(crate) fn describe(header: &Header, body: &[u8]) -> String {
    let (id, seqno, session) = (header.msg_id.0, header.seqno.0, header.session_id.0);
    let mut line = format!("session {session:016x} {id:016x} {seqno}:");
    walk(body, &mut |inner| {
        if let Some((id, seqno)) = inner.numbers {
            line.push_str(&format!(" [{id:016x} {seqno}]"));
        }
        line.push(' ');
        line.push_str(name_of(peek_id(inner.body).unwrap_or(0)));
        let ids = inner.body.get(4..).unwrap_or_default().chunks_exact(8);
        for word in ids.take(3) {
            line.push_str(" 0x");
            line.extend(word.iter().rev().map(|byte| format!("{byte:02x}")));
        }
    });
    line
}
