//! What stands for `ifma` on processors that can't have it: a proof that can't be made.

use rand_core::CryptoRng;

use crate::SecretBytes;
use crate::bn::{Factors, Number2048};

/// As many as elsewhere, though there are none.
pub(crate) const LANES: usize = 8;

/// Never there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ifma {}

impl Ifma {
    pub(crate) fn current() -> Option<Self> {
        None
    }
}

/// Never there.
pub(crate) struct Group(Ifma);

impl Group {
    pub(crate) fn new(proof: Ifma, _: &Number2048, _: &Number2048) -> Self {
        Self(proof)
    }

    pub(crate) fn powers_of_base(&self, _: &[&SecretBytes<256>]) -> Vec<SecretBytes<256>> {
        match self.0 {}
    }

    pub(crate) fn powers(&self, _: &[(&Number2048, &SecretBytes<256>)]) -> Vec<SecretBytes<256>> {
        match self.0 {}
    }
}

/// Never there.
pub(crate) struct Private(Ifma);

impl Private {
    pub(crate) fn new(proof: Ifma, _: &Number2048, _: Factors) -> Self {
        Self(proof)
    }

    pub(crate) fn raw(
        &self,
        _: &mut Option<Blinding>,
        _: &[&Number2048],
        _: &mut dyn CryptoRng,
    ) -> Vec<Option<SecretBytes<256>>> {
        match self.0 {}
    }
}

/// Never there.
pub(crate) struct Blinding {}
