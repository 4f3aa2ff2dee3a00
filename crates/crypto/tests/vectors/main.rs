//! Known answers that independent implementations gave, one file per file of vectors.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

mod aes;
mod diffie_hellman;
mod message;
mod pq;
mod rsa;
mod support;
mod v1;
