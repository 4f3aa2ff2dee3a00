//! A client and a server that mean well.

use core::time::Duration;
use std::sync::Arc;

use heliogram_crypto::rsa_pad::Padding;

use crate::exchange::client::{self, AwaitDhGen, AwaitResPq, Error, Made, Outcome};
use crate::exchange::server::{
    AwaitClientDh, AwaitReqDh, Config, Dcs, Derived, Query, Rejected, Step,
};
use crate::exchange::testing::{NOW_S, TERM, client_config, now, random, server_config};
use crate::limits::{DH_RETRIES_MAX, TEMP_KEY_LIFE_S_MAX};
use crate::port::{KeyKind, KeyRecord};

#[test]
fn both_ends_agree_on_every_kind_of_key() {
    for dc in [None, Some(2), Some(10_002), Some(-2), Some(-10_002)] {
        for expires_in_s in [None, Some(3600)] {
            for padding in [Padding::RsaPad, Padding::Legacy] {
                let config = client::Config {
                    dc,
                    expires_in_s,
                    padding,
                    ..client_config()
                };
                let (made, record) = exchange(config);

                assert_eq!(made.key, record.key);
                assert_eq!(record.facts.id, made.key.id());
                assert_eq!(record.facts.dc, dc);
                assert_eq!(record.facts.perm, None);
                assert_eq!(record.created_at_unix_s, NOW_S);
                let first = record.facts.first_salt.unwrap();
                assert_eq!(first.salt, made.first_salt);
                assert_eq!((first.term, first.since_unix_s), (TERM, NOW_S));
                match record.facts.kind {
                    KeyKind::Permanent => assert_eq!(made.expires_at_unix_s, None),
                    KeyKind::Temporary { expires_at_unix_s } => {
                        assert_eq!(made.expires_at_unix_s, Some(expires_at_unix_s));
                    }
                }
            }
        }
    }
}

#[test]
fn temporary_key_lives_as_long_as_asked_but_no_longer_than_a_day() {
    for (asked, granted) in [
        (1, 1),
        (TEMP_KEY_LIFE_S_MAX - 1, TEMP_KEY_LIFE_S_MAX - 1),
        (TEMP_KEY_LIFE_S_MAX, TEMP_KEY_LIFE_S_MAX),
        (TEMP_KEY_LIFE_S_MAX + 1, TEMP_KEY_LIFE_S_MAX),
        (i32::MAX.cast_unsigned(), TEMP_KEY_LIFE_S_MAX),
    ] {
        let config = client::Config {
            expires_in_s: Some(asked.cast_signed()),
            ..client_config()
        };
        let (_, record) = exchange(config);
        let expires_at_unix_s = u32::try_from(NOW_S).unwrap() + granted;
        assert_eq!(
            record.facts.kind,
            KeyKind::Temporary { expires_at_unix_s },
            "asked {asked}"
        );
    }
}

#[test]
fn after_five_retries_the_sixth_try_may_still_succeed() {
    let (mut client, mut query, mut server) = up_to_client_dh(client_config());
    for _ in 0..DH_RETRIES_MAX {
        let Rejected::Retry { next, answer } = derive(server, &query).reject() else {
            panic!("a retry is left");
        };
        let Outcome::Again(round) = client.handle(&answer).unwrap() else {
            panic!("dh_gen_retry asks for another round");
        };
        server = next;
        (client, query) = round.run(&mut random(9)).unwrap();
    }
    let derived = derive(server, &query);
    let record = derived.record(now(Duration::ZERO), &TERM.into()).unwrap();
    let Outcome::Made(made) = client.handle(&derived.accept()).unwrap() else {
        panic!("dh_gen_ok makes a key");
    };
    assert_eq!(made.key, record.key);
}

#[test]
fn a_sixth_rejection_fails_the_exchange() {
    let (mut client, mut query, mut server) = up_to_client_dh(client_config());
    for _ in 0..DH_RETRIES_MAX {
        let Rejected::Retry { next, answer } = derive(server, &query).reject() else {
            panic!("a retry is left");
        };
        let Outcome::Again(round) = client.handle(&answer).unwrap() else {
            panic!("dh_gen_retry asks for another round");
        };
        server = next;
        (client, query) = round.run(&mut random(9)).unwrap();
    }
    let Rejected::Fail { answer } = derive(server, &query).reject() else {
        panic!("no retry is left");
    };
    assert_eq!(client.handle(&answer).unwrap_err(), Error::Failed);
}

