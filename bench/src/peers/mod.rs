//! Those whose work is measured, where it takes more than a call.

#[cfg(feature = "heliogram")]
pub(crate) mod aws_lc;
#[cfg(feature = "heliogram")]
pub(crate) mod heliogram;
pub(crate) mod latency;
pub(crate) mod plain;
