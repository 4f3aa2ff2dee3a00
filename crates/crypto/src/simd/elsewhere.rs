//! What stands for the kernels on processors for which there are none: proofs that can't be made.

use super::Cpu;
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
}