#[test]
fn a_deferred_try_can_be_repeated() {
    let (client, query, server) = up_to_client_dh(client_config());
    let server = derive(server, &query).defer();
    let answer = derive(server, &query).accept();
    assert!(matches!(client.handle(&answer), Ok(Outcome::Made(_))));
}

#[test]
fn client_learns_how_far_its_clock_is_off() {
    for slow_s in [0, 1, 86_400] {
        let (mut rng, config) = (random(5), Arc::new(server_config()));
        let (client, query) = AwaitResPq::begin(client_config(), &mut rng);
        let server = begin(&query);
        let answer = server.res_pq(&config.keys);
        let (client, query) = client.handle(&answer).unwrap().run(&mut rng).unwrap();
        let Query::Step(Step::ReqDhParams(query)) = Query::parse(&query).unwrap().0 else {
            panic!("req_DH_params follows");
        };
        let agreed = server
            .handle(&query, &config)
            .unwrap()
            .run(&mut rng)
            .unwrap();
        let ahead = now(Duration::from_secs(slow_s));
        let (server, answer) = agreed.answer(ahead, &mut rng).unwrap();
        let job = client.handle(&answer, now(Duration::ZERO)).unwrap();
        let (client, query) = job.run(&mut rng).unwrap();
        let Outcome::Made(made) = client.handle(&derive(server, &query).accept()).unwrap() else {
            panic!("dh_gen_ok makes a key");
        };
        assert_eq!(made.time_offset_s, i64::try_from(slow_s).unwrap());
    }
}

#[test]
fn data_centre_is_served_as_production_test_and_media() {
    let listed = Dcs::Listed(vec![1, 2]);
    for (named, served) in [
        (1, true),
        (2, true),
        (-2, true),
        (10_002, true),
        (-10_002, true),
        (0, false),
        (3, false),
        (-3, false),
        (10_003, false),
        (20_002, false),
        (i32::MIN, false),
    ] {
        assert_eq!(listed.serves(named), served, "{named}");
        assert!(Dcs::Any.serves(named));
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let (client, _, server) = up_to_client_dh(client_config());
    for text in [format!("{client:?}"), format!("{server:?}")] {
        assert!(text.contains("SecretBytes<32>(…)"), "{text}");
        assert!(text.contains("AesKeyIv(…)"), "{text}");
    }
}

/// Runs a whole exchange.
fn exchange(config: client::Config) -> (Made, KeyRecord) {
    let (client, query, server) = up_to_client_dh(config);
    let derived = derive(server, &query);
    let record = derived.record(now(Duration::ZERO), &TERM.into()).unwrap();
    let Outcome::Made(made) = client.handle(&derived.accept()).unwrap() else {
        panic!("dh_gen_ok makes a key");
    };
    (made, record)
}

/// Runs an exchange until the client has made `set_client_DH_params`.
pub(super) fn up_to_client_dh(config: client::Config) -> (AwaitDhGen, Vec<u8>, AwaitClientDh) {
    let (mut rng, served) = (random(4), Arc::new(server_config()));
    let (client, query) = AwaitResPq::begin(config, &mut rng);
    let server = begin(&query);
    let answer = server.res_pq(&served.keys);
    let (client, query) = client.handle(&answer).unwrap().run(&mut rng).unwrap();
    let (server, answer) = agree(server, &query, &served);
    let job = client.handle(&answer, now(Duration::ZERO)).unwrap();
    let (client, query) = job.run(&mut rng).unwrap();
    (client, query, server)
}

pub(super) fn begin(query: &[u8]) -> AwaitReqDh {
    let Query::ReqPq { nonce } = Query::parse(query).unwrap().0 else {
        panic!("an exchange begins with req_pq_multi");
    };
    AwaitReqDh::begin(nonce, &mut random(1))
}

pub(super) fn agree(
    server: AwaitReqDh,
    query: &[u8],
    config: &Arc<Config>,
) -> (AwaitClientDh, Vec<u8>) {
    let Query::Step(Step::ReqDhParams(query)) = Query::parse(query).unwrap().0 else {
        panic!("req_DH_params follows");
    };
    let agreed = server
        .handle(&query, config)
        .unwrap()
        .run(&mut random(2))
        .unwrap();
    agreed.answer(now(Duration::ZERO), &mut random(3)).unwrap()
}

pub(super) fn derive(server: AwaitClientDh, query: &[u8]) -> Derived {
    let Query::Step(Step::SetClientDhParams(query)) = Query::parse(query).unwrap().0 else {
        panic!("set_client_DH_params follows");
    };
    server.handle(&query).unwrap().run()
}
