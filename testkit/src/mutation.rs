//! Bugs that are planted on purpose, to see that the checkers find them.

use heliogram_proto::ids::{MsgId, SeqNo};
use heliogram_proto::port::FromHost;

use crate::world::World;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutation {
    /// A link that is gone stays with its host.
    KeepLinks,
    /// An answer is lost between backend and host.
    LoseAnswer,
    /// A host that takes over uses the term of the one before it.
    ReuseTerm,
    /// A call is run a second time.
    RunTwice,
    /// A key that the store can't look up is said to be absent.
    SayAbsent,
    /// A message gets a sequence number that is too high.
    SkipSeqNo,
    /// Two messages of one drain are swapped.
    SwapMessages,
    /// Two calls get each other's answers.
    SwapAnswers,
    /// A message is sent with the identifier of another role.
    WrongParity,
}

impl World {
    /// Tells whether the planted bug shows now.
    pub(crate) fn mutates(&mut self) -> bool {
        self.mutation_dice.chance(20)
    }

    /// Spoils what a host has to say.
    pub(crate) fn mutate_drained(&mut self, items: &mut [FromHost]) {
        let Some(mutation) = self.mutation else {
            return;
        };
        for item in items.iter_mut() {
            let FromHost::Seal { msg_id, seqno, .. } = item else {
                continue;
            };
            if mutation == Mutation::SkipSeqNo && self.mutation_dice.chance(20) {
                *seqno = SeqNo(seqno.0 + 2);
            }
            if mutation == Mutation::WrongParity && self.mutation_dice.chance(20) {
                *msg_id = MsgId(msg_id.0 & !3);
            }
        }
        if mutation == Mutation::SwapMessages && items.len() > 1 {
            items.swap(0, 1);
        }
    }
}
