//! Each role replays transcripts that others made, byte for byte, with the randomness of the transcript.

use std::sync::Arc;

use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_crypto::{ige, tmp_aes};
use heliogram_tl::{Deserialize, Serialize, mtproto};
use serde_json::Value;

use crate::cx::{Mono, Now, Unix};
use crate::exchange::client::{self, AwaitResPq, Outcome};
use crate::exchange::plain;
use crate::exchange::server::{AwaitReqDh, Config, Dcs, Keyring, Query, Rejected, Step};
use crate::exchange::testing::{
    NOW_S, Script, TERM, array, client_config, hex, random, server_config, server_key, vectors,
};
use crate::ids::Salt;
use crate::port::KeyKind;

#[test]
fn server_writes_every_answer_of_every_transcript() {
    for transcript in transcripts() {
        replay_as_server(&transcript);
    }
}

#[test]
fn client_writes_every_query_of_every_transcript() {
    for transcript in transcripts() {
        replay_as_client(&transcript);
    }
}

#[test]
fn envelopes_of_every_transcript_parse_and_are_rebuilt() {
    for transcript in transcripts() {
        for message in transcript["messages"].as_array().unwrap() {
            let payload = hex(&message["message"]);
            let parsed = plain::parse(&payload).unwrap();
            assert_eq!(parsed.body, hex(&message["tl"]));
            assert_eq!(plain::build(parsed.msg_id, parsed.body), payload);
        }
    }
}

#[test]
fn client_follows_the_handshake_that_telegram_published_with_its_random_tails() {
    let sample = vectors("official_sample.json");
    let nonce: [u8; 16] = array(&sample["nonce"]);
    let server_nonce: [u8; 16] = array(&sample["server_nonce"]);
    let config = client::Config {
        keys: vec![production_key()],
        ..client_config()
    };

    let (state, query) = AwaitResPq::begin(config, &mut Script::new(&[&nonce]));
    assert_eq!(query, hex(&sample["req_pq_multi"])[20..]);

    let answer = with_tail(hex(&sample["resPQ_body"]), 168);
    let (state, query) = state
        .handle(&answer)
        .unwrap()
        .run(&mut Script::new(&[&hex(&sample["new_nonce"])]))
        .unwrap();
    let published = hex(&sample["req_DH_params_body"]);
    assert_eq!(query.len(), published.len());
    assert_eq!(query[..64], published[..64], "all but encrypted_data");

    let answer = mtproto::ServerDhParamsOk {
        nonce,
        server_nonce,
        encrypted_answer: &hex(&sample["encrypted_answer"]),
    };
    let mut script = Script::new(&[&hex(&sample["b"]), &hex(&sample["client_padding"])]);
    let (state, query) = state
        .handle(&with_tail(answer.to_bytes(), 708), at(1_707_425_100))
        .unwrap()
        .run(&mut script)
        .unwrap();
    assert!(script.is_exhausted());
    let query = mtproto::SetClientDhParams::from_bytes(&query).unwrap();
    assert_eq!(query.encrypted_data, hex(&sample["encrypted_client_data"]));

    let answer = mtproto::DhGenOk {
        nonce,
        server_nonce,
        new_nonce_hash1: array(&sample["new_nonce_hash1"]),
    };
    let Outcome::Made(made) = state.handle(&with_tail(answer.to_bytes(), 116)).unwrap() else {
        panic!("dh_gen_ok makes a key");
    };
    assert_eq!(made.key.expose()[..], hex(&sample["auth_key"]));
    assert_eq!(
        made.key.id().0,
        i64::from_le_bytes(array(&sample["auth_key_id"]))
    );
    assert_eq!(
        made.first_salt,
        Salt(i64::from_le_bytes(array(&sample["server_salt"])))
    );
    assert_eq!(made.time_offset_s, 5);
}

#[test]
fn server_reads_the_padded_data_of_other_implementations() {
    let vectors = vectors("rsa_pad.json");
    for (kind, padding) in [
        ("rsa_pad", Padding::RsaPad),
        ("legacy_sha1_padding", Padding::Legacy),
    ] {
        for case in vectors[kind].as_array().unwrap() {
            let encrypted = array(&case["encrypted_data"]);
            let opened = heliogram_crypto::rsa_pad::open(&server_key(), &encrypted).unwrap();
            let data = hex(&case["data"]);
            assert_eq!(opened.padding(), padding);
            assert!(opened.data().starts_with(&data) && opened.accepts(data.len()));
        }
    }
}

