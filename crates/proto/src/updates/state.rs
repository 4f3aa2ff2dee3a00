//! How far an account has come in the sequences that are not a channel's.

/// How far an account has come. All numbers begin at 1; zero is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what `updates.state` says")]
pub struct UpdateState {
    /// Of the common box.
    pub pts: i32,
    /// Of secret chats and bots.
    pub qts: i32,
    /// Of containers of updates.
    pub seq: i32,
    /// Unix time in seconds of the last container that had a number.
    pub date: i32,
}

impl UpdateState {
    /// Returns the 16 bytes that the npm package `@mtproto2/mtproto` keeps: `pts`, `qts`, `seq`, `date`, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let numbers = [self.pts, self.qts, self.seq, self.date];
        for (to, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`UpdateState::to_bytes`] has written.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let [pts, qts, seq, date] = words(bytes);
        Self {
            pts,
            qts,
            seq,
            date,
        }
    }
}

const fn words(bytes: [u8; 16]) -> [i32; 4] {
    let all = u128::from_le_bytes(bytes).to_le_bytes();
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = all;
    [
        i32::from_le_bytes([a, b, c, d]),
        i32::from_le_bytes([e, f, g, h]),
        i32::from_le_bytes([i, j, k, l]),
        i32::from_le_bytes([m, n, o, p]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bytes_are_pts_qts_seq_and_date_little_endian() {
        let state = UpdateState {
            pts: 1,
            qts: 0x0203,
            seq: -1,
            date: 0x6553_f100,
        };
        let bytes = [
            1, 0, 0, 0, 3, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xf1, 0x53, 0x65,
        ];
        assert_eq!(state.to_bytes(), bytes);
        assert_eq!(UpdateState::from_bytes(bytes), state);
    }
}
