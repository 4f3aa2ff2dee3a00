//! Many envelopes at once.
//!
//! One message waits for itself, many fill the processor: hashes go in pairs, AES in lanes. A lane takes the next message
//! when it has done one, so messages go longest first. Beside one that is longer than some others together there is nothing
//! to gain: it goes alone. So do all where they are too few to gain anything, and then nothing is allocated.

#![expect(
    clippy::indexing_slicing,
    reason = "an index below the length of what isn't empty"
)]

use core::array;
use core::cmp::Reverse;
use core::mem;

use super::{
    Direction, Job, LengthError, MessageHash, Parts, Undecryptable, address, check, derive,
    message_hash, open_on, seal_on, split,
};
use crate::AuthKey;
use crate::auth_key::DirectionPart;
use crate::simd::{Cpu, KeyIv, Task};

/// As [`super::seal_batch`], on a processor of choice.
pub(super) fn seal(cpu: Cpu, jobs: &mut [Job<'_>]) -> Result<(), LengthError> {
    if !jobs.iter_mut().all(|job| split(job.envelope).is_some()) {
        return Err(LengthError);
    }
    if jobs.len() < SEAL_PAYS_FROM {
        for mut message in messages(jobs) {
            seal_on(cpu, message.key, message.dir, &mut message.parts);
        }
        return Ok(());
    }
    let mut queue = Vec::with_capacity(jobs.len());
    queue.extend(messages(jobs));
    for_each_group(&mut queue, SEAL_PAYS_FROM, |group| {
        if let ([_, _, ..], Some(aes)) = (&*group, cpu.aes()) {
            for_each_hash(cpu, group, |message, hash| {
                address(message.key, &mut message.parts, &hash);
            });
            aes.encrypt_all(&mut tasks(cpu, group));
        } else {
            for message in group {
                seal_on(cpu, message.key, message.dir, &mut message.parts);
            }
        }
    });
    Ok(())
}

/// As [`super::open_batch`], on a processor of choice.
pub(super) fn open(
    cpu: Cpu,
    jobs: &mut [Job<'_>],
    out: &mut Vec<Result<MessageHash, Undecryptable>>,
) {
    let first = out.len();
    out.resize(first + jobs.len(), Err(Undecryptable));
    let results = out.get_mut(first..).unwrap_or_default();
    if jobs.len() < OPEN_PAYS_FROM {
        for mut message in messages(jobs) {
            let opened = open_on(cpu, message.key, message.dir, &mut message.parts);
            report(results, message.index, opened);
        }
        return;
    }
    let mut queue = Vec::with_capacity(jobs.len());
    queue.extend(messages(jobs));
    for_each_group(&mut queue, OPEN_PAYS_FROM, |group| {
        if let ([_, _, ..], Some(aes)) = (&*group, cpu.aes()) {
            aes.decrypt_all(&mut tasks(cpu, group));
            for_each_hash(cpu, group, |message, hash| {
                let opened = check(message.key, &mut message.parts, hash);
                report(results, message.index, opened);
            });
        } else {
            for message in group {
                let opened = open_on(cpu, message.key, message.dir, &mut message.parts);
                report(results, message.index, opened);
            }
        }
    });
}

/// One envelope on its way.
struct Message<'a> {
    /// Its place among the jobs.
    index: usize,
    key: &'a AuthKey,
    dir: Direction,
    parts: Parts<'a>,
}

impl<'a> Message<'a> {
    fn new(index: usize, job: &'a mut Job<'_>) -> Option<Self> {
        let (key, dir) = (job.key, job.dir);
        let parts = split(job.envelope)?;
        Some(Self {
            index,
            key,
            dir,
            parts,
        })
    }

    fn key_part(&self) -> &'a DirectionPart {
        self.key.part(self.dir)
    }
}