fn replay_as_server(transcript: &Value) {
    let secrets = &transcript["secrets"];
    let mut messages = transcript["messages"].as_array().unwrap().iter();
    let mut next = || hex(&messages.next().unwrap()["tl"]);
    let config = Arc::new(Config {
        dcs: Dcs::Any,
        ..server_config()
    });

    let (query, first) = (next(), next());
    let Query::ReqPq { nonce } = Query::parse(&query).unwrap().0 else {
        panic!("a transcript begins with req_pq_multi");
    };
    let server_nonce = array(&secrets["server_nonce"]);
    let state = AwaitReqDh::resume(
        nonce,
        server_nonce,
        number(&secrets["p"]),
        number(&secrets["q"]),
    );
    let offered = mtproto::ResPq::from_bytes(&first).unwrap();
    let offered: Vec<i64> = offered.server_public_key_fingerprints.iter().collect();
    assert_eq!(
        state.res_pq(&Keyring::offering(&offered, server_key())),
        first
    );

    let (query, answer) = (next(), next());
    let Query::Step(Step::ReqDhParams(query)) = Query::parse(&query).unwrap().0 else {
        panic!("req_DH_params follows");
    };
    let padding = &hex(&secrets["answer_with_hash"])[20 + 564..];
    let mut script = Script::new(&[&hex(&secrets["a"]), padding]);
    let agreed = state
        .handle(&query, &config)
        .unwrap()
        .run(&mut script)
        .unwrap();
    let server_time = secrets["server_time"].as_u64().unwrap();
    let (mut state, written) = agreed.answer(at(server_time), &mut script).unwrap();
    assert_eq!(written, answer);
    assert!(script.is_exhausted());

    for retry in secrets["retries"].as_array().unwrap() {
        let (query, answer) = (next(), next());
        let derived = state.handle(&set_client_dh_params(&query)).unwrap().run();
        let record = derived.record(at(NOW_S), &TERM.into()).unwrap();
        assert_eq!(record.key.expose()[..], hex(&retry["auth_key"]));
        let Rejected::Retry {
            next,
            answer: written,
        } = derived.reject()
        else {
            panic!("the first rejection asks for another try");
        };
        assert_eq!(written, answer);
        state = next;
    }

    let (query, answer) = (next(), next());
    let derived = state.handle(&set_client_dh_params(&query)).unwrap().run();
    let record = derived.record(at(NOW_S), &TERM.into()).unwrap();
    assert_eq!(record.key.expose()[..], hex(&secrets["auth_key"]));
    assert_eq!(
        record.facts.id.0,
        i64::from_le_bytes(array(&secrets["auth_key_id"]))
    );
    assert_eq!(
        record.facts.dc,
        secrets["dc"].as_i64().map(|dc| i32::try_from(dc).unwrap())
    );
    let salt = record.facts.first_salt.unwrap().salt;
    assert_eq!(
        salt,
        Salt(i64::from_le_bytes(array(&secrets["server_salt"])))
    );
    let kind = secrets["expires_in"]
        .as_u64()
        .map_or(KeyKind::Permanent, |life_s| KeyKind::Temporary {
            expires_at_unix_s: u32::try_from(NOW_S + life_s).unwrap(),
        });
    assert_eq!(record.facts.kind, kind);
    assert_eq!(derived.accept(), answer);
}

