//! AES-256-IGE of many streams at once, each with its own key.
//!
//! One stream waits for itself; many fill the processor. A stream has a *lane*: one block's place in one of the registers
//! that are worked on in turn. When a stream ends, the next one takes its lane, so streams should come longest first.
//!
//! ```text
//! keys[round]    lane 0 | lane 1 | lane 2 | …        one register's worth is loaded at once
//! ```

use core::arch::x86_64::*;
use core::array;
use core::marker::PhantomData;
use core::{ptr, slice};

use super::Level;
use super::aes::{Schedule, erase};
use super::ige::{self, before_first};
use super::message::KeyIv;
use super::register::Register;

/// One stream: what to encrypt or decrypt in place, and how.
pub(crate) struct Task<'a> {
    pub(crate) derived: KeyIv,
    pub(crate) text: &'a mut [[u8; 16]],
}

/// Works off all tasks, with as many lanes as `level` has.
///
/// # Safety
///
/// The processor has the instructions of `level`, which is [`Level::AesNi`] or above.
pub(super) unsafe fn run<'a, const ENCRYPT: bool>(
    level: Level,
    tasks: &mut dyn Iterator<Item = Task<'a>>,
) {
    // SAFETY: as this function's, whose levels are these functions' features.
    unsafe {
        match level {
            Level::Vaes512 => drive::<16, ENCRYPT>(tasks, advance_512::<ENCRYPT>),
            Level::Vaes256 => drive::<16, ENCRYPT>(tasks, advance_256::<ENCRYPT>),
            Level::AesSha | Level::AesNi | Level::Plain => {
                drive::<8, ENCRYPT>(tasks, advance_128::<ENCRYPT>);
            }
        }
    }
}

/// # Safety
///
/// `advance` has no features but those of this processor.
#[target_feature(enable = "aes,avx")]
unsafe fn drive<'a, const LANES: usize, const ENCRYPT: bool>(
    tasks: &mut dyn Iterator<Item = Task<'a>>,
    advance: unsafe fn(&mut Lanes<'a, LANES>, usize),
) {
    let mut lanes = Lanes::<LANES>::new();
    let mut tasks = tasks.fuse();
    loop {
        for lane in 0..LANES {
            if lanes.left[lane] == 0
                && let Some(task) = tasks.next()
            {
                lanes.take::<ENCRYPT>(lane, task);
            }
        }
        let busy = lanes.left.iter().filter(|left| **left > 0);
        let Some(&steps) = busy.clone().min() else {
            return;
        };
        if busy.count() == 1 {
            lanes.finish_last::<ENCRYPT>();
            return;
        }
        let steps = steps.min(lanes.park_idle());
        // SAFETY: the features are there, as the caller says; no busy lane has fewer blocks, and no idle one less room.
        unsafe { advance(&mut lanes, steps) };
        lanes.count(steps);
    }
}

/// All lanes. The keys and what else depends on them are erased on drop.
#[repr(C, align(64))]
struct Lanes<'a, const LANES: usize> {
    keys: [[__m128i; LANES]; 15],
    /// `out[i-1]`.
    out: [__m128i; LANES],
    /// `in[i-1]`.
    before: [__m128i; LANES],
    /// Where lanes without a stream read and write.
    scratch: [[u8; 16]; IDLE_STEPS_MAX],
    /// The next block of each stream.
    text: [*mut [u8; 16]; LANES],
    /// How many blocks each stream still has.
    left: [usize; LANES],
    texts: PhantomData<&'a mut [[u8; 16]]>,
}

impl<'a, const LANES: usize> Lanes<'a, LANES> {
    #[inline]
    #[target_feature(enable = "avx")]
    fn new() -> Self {
        let zero = _mm_setzero_si128();
        Self {
            keys: [[zero; LANES]; 15],
            out: [zero; LANES],
            before: [zero; LANES],
            scratch: [[0; 16]; IDLE_STEPS_MAX],
            text: [ptr::null_mut(); LANES],
            left: [0; LANES],
            texts: PhantomData,
        }
    }

    /// Gives a stream to a lane.
    #[target_feature(enable = "aes,avx")]
    fn take<const ENCRYPT: bool>(&mut self, lane: usize, Task { derived, text }: Task<'a>) {
        let schedule = if ENCRYPT {
            Schedule::encrypting(derived.key)
        } else {
            Schedule::decrypting(derived.key)
        };
        for (row, key) in self.keys.iter_mut().zip(&schedule.keys) {
            row[lane] = *key;
        }
        [self.out[lane], self.before[lane]] = before_first::<ENCRYPT>(derived.iv);
        self.text[lane] = text.as_mut_ptr();
        self.left[lane] = text.len();
    }

    /// Points lanes without a stream at the scratch; returns how many steps everybody can go.
    fn park_idle(&mut self) -> usize {
        let mut steps_max = usize::MAX;
        for (text, left) in self.text.iter_mut().zip(&self.left) {
            if *left == 0 {
                *text = self.scratch.as_mut_ptr();
                steps_max = IDLE_STEPS_MAX;
            }
        }
        steps_max
    }

    /// Notes that all lanes have gone so many steps.
    fn count(&mut self, steps: usize) {
        for (text, left) in self.text.iter_mut().zip(&mut self.left) {
            if *left > 0 {
                *left -= steps;
                *text = text.wrapping_add(steps);
            }
        }
    }

