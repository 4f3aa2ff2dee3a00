//! Must always fail, within seconds: the proof that a failure is noticed.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| assert!(!input.starts_with(b"fire"), "as it should"));