fn replay_as_client(transcript: &Value) {
    let secrets = &transcript["secrets"];
    let mut messages = transcript["messages"].as_array().unwrap().iter();
    let mut next = || hex(&messages.next().unwrap()["tl"]);
    let config = client::Config {
        dc: secrets["dc"].as_i64().map(|dc| i32::try_from(dc).unwrap()),
        expires_in_s: secrets["expires_in"]
            .as_i64()
            .map(|life| i32::try_from(life).unwrap()),
        padding: match secrets["rsa_padding"].as_str().unwrap() {
            "pad" => Padding::RsaPad,
            _ => Padding::Legacy,
        },
        ..client_config()
    };

    let (state, query) = AwaitResPq::begin(config, &mut Script::new(&[&hex(&secrets["nonce"])]));
    assert_eq!(query, next());

    let mut script = Script::new(&[&hex(&secrets["new_nonce"]), &rsa_randomness(transcript)]);
    let (state, query) = state.handle(&next()).unwrap().run(&mut script).unwrap();
    assert_eq!(query, next());
    assert!(script.is_exhausted());

    let mut exponents = exponents(transcript).into_iter();
    let job = state.handle(&next(), at(NOW_S)).unwrap();
    let expected = next();
    let mut script = Script::new(&[
        &exponents.next().unwrap(),
        &client_padding(secrets, &expected),
    ]);
    let (mut state, mut query) = job.run(&mut script).unwrap();
    let made = loop {
        assert!(script.is_exhausted());
        match state.handle(&next()).unwrap() {
            Outcome::Made(made) => break made,
            Outcome::Again(round) => {
                let expected = next();
                let padding = client_padding(secrets, &expected);
                script = Script::new(&[&exponents.next().unwrap(), &padding]);
                (state, query) = round.run(&mut script).unwrap();
                assert_eq!(query, expected);
            }
        }
    };
    let before_last = transcript["messages"]
        .as_array()
        .unwrap()
        .iter()
        .nth_back(1)
        .unwrap();
    assert_eq!(query, hex(&before_last["tl"]));
    assert_eq!(made.key.expose()[..], hex(&secrets["auth_key"]));
    assert_eq!(
        made.first_salt,
        Salt(i64::from_le_bytes(array(&secrets["server_salt"])))
    );
    let server_time = secrets["server_time"].as_u64().unwrap();
    assert_eq!(
        made.time_offset_s,
        i64::try_from(server_time - NOW_S).unwrap()
    );
    let life_s = secrets["expires_in"].as_u64();
    assert_eq!(
        made.expires_at_unix_s.map(u64::from),
        life_s.map(|life| server_time + life)
    );
}

fn transcripts() -> Vec<Value> {
    let transcripts = vectors("handshake.json")["transcripts"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(transcripts.len(), 7);
    transcripts
}

/// What the client drew for the padding of its inner data, in the order in which we draw it.
fn rsa_randomness(transcript: &Value) -> Vec<u8> {
    let secrets = &transcript["secrets"];
    match secrets["rsa"].get("temp_key") {
        Some(temp_key) => [hex(&secrets["rsa_random_padding"]), hex(temp_key)].concat(),
        None => hex(&transcript["client_random"]["urandom_calls_in_order"][2]),
    }
}

fn exponents(transcript: &Value) -> Vec<Vec<u8>> {
    let drawn = &transcript["client_random"];
    match drawn.get("urandom_calls_in_order") {
        Some(calls) => vec![hex(&calls[3])],
        None => match drawn["b"].as_array() {
            Some(several) => several.iter().map(hex).collect(),
            None => vec![hex(&drawn["b"])],
        },
    }
}

/// What the client drew behind `client_DH_inner_data`.
fn client_padding(secrets: &Value, query: &[u8]) -> Vec<u8> {
    let tmp = tmp_aes::derive(
        &array(&secrets["new_nonce"]),
        &array(&secrets["server_nonce"]),
    );
    let mut data = set_client_dh_params(query).encrypted_data.to_vec();
    ige::decrypt(tmp.key(), tmp.iv(), &mut data).unwrap();
    data[20 + 304..].to_vec()
}

fn set_client_dh_params(query: &[u8]) -> mtproto::SetClientDhParams<'_> {
    let Query::Step(Step::SetClientDhParams(query)) = Query::parse(query).unwrap().0 else {
        panic!("set_client_DH_params follows");
    };
    query
}

/// The key that the published handshake uses.
fn production_key() -> PublicKey {
    let vectors = vectors("rsa_fingerprints.json");
    let keys = vectors["keys"].as_array().unwrap();
    keys.iter()
        .filter(|key| hex(&key["n"]).len() == 256)
        .map(|key| PublicKey::new(&array(&key["n"]), 65537).unwrap())
        .find(|key| key.fingerprint().cast_unsigned() == 0xd09d_1d85_de64_fd85)
        .unwrap()
}

/// Pads a body with random bytes up to the length that the real server wrote.
fn with_tail(mut body: Vec<u8>, length: usize) -> Vec<u8> {
    use rand_core::Rng;

    let start = body.len();
    body.resize(length, 0);
    random(7).fill_bytes(&mut body[start..]);
    body
}

fn number(value: &Value) -> u32 {
    u32::from_be_bytes(array(value))
}

fn at(unix_s: u64) -> Now {
    Now {
        mono: Mono(0),
        unix: Unix::from_seconds(unix_s),
    }
}