    /// Works off the only stream that is left, faster alone.
    #[target_feature(enable = "aes,avx")]
    fn finish_last<const ENCRYPT: bool>(&mut self) {
        let Some(lane) = self.left.iter().position(|left| *left > 0) else {
            return;
        };
        let schedule = Schedule {
            keys: array::from_fn(|round| self.keys[round][lane]),
        };
        // SAFETY: these are the rest of a text that `take` has borrowed for `'a`, and of which nobody else knows.
        let text = unsafe { slice::from_raw_parts_mut(self.text[lane], self.left[lane]) };
        ige::run::<ENCRYPT>(&schedule, [self.out[lane], self.before[lane]], text);
        self.left[lane] = 0;
    }
}

impl<const LANES: usize> Drop for Lanes<'_, LANES> {
    fn drop(&mut self) {
        erase(self.keys.as_flattened_mut());
        erase(&mut self.out);
        erase(&mut self.before);
    }
}

/// # Safety
///
/// The processor has AES-NI and AVX; every text of `lanes` has `steps` blocks.
#[target_feature(enable = "aes,avx")]
unsafe fn advance_128<const ENCRYPT: bool>(lanes: &mut Lanes<'_, 8>, steps: usize) {
    // SAFETY: the same, and 8 times 1 are 8.
    unsafe { advance::<__m128i, 8, 8, ENCRYPT>(lanes, steps) }
}

/// # Safety
///
/// The processor has VAES and AVX2; every text of `lanes` has `steps` blocks.
#[target_feature(enable = "aes,vaes,avx2")]
unsafe fn advance_256<const ENCRYPT: bool>(lanes: &mut Lanes<'_, 16>, steps: usize) {
    // SAFETY: the same, and 8 times 2 are 16.
    unsafe { advance::<__m256i, 8, 16, ENCRYPT>(lanes, steps) }
}

/// # Safety
///
/// The processor has VAES and AVX-512; every text of `lanes` has `steps` blocks.
#[target_feature(enable = "aes,vaes,avx512f")]
unsafe fn advance_512<const ENCRYPT: bool>(lanes: &mut Lanes<'_, 16>, steps: usize) {
    // SAFETY: the same, and 4 times 4 are 16.
    unsafe { advance::<__m512i, 4, 16, ENCRYPT>(lanes, steps) }
}

/// Encrypts or decrypts the next `steps` blocks of every lane.
///
/// # Safety
///
/// The processor can do `R`; `GROUPS` times `R::BLOCKS` are `LANES`; every text of `lanes` has `steps` blocks.
#[inline(always)]
unsafe fn advance<R: Register, const GROUPS: usize, const LANES: usize, const ENCRYPT: bool>(
    lanes: &mut Lanes<'_, LANES>,
    steps: usize,
) {
    const { assert!(GROUPS * R::BLOCKS == LANES) };
    let first = |group| group * R::BLOCKS;
    let texts = lanes.text;
    // SAFETY: rows have `LANES` blocks, so a register's worth begins at each group's first; the rest is as the caller says.
    unsafe {
        let row = |blocks: &[__m128i; LANES]| -> [R; GROUPS] {
            array::from_fn(|group| R::load(&raw const blocks[first(group)]))
        };
        let (mut out, mut before) = (row(&lanes.out), row(&lanes.before));
        let [first_key, middle @ .., last_key] = &lanes.keys;
        for at in 0..steps {
            let input: [R; GROUPS] = array::from_fn(|group| R::gather(&texts[first(group)..], at));
            let keys = row(first_key);
            let mut state: [R; GROUPS] =
                array::from_fn(|group| input[group].xor(out[group]).xor(keys[group]));
            for keys in middle {
                let keys = row(keys);
                state = array::from_fn(|group| state[group].round::<ENCRYPT>(keys[group]));
            }
            let keys = row(last_key);
            out = array::from_fn(|group| {
                state[group].last_round::<ENCRYPT>(keys[group].xor(before[group]))
            });
            before = input;
            for group in 0..GROUPS {
                out[group].scatter(&texts[first(group)..], at);
            }
        }
        for group in 0..GROUPS {
            out[group].store(&raw mut lanes.out[first(group)]);
            before[group].store(&raw mut lanes.before[first(group)]);
        }
    }
}

/// How many steps can be gone while a lane is idle.
const IDLE_STEPS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use core::mem::ManuallyDrop;

    use super::*;
    use crate::AesKeyIv;
    use crate::simd::Cpu;

    #[test]
    fn nothing_of_a_key_is_left_in_the_lanes() {
        if Cpu::current().aes().is_none() {
            return;
        }
        let derived = KeyIv::from_plain(&AesKeyIv {
            key: [0xa5; 32],
            iv: [0x5a; 32],
        });
        let text = &mut [[7; 16]; 2];
        // SAFETY: AES-NI is there. What is read after the drop are plain numbers in memory that is still ours.
        unsafe {
            let mut lanes = ManuallyDrop::new(Lanes::<8>::new());
            lanes.take::<true>(3, Task { derived, text });
            assert!(lanes.keys.iter().all(|row| !is_zero(row[3])));
            ManuallyDrop::drop(&mut lanes);
            assert!(lanes.keys.as_flattened().iter().all(|key| is_zero(*key)));
            assert!(
                lanes
                    .out
                    .iter()
                    .chain(&lanes.before)
                    .all(|block| is_zero(*block))
            );
        }
    }

    fn is_zero(block: __m128i) -> bool {
        let mut bytes = [1; 16];
        crate::simd::aes::store(&mut bytes, block);
        bytes == [0; 16]
    }
}
