//! Seals what one push has brought to many links: equal lengths under many keys, the best case of a batch.
//!
//! Pure: its caller holds the claim to every link (see [`mailbox`](super::mailbox)), has drained them, and hands in
//! what it gets.

use std::sync::Arc;

use bytes::Bytes;
use rand_core::CryptoRng;

use crate::envelope::{self, Header, Message, ToSeal};
use crate::ids::{AuthKeyId, LinkId};
use crate::link::Input;
use crate::port::{FromHost, KeyRecord};
use crate::side::Server;

/// Seals as one batch what was drained for some links, and delivers it in order; `drained` is left empty.
///
/// `key` returns a key that is at hand and has not ended. What can't be sealed with it goes to its link as it is.
pub fn seal(
    drained: &mut Vec<FromHost>,
    mut key: impl FnMut(AuthKeyId) -> Option<Arc<KeyRecord>>,
    rng: &mut dyn CryptoRng,
    mut deliver: impl FnMut(LinkId, Input),
) {
    let records: Vec<_> = drained
        .iter()
        .map(|item| match item {
            FromHost::Seal { key: id, .. } => key(*id),
            FromHost::Close { .. } | FromHost::QuickAck { .. } => None,
        })
        .collect();
    let jobs: Vec<_> = drained
        .iter()
        .zip(&records)
        .filter_map(|(item, record)| to_seal(item, record.as_deref()?))
        .collect();
    let (mut sealed, mut ends) = (Vec::new(), Vec::new());
    let outcome = envelope::seal_batch::<Server>(&jobs, &mut sealed, &mut ends, rng);
    debug_assert!(outcome.is_ok(), "a host's bodies are whole words");
    let mut rest = Bytes::from(sealed);
    let (mut ends, mut start) = (ends.into_iter(), 0);
    for (item, record) in drained.drain(..).zip(records) {
        let link = item.link();
        let end = record.and_then(|_| ends.next());
        let input = match end {
            Some(end) => {
                let envelope = rest.split_to((end - start).min(rest.len()));
                start = end;
                Input::Sealed(envelope)
            }
            None => Input::Said(Box::new(item)),
        };
        deliver(link, input);
    }
}

fn to_seal<'a>(item: &'a FromHost, record: &'a KeyRecord) -> Option<ToSeal<'a>> {
    let &FromHost::Seal {
        salt,
        session_id,
        msg_id,
        seqno,
        ref body,
        ..
    } = item
    else {
        return None;
    };
    let header = Header {
        salt,
        session_id,
        msg_id,
        seqno,
    };
    Some(ToSeal {
        key: &record.key,
        message: Message { header, body },
    })
}

#[cfg(test)]
mod tests {
    use heliogram_crypto::AuthKey;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::ids::{MsgId, Salt, SeqNo, SessionId};
    use crate::port::{KeyFacts, KeyKind};
    use crate::side::Client;

    #[test]
    fn each_link_gets_its_own_envelope_and_in_order_what_can_not_be_sealed_here() {
        let known = [record(1), record(2)];
        let find = |id| known.iter().find(|it| it.facts.id == id).cloned();
        let close = FromHost::Close {
            link: LinkId(2),
            code: None,
        };
        let unknown = message(2, record(3).facts.id, 30);
        let mut drained = vec![
            message(1, known[0].facts.id, 10),
            message(2, known[1].facts.id, 20),
            unknown.clone(),
            message(2, known[1].facts.id, 40),
            close.clone(),
        ];

        let mut got = Vec::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        seal(&mut drained, find, &mut rng, |link, input| {
            got.push((link.0, input));
        });

        let links: Vec<_> = got.iter().map(|(link, _)| *link).collect();
        assert_eq!(links, [1, 2, 2, 2, 2]);
        assert_eq!(opened(&known[0], &got[0].1), 10);
        assert_eq!(opened(&known[1], &got[1].1), 20);
        assert_eq!(opened(&known[1], &got[3].1), 40);
        assert!(matches!(&got[2].1, Input::Said(said) if **said == unknown));
        assert!(matches!(&got[4].1, Input::Said(said) if **said == close));
        assert!(drained.is_empty());
    }

    fn record(seed: u8) -> Arc<KeyRecord> {
        let key = AuthKey::new([seed; 256]);
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        };
        Arc::new(KeyRecord {
            facts,
            key,
            created_at_unix_s: 0,
        })
    }

    fn message(link: u64, key: AuthKeyId, msg_id: i64) -> FromHost {
        FromHost::Seal {
            link: LinkId(link),
            key,
            salt: Salt(1),
            session_id: SessionId(2),
            msg_id: MsgId(msg_id),
            seqno: SeqNo(1),
            body: Bytes::from_static(&[7; 64]),
        }
    }

    fn opened(record: &KeyRecord, input: &Input) -> i64 {
        let Input::Sealed(envelope) = input else {
            panic!("not sealed: {input:?}")
        };
        let mut envelope = envelope.to_vec();
        let opened = envelope::open::<Client>(&record.key, &mut envelope).unwrap();
        opened.message.header.msg_id.0
    }
}
