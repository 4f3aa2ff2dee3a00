//! What is in a file: bytes that are kept, or bytes that are made when they are asked for.

use bytes::Bytes;

/// What is in a file.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "kept or made")]
pub enum Content {
    /// These bytes.
    Kept(Bytes),
    /// So many bytes that follow from a seed and take no memory: see [`generated`].
    Generated {
        /// Length of the file.
        bytes: u64,
        /// Which of all such files.
        seed: u64,
    },
}

impl Content {
    /// Returns the length of the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Kept(bytes) => bytes.len() as u64,
            Self::Generated { bytes, .. } => *bytes,
        }
    }

    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns up to `max` bytes from an offset on; none behind the end.
    #[must_use]
    pub fn read(&self, offset: u64, max: usize) -> Vec<u8> {
        let left = self.len().saturating_sub(offset);
        let count = usize::try_from(left).map_or(max, |left| left.min(max));
        match self {
            Self::Kept(bytes) => {
                let begin = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = begin.saturating_add(count);
                bytes.get(begin..end).unwrap_or_default().to_vec()
            }
            Self::Generated { seed, .. } => generated(*seed, offset, count),
        }
    }
}

/// Makes `count` bytes of the endless file that follows from a seed, from an offset on. Every eight bytes are one step
/// of `SplitMix64`, little-endian: no two places look alike, and each is made without those before it.
#[must_use]
pub fn generated(seed: u64, offset: u64, count: usize) -> Vec<u8> {
    let begin = (offset % 8) as usize;
    let mut bytes = vec![0; (begin + count).next_multiple_of(8)];
    for (word, into) in (offset / 8..).zip(bytes.chunks_exact_mut(8)) {
        into.copy_from_slice(&mixed(seed, word).to_le_bytes());
    }
    bytes.truncate(begin + count);
    bytes.drain(..begin);
    bytes
}

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
const fn mixed(seed: u64, word: u64) -> u64 {
    let z = seed.wrapping_add(word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_file_is_splitmix64_of_its_seed() {
        // The first two outputs for seed 1234567, as published with the reference implementation.
        let words = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973];
        let bytes: Vec<_> = words.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(generated(1_234_567, 0, 16), bytes);
    }

    #[test]
    fn a_file_is_the_same_however_it_is_read() {
        let file = Content::Generated {
            bytes: 100,
            seed: 5,
        };
        let whole = file.read(0, 1000);
        assert_eq!(whole.len(), 100);
        let pieces: Vec<_> = (0..100)
            .step_by(7)
            .flat_map(|at| file.read(at, 7))
            .collect();
        assert_eq!(pieces, whole);
        let kept = Content::Kept(whole.clone().into());
        assert_eq!(kept.read(93, 10), whole[93..]);
        assert_eq!(file.read(93, 10), whole[93..]);
        assert!(kept.read(100, 10).is_empty() && file.read(101, 10).is_empty());
        assert!(kept.read(u64::MAX, 10).is_empty());
    }
}
