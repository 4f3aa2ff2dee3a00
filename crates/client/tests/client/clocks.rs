//! A client whose clock is wrong.

use std::sync::Arc;

use heliogram_client::storage::Memory;
use heliogram_client::{Builder, Clock};

use crate::server::{Count, Server};

#[tokio::test]
async fn a_clock_ten_minutes_wrong_in_either_direction_makes_keys_and_calls() {
    let server = Server::start();
    for seconds in WRONG_BY {
        let wrong = Clock::start().shifted(seconds);
        for of in [with_forward_secrecy, Builder::without_forward_secrecy] {
            let client = of(server.client().clock(wrong)).connect().await.unwrap();
            for token in 0..10 {
                assert_eq!(client.invoke(&Count(token)).await, Ok(token), "{seconds}");
            }
            client.shutdown().await;
        }
    }
    let runs = server.backend.runs();
    assert!(runs.values().all(|&times| times == 4), "{runs:?}");
}

#[tokio::test]
async fn a_clock_that_was_put_ten_minutes_wrong_since_the_key_was_kept_is_seen_through() {
    for seconds in WRONG_BY {
        let server = Server::start();
        let storage = Arc::new(Memory::new());
        for clock in [Clock::start(), Clock::start().shifted(seconds)] {
            let builder = server.client().storage(Arc::<Memory>::clone(&storage));
            // Without an exchange, which would tell the time.
            let builder = builder.clock(clock).without_forward_secrecy();
            let client = builder.connect().await.unwrap();
            for token in 0..10 {
                assert_eq!(client.invoke(&Count(token)).await, Ok(token), "{seconds}");
            }
            client.shutdown().await;
        }
        let runs = server.backend.runs();
        assert!(runs.values().all(|&times| times == 2), "{runs:?}");
    }
}

fn with_forward_secrecy(builder: Builder) -> Builder {
    builder
}

const WRONG_BY: [i64; 2] = [-600, 600];
