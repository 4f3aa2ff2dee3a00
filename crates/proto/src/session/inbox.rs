//! Which messages a session has received: what tells a new message from a second copy, and from one that nobody can
//! say anything about any more.
//!
//! ```text
//!   forgotten <= floor < remembered identifiers, sorted <= highest
//! ```
//!
//! An identifier at or below the floor that is not remembered may have been received: it is never accepted. The set is
//! bounded; overflow and age raise the floor.

use std::collections::VecDeque;

use crate::crossing::{Cross, In, Malformed, Out, crosses, ensure, rise};
use crate::ids::{MsgId, SeqNo};
use crate::limits::{RECEIVED_ID_AGE_S, RECEIVED_IDS_MAX};
use crate::session::bad_msg::BadMsg;
use crate::session::msg_id;

/// The received identifiers of one session, outer and inner.
#[derive(Debug)]
pub(crate) struct Inbox {
    received: VecDeque<Received>,
    floor: MsgId,
    floor_seqno: SeqNo,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    msg_id: MsgId,
    seqno: SeqNo,
}

/// What is known of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was not received.
    New,
    /// It was received, with this sequence number.
    Received(SeqNo),
    /// Nobody can say.
    Forgotten,
}

impl Inbox {
    /// Makes an inbox that refuses what is at or below `floor`.
    pub(crate) const fn new(floor: MsgId) -> Self {
        Self {
            received: VecDeque::new(),
            floor,
            floor_seqno: SeqNo(0),
        }
    }

    /// Says what is known of an identifier.
    pub(crate) fn known(&self, id: MsgId) -> Known {
        match self.position(id) {
            Ok(at) => self
                .received
                .get(at)
                .map_or(Known::New, |found| Known::Received(found.seqno)),
            Err(_) if id <= self.floor => Known::Forgotten,
            Err(_) => Known::New,
        }
    }

    /// Checks a new message's sequence number against its neighbours'. Sequence numbers never fall as identifiers
    /// rise, so the nearest on each side stand for all.
    ///
    /// # Errors
    ///
    /// - [`BadMsg::SeqNoTooLow`] when the one before has a greater number, or the same and it is odd.
    /// - [`BadMsg::SeqNoTooHigh`] when the one after has a smaller number, or the same and it is odd.
    pub(crate) fn check_seqno(&self, id: MsgId, seqno: SeqNo) -> Result<(), BadMsg> {
        let (Ok(at) | Err(at)) = self.position(id);
        let before = at.checked_sub(1).and_then(|at| self.received.get(at));
        let before = before.map_or(self.floor_seqno, |found| found.seqno);
        let same_is_wrong = seqno.is_content_related();
        if before > seqno || (before == seqno && same_is_wrong) {
            return Err(BadMsg::SeqNoTooLow);
        }
        match self.received.get(at) {
            Some(after) if after.seqno < seqno || (after.seqno == seqno && same_is_wrong) => {
                Err(BadMsg::SeqNoTooHigh)
            }
            _ => Ok(()),
        }
    }

    /// Remembers a message. Past the maximum the oldest is forgotten.
    pub(crate) fn insert(&mut self, msg_id: MsgId, seqno: SeqNo) {
        let Err(at) = self.position(msg_id) else {
            return;
        };
        let received = Received { msg_id, seqno };
        if at == self.received.len() {
            self.received.push_back(received);
        } else {
            self.received.insert(at, received);
        }
        if self.received.len() > RECEIVED_IDS_MAX {
            self.forget_oldest();
        }
    }

