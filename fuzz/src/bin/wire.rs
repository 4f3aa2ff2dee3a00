//! Whatever another session node says is refused, or taken by a host that lives with it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heliogram_proto::fuzz::wire(input));
