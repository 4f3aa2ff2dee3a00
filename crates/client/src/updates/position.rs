//! How far a stream of updates has come, to go on from there.

use heliogram_proto::updates::UpdateState;

/// How far a stream of updates has come.
///
/// ```
/// use heliogram_client::updates::{Position, UpdateState};
///
/// let state = UpdateState { pts: 7, qts: 0, seq: 1, date: 1_700_000_000 };
/// let bytes = Position::from(state).to_bytes();
/// assert_eq!(bytes, state.to_bytes(), "without channels it is the 16 bytes of other clients");
/// assert_eq!(Position::from_bytes(&bytes)?.state, state);
/// # Ok::<(), heliogram_client::updates::NotAPosition>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct Position {
    /// Of the account.
    pub state: UpdateState,
    /// Of each channel that anything has come from, by number.
    pub channels: Vec<ChannelPosition>,
}

/// How far a channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct ChannelPosition {
    /// Which channel.
    pub channel_id: i64,
    /// What it is called upon with; zero if nobody has said it.
    pub access_hash: i64,
    /// Number of its last event.
    pub pts: i32,
}

/// These bytes hold no [`Position`]: their length is not 16 and 20 for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are no position among updates: it has 16, and 20 for each channel")]
pub struct NotAPosition(usize);

impl Position {
    /// Returns the 16 bytes of [`UpdateState::to_bytes`], and 20 for each channel: number, access hash and `pts`,
    /// little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.state.to_bytes().to_vec();
        for channel in &self.channels {
            bytes.extend(channel.channel_id.to_le_bytes());
            bytes.extend(channel.access_hash.to_le_bytes());
            bytes.extend(channel.pts.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Position::to_bytes`] has written, or the 16 bytes of an [`UpdateState`].
    ///
    /// # Errors
    ///
    /// [`NotAPosition`] for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAPosition> {
        let wrong = NotAPosition(bytes.len());
        let (state, rest) = bytes.split_first_chunk().ok_or(wrong)?;
        let (channels, []) = rest.as_chunks() else {
            return Err(wrong);
        };
        Ok(Self {
            state: UpdateState::from_bytes(*state),
            channels: channels.iter().map(ChannelPosition::read).collect(),
        })
    }
}

impl From<UpdateState> for Position {
    fn from(state: UpdateState) -> Self {
        Self {
            state,
            channels: Vec::new(),
        }
    }
}

impl ChannelPosition {
    const fn read(bytes: &[u8; 20]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        let channel_id = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, e, f, g, h, p, q, r, s] = rest;
        Self {
            channel_id,
            access_hash: i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            pts: i32::from_le_bytes([p, q, r, s]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_stand_behind_the_state_20_bytes_each_little_endian() {
        let position = Position {
            state: UpdateState {
                pts: 1,
                ..UpdateState::default()
            },
            channels: vec![ChannelPosition {
                channel_id: 0x0102,
                access_hash: -2,
                pts: 0x0304,
            }],
        };
        let bytes = position.to_bytes();
        let channel = [
            2, 1, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 3, 0, 0,
        ];
        assert_eq!(bytes.get(16..), Some(&channel[..]));
        assert_eq!(Position::from_bytes(&bytes), Ok(position));
    }

    #[test]
    fn bytes_of_any_other_length_are_no_position() {
        for length in [0, 15, 17, 35, 37, 55] {
            let read = Position::from_bytes(&vec![0; length]);
            assert_eq!(read, Err(NotAPosition(length)));
        }
        for (length, channels) in [(16, 0), (36, 1), (56, 2)] {
            let read = Position::from_bytes(&vec![0; length]).unwrap();
            assert_eq!(read.channels.len(), channels);
        }
    }
}
