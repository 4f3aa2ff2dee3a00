//! `pq.json`.

use heliogram_crypto::pq;

use crate::support::{hex, list, load};

#[test]
fn products_are_factored_and_written_as_others_do() {
    for case in list(&load("pq"), "cases") {
        let pq = pq::from_be(&hex(case, "pq")).unwrap();

        let (p, q) = pq::factorize(pq).unwrap();

        assert_eq!(*pq::to_minimal_be(pq), hex(case, "pq"));
        assert_eq!(*pq::to_minimal_be(u64::from(p)), hex(case, "p"));
        assert_eq!(*pq::to_minimal_be(u64::from(q)), hex(case, "q"));
    }
}

#[test]
fn the_product_of_the_published_handshake_is_factored() {
    let sample = load("official_sample");
    let (p, q) = pq::factorize(pq::from_be(&hex(&sample, "pq")).unwrap()).unwrap();
    assert_eq!(
        (p.to_be_bytes().to_vec(), q.to_be_bytes().to_vec()),
        (hex(&sample, "p"), hex(&sample, "q"))
    );
}
