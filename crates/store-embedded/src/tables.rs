//! The tables of keys within one transaction: every change keeps the rows of a key together.

use heliogram_ports::record::Sealer;
use heliogram_ports::{Binding, Bound, Inserted, KeyKind, KeyRecord};
use heliogram_proto::exchange::binding::surplus;
use heliogram_proto::ids::AuthKeyId;
use redb::{ReadableTable, Table, WriteTransaction};

use crate::schema::{BOUND, ENDS, KEYS};

/// Ended keys removed in one transaction: the writer must not hold up handshakes for long.
pub(crate) const PURGE_MAX: usize = 4096;

/// The open tables.
pub(crate) struct Tables<'a> {
    sealer: &'a Sealer,
    keys: Table<'a, i64, &'static [u8]>,
    ends: Table<'a, (u32, i64), ()>,
    bound: Table<'a, (i64, i64), u32>,
}

impl<'a> Tables<'a> {
    pub(crate) fn open(
        transaction: &'a WriteTransaction,
        sealer: &'a Sealer,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            sealer,
            keys: transaction.open_table(KEYS)?,
            ends: transaction.open_table(ENDS)?,
            bound: transaction.open_table(BOUND)?,
        })
    }

    /// Inserts a record unless its id is taken.
    pub(crate) fn insert(&mut self, record: &KeyRecord) -> Result<Inserted, redb::Error> {
        if self.keys.get(record.facts.id.0)?.is_some() {
            return Ok(Inserted::Duplicate);
        }
        self.write(record)?;
        Ok(Inserted::Stored)
    }

    /// Binds a temporary key; those that are too many then are destroyed.
    pub(crate) fn bind(&mut self, binding: Binding, now_unix_s: u64) -> Result<Bound, redb::Error> {
        let Binding {
            key,
            perm,
            expires_at_unix_s,
        } = binding;
        let is_permanent = |it: KeyRecord| it.facts.kind == KeyKind::Permanent;
        if !self.find(perm, now_unix_s)?.is_some_and(is_permanent) {
            return Ok(Bound::Absent);
        }
        let Some(mut record) = self.find(key, now_unix_s)? else {
            return Ok(Bound::Absent);
        };
        let Some(facts) = record.facts.bind(perm, expires_at_unix_s) else {
            return Ok(match record.facts.kind {
                KeyKind::Permanent => Bound::Absent,
                KeyKind::Temporary { .. } => Bound::Taken,
            });
        };
        let mut removed = Vec::new();
        if facts != record.facts {
            // Its end may have changed.
            self.forget(key)?;
            record.facts = facts;
            self.write(&record)?;
            removed = surplus(self.temporary(perm)?, key);
            for &id in &removed {
                self.forget(id)?;
            }
        }
        Ok(Bound::Stored { facts, removed })
    }

    /// Removes a key with those that are bound to it; returns those that had not ended.
    pub(crate) fn remove(
        &mut self,
        id: AuthKeyId,
        now_unix_s: u64,
    ) -> Result<Vec<AuthKeyId>, redb::Error> {
        let mut removed = self.remove_bound(id, &[], now_unix_s)?;
        let is_there = self
            .forget(id)?
            .is_some_and(|it| !it.facts.is_expired(now_unix_s));
        removed.extend(is_there.then_some(id));
        Ok(removed)
    }

    /// Removes the temporary keys that are bound to a key; returns those that had not ended.
    pub(crate) fn remove_bound(
        &mut self,
        perm: AuthKeyId,
        except: &[AuthKeyId],
        now_unix_s: u64,
    ) -> Result<Vec<AuthKeyId>, redb::Error> {
        let mut removed = Vec::new();
        for (end, id) in self.temporary(perm)? {
            if !except.contains(&id) {
                self.forget(id)?;
                removed.extend((u64::from(end) > now_unix_s).then_some(id));
            }
        }
        Ok(removed)
    }

    /// Removes temporary keys that ended at `now_unix_s` or before, at most [`PURGE_MAX`]; returns how many.
    pub(crate) fn purge(&mut self, now_unix_s: u64) -> Result<usize, redb::Error> {
        let now = u32::try_from(now_unix_s).unwrap_or(u32::MAX);
        let ended: Vec<_> = self
            .ends
            .range(..=(now, i64::MAX))?
            .take(PURGE_MAX)
            .map(|entry| entry.map(|(end, _)| end.value()))
            .collect::<Result<_, _>>()?;
        for &(end, id) in &ended {
            self.forget(AuthKeyId(id))?;
            // The record itself may not open any more.
            self.ends.remove((end, id))?;
        }
        Ok(ended.len())
    }

    fn find(&self, id: AuthKeyId, now_unix_s: u64) -> Result<Option<KeyRecord>, redb::Error> {
        let sealed = self.keys.get(id.0)?;
        let record = sealed.and_then(|sealed| self.sealer.open(id, sealed.value()));
        Ok(record.filter(|it| !it.facts.is_expired(now_unix_s)))
    }

    /// Returns the temporary keys that are bound to a key, with their ends.
    fn temporary(&self, perm: AuthKeyId) -> Result<Vec<(u32, AuthKeyId)>, redb::Error> {
        let rows = self.bound.range((perm.0, i64::MIN)..=(perm.0, i64::MAX))?;
        rows.map(|row| {
            let (ids, end) = row?;
            Ok((end.value(), AuthKeyId(ids.value().1)))
        })
        .collect()
    }

    fn write(&mut self, record: &KeyRecord) -> Result<(), redb::Error> {
        let id = record.facts.id;
        self.keys
            .insert(id.0, self.sealer.seal(record).as_slice())?;
        if let KeyKind::Temporary { expires_at_unix_s } = record.facts.kind {
            self.ends.insert((expires_at_unix_s, id.0), ())?;
            if let Some(perm) = record.facts.perm {
                self.bound.insert((perm.0, id.0), expires_at_unix_s)?;
            }
        }
        Ok(())
    }

    /// Removes all rows of a key; returns its record.
    fn forget(&mut self, id: AuthKeyId) -> Result<Option<KeyRecord>, redb::Error> {
        let sealed = self.keys.remove(id.0)?.map(|it| it.value().to_vec());
        let Some(record) = sealed.and_then(|sealed| self.sealer.open(id, &sealed)) else {
            return Ok(None);
        };
        if let KeyKind::Temporary { expires_at_unix_s } = record.facts.kind {
            self.ends.remove((expires_at_unix_s, id.0))?;
        }
        if let Some(perm) = record.facts.perm {
            self.bound.remove((perm.0, id.0))?;
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use heliogram_crypto::SecretBytes;
    use heliogram_crypto::at_rest::MasterKeys;
    use heliogram_ports::conformance::record;
    use redb::{Database, ReadableTableMetadata};

    use super::*;

    #[test]
    fn an_ended_key_leaves_no_row_behind() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::create(directory.path().join("x.redb")).unwrap();
        let sealer = Sealer::new(MasterKeys::new(1, SecretBytes::new([1; 32])));
        let transaction = database.begin_write().unwrap();
        let mut tables = Tables::open(&transaction, &sealer).unwrap();
        let perm = record(1, KeyKind::Permanent);
        let temporary = KeyKind::Temporary {
            expires_at_unix_s: 1000,
        };
        let key = record(2, temporary);
        for record in [&perm, &key] {
            assert_eq!(tables.insert(record).unwrap(), Inserted::Stored);
        }
        let binding = Binding {
            key: key.facts.id,
            perm: perm.facts.id,
            expires_at_unix_s: 900,
        };
        assert!(matches!(
            tables.bind(binding, 100).unwrap(),
            Bound::Stored { .. }
        ));
        let rows = |tables: &Tables<'_>| {
            let (keys, ends) = (tables.keys.len().unwrap(), tables.ends.len().unwrap());
            (keys, ends, tables.bound.len().unwrap())
        };
        assert_eq!(tables.purge(899).unwrap(), 0);
        assert_eq!(rows(&tables), (2, 1, 1));
        assert_eq!(tables.purge(900).unwrap(), 1);
        assert_eq!(rows(&tables), (1, 0, 0));
    }
}
