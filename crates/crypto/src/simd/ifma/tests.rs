//! Every result is compared with that of `aws-lc`, whose code shares nothing with this.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::bn;
use crate::dh::PRIME;

#[test]
fn powers_are_those_of_aws_lc_for_every_number_of_lanes() {
    let Some(group) = group() else { return };
    let modulus = bn::Modulus::new(&PRIME).unwrap();
    let mut rng = rng(1);
    for count in 0..=2 * LANES + 1 {
        let numbers: Vec<_> = (0..count)
            .map(|_| (bytes(&mut rng), SecretBytes::random(&mut rng)))
            .collect();
        let pairs: Vec<_> = numbers
            .iter()
            .map(|(base, secret)| (base, secret))
            .collect();
        let powers = group.powers(&pairs);
        assert_eq!(powers.len(), count);
        for (power, (base, secret)) in powers.iter().zip(&numbers) {
            assert!(*power == modulus.exp(base, secret), "{count} lanes");
        }
    }
}

#[test]
fn powers_of_edges_are_those_of_aws_lc() {
    let moduli = [PRIME, [0xff; 256], number(0x80, 1)];
    for modulus in moduli {
        let Some(proof) = Ifma::current() else { return };
        let group = Group::new(proof, &modulus, &number(0, 3));
        let expected = bn::Modulus::new(&modulus).unwrap();
        let less = |by| {
            let mut less = modulus;
            less[255] -= by;
            less
        };
        let bases = [
            number(0, 0),
            number(0, 1),
            number(0, 2),
            less(1),
            modulus,
            [0xff; 256],
        ];
        let exponents = [
            number(0, 0),
            number(0, 1),
            number(0x80, 0),
            [0xff; 256],
            [0x10; 256],
        ]
        .map(SecretBytes::new);
        for base in &bases {
            let pairs: Vec<_> = exponents.iter().map(|exponent| (base, exponent)).collect();
            for (power, exponent) in group.powers(&pairs).iter().zip(&exponents) {
                assert!(*power == expected.exp(base, exponent));
            }
        }
        let exponents: Vec<_> = exponents.iter().collect();
        for (power, exponent) in group.powers_of_base(&exponents).iter().zip(exponents) {
            assert!(*power == expected.exp(&number(0, 3), exponent));
        }
    }
}

#[test]
fn powers_of_the_base_are_those_of_aws_lc_for_each_single_bit_and_at_random() {
    let Some(group) = group() else { return };
    let modulus = bn::Modulus::new(&PRIME).unwrap();
    let mut rng = rng(2);
    let single_bits = (0..2048).step_by(7).map(|bit| {
        SecretBytes::fill_with(|bytes: &mut [u8; 256]| bytes[255 - bit / 8] = 1 << (bit % 8))
    });
    let exponents: Vec<_> = single_bits
        .chain((0..32).map(|_| SecretBytes::random(&mut rng)))
        .collect();
    let borrowed: Vec<_> = exponents.iter().collect();
    for (power, exponent) in group.powers_of_base(&borrowed).iter().zip(&exponents) {
        assert!(*power == modulus.exp(&number(0, 3), exponent));
    }
}

#[test]
fn private_operations_are_those_of_aws_lc_for_every_number_of_lanes_and_while_blinding_wears_out() {
    let Some(proof) = Ifma::current() else { return };
    let rsa = bn::Rsa::generate();
    let (n, _) = rsa.public_parts().unwrap();
    let key = Private::new(proof, &n, rsa.factors().unwrap());
    let mut rng = rng(3);
    let mut blinding = None;
    let mut renewed = 0;
    for count in (0..=LANES + 1).chain([1; 40]) {
        let inputs: Vec<_> = (0..count)
            .map(|_| {
                let mut input = bytes(&mut rng);
                input[0] &= 0x7f;
                input
            })
            .collect();
        let borrowed: Vec<_> = inputs.iter().collect();
        let outputs = key.raw(&mut blinding, &borrowed, &mut rng);
        assert_eq!(outputs.len(), count);
        for (output, input) in outputs.iter().zip(&inputs) {
            assert!(*output == rsa.raw_private(input), "{count} inputs");
        }
        renewed += usize::from(blinding.is_none());
    }
    assert!(renewed >= 2, "at the start, and after 32 uses: {renewed}");
}

#[test]
fn the_least_and_greatest_inputs_are_decrypted_too() {
    let Some(proof) = Ifma::current() else { return };
    let rsa = bn::Rsa::generate();
    let (n, _) = rsa.public_parts().unwrap();
    let key = Private::new(proof, &n, rsa.factors().unwrap());
    let mut greatest = n;
    greatest[255] -= 1;
    let inputs = [number(0, 0), number(0, 1), number(0, 2), greatest];
    let outputs = key.raw(&mut None, &inputs.each_ref(), &mut rng(4));
    assert_eq!(outputs[0].as_ref().unwrap().expose(), &inputs[0]);
    assert_eq!(outputs[1].as_ref().unwrap().expose(), &inputs[1]);
    assert!(outputs[2] == rsa.raw_private(&inputs[2]));
    assert_eq!(
        outputs[3].as_ref().unwrap().expose(),
        &greatest,
        "n - 1 is its own power"
    );
}

#[test]
fn an_operation_that_went_wrong_gives_nothing() {
    let Some(proof) = Ifma::current() else { return };
    let rsa = bn::Rsa::generate();
    let (n, _) = rsa.public_parts().unwrap();
    let mut factors = rsa.factors().unwrap();
    factors.d_p = SecretBytes::new([0x55; 128]);
    let key = Private::new(proof, &n, factors);
    let outputs = key.raw(&mut None, &[&[0x42; 256], &number(0, 0)], &mut rng(5));
    assert!(outputs[0].is_none());
    assert!(
        outputs[1].is_some(),
        "0 is its own power, whatever the exponent"
    );
}

#[test]
fn lanes_do_not_mix() {
    let Some(group) = group() else { return };
    let mut rng = rng(6);
    let one = SecretBytes::fill_with(|bytes: &mut [u8; 256]| bytes[255] = 1);
    let bases: Vec<_> = (0..LANES)
        .map(|_| {
            let mut base = bytes(&mut rng);
            base[0] = 0;
            base
        })
        .collect();
    let pairs: Vec<_> = bases.iter().map(|base| (base, &one)).collect();
    let same: Vec<_> = group
        .powers(&pairs)
        .iter()
        .map(|power| *power.expose())
        .collect();
    assert_eq!(same, bases);
}

fn group() -> Option<&'static Group> {
    static GROUP: LazyLock<Option<Group>> = LazyLock::new(|| {
        let proof = Ifma::current()?;
        Some(Group::new(proof, &PRIME, &number(0, 3)))
    });
    GROUP.as_ref()
}

/// The number that begins with one byte and ends with one, with zeros between.
fn number(first: u8, last: u8) -> Number2048 {
    let mut number = [0; 256];
    number[0] = first;
    number[255] = last;
    number
}

fn bytes(rng: &mut ChaCha20Rng) -> Number2048 {
    let mut bytes = [0; 256];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}
