//! The RSA keys that Telegram's own clients are built with.
//!
//! Source: tdlib, `PublicRsaKeySharedMain`.

use heliogram_crypto::rsa::PublicKey;

/// Returns the key of the production environment.
pub(crate) fn production_key() -> PublicKey {
    read(PRODUCTION)
}

/// Returns the key of the test environment.
pub(crate) fn test_key() -> PublicKey {
    read(TEST)
}

#[expect(clippy::expect_used, reason = "a constant, read by a test")]
fn read(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem).expect("the constant is a key")
}

const PRODUCTION: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEA6LszBcC1LGzyr992NzE0ieY+BSaOW622Aa9Bd4ZHLl+TuFQ4lo4g
5nKaMBwK/BIb9xUfg0Q29/2mgIR6Zr9krM7HjuIcCzFvDtr+L0GQjae9H0pRB2OO
62cECs5HKhT5DZ98K33vmWiLowc621dQuwKWSQKjWf50XYFw42h21P2KXUGyp2y/
+aEyZ+uVgLLQbRA1dEjSDZ2iGRy12Mk5gpYc397aYp438fsJoHIgJ2lgMv5h7WY9
t6N/byY9Nw9p21Og3AoXSL2q/2IJ1WRUhebgAdGVMlV1fkuOQoEzR7EdpqtQD9Cs
5+bfo3Nhmcyvk5ftB0WkJ9z6bNZ7yxrP8wIDAQAB
-----END RSA PUBLIC KEY-----
";

const TEST: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAyMEdY1aR+sCR3ZSJrtztKTKqigvO/vBfqACJLZtS7QMgCGXJ6XIR
yy7mx66W0/sOFa7/1mAZtEoIokDP3ShoqF4fVNb6XeqgQfaUHd8wJpDWHcR2OFwv
plUUI1PLTktZ9uW2WE23b+ixNwJjJGwBDJPQEQFBE+vfmH0JP503wr5INS1poWg/
j25sIWeYPHYeOrFp/eXaqhISP6G+q2IeTaWTXpwZj4LzXq5YOpk4bYEQ6mvRq7D1
aHWfYmlEGepfaYR8Q0YqvvhYtMte3ITnuSJs171+GDqpdKcSwHnd6FudwGO4pcCO
j4WcDuXc2CTHgH8gFTNhp/Y8/SpDOhvn9QIDAQAB
-----END RSA PUBLIC KEY-----
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_environment_has_the_key_of_its_fingerprint() {
        let fingerprint = |key: PublicKey| key.fingerprint().cast_unsigned();
        assert_eq!(fingerprint(production_key()), 0xd09d1d85de64fd85);
        assert_eq!(fingerprint(test_key()), 0xb25898df208d2603);
    }
}
