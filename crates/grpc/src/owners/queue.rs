//! What waits for the owners at one node. No socket, no clock.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use heliogram_ports::{Push, Target};
use heliogram_proto::ids::LinkId;
use heliogram_proto::limits::PUSH_TARGETS_MAX;
use prost::Message as _;

use crate::generated::cluster as wire;
use crate::generated::cluster::owners_item::Item as WireItem;
use crate::limits::{BATCH_BYTES, OWNERS_WAITING_BYTES_MAX, PUSHES_MISSED_MAX};
use crate::wire::push_to;

/// The queue, and what has gone out and was not confirmed.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Item>,
    sent: VecDeque<Item>,
    /// Of both.
    bytes: usize,
    /// Of this stream.
    taken: u64,
    /// Whom a push has not reached.
    missed: BTreeSet<Target>,
    pub(super) is_open: bool,
}

/// One thing for another node.
pub(super) enum Item {
    /// For an owner.
    Input {
        input: wire::OwnerInput,
        /// The connections that wait for what it brings about, by their names here.
        links: Vec<LinkId>,
        /// A second copy changes nothing.
        is_repeatable: bool,
    },
    /// For all owners that it concerns.
    Push(Push),
}

impl Item {
    fn bytes(&self) -> usize {
        let payload = match self {
            Self::Input { input, .. } => {
                input.input.len() + input.links.len() * size_of::<wire::NamedLink>()
            }
            Self::Push(push) => push.body.len() + push.targets.len() * size_of::<Target>(),
        };
        payload + size_of::<Self>()
    }

    fn to_wire(&self) -> wire::OwnersItem {
        let item = match self {
            Self::Input { input, .. } => WireItem::Input(input.clone()),
            Self::Push(push) => WireItem::Push(push_to(push.clone()).encode_to_vec().into()),
        };
        wire::OwnersItem { item: Some(item) }
    }
}

impl Queue {
    /// Adds what is for an owner. It comes back if there is no stream, or no room.
    pub(super) fn add(&mut self, item: Item) -> Result<(), Item> {
        if !self.is_open || self.bytes + item.bytes() > OWNERS_WAITING_BYTES_MAX {
            return Err(item);
        }
        self.bytes += item.bytes();
        self.waiting.push_back(item);
        Ok(())
    }

    /// Returns how many bytes wait or are on their way, and how many have missed a push and not heard of it.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.bytes, self.missed.len())
    }

    /// Adds a push. Its targets miss it if there is no stream, or no room, and are told that.
    pub(super) fn add_push(&mut self, push: Push) {
        if let Err(Item::Push(push)) = self.add(Item::Push(push)) {
            self.miss(push);
        }
    }

    fn miss(&mut self, push: Push) {
        for target in push.targets {
            if self.missed.len() >= PUSHES_MISSED_MAX {
                return tracing::error!("updates are lost: a session node has taken none for long");
            }
            self.missed.insert(target);
        }
    }

    /// Takes a batch of what waits; nothing if nothing does.
    pub(super) fn batch(&mut self) -> Option<wire::ToOwners> {
        if !self.missed.is_empty() {
            let mut targets = Vec::new();
            while targets.len() < PUSH_TARGETS_MAX
                && let Some(target) = self.missed.pop_first()
            {
                targets.push(target);
            }
            let item = Item::Push(Push {
                targets,
                except: None,
                body: Bytes::from_static(&UPDATES_TOO_LONG),
            });
            self.bytes += item.bytes();
            self.waiting.push_back(item);
        }
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(item) = self.waiting.pop_front()
        {
            bytes += item.bytes();
            items.push(item.to_wire());
            self.sent.push_back(item);
        }
        (!items.is_empty()).then_some(wire::ToOwners { items })
    }

    /// Forgets what the node has taken of this stream.
    pub(super) fn taken(&mut self, taken: u64) {
        while self.taken < taken
            && let Some(item) = self.sent.pop_front()
        {
            self.taken += 1;
            self.bytes -= item.bytes();
        }
    }

    /// Takes note that the stream is gone. Returns the connections of what may be lost.
    pub(super) fn broke(&mut self) -> Vec<LinkId> {
        self.is_open = false;
        self.taken = 0;
        let mut lost = Vec::new();
        for item in std::mem::take(&mut self.sent).into_iter().rev() {
            match item {
                Item::Input {
                    is_repeatable: true,
                    ..
                } => self.waiting.push_front(item),
                Item::Input { ref links, .. } => {
                    lost.extend_from_slice(links);
                    self.bytes -= item.bytes();
                }
                Item::Push(push) => {
                    self.bytes -= Item::Push(push.clone()).bytes();
                    self.miss(push);
                }
            }
        }
        lost
    }

    /// Gives up what waits for owners: there has been no stream for too long. Returns the connections that wait for it.
    pub(super) fn give_up(&mut self) -> Vec<LinkId> {
        let mut lost = Vec::new();
        for item in std::mem::take(&mut self.waiting) {
            match item {
                Item::Input { links, .. } => lost.extend(links),
                Item::Push(push) => self.miss(push),
            }
        }
        self.bytes = self.sent.iter().map(Item::bytes).sum();
        lost
    }
}

