//! What stands for the kernels on processors for which there are none: proofs that can't be made.

use super::Cpu;
use crate::AesKeyIv;
use crate::auth_key::DirectionPart;

/// Never there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aes {}

impl Aes {
    pub(super) fn new(_: Cpu) -> Option<Self> {
        None
    }

    pub(crate) fn ige_encrypt(self, _: &[u8; 32], _: &[u8; 32], _: &mut [[u8; 16]]) {
        match self {}
    }

    pub(crate) fn ige_decrypt(self, _: &[u8; 32], _: &[u8; 32], _: &mut [[u8; 16]]) {
        match self {}
    }

    pub(crate) fn schedule(self, _: &[u8; 32]) -> Schedule {
        match self {}
    }

    pub(crate) fn ctr(self, _: &Schedule, _: u128, _: &mut [[u8; 64]]) {
        match self {}
    }

    pub(crate) fn encrypt_all<'a>(self, _: &mut dyn Iterator<Item = Task<'a>>) {
        match self {}
    }

    pub(crate) fn decrypt_all<'a>(self, _: &mut dyn Iterator<Item = Task<'a>>) {
        match self {}
    }
}

/// Never made.
pub(crate) enum Schedule {}

/// What it would work on.
pub(crate) struct Task<'a> {
    pub(crate) derived: KeyIv,
    pub(crate) text: &'a mut [[u8; 16]],
}

/// How it would work.
pub(crate) struct KeyIv;

impl KeyIv {
    pub(crate) fn from_plain(_: &AesKeyIv) -> Self {
        Self
    }
}

/// Never there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AesSha {}

impl AesSha {
    pub(super) fn new(_: Cpu) -> Option<Self> {
        None
    }

    pub(crate) fn seal(self, _: &DirectionPart, _: &mut [[u8; 16]]) -> [u8; 32] {
        match self {}
    }

    pub(crate) fn open(self, _: &DirectionPart, _: &[u8; 16], _: &mut [[u8; 16]]) -> [u8; 32] {
        match self {}
    }

    pub(crate) fn hash_pair(self, _: [&DirectionPart; 2], _: [&[[u8; 16]]; 2]) -> [[u8; 32]; 2] {
        match self {}
    }

    pub(crate) fn derive(self, _: &DirectionPart, _: &[u8; 16]) -> KeyIv {
        match self {}
    }
}

/// Never there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sixteen {}

impl Sixteen {
    pub(super) fn new(_: Cpu) -> Option<Self> {
        None
    }

    pub(crate) fn hash(self, _: [&DirectionPart; 16], _: [&[[u8; 16]]; 16]) -> [[u8; 32]; 16] {
        match self {}
    }

    pub(crate) fn derive(self, _: [&DirectionPart; 16], _: [&[u8; 16]; 16]) -> [KeyIv; 16] {
        match self {}
    }
}
