//! Ours.

use heliogram_crypto::message::{self, Job, MessageHash};
use heliogram_crypto::{AuthKey, Direction, Undecryptable};

use super::plain;

pub(crate) fn seal() -> impl FnMut(&mut [u8]) {
    let key = AuthKey::new(plain::KEY);
    move |envelope| assert!(message::seal(&key, Direction::ClientToServer, envelope).is_ok())
}

pub(crate) fn open() -> impl FnMut(&mut [u8]) {
    let key = AuthKey::new(plain::KEY);
    move |envelope| assert!(message::open(&key, Direction::ServerToClient, envelope).is_ok())
}

/// Messages to many, each with a key of its own.
pub(crate) struct Batch {
    keys: Vec<AuthKey>,
    sealed: Vec<Vec<u8>>,
    envelopes: Vec<Vec<u8>>,
    results: Vec<Result<MessageHash, Undecryptable>>,
}

impl Batch {
    pub(crate) fn new(bodies: &[usize]) -> Self {
        let mut envelopes: Vec<Vec<u8>> = bodies
            .iter()
            .map(|body| vec![7; plain::envelope_bytes(*body)])
            .collect();
        let keys: Vec<AuthKey> = (0..bodies.len())
            .map(|i| AuthKey::new([i.to_le_bytes()[0]; 256]))
            .collect();
        for (key, envelope) in keys.iter().zip(&mut envelopes) {
            assert!(message::seal(key, DIR, envelope).is_ok());
        }
        Self {
            keys,
            sealed: envelopes.clone(),
            envelopes,
            results: Vec::with_capacity(bodies.len()),
        }
    }

    pub(crate) fn seal(&mut self) {
        let mut jobs = jobs(&self.keys, &mut self.envelopes);
        assert!(message::seal_batch(&mut jobs).is_ok());
    }

    pub(crate) fn seal_alone(&mut self) {
        for job in jobs(&self.keys, &mut self.envelopes) {
            assert!(message::seal(job.key, job.dir, job.envelope).is_ok());
        }
    }

    pub(crate) fn open(&mut self) {
        self.restore();
        self.results.clear();
        let mut jobs = jobs(&self.keys, &mut self.envelopes);
        message::open_batch(&mut jobs, &mut self.results);
        assert!(self.results.iter().all(Result::is_ok));
    }

    pub(crate) fn open_alone(&mut self) {
        self.restore();
        for job in jobs(&self.keys, &mut self.envelopes) {
            assert!(message::open(job.key, job.dir, job.envelope).is_ok());
        }
    }

    fn restore(&mut self) {
        for (envelope, sealed) in self.envelopes.iter_mut().zip(&self.sealed) {
            envelope.copy_from_slice(sealed);
        }
    }
}

fn jobs<'a>(keys: &'a [AuthKey], envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
    let pairs = keys.iter().zip(envelopes);
    pairs
        .map(|(key, envelope)| Job {
            key,
            dir: DIR,
            envelope,
        })
        .collect()
}

const DIR: Direction = Direction::ServerToClient;
