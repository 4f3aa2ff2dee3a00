//! Reads what is on the wire, apart from the product's own reading of it.

use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

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
