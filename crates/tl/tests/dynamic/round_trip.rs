//! What is written is what others read, and comes back.

use heliogram_tl::dynamic::{Catalog, Value};
use heliogram_tl::{Error, Reader, Serialize};

use crate::peer;
use crate::random::{Maker, Optional};

#[test]
fn every_constructor_of_the_layer_is_read_and_written_back_by_types_that_others_generated() {
    let catalog = Catalog::of_layer();
    let mut maker = Maker::new(&catalog);
    let types = peer::types();
    let mut compared = 0;
    for declaration in catalog.constructors() {
        let id = declaration.id_or_checksum();
        let Some(rewrite) = types.get(&id) else {
            assert_eq!(declaration.result.text(), "Bool", "{declaration}");
            continue;
        };
        let all = [
            Optional::All,
            Optional::None,
            Optional::Some,
            Optional::Some,
        ];
        for (seed, optional) in (0..).zip(all) {
            maker.reseed(u64::from(id) << 8 | seed);
            let object = maker.object(declaration, true, optional, 3);
            let bytes = object.to_bytes();

            let rewritten = rewrite(&bytes[4..]);
            assert_eq!(
                rewritten.as_deref(),
                Ok(&bytes[4..]),
                "{declaration}: {object:?}"
            );
            let read = catalog.read_all(&bytes, declaration.result);
            assert_eq!(read, Ok(Value::Object(object)), "{declaration}");
        }
        compared += 1;
    }
    // All but boolTrue and boolFalse, which are a type of their own in every language.
    assert_eq!(compared, 1538);
}

#[test]
fn every_method_of_the_layer_comes_back_as_it_was_written() {
    let catalog = Catalog::of_layer();
    let mut maker = Maker::new(&catalog);
    for declaration in catalog.methods() {
        for (seed, optional) in (0..).zip([Optional::All, Optional::None, Optional::Some]) {
            maker.reseed(u64::from(declaration.id_or_checksum()) << 8 | seed);
            let call = maker.object(declaration, true, optional, 3);
            let bytes = call.to_bytes();
            let mut r = Reader::new(&bytes);
            assert_eq!(catalog.read_any(&mut r), Ok(call), "{declaration}");
            assert_eq!(r.finish(), Ok(()));
        }
    }
    assert_eq!(catalog.methods().count(), 754);
}

#[test]
fn every_sample_of_other_implementations_comes_back_as_it_was_and_no_cut_of_it_is_read() {
    let catalog = Catalog::of_layer();
    let vectors: serde_json::Value = serde_json::from_str(LAYER_222).unwrap();
    let samples = vectors["samples"].as_array().unwrap();
    for case in samples {
        let sample = hex(case["hex"].as_str().unwrap());
        let mut r = Reader::new(&sample);
        let object = catalog.read_any(&mut r).unwrap();
        assert_eq!(r.finish(), Ok(()), "{}", case["name"]);
        assert_eq!(object.to_bytes(), sample, "{}", case["name"]);
        for len in 0..sample.len() {
            let cut = catalog.read_any(&mut Reader::new(&sample[..len]));
            assert_eq!(cut, Err(Error::UnexpectedEnd), "{}: {len}", case["name"]);
        }
    }
    assert!(samples.len() > 36);
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

const LAYER_222: &str = include_str!("../../../../testdata/vectors/tl_layer222.json");
