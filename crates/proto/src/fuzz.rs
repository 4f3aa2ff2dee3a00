//! What the targets in `fuzz/` call. The bodies are here, so that they are linted and change with the code.
//!
//! Each takes any bytes and panics if something does not hold.

pub use crate::host::wire::harmless::wire;
