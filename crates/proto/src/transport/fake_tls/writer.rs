//! Bytes of a TLS handshake message: fields whose lengths stand before them.

use rand_core::CryptoRng;

/// Appends a field with its length before it, in `LENGTH` bytes, big-endian.
pub(super) fn sized<const LENGTH: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    write(out);
    let bytes = out.len().saturating_sub(at + LENGTH).to_be_bytes();
    let low = bytes.iter().rev().take(LENGTH).rev();
    for (to, from) in out.iter_mut().skip(at).zip(low) {
        *to = *from;
    }
}

/// Appends random bytes.
pub(super) fn random(out: &mut Vec<u8>, bytes: usize, rng: &mut dyn CryptoRng) {
    let at = out.len();
    out.resize(at + bytes, 0);
    rng.fill_bytes(out.get_mut(at..).unwrap_or_default());
}

/// Returns a random number below `end`, which is small: no part of a disguise needs it exactly even.
pub(super) fn below(end: usize, rng: &mut dyn CryptoRng) -> usize {
    let scaled = u128::from(rng.next_u64()) * u128::try_from(end).unwrap_or(0);
    usize::try_from(scaled >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_field_stands_before_it() {
        let mut out = vec![9];
        sized::<3>(&mut out, |out| {
            sized::<1>(out, |out| out.extend_from_slice(&[7; 5]));
        });
        assert_eq!(out, [9, 0, 0, 6, 5, 7, 7, 7, 7, 7]);
    }
}
