//! The heavy steps of many exchanges, together: what one thread of a pool does.
//!
//! Where the processor can, eight steps of one kind take little longer than one. Half of a server's Diffie-Hellman
//! exchange needs nothing of the client's, so it is made ahead while there is nothing else to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliogram_crypto::dh::{Group, KeyPair};
use heliogram_crypto::rsa::{Decryptor, PrivateKey};
use heliogram_crypto::rsa_pad;
use rand_core::CryptoRng;

use super::{Agreed, Derived, DhJob, Refusal, RsaJob};

/// What one thread keeps from one batch of steps to the next.
#[derive(Debug)]
pub struct Worker {
    group: Group,
    /// By fingerprint, as they come up: a server has a few keys.
    decryptors: BTreeMap<i64, Decryptor>,
    /// Made ahead; each is used once.
    ahead: Vec<KeyPair>,
    ahead_max: usize,
}

impl Worker {
    /// Makes a worker that keeps at most `ahead_max` secret exponents with their public numbers.
    #[must_use]
    pub fn new(ahead_max: usize) -> Self {
        Self {
            group: Group::known(),
            decryptors: BTreeMap::new(),
            ahead: Vec::new(),
            ahead_max,
        }
    }

    /// Returns how many steps of one kind are best done together.
    #[must_use]
    pub fn steps_at_once(&self) -> usize {
        self.group.pairs_at_once()
    }

    /// Makes some pairs ahead, in about a millisecond; `false` if there are enough.
    ///
    /// Keys are made of what `rng` gives.
    pub fn prepare(&mut self, rng: &mut dyn CryptoRng) -> bool {
        let missing = self.ahead_max.saturating_sub(self.ahead.len());
        let count = missing.min(self.group.pairs_at_once());
        self.ahead.extend(self.group.key_pairs(count, rng));
        count > 0
    }

    /// Returns how many pairs are ready.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Runs the first heavy step of several exchanges; the results are in the same order.
    pub fn agree(
        &mut self,
        jobs: Vec<RsaJob>,
        rng: &mut dyn CryptoRng,
    ) -> Vec<Result<Agreed, Refusal>> {
        let mut opened: Vec<_> = jobs.iter().map(|_| None).collect();
        for key in distinct_keys(&jobs) {
            let is_for = |job: &&RsaJob| job.key.public() == key.public();
            let encrypted: Vec<_> = jobs
                .iter()
                .filter(is_for)
                .map(|job| &*job.encrypted)
                .collect();
            let results = rsa_pad::open_all(self.decryptor(&key), &encrypted, rng);
            let places = opened.iter_mut().zip(&jobs).filter(|(_, job)| is_for(job));
            for ((place, _), result) in places.zip(results) {
                *place = result.ok();
            }
        }
        let admitted: Vec<_> = jobs
            .into_iter()
            .zip(opened)
            .map(|(job, opened)| job.admit(&opened.ok_or(Refusal::NotFound)?))
            .collect();
        self.ensure(admitted.iter().filter(|job| job.is_ok()).count(), rng);
        admitted
            .into_iter()
            .map(|admitted| {
                let pair = |worker: &mut Self| worker.ahead.pop().ok_or(Refusal::NotFound);
                Ok(admitted?.agree(pair(self)?))
            })
            .collect()
    }

    /// Runs the second heavy step of several exchanges; the results are in the same order.
    #[must_use]
    pub fn derive(&self, jobs: Vec<DhJob>) -> Vec<Derived> {
        let pairs: Vec<_> = jobs.iter().map(DhJob::factors).collect();
        let keys = self.group.shared_all(&pairs);
        let derive = |(job, key): (DhJob, _)| job.derived(key);
        jobs.into_iter().zip(keys).map(derive).collect()
    }

    /// Sees to it that `count` pairs are there; fewer only if the generator is broken.
    fn ensure(&mut self, count: usize, rng: &mut dyn CryptoRng) {
        let missing = count.saturating_sub(self.ahead.len());
        if missing > 0 {
            // What is left over of a full set of lanes is kept, as it costs nothing.
            let spare = self.ahead_max.saturating_sub(self.ahead.len());
            let count = missing.next_multiple_of(self.group.pairs_at_once());
            let count = missing.max(count.min(spare));
            self.ahead.extend(self.group.key_pairs(count, rng));
        }
    }

    fn decryptor(&mut self, key: &Arc<PrivateKey>) -> &mut Decryptor {
        let known = self.decryptors.entry(key.public().fingerprint());
        known.or_insert_with(|| Decryptor::new(PrivateKey::clone(key)))
    }
}

fn distinct_keys(jobs: &[RsaJob]) -> Vec<Arc<PrivateKey>> {
    let mut keys: Vec<Arc<PrivateKey>> = Vec::new();
    for job in jobs {
        if keys.iter().all(|key| key.public() != job.key.public()) {
            keys.push(Arc::clone(&job.key));
        }
    }
    keys
}