/// `updatesTooLong#e317af7e = Updates`.
const UPDATES_TOO_LONG: [u8; 4] = 0xe317_af7e_u32.to_le_bytes();

#[cfg(test)]
mod tests {
    use heliogram_proto::ids::{AuthKeyId, Identity};

    use super::*;

    #[test]
    fn what_was_not_confirmed_is_sent_again_in_order_or_lost_with_its_links() {
        let mut queue = open();
        for (number, is_repeatable) in [(1, true), (2, false), (3, true), (4, true)] {
            assert!(queue.add(input(number, is_repeatable)).is_ok());
        }
        assert_eq!(numbers(queue.batch()), [1, 2, 3, 4]);
        queue.taken(1);
        assert_eq!(queue.broke(), [LinkId(2)]);
        queue.is_open = true;
        assert_eq!(numbers(queue.batch()), [3, 4]);
        queue.taken(2);
        assert_eq!((queue.bytes, queue.broke().len()), (0, 0));
    }

    #[test]
    fn nothing_is_taken_without_a_stream_and_what_waits_is_given_up_with_its_links() {
        let mut queue = open();
        assert!(queue.add(input(1, true)).is_ok());
        assert_eq!(queue.broke(), []);
        assert!(queue.add(input(2, true)).is_err());
        assert_eq!(queue.give_up(), [LinkId(1)]);
        queue.is_open = true;
        assert_eq!((numbers(queue.batch()).len(), queue.bytes), (0, 0));
    }

    #[test]
    fn a_push_that_may_not_have_arrived_becomes_updates_too_long_and_is_not_sent_twice() {
        let mut queue = open();
        queue.add_push(push(1));
        queue.add_push(push(2));
        assert_eq!(
            pushed(queue.batch()),
            [(vec![Target::User(1)], BODY), (vec![Target::User(2)], BODY)]
        );
        queue.taken(1);
        queue.broke();
        queue.add_push(push(3));
        queue.is_open = true;
        let both = vec![Target::User(2), Target::User(3)];
        assert_eq!(pushed(queue.batch()), [(both, UPDATES_TOO_LONG)]);
        queue.taken(1);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn so_many_bytes_wait_and_not_one_more() {
        let mut queue = open();
        let around = input(1, true).bytes();
        let of = |bytes: usize| match input(1, true) {
            Item::Input {
                mut input,
                links,
                is_repeatable,
            } => {
                input.input = vec![0; bytes].into();
                Item::Input {
                    input,
                    links,
                    is_repeatable,
                }
            }
            Item::Push(_) => panic!("it is an input"),
        };
        assert!(
            queue
                .add(of(OWNERS_WAITING_BYTES_MAX - around + 1))
                .is_err()
        );
        assert!(queue.add(of(OWNERS_WAITING_BYTES_MAX - around)).is_ok());
        assert!(queue.add(of(0)).is_err());
        queue.add_push(push(1));
        queue.batch();
        queue.taken(1);
        assert_eq!(
            pushed(queue.batch()),
            [(vec![Target::User(1)], UPDATES_TOO_LONG)]
        );
    }

    fn open() -> Queue {
        Queue {
            is_open: true,
            ..Queue::default()
        }
    }

    fn input(number: u64, is_repeatable: bool) -> Item {
        Item::Input {
            input: wire::OwnerInput {
                to: Identity(AuthKeyId(1)).0.0,
                term: number,
                input: Bytes::new(),
                links: Vec::new(),
            },
            links: vec![LinkId(number)],
            is_repeatable,
        }
    }

    fn push(user: i64) -> Push {
        Push {
            targets: vec![Target::User(user)],
            except: None,
            body: Bytes::from_static(&BODY),
        }
    }

    fn numbers(batch: Option<wire::ToOwners>) -> Vec<u64> {
        let items = batch.into_iter().flat_map(|it| it.items);
        let number = |it: wire::OwnersItem| match it.item {
            Some(WireItem::Input(input)) => Some(input.term),
            Some(WireItem::Push(_)) | None => None,
        };
        items.filter_map(number).collect()
    }

    fn pushed(batch: Option<wire::ToOwners>) -> Vec<(Vec<Target>, [u8; 4])> {
        let items = batch.into_iter().flat_map(|it| it.items);
        let push = |it: wire::OwnersItem| match it.item {
            Some(WireItem::Push(push)) => {
                let push = crate::generated::backend::PushRequest::decode(push).unwrap();
                let push = crate::wire::push_from(push).unwrap();
                Some((push.targets, push.body[..].try_into().unwrap()))
            }
            Some(WireItem::Input(_)) | None => None,
        };
        items.filter_map(push).collect()
    }

    const BODY: [u8; 4] = [1; 4];
}
