//! Code for the vector units of particular processors, chosen at run time: with [`crate::bn`] the only unsafe code here.
//!
//! Each file is one kind of kernel. What is outside sees safe functions that are the same on every processor, in what
//! they return and in what their time depends on.

pub(crate) mod ifma;