    /// Remembers, too, what another inbox of the same session does, and refuses what it refuses.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            received,
            floor,
            floor_seqno,
        } = other;
        for it in received {
            self.insert(it.msg_id, it.seqno);
        }
        self.floor = self.floor.max(floor);
        self.floor_seqno = self.floor_seqno.max(floor_seqno);
    }

    /// Refuses what is at or below `floor`, unless it is remembered.
    pub(crate) fn raise_floor(&mut self, floor: MsgId) {
        self.floor = self.floor.max(floor);
    }

    /// Forgets what is too old to come again, and gives back the room.
    pub(crate) fn tidy(&mut self, now_s: u64) {
        let oldest_s = now_s.saturating_sub(RECEIVED_ID_AGE_S);
        while self
            .received
            .front()
            .is_some_and(|it| msg_id::seconds(it.msg_id) < oldest_s)
        {
            self.forget_oldest();
        }
        self.received.shrink_to_fit();
    }

    /// Returns how many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// Returns the highest identifiers that are remembered, at most `count`, lowest first.
    pub(crate) fn last(&self, count: usize) -> Vec<MsgId> {
        let skipped = self.received.len().saturating_sub(count);
        self.received
            .iter()
            .skip(skipped)
            .map(|it| it.msg_id)
            .collect()
    }

    /// Returns the highest identifier that was received: what a later session must be above.
    pub(crate) fn highest(&self) -> MsgId {
        self.received.back().map_or(self.floor, |it| it.msg_id)
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.received.pop_front() {
            self.floor = self.floor.max(oldest.msg_id);
            self.floor_seqno = self.floor_seqno.max(oldest.seqno);
        }
    }

    /// Finds an identifier, or where it belongs. Most are the highest so far.
    fn position(&self, id: MsgId) -> Result<usize, usize> {
        match self.received.back() {
            None => Err(0),
            Some(last) if last.msg_id < id => Err(self.received.len()),
            Some(_) => self.received.binary_search_by_key(&id, |it| it.msg_id),
        }
    }
}

crosses!(Received { msg_id, seqno });

impl Cross for Inbox {
    fn write(&self, out: &mut Out) {
        let Self {
            received,
            floor,
            floor_seqno,
        } = self;
        received.write(out);
        floor.write(out);
        floor_seqno.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let received = VecDeque::<Received>::read(from)?;
        ensure(received.len() <= RECEIVED_IDS_MAX && rise(received.iter().map(|it| it.msg_id)))?;
        Ok(Self {
            received,
            floor: Cross::read(from)?,
            floor_seqno: Cross::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_or_below_the_floor_is_forgotten_and_what_is_above_is_new() {
        let mut inbox = Inbox::new(MsgId(100));
        assert_eq!(inbox.known(MsgId(96)), Known::Forgotten);
        assert_eq!(inbox.known(MsgId(100)), Known::Forgotten);
        assert_eq!(inbox.known(MsgId(104)), Known::New);
        inbox.insert(MsgId(104), SeqNo(1));
        assert_eq!(inbox.known(MsgId(104)), Known::Received(SeqNo(1)));
        assert_eq!(inbox.highest(), MsgId(104));
    }

    #[test]
    fn identifiers_are_found_in_whatever_order_they_came() {
        let mut inbox = Inbox::new(MsgId(0));
        for id in [40, 8, 24, 16, 32] {
            inbox.insert(MsgId(id), SeqNo(0));
        }
        for id in (8..=40).step_by(4) {
            let expected = if id % 8 == 0 {
                Known::Received(SeqNo(0))
            } else {
                Known::New
            };
            assert_eq!(inbox.known(MsgId(id)), expected, "{id}");
        }
    }

    #[test]
    fn two_inboxes_of_one_session_together_know_what_each_knew() {
        let (mut inbox, mut other) = (Inbox::new(MsgId(8)), Inbox::new(MsgId(16)));
        inbox.insert(MsgId(12), SeqNo(1));
        inbox.insert(MsgId(40), SeqNo(5));
        other.insert(MsgId(24), SeqNo(3));
        other.insert(MsgId(40), SeqNo(5));
        inbox.absorb(other);
        for (id, expected) in [
            (12, Known::Received(SeqNo(1))),
            (16, Known::Forgotten),
            (20, Known::New),
            (24, Known::Received(SeqNo(3))),
            (40, Known::Received(SeqNo(5))),
            (44, Known::New),
        ] {
            assert_eq!(inbox.known(MsgId(id)), expected, "{id}");
        }
        assert_eq!(inbox.len(), 3);
        inbox.raise_floor(MsgId(20));
        assert_eq!(inbox.known(MsgId(20)), Known::Forgotten);
    }

    #[test]
    fn an_identifier_is_remembered_for_330_s_and_then_forgotten_not_new() {
        let id = MsgId(1000 << 32 | 4);
        let mut inbox = Inbox::new(MsgId(0));
        inbox.insert(id, SeqNo(0));
        inbox.tidy(1330);
        assert_eq!(inbox.known(id), Known::Received(SeqNo(0)));
        inbox.tidy(1331);
        assert_eq!(inbox.known(id), Known::Forgotten);
        assert_eq!(inbox.len(), 0);
    }
}
