//! Both sides of each check, and each way to compute beside the others.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

#[test]
fn the_known_prime_goes_with_3_4_and_7_only() {
    for g in 0..=8 {
        let expected = if matches!(g, 3 | 4 | 7) {
            Ok(g)
        } else {
            Err(DhError::Generator)
        };
        assert_eq!(
            check_group(&PRIME, g).map(|group| group.g()),
            expected,
            "g = {g}"
        );
    }
}

/// Modulo a safe prime, g generates the subgroup exactly if it is a square, which Euler's criterion tells.
#[test]
fn generators_of_small_safe_primes_are_told_by_their_residues() {
    let is_prime = |n: u64| {
        (2..n)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
    };
    let safe_primes = (11..3000).filter(|p| is_prime(*p) && is_prime((p - 1) / 2));
    let mut seen = [[0; 2]; 8];
    for p in safe_primes {
        let mut wide = [0; 256];
        *wide.last_chunk_mut().unwrap() = p.to_be_bytes();
        for g in 2..8_u32 {
            let is_square = (0..(p - 1) / 2).fold(1, |power, _| power * u64::from(g) % p) == 1;
            assert_eq!(generates(&wide, g), is_square, "g = {g}, p = {p}");
            seen[g as usize][usize::from(is_square)] += 1;
        }
    }
    // 3 and 4 are squares modulo every safe prime above 7.
    assert!(
        [2, 5, 6, 7]
            .iter()
            .all(|g| seen[*g][0] > 0 && seen[*g][1] > 0),
        "{seen:?}"
    );
}

#[test]
fn another_safe_prime_is_accepted() {
    let prime = rfc_3526();
    assert_eq!(
        check_group(&prime, 2).map(|group| *group.prime()),
        Ok(prime)
    );
    assert_eq!(check_group(&prime, 8).err(), Some(DhError::Generator));
}

#[test]
fn a_proved_prime_is_not_proved_again_and_its_generator_is_still_checked() {
    let prime = rfc_3526();
    // Another test may prove it at the same time, so the first answer may be of the second place.
    let [_, first, again] = [2, 2, 2].map(|g| check_group(&prime, g).unwrap());
    assert!(Arc::ptr_eq(&first.inner, &again.inner));
    assert_eq!(check_group(&prime, 4).map(|group| group.g()), Ok(4));
    assert_eq!(check_group(&prime, 8).err(), Some(DhError::Generator));
}

#[test]
fn a_prime_that_isnt_safe_and_a_composite_are_refused() {
    // The neighbours of the known prime: 4 goes with every prime, so only primality is left to refuse them.
    let mut composite = PRIME;
    composite[255] += 2;
    assert_eq!(
        check_group(&composite, 4).err(),
        Some(DhError::NotSafePrime)
    );
    let mut even = PRIME;
    even[255] -= 1;
    assert_eq!(check_group(&even, 4).err(), Some(DhError::NotSafePrime));
    assert_eq!(
        check_group(&[0xff; 256], 4).err(),
        Some(DhError::NotSafePrime)
    );
}

#[test]
fn a_prime_has_exactly_2048_bits() {
    let mut short = PRIME;
    short[0] &= 0x7f;
    assert_eq!(check_group(&short, 3).err(), Some(DhError::PrimeLength));
    assert_eq!(
        check_group(&PRIME[1..], 3).err(),
        Some(DhError::PrimeLength)
    );
    assert_eq!(
        check_group(&[&[1], &PRIME[..]].concat(), 3).err(),
        Some(DhError::PrimeLength)
    );
    assert_eq!(check_group(&[], 3).err(), Some(DhError::PrimeLength));
}

#[test]
fn a_public_number_of_2_to_the_1984_is_accepted_and_one_less_is_not() {
    let group = Group::known();
    assert_eq!(check_public(&group, &LEAST_PUBLIC), Ok(LEAST_PUBLIC));
    assert_eq!(
        check_public(&group, &[0xff; 248]),
        Err(DhError::PublicRange)
    );
}

