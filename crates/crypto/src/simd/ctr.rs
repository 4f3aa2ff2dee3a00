//! AES-256-CTR: no block waits for another, so as many go at once as the processor can.

use core::arch::x86_64::*;
use core::array;

use super::Level;
use super::aes::Schedule;
use super::register::Register;

/// What is worked on at least, so that a call for a small packet costs little: 64 bytes.
pub(super) type Group = [u8; 64];

/// Adds the keystream of `counter` and those after it to the data.
///
/// # Safety
///
/// The processor has the instructions of `level`, which is [`Level::AesNi`] or above.
pub(super) unsafe fn apply(level: Level, schedule: &Schedule, counter: u128, data: &mut [Group]) {
    // SAFETY: as this function's, whose levels are these functions' features.
    unsafe {
        match level {
            Level::Vaes512 => apply_512(schedule, counter, data),
            Level::Vaes256 => apply_256(schedule, counter, data),
            Level::AesSha | Level::AesNi | Level::Plain => apply_128(schedule, counter, data),
        }
    }
}

#[target_feature(enable = "aes,avx")]
fn apply_128(schedule: &Schedule, counter: u128, data: &mut [Group]) {
    // SAFETY: the features are there; 8 and 4 times 16 bytes are two groups and one.
    unsafe { apply_with::<__m128i, 8, 2, 4>(schedule, counter, data) }
}

#[target_feature(enable = "aes,vaes,avx2")]
fn apply_256(schedule: &Schedule, counter: u128, data: &mut [Group]) {
    // SAFETY: the features are there; 8 and 2 times 32 bytes are four groups and one.
    unsafe { apply_with::<__m256i, 8, 4, 2>(schedule, counter, data) }
}

#[target_feature(enable = "aes,vaes,avx512f")]
fn apply_512(schedule: &Schedule, counter: u128, data: &mut [Group]) {
    // SAFETY: the features are there; 4 and 1 times 64 bytes are four groups and one.
    unsafe { apply_with::<__m512i, 4, 4, 1>(schedule, counter, data) }
}

/// Works with `WIDE` registers at once, which are `GROUPS` groups, as long as there are so many; then with `NARROW` ones,
/// which are one.
///
/// # Safety
///
/// The processor can do `R`.
#[inline(always)]
unsafe fn apply_with<R: Register, const WIDE: usize, const GROUPS: usize, const NARROW: usize>(
    schedule: &Schedule,
    mut counter: u128,
    data: &mut [Group],
) {
    const { assert!(WIDE * R::BLOCKS == 4 * GROUPS && NARROW * R::BLOCKS == 4) };
    let (wide, narrow) = data.as_chunks_mut::<GROUPS>();
    for groups in wide {
        // SAFETY: so many registers fill all of the groups.
        unsafe { add_keystream::<R, WIDE>(schedule, &mut counter, groups.as_flattened_mut()) };
    }
    for group in narrow {
        // SAFETY: so many registers fill one group.
        unsafe { add_keystream::<R, NARROW>(schedule, &mut counter, group) };
    }
}

/// # Safety
///
/// The processor can do `R`; the data are as long as `REGISTERS` of them.
#[inline(always)]
unsafe fn add_keystream<R: Register, const REGISTERS: usize>(
    schedule: &Schedule,
    counter: &mut u128,
    data: &mut [u8],
) {
    let [first, middle @ .., last] = &schedule.keys;
    let blocks = data.as_mut_ptr().cast::<__m128i>();
    // SAFETY: each register has its own blocks of the data, and there are as many.
    unsafe {
        let key = R::broadcast(*first);
        let mut state: [R; REGISTERS] = array::from_fn(|_| {
            let counters = R::counters(*counter);
            *counter = counter.wrapping_add(R::BLOCKS as u128);
            counters.xor(key)
        });
        for key in middle {
            let key = R::broadcast(*key);
            state = array::from_fn(|i| state[i].round::<true>(key));
        }
        let key = R::broadcast(*last);
        for (i, state) in state.into_iter().enumerate() {
            let place = blocks.add(i * R::BLOCKS);
            R::load(place)
                .xor(state.last_round::<true>(key))
                .store(place);
        }
    }
}
