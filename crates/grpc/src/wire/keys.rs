//! Keys.

use heliogram_crypto::AuthKey;
use heliogram_ports::{Bound, FirstSalt, KeyFacts, KeyKind, KeyRecord};
use heliogram_proto::ids::{AuthKeyId, Salt, Term};

use super::Malformed;
use crate::generated::cluster as wire;

pub(crate) fn facts_to(facts: KeyFacts) -> wire::KeyFacts {
    let first_salt = |salt: FirstSalt| wire::FirstSalt {
        salt: salt.salt.0,
        term: salt.term.0,
        since: salt.since_unix_s,
    };
    wire::KeyFacts {
        id: facts.id.0,
        expires_at: match facts.kind {
            KeyKind::Permanent => None,
            KeyKind::Temporary { expires_at_unix_s } => Some(expires_at_unix_s),
        },
        perm: facts.perm.map(|perm| perm.0),
        dc: facts.dc,
        first_salt: facts.first_salt.map(first_salt),
    }
}

pub(crate) fn facts_from(facts: wire::KeyFacts) -> KeyFacts {
    let first_salt = |salt: wire::FirstSalt| FirstSalt {
        salt: Salt(salt.salt),
        term: Term(salt.term),
        since_unix_s: salt.since,
    };
    KeyFacts {
        id: AuthKeyId(facts.id),
        kind: facts
            .expires_at
            .map_or(KeyKind::Permanent, |expires_at_unix_s| KeyKind::Temporary {
                expires_at_unix_s,
            }),
        perm: facts.perm.map(AuthKeyId),
        dc: facts.dc,
        first_salt: facts.first_salt.map(first_salt),
    }
}

pub(crate) fn record_to(record: &KeyRecord) -> wire::KeyRecord {
    wire::KeyRecord {
        facts: Some(facts_to(record.facts)),
        key: record.key.expose().to_vec().into(),
        created_at: record.created_at_unix_s,
    }
}

/// Checks the key against its id: what is kept under an id is found under it for ever.
pub(crate) fn record_from(record: &wire::KeyRecord) -> Result<KeyRecord, Malformed> {
    let facts = record
        .facts
        .ok_or(Malformed("a record must have the facts of its key"))?;
    let bytes = <[u8; 256]>::try_from(record.key.as_ref())
        .map_err(|_| Malformed("a key must be of 256 bytes"))?;
    let record = KeyRecord {
        facts: facts_from(facts),
        key: AuthKey::new(bytes),
        created_at_unix_s: record.created_at,
    };
    if record.key.id() == record.facts.id {
        Ok(record)
    } else {
        Err(Malformed("the id is not that of the key"))
    }
}

pub(crate) fn bound_to(bound: Bound) -> wire::BindReply {
    use wire::bind_reply::Bound as ToWire;
    let bound = match bound {
        Bound::Stored { facts, removed } => ToWire::Stored(wire::BoundStored {
            facts: Some(facts_to(facts)),
            removed: removed.into_iter().map(|id| id.0).collect(),
        }),
        Bound::Taken => ToWire::Taken(true),
        Bound::Absent => ToWire::Absent(true),
    };
    wire::BindReply { bound: Some(bound) }
}

pub(crate) fn bound_from(reply: wire::BindReply) -> Result<Bound, Malformed> {
    use wire::bind_reply::Bound as FromWire;
    match reply.bound {
        Some(FromWire::Stored(stored)) => Ok(Bound::Stored {
            facts: facts_from(
                stored
                    .facts
                    .ok_or(Malformed("a binding must have the facts of its key"))?,
            ),
            removed: stored.removed.into_iter().map(AuthKeyId).collect(),
        }),
        Some(FromWire::Taken(_)) => Ok(Bound::Taken),
        Some(FromWire::Absent(_)) => Ok(Bound::Absent),
        None => Err(Malformed("a binding must have an outcome")),
    }
}

super::redacted!(FirstSalt, KeyRecord);

#[cfg(test)]
mod tests {
    use heliogram_ports::conformance;

    use super::*;

    #[test]
    fn a_record_crosses_whole() {
        for kind in [
            KeyKind::Permanent,
            KeyKind::Temporary {
                expires_at_unix_s: 7,
            },
        ] {
            let mut record = conformance::record(9, kind);
            record.facts.perm = Some(AuthKeyId(-4));
            let there = record_from(&record_to(&record)).unwrap();
            assert_eq!(there.facts, record.facts);
            assert!(there.key.expose() == record.key.expose());
            assert_eq!(there.created_at_unix_s, record.created_at_unix_s);
        }
    }

    #[test]
    fn a_record_whose_key_is_short_long_or_of_another_id_is_refused() {
        let good = record_to(&conformance::record(9, KeyKind::Permanent));
        for bytes in [255, 257] {
            let mut bad = good.clone();
            bad.key = vec![9; bytes].into();
            assert!(record_from(&bad).is_err());
        }
        let mut other = good.clone();
        other.key = vec![8; 256].into();
        assert!(record_from(&other).is_err());
        let mut nameless = good;
        nameless.facts = None;
        assert!(record_from(&nameless).is_err());
    }

    #[test]
    fn neither_keys_nor_salts_are_shown() {
        let record = record_to(&conformance::record(9, KeyKind::Permanent));
        let shown = format!("{record:?} {:?}", record.facts);
        assert_eq!(shown.matches('…').count(), 2, "{shown}");
    }
}
