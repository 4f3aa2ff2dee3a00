//! What calls and answers look like inside: a token, by which everything is counted, and filler.

use heliogram_proto::ids::MsgId;

use crate::dice::Dice;

/// A call's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Of this wish of a client; the same however often it is sent.
    pub(crate) token: u64,
    /// Bytes of filler in the answer.
    pub(crate) answer_bytes: u32,
    pub(crate) wants_error: bool,
    /// The message after which it is to run.
    pub(crate) after: Option<MsgId>,
}

impl Query {
    /// Writes the call, with filler of its own.
    pub(crate) fn write(&self, filler_words: usize) -> Vec<u8> {
        let mut body = METHOD.to_le_bytes().to_vec();
        body.extend_from_slice(&self.token.to_le_bytes());
        body.extend_from_slice(&self.answer_bytes.to_le_bytes());
        body.extend_from_slice(&u32::from(self.wants_error).to_le_bytes());
        let after = self.after.map_or(0, |id| id.0);
        body.extend_from_slice(&after.to_le_bytes());
        body.resize(body.len() + 4 * filler_words, 0x5a);
        body
    }

    /// Reads a call that [`Self::write`] wrote.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (id, rest) = body.split_first_chunk()?;
        let (token, rest) = rest.split_first_chunk()?;
        let (answer_bytes, rest) = rest.split_first_chunk()?;
        let (wants_error, rest) = rest.split_first_chunk()?;
        let (after, _) = rest.split_first_chunk()?;
        let after = i64::from_le_bytes(*after);
        (u32::from_le_bytes(*id) == METHOD).then_some(Self {
            token: u64::from_le_bytes(*token),
            answer_bytes: u32::from_le_bytes(*answer_bytes),
            wants_error: u32::from_le_bytes(*wants_error) != 0,
            after: (after != 0).then_some(MsgId(after)),
        })
    }
}

/// An answer's body.
#[derive(Debug)]
pub(crate) struct Answer;

impl Answer {
    pub(crate) fn write(query: &Query, dice: &mut Dice) -> Vec<u8> {
        let mut body = RESULT.to_le_bytes().to_vec();
        body.extend_from_slice(&query.token.to_le_bytes());
        let at = body.len();
        let filler = usize::try_from(query.answer_bytes).unwrap_or(0) & !3;
        body.resize(at + filler, 0);
        if dice.chance(500) {
            dice.fill(&mut body[at..]);
        }
        body
    }

    /// Returns the token of an answer.
    pub(crate) fn read(body: &[u8]) -> Option<u64> {
        let (id, rest) = body.split_first_chunk()?;
        let (token, _) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*id) == RESULT).then_some(u64::from_le_bytes(*token))
    }

    /// Returns the name of the error that answers a call.
    pub(crate) fn error_name(token: u64) -> String {
        format!("{ERROR}{token}")
    }

    /// Returns the token of an error's name.
    pub(crate) fn token_of_error(name: &str) -> Option<u64> {
        name.strip_prefix(ERROR)?.parse().ok()
    }
}

/// An update's body.
#[derive(Debug)]
pub(crate) struct Update;

impl Update {
    pub(crate) fn write(number: u64, filler: usize, dice: &mut Dice) -> Vec<u8> {
        let mut body = UPDATE.to_le_bytes().to_vec();
        body.extend_from_slice(&number.to_le_bytes());
        let at = body.len();
        body.resize(at + (filler & !3), 0);
        if dice.chance(500) {
            dice.fill(&mut body[at..]);
        }
        body
    }

    /// Returns the number of an update; `None` for the wish that the client ask for what it missed.
    pub(crate) fn read(body: &[u8]) -> Option<u64> {
        let (id, rest) = body.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*id) == UPDATE).then_some(u64::from_le_bytes(*number))
    }
}

/// An update that no layer has.
const UPDATE: u32 = 0x51a7_0003;
/// A method that no layer has.
const METHOD: u32 = 0x51a7_0001;
/// An answer that no layer has.
const RESULT: u32 = 0x51a7_0002;
const ERROR: &str = "SIMULATED_";
