//! Kernels for processors that have instructions for AES and SHA-256, and the choice among them at run time.
//!
//! What is here: IGE, CTR and the hashing of whole messages, once for each [`Level`]; and `ifma`, the big numbers of
//! handshakes, which choose for themselves.
//! What is not: the plain implementation. It is where it is used, in [`crate::ige`], [`crate::ctr`] and
//! [`crate::message`]; it runs where nothing here may, and the tests hold every level against it.
//!
//! A `Cpu` is proof that a level's instructions are there: the one place that makes it has asked the processor.
//! Calling a kernel takes a proof (`Aes`, `AesSha`), so the calls are sound by construction.
//!
//! No branch and no address depends on a secret; lengths are public. Key schedules are erased after use.
//! What the compiler leaves in registers, or spills of them, isn't.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "vector instructions; each block says why it is sound"
    ),
    expect(
        clippy::indexing_slicing,
        reason = "indices are counters of fixed loops, and offsets into arrays of fixed size"
    )
)]

use core::sync::atomic::{AtomicU8, Ordering};

#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
#[cfg(not(target_arch = "x86_64"))]
mod ifma_elsewhere;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use ifma_elsewhere as ifma;

#[cfg(target_arch = "x86_64")]
mod aes;
#[cfg(target_arch = "x86_64")]
mod ctr;
#[cfg(target_arch = "x86_64")]
mod ige;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod message;
#[cfg(target_arch = "x86_64")]
mod register;
#[cfg(target_arch = "x86_64")]
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha256_mixed;
#[cfg(target_arch = "x86_64")]
mod sha256_sixteen;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use aes::Schedule;
#[cfg(target_arch = "x86_64")]
pub(crate) use lanes::Task;
#[cfg(target_arch = "x86_64")]
pub(crate) use message::KeyIv;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Aes, AesSha, Sixteen};

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use elsewhere::{Aes, AesSha, KeyIv, Schedule, Sixteen, Task};

/// Which instructions are used. Each level has all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Level {
    /// None from here: the crates `aes` and `sha2`, which look for AES and SHA instructions on their own.
    Plain = 1,
    /// AES-NI, with AVX's encoding of it.
    AesNi,
    /// And SHA-NI.
    AesSha,
    /// And VAES on registers of 256 bits.
    Vaes256,
    /// And VAES on registers of 512 bits, and AVX-512 for hashing sixteen messages at once.
    Vaes512,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::AesNi,
        Self::AesSha,
        Self::Vaes256,
        Self::Vaes512,
    ];
}

/// Returns the level in use.
#[must_use]
pub fn level() -> Level {
    Cpu::current().level()
}

/// Lowers the level in use to `level`, or takes it back up as far as the processor goes; returns what is now in use.
///
/// For tests and benchmarks. It holds for the whole process, and is safe at any time: all levels give the same bytes.
pub fn force(level: Level) -> Level {
    let cpu = Cpu::detect().at_most(level);
    IN_USE.store(cpu.level as u8, Ordering::Relaxed);
    cpu.level
}

/// Proof that this processor has the instructions of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    level: Level,
}

impl Cpu {
    /// The level in use; asks the processor at the first call only.
    #[inline]
    pub(crate) fn current() -> Self {
        let in_use = IN_USE.load(Ordering::Relaxed);
        match Level::ALL.iter().find(|level| **level as u8 == in_use) {
            // Only `force` and `start` store here, and they store what `detect` has found.
            Some(&level) => Self { level },
            None => Self::start(),
        }
    }

    /// All that this processor has, the lowest first.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        Level::ALL
            .into_iter()
            .filter(move |level| *level <= best.level)
            .map(|level| Self { level })
    }

    pub(crate) fn level(self) -> Level {
        self.level
    }

    /// The kernels that need AES-NI.
    #[inline]
    pub(crate) fn aes(self) -> Option<Aes> {
        Aes::new(self)
    }

    /// The kernels that need SHA-NI too.
    #[inline]
    pub(crate) fn aes_sha(self) -> Option<AesSha> {
        AesSha::new(self)
    }

    /// The kernels that need AVX-512 too.
    #[inline]
    pub(crate) fn sixteen(self) -> Option<Sixteen> {
        Sixteen::new(self)
    }

    fn at_most(self, level: Level) -> Self {
        Self {
            level: self.level.min(level),
        }
    }

    #[cold]
    fn start() -> Self {
        let cpu = Self::detect();
        IN_USE.store(cpu.level as u8, Ordering::Relaxed);
        cpu
    }

    /// What the processor has, and the build allows.
    fn detect() -> Self {
        Self::found().at_most(CEILING)
    }

    #[cfg(target_arch = "x86_64")]
    fn found() -> Self {
        use std::arch::is_x86_feature_detected as has;
        let found = [
            (Level::AesNi, has!("aes") && has!("avx")),
            (Level::AesSha, has!("sha")),
            (Level::Vaes256, has!("vaes") && has!("avx2")),
            (
                Level::Vaes512,
                has!("avx512f") && has!("avx512bw") && has!("avx512vl"),
            ),
        ];
        let level = found
            .into_iter()
            .take_while(|(_, found)| *found)
            .last()
            .map_or(Level::Plain, |(level, _)| level);
        Self { level }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn found() -> Self {
        Self {
            level: Level::Plain,
        }
    }
}

/// The highest level of this build: a variable of the environment in which it is *built* can lower it, so that all tests of
/// all crates can be run as on a lesser processor.
const CEILING: Level = match option_env!("HELIOGRAM_SIMD_LEVEL") {
    None => Level::Vaes512,
    Some(name) => match name.as_bytes() {
        b"plain" => Level::Plain,
        b"aes-ni" => Level::AesNi,
        b"aes-sha" => Level::AesSha,
        b"vaes-256" => Level::Vaes256,
        b"vaes-512" => Level::Vaes512,
        _ => panic!("HELIOGRAM_SIMD_LEVEL: plain, aes-ni, aes-sha, vaes-256 or vaes-512"),
    },
};

/// The level in use as a number, or 0 before anybody has asked.
static IN_USE: AtomicU8 = AtomicU8::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    /// The only test of this binary that forces a level: it holds for the process.
    #[test]
    fn a_level_that_the_processor_lacks_is_never_in_use() {
        let best = force(Level::Vaes512);
        for wanted in Level::ALL {
            assert_eq!(force(wanted), wanted.min(best));
            assert_eq!(level(), wanted.min(best));
        }
        assert_eq!(level(), best);
    }

    #[test]
    fn each_kernel_is_there_from_its_level_on_and_not_below() {
        for cpu in Cpu::all() {
            assert_eq!(cpu.aes().is_some(), cpu.level() >= Level::AesNi);
            assert_eq!(cpu.aes_sha().is_some(), cpu.level() >= Level::AesSha);
            assert_eq!(cpu.sixteen().is_some(), cpu.level() >= Level::Vaes512);
        }
    }
}