#[test]
fn a_public_number_of_p_less_2_to_the_1984_is_accepted_and_one_more_is_not() {
    let group = Group::known();
    let mut number = PRIME;
    number[7] -= 1;
    assert_eq!(check_public(&group, &number), Ok(number));
    number[255] += 1;
    assert_eq!(check_public(&group, &number), Err(DhError::PublicRange));
}

#[test]
fn trivial_public_numbers_are_refused() {
    let group = Group::known();
    let mut one_less = PRIME;
    one_less[255] -= 1;
    for number in [
        &[][..],
        &[0],
        &[1],
        &one_less,
        &PRIME,
        &[0xff; 256],
        &[1; 257],
        &[0; 257],
    ] {
        assert_eq!(check_public(&group, number), Err(DhError::PublicRange));
    }
}

#[test]
fn a_short_public_number_is_padded_to_the_left() {
    let padded = check_public(&Group::known(), &[9; 250]).unwrap();
    assert_eq!(padded[..6], [0; 6]);
    assert_eq!(padded[6..], [9; 250]);
}

#[test]
fn small_powers_are_padded_to_256_bytes() {
    let secret = |last| SecretBytes::fill_with(|bytes: &mut [u8; 256]| bytes[255] = last);
    let group = Group::known();
    assert_eq!(group.public(&secret(0)), number(1));
    assert_eq!(group.public(&secret(3)), number(27));
    assert_eq!(group.shared(&secret(2), &number(5)).expose(), &number(25));
    assert_eq!(group.public_and_shared(&secret(2), &number(5)).0, number(9));
}

#[test]
fn both_ends_get_the_same_key_alone_or_paired() {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let group = Group::known();
    let (a, b) = (SecretBytes::random(&mut rng), SecretBytes::random(&mut rng));
    let g_a = group.public(&a);

    let (g_b, of_client) = group.public_and_shared(&b, &g_a);

    assert_eq!(g_b, group.public(&b));
    assert_eq!(of_client, group.shared(&b, &g_a));
    assert_eq!(of_client, group.shared(&a, &g_b));
}

#[test]
fn many_keys_are_those_made_one_by_one_in_lanes_and_in_pairs() {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let group = Group::known();
    for count in [0, 1, 2, 4, 5, 8, 12, 13] {
        let secrets: Vec<_> = (0..count).map(|_| SecretBytes::random(&mut rng)).collect();
        let publics: Vec<_> = group
            .key_pairs(count, &mut rng)
            .iter()
            .map(|pair| pair.public)
            .collect();
        let all: Vec<_> = secrets.iter().zip(&publics).collect();
        let alone: Vec<_> = all
            .iter()
            .map(|(secret, public)| group.shared(secret, public))
            .collect();
        assert_eq!(group.shared_all(&all), alone);
        let swapped: Vec<_> = all
            .iter()
            .map(|(secret, public)| (*public, *secret))
            .collect();
        let in_pairs = group.powers(&swapped).into_iter();
        assert_eq!(
            in_pairs.map(AuthKey::from_secret).collect::<Vec<_>>(),
            alone
        );
    }
}

#[test]
fn the_public_number_of_a_pair_is_that_of_its_secret() {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let group = Group::known();
    let pairs = group.key_pairs(group.pairs_at_once() + 1, &mut rng);
    assert_eq!(pairs.len(), group.pairs_at_once() + 1);
    for pair in pairs {
        let public = pair.public;
        assert_eq!(group.public(&pair.into_secret()), public);
    }
}

#[test]
fn a_number_that_nobody_checked_is_reduced_rather_than_fatal() {
    let mut one_more = PRIME;
    one_more[255] += 2;
    let secret = SecretBytes::fill_with(|bytes: &mut [u8; 256]| bytes[255] = 3);
    assert_eq!(
        Group::known().shared(&secret, &one_more).expose(),
        &number(8)
    );
    assert_eq!(Group::known().shared(&secret, &PRIME).expose(), &number(0));
}

fn number(small: u8) -> [u8; 256] {
    let mut number = [0; 256];
    number[255] = small;
    number
}

/// The 2048-bit MODP group. Source: RFC 3526, section 3.
fn rfc_3526() -> [u8; 256] {
    let hex = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
    020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
    4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
    ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
    98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
    9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
    e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
    3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";
    let bytes: Vec<u8> = (0..512)
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}
