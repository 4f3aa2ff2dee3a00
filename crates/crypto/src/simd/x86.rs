//! The doors to the kernels: each takes the proof that the processor can run what is behind it.

use super::aes::{self, Schedule};
use super::lanes::{self, Task};
use super::message::{self, Derive, KeyIv};
use super::{Cpu, Level, ctr, ige, sha256_mixed, sha256_sixteen};
use crate::auth_key::DirectionPart;

/// Proof of AES-NI and AVX.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aes(Level);

impl Aes {
    #[inline]
    pub(super) fn new(cpu: Cpu) -> Option<Self> {
        (cpu.level() >= Level::AesNi).then_some(Self(cpu.level()))
    }

    pub(crate) fn ige_encrypt(self, key: &[u8; 32], iv: &[u8; 32], text: &mut [[u8; 16]]) {
        // SAFETY: `self` proves AES-NI and AVX.
        unsafe { ige::encrypt(key, iv, text) }
    }

    pub(crate) fn ige_decrypt(self, key: &[u8; 32], iv: &[u8; 32], text: &mut [[u8; 16]]) {
        // SAFETY: `self` proves AES-NI and AVX.
        unsafe { ige::decrypt(key, iv, text) }
    }

    /// Expands a key for [`Self::ctr`].
    pub(crate) fn schedule(self, key: &[u8; 32]) -> Schedule {
        // SAFETY: `self` proves AES-NI and AVX.
        unsafe { Schedule::encrypting(aes::load_pair(key)) }
    }

    /// Encrypts or decrypts with the keystream that `counter` begins.
    #[inline]
    pub(crate) fn ctr(self, schedule: &Schedule, counter: u128, data: &mut [[u8; 64]]) {
        // SAFETY: `self` proves the level.
        unsafe { ctr::apply(self.0, schedule, counter, data) }
    }

    /// Encrypts all tasks, which should come longest first.
    pub(crate) fn encrypt_all<'a>(self, tasks: &mut dyn Iterator<Item = Task<'a>>) {
        // SAFETY: `self` proves the level.
        unsafe { lanes::run::<true>(self.0, tasks) }
    }

    /// Decrypts all tasks, which should come longest first.
    pub(crate) fn decrypt_all<'a>(self, tasks: &mut dyn Iterator<Item = Task<'a>>) {
        // SAFETY: `self` proves the level.
        unsafe { lanes::run::<false>(self.0, tasks) }
    }
}

/// Proof of AES-NI, AVX and SHA-NI, and of what the way to derive needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AesSha(Derive);

impl AesSha {
    #[inline]
    pub(super) fn new(cpu: Cpu) -> Option<Self> {
        match cpu.level() {
            Level::Plain | Level::AesNi => None,
            Level::AesSha | Level::Vaes256 => Some(Self(message::derive)),
            Level::Vaes512 => Some(Self(sha256_mixed::derive)),
        }
    }

    /// Encrypts a plaintext in place; returns `msg_key_large`.
    pub(crate) fn seal(self, key: &DirectionPart, text: &mut [[u8; 16]]) -> [u8; 32] {
        // SAFETY: `self` proves all of it.
        unsafe { message::seal(self.0, key, text) }
    }

    /// Decrypts a ciphertext in place; returns `msg_key_large` of what came out, which is the caller's to compare.
    pub(crate) fn open(
        self,
        key: &DirectionPart,
        msg_key: &[u8; 16],
        text: &mut [[u8; 16]],
    ) -> [u8; 32] {
        // SAFETY: `self` proves all of it.
        unsafe { message::open(self.0, key, msg_key, text) }
    }

    /// Returns `msg_key_large` of two plaintexts.
    pub(crate) fn hash_pair(
        self,
        keys: [&DirectionPart; 2],
        texts: [&[[u8; 16]]; 2],
    ) -> [[u8; 32]; 2] {
        // SAFETY: `self` proves AVX and SHA-NI.
        unsafe { message::hash_pair(keys, texts).map(|hash| message::to_bytes(hash)) }
    }

    /// Derives the key and vector of a message.
    pub(crate) fn derive(self, key: &DirectionPart, msg_key: &[u8; 16]) -> KeyIv {
        // SAFETY: `self` proves what it needs.
        unsafe { (self.0)(key, aes::load(msg_key)) }
    }
}

/// Proof of AVX-512, in the parts that hash sixteen messages at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sixteen(());

impl Sixteen {
    #[inline]
    pub(super) fn new(cpu: Cpu) -> Option<Self> {
        (cpu.level() >= Level::Vaes512).then_some(Self(()))
    }

    /// Returns `msg_key_large` of sixteen plaintexts, in the time of the longest.
    pub(crate) fn hash(
        self,
        keys: [&DirectionPart; 16],
        texts: [&[[u8; 16]]; 16],
    ) -> [[u8; 32]; 16] {
        // SAFETY: `self` proves AVX-512 F and BW.
        unsafe { sha256_sixteen::hash(keys, texts) }
    }

    /// Derives the keys and vectors of sixteen messages.
    pub(crate) fn derive(
        self,
        keys: [&DirectionPart; 16],
        msg_keys: [&[u8; 16]; 16],
    ) -> [KeyIv; 16] {
        // SAFETY: `self` proves AVX-512 F and BW.
        unsafe { sha256_sixteen::derive(keys, msg_keys) }
    }
}