/// All envelopes whose length is one that may be.
fn messages<'a>(jobs: &'a mut [Job<'_>]) -> impl Iterator<Item = Message<'a>> {
    jobs.iter_mut()
        .enumerate()
        .filter_map(|(index, job)| Message::new(index, job))
}

/// Cuts the queue, longest first, into groups that are worked off together.
fn for_each_group(
    queue: &mut [Message<'_>],
    pays_from: usize,
    mut work: impl FnMut(&mut [Message<'_>]),
) {
    queue.sort_unstable_by_key(|message| Reverse(message.parts.text.len()));
    let mut rest = queue;
    while !rest.is_empty() {
        let group = group_len(rest, pays_from);
        let (group, later) = mem::take(&mut rest).split_at_mut(group);
        work(group);
        rest = later;
    }
}

/// How many of the queue go next, all at once.
fn group_len(queue: &[Message<'_>], pays_from: usize) -> usize {
    let blocks = |message: &Message<'_>| message.parts.text.len();
    let longest = queue.first().map_or(0, blocks);
    let together = if longest > LARGE_BLOCKS {
        LARGE_TOGETHER_MAX
    } else {
        usize::MAX
    };
    let all = queue.iter().take(together).map(blocks).sum::<usize>();
    if all < pays_from * longest {
        1
    } else {
        queue.len().min(together)
    }
}

/// Hashes all plaintexts of a group, several at a time where that is as fast as one.
fn for_each_hash(
    cpu: Cpu,
    group: &mut [Message<'_>],
    mut done: impl FnMut(&mut Message<'_>, MessageHash),
) {
    for messages in group.chunks_mut(16) {
        match cpu.sixteen() {
            Some(kernels) if messages.len() >= SIXTEEN_PAYS_FROM => {
                let all = repeat_last(messages);
                let hashes = kernels.hash(
                    all.map(Message::key_part),
                    all.map(|message| &*message.parts.text),
                );
                for (message, large) in messages.iter_mut().zip(hashes) {
                    done(message, MessageHash { large });
                }
            }
            _ => hash_in_pairs(cpu, messages, &mut done),
        }
    }
}

fn hash_in_pairs(
    cpu: Cpu,
    messages: &mut [Message<'_>],
    done: &mut impl FnMut(&mut Message<'_>, MessageHash),
) {
    for pair in messages.chunks_mut(2) {
        match (pair, cpu.aes_sha()) {
            ([a, b], Some(kernels)) => {
                let keys = [a.key_part(), b.key_part()];
                let [of_a, of_b] = kernels.hash_pair(keys, [a.parts.text, b.parts.text]);
                done(a, MessageHash { large: of_a });
                done(b, MessageHash { large: of_b });
            }
            (messages, _) => {
                for message in messages {
                    let hash = message_hash(message.key_part(), message.parts.text);
                    done(message, hash);
                }
            }
        }
    }
}

/// What there is to encrypt or decrypt once each `msg_key` is in its place.
fn tasks<'a>(cpu: Cpu, group: &'a mut [Message<'_>]) -> impl Iterator<Item = Task<'a>> {
    group
        .chunks_mut(16)
        .flat_map(move |messages| {
            let derived = match cpu.sixteen() {
                Some(kernels) if messages.len() >= SIXTEEN_PAYS_FROM => {
                    let all = repeat_last(messages);
                    kernels
                        .derive(
                            all.map(Message::key_part),
                            all.map(|message| &*message.parts.msg_key),
                        )
                        .map(Some)
                }
                _ => array::from_fn(|i| Some(derive_on(cpu, messages.get(i)?))),
            };
            let texts = messages.iter_mut().map(|message| &mut *message.parts.text);
            texts.zip(derived.into_iter().flatten())
        })
        .map(|(text, derived)| Task { derived, text })
}

/// Fills up what are at most sixteen messages, at least one.
fn repeat_last<'m, 'a>(messages: &'m [Message<'a>]) -> [&'m Message<'a>; 16] {
    array::from_fn(|i| &messages[i.min(messages.len() - 1)])
}

fn derive_on(cpu: Cpu, message: &Message<'_>) -> KeyIv {
    let (part, msg_key) = (message.key_part(), &*message.parts.msg_key);
    match cpu.aes_sha() {
        Some(kernels) => kernels.derive(part, msg_key),
        None => KeyIv::from_plain(&derive(part, msg_key)),
    }
}

fn report<T>(results: &mut [T], index: usize, result: T) {
    if let Some(place) = results.get_mut(index) {
        *place = result;
    }
}

/// From how many times the longest on a group is sealed in lanes.
const SEAL_PAYS_FROM: usize = 4;

/// The same for opening: alone, a message's hash costs nothing beside its AES; in lanes it does.
const OPEN_PAYS_FROM: usize = 12;

/// From how many messages on sixteen are hashed at once, some of them for nothing.
const SIXTEEN_PAYS_FROM: usize = 12;

/// Messages with more blocks than this, 64 KiB, don't fit into a core's cache sixteen at a time.
const LARGE_BLOCKS: usize = 4096;

/// How many of those go together: as many as there are lanes, so that none is touched twice in vain.
const LARGE_TOGETHER_MAX: usize = 16;
