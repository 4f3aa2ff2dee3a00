//! Parts on their way up.

use grammers_tl_types::enums;
use grammers_tl_types::functions::upload::{SaveBigFilePart, SaveFilePart};
use grammers_tl_types::types::{InputFile, InputFileBig};

use super::{ask, backend};
use crate::backend::{Backend, generated};

const KIB: usize = 1 << 10;

#[test]
fn parts_that_came_in_any_order_make_a_file() {
    let backend = backend();
    let bytes = generated(1, 0, 2 * KIB + 100);
    for part in [2, 0, 1] {
        let begin = part * KIB;
        let end = bytes.len().min(begin + KIB);
        assert_eq!(save(&backend, part, &bytes[begin..end]), Ok(true));
    }
    let content = finish(&backend, 3).unwrap();
    assert_eq!(content, bytes);
    assert_eq!(
        finish(&backend, 3),
        Err("FILE_PARTS_INVALID".to_owned()),
        "gone"
    );
}

#[test]
fn a_part_has_1_to_524288_bytes() {
    let backend = backend();
    assert_eq!(save(&backend, 0, &[]), refused("FILE_PART_EMPTY"));
    assert_eq!(save(&backend, 0, &[1]), Ok(true));
    assert_eq!(save(&backend, 0, &vec![0; 512 * KIB]), Ok(true));
    let longer = vec![0; 512 * KIB + 1];
    assert_eq!(save(&backend, 0, &longer), refused("FILE_PART_TOO_BIG"));
}

#[test]
fn a_part_that_is_not_the_last_divides_512_kib_into_kibibytes() {
    for (bytes, outcome) in [
        (KIB, Ok(true)),
        (512 * KIB, Ok(true)),
        (KIB - 1, refused("FILE_PART_SIZE_INVALID")),
        (3 * KIB, refused("FILE_PART_SIZE_INVALID")),
        (1536, refused("FILE_PART_SIZE_INVALID")),
    ] {
        assert_eq!(
            save_big(&backend(), 0, 2, &vec![0; bytes]),
            outcome,
            "{bytes}"
        );
    }
}

#[test]
fn all_parts_but_the_last_are_equally_long_and_the_last_is_no_longer() {
    let backend = backend();
    assert_eq!(save_big(&backend, 0, 3, &[0; 2 * KIB]), Ok(true));
    let changed = || refused("FILE_PART_SIZE_CHANGED");
    assert_eq!(save_big(&backend, 1, 3, &[0; KIB]), changed());
    assert_eq!(save_big(&backend, 1, 3, &[0; 2 * KIB]), Ok(true));
    assert_eq!(save_big(&backend, 2, 3, &[0; 2 * KIB + 1]), changed());
    assert_eq!(save_big(&backend, 2, 3, &[0; 2 * KIB]), Ok(true));
}

#[test]
fn sizes_that_could_not_be_seen_before_are_seen_at_the_end() {
    let backend = backend();
    // Each may be the last when it comes.
    for (part, bytes) in [(0, 2 * KIB), (1, KIB), (2, KIB)] {
        assert_eq!(save(&backend, part, &vec![0; bytes]), Ok(true));
    }
    assert_eq!(
        finish(&backend, 3),
        Err("FILE_PART_SIZE_CHANGED".to_owned())
    );
}

#[test]
fn part_3999_is_the_last_of_any_file() {
    let backend = backend();
    assert_eq!(save(&backend, 3999, &[0]), Ok(true));
    assert_eq!(save(&backend, 4000, &[0]), refused("FILE_PART_INVALID"));
}

#[test]
fn a_big_file_has_the_parts_that_it_says() {
    let backend = backend();
    assert_eq!(
        save_big(&backend, 0, 0, &[0]),
        refused("FILE_PARTS_INVALID")
    );
    assert_eq!(
        save_big(&backend, 0, 4001, &[0]),
        refused("FILE_PARTS_INVALID")
    );
    assert_eq!(save_big(&backend, 2, 2, &[0]), refused("FILE_PART_INVALID"));
    assert_eq!(save_big(&backend, 1, 2, &[0]), Ok(true));
    assert_eq!(
        save_big(&backend, 0, 3, &[0]),
        refused("FILE_PARTS_INVALID")
    );
    assert_eq!(save_big(&backend, 0, -1, &[0; KIB]), Ok(true), "not known");
    assert_eq!(
        save(&backend, 0, &[0; KIB]),
        refused("FILE_PARTS_INVALID"),
        "not big"
    );
}

