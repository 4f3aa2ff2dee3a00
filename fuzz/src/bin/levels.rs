//! Every level of the vector code gives the same envelopes and the same answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heliogram_crypto::fuzz::levels(input));
