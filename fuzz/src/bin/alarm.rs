//! Must always fail, within seconds: the proof that a failure is noticed.

#![no_main]

// Letter by letter, so that each one that is right is seen as news: guessing all at once would take too long.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let letters = input.iter().zip(b"fire");
    let right = letters
        .take_while(|(letter, wanted)| letter == wanted)
        .count();
    assert!(right < 4, "as it should");
});