#[test]
fn a_part_that_is_missing_is_named() {
    let backend = backend();
    assert_eq!(save(&backend, 0, &[0; KIB]), Ok(true));
    assert_eq!(save(&backend, 2, &[0]), Ok(true));
    assert_eq!(finish(&backend, 3), Err("FILE_PART_1_MISSING".to_owned()));
}

#[test]
fn a_small_file_may_carry_its_md5_and_then_the_right_one() {
    // Of `abc`, as RFC 1321 has it.
    let right = "900150983cd24fb0d6963f7d28e17f72";
    let wrong = "900150983cd24fb0d6963f7d28e17f73";
    for (md5, outcome) in [
        ("", Ok(b"abc".to_vec())),
        (right, Ok(b"abc".to_vec())),
        (wrong, Err("MD5_CHECKSUM_INVALID".to_owned())),
    ] {
        let backend = backend();
        assert_eq!(save(&backend, 0, b"abc"), Ok(true));
        assert_eq!(finish_with(&backend, 1, md5), outcome, "{md5}");
    }
}

#[test]
fn a_file_that_is_compared_takes_no_memory_and_shows_each_wrong_byte() {
    let backend = backend();
    backend.cloud().files().expect_uploads_of(9);
    let part = 512 * KIB;
    let total = 130;
    for at in (0..total).rev() {
        let bytes = generated(9, at as u64 * part as u64, part);
        let saved = save_big(&backend, at, total.try_into().unwrap(), &bytes);
        assert_eq!(saved, Ok(true));
    }
    let mut wrong = generated(9, 0, part);
    wrong[70_000] ^= 1;
    let saved = save_big(&backend, 0, total.try_into().unwrap(), &wrong);
    assert_eq!(saved, refused("FILE_PART_INVALID"));
    let file = InputFileBig {
        id: 1,
        parts: 130,
        name: String::new(),
    };
    let content = backend.cloud().files().finish(7, &file.into()).unwrap();
    assert_eq!(content.len(), 65 << 20);
}

#[test]
fn more_than_64_mib_that_must_be_kept_is_refused() {
    let backend = backend();
    let part = vec![0; 512 * KIB];
    for at in 0..128 {
        assert_eq!(save_big(&backend, at, 200, &part), Ok(true));
    }
    let refusal = refused("FILE_PARTS_INVALID");
    assert_eq!(save_big(&backend, 128, 200, &part), refusal);
    assert_eq!(
        save_big(&backend, 127, 200, &part),
        refusal,
        "no room to copy into"
    );
}

fn refused(name: &str) -> Result<bool, String> {
    Err(format!("400 {name}"))
}

fn save(backend: &Backend, part: usize, bytes: &[u8]) -> Result<bool, String> {
    let method = SaveFilePart {
        file_id: 1,
        file_part: part.try_into().unwrap(),
        bytes: bytes.to_vec(),
    };
    ask(backend, &method)
}

fn save_big(backend: &Backend, part: usize, total: i32, bytes: &[u8]) -> Result<bool, String> {
    let method = SaveBigFilePart {
        file_id: 1,
        file_part: part.try_into().unwrap(),
        file_total_parts: total,
        bytes: bytes.to_vec(),
    };
    ask(backend, &method)
}

fn finish(backend: &Backend, parts: i32) -> Result<Vec<u8>, String> {
    finish_with(backend, parts, "")
}

fn finish_with(backend: &Backend, parts: i32, md5: &str) -> Result<Vec<u8>, String> {
    let file = enums::InputFile::File(InputFile {
        id: 1,
        parts,
        name: String::new(),
        md5_checksum: md5.to_owned(),
    });
    let finished = backend.cloud().files().finish(7, &file);
    finished
        .map(|it| it.read(0, usize::MAX))
        .map_err(|it| it.message)
}
