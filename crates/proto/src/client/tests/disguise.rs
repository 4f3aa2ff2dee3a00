//! Connections in disguise, as an engine opens them.

use core::slice::from_ref;
use core::time::Duration;

use super::permanent;
use crate::client::{Config, Effect, Engine, Input, Saved};
use crate::cx::{Cx, Mono, Now, Unix};
use crate::exchange::testing::{NOW_S, random, server_key};
use crate::ids::{Salt, SessionId};
use crate::transport::Framing;
use crate::transport::client::{Config as TransportConfig, Disguise};
use crate::transport::fake_tls::{DisguisedSecret, recognize};

#[test]
fn a_greeting_in_disguise_carries_the_servers_time_of_its_connection() {
    let secret = DisguisedSecret::new(&[7; 16], b"example.org").unwrap();
    let disguise = Disguise {
        secret: secret.clone(),
        unix_s: 0,
    };
    let transport = TransportConfig::new(Framing::PaddedIntermediate).disguised(disguise);
    let config = Config::new(transport, vec![server_key().public().clone()]);
    let saved = Saved {
        key: permanent(),
        salt: Salt(1),
        clock_offset_ns: 3_600_000_000_000,
    };
    let mut engine = Engine::new(config, Some(saved), SessionId(5));
    let mut at = Duration::ZERO;
    for _ in 0..3 {
        let hello = greeting(&mut engine, at);
        let server_s = NOW_S + at.as_secs() + 3600;
        let is_taken = |now_s| recognize(&hello, from_ref(&secret), now_s).is_ok();
        assert!(is_taken(server_s - 3) && is_taken(server_s + 600), "{at:?}");
        assert!(
            !is_taken(server_s - 4) && !is_taken(server_s + 601),
            "{at:?}"
        );
        at += Duration::from_mins(20);
    }
}

/// Lets the engine connect at a time after its beginning, and cuts the connection after its first bytes.
fn greeting(engine: &mut Engine, at: Duration) -> Vec<u8> {
    let mut rng = random(7);
    let mut out = Vec::new();
    let mut cx = Cx {
        now: Now {
            mono: Mono(0) + at,
            unix: Unix::from_seconds(NOW_S + at.as_secs()),
        },
        rng: &mut rng,
        out: &mut out,
    };
    engine.start(&mut cx);
    engine.handle_deadline(&mut cx);
    engine.handle(Input::Connected, &mut cx);
    engine.handle(Input::Disconnected, &mut cx);
    let sent = out.into_iter().find_map(|effect| {
        if let Effect::Send(bytes) = effect {
            Some(bytes)
        } else {
            None
        }
    });
    sent.unwrap()
}
