//! What stands around a call: wrappers, layers, introductions, and which keys may call what.

use heliogram_crypto::SecretBytes;
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, Term};
use heliogram_proto::port::{KeyKind, Proof, Scope};
use heliogram_tl::{Serialize, api};

use crate::calls::{RESULT, error, packed};
use crate::support::{LINK, METHOD, START_S, World, ping};

#[test]
fn wrappers_are_taken_off_in_any_order() {
    let init = |query: &[u8]| {
        api::InitConnection {
            api_id: 4,
            device_model: b"desk",
            system_version: b"1",
            app_version: b"2",
            system_lang_code: b"en",
            lang_pack: b"",
            lang_code: b"eo",
            proxy: None,
            params: None,
            query,
        }
        .to_bytes()
    };
    let layer = |query: &[u8]| api::InvokeWithLayer { layer: 222, query }.to_bytes();
    let after = |query: &[u8]| api::InvokeAfterMsg { msg_id: 8, query }.to_bytes();
    let quiet = |query: &[u8]| api::InvokeWithoutUpdates { query }.to_bytes();
    let bodies = [
        layer(&init(&after(&quiet(&METHOD)))),
        after(&quiet(&layer(&init(&METHOD)))),
        quiet(&init(&layer(&after(&packed(&METHOD))))),
        packed(&layer(&init(&quiet(&after(&METHOD))))),
    ];
    for body in bodies {
        let mut world = World::new();
        world.send_bytes(true, body);
        let call = world.answer_next(RESULT);
        assert_eq!(call.body, METHOD[..]);
        assert_eq!((call.layer, call.without_updates), (Some(222), true));
        assert_eq!(call.client.unwrap().lang_code, "eo");

        world.send_bytes(true, METHOD.to_vec());
        let later = world.answer_next(RESULT);
        assert_eq!((later.layer, later.without_updates), (Some(222), false));
        assert_eq!(later.client.unwrap().api_id, 4);
    }
}

#[test]
fn eight_wrappers_are_taken_off_and_nine_are_not() {
    let mut body = METHOD.to_vec();
    for wrappers in 0..=9 {
        let mut world = World::new();
        world.send_bytes(true, body.clone());
        assert_eq!(
            world.calls.len(),
            usize::from(wrappers <= 8),
            "{wrappers} wrappers"
        );
        if wrappers > 8 {
            assert_eq!(
                error(&world.answers()),
                (400, "INPUT_FETCH_FAIL".to_owned())
            );
        }
        body = api::InvokeWithoutUpdates { query: &body }.to_bytes();
    }
}

#[test]
fn what_wrappers_ask_of_the_backend_is_handed_to_it() {
    let range = api::MessageRange {
        min_id: 5,
        max_id: 9,
    };
    let query = &METHOD[..];
    let body = api::InvokeWithBusinessConnection {
        connection_id: b"biz",
        query,
    }
    .to_bytes();
    let body = api::InvokeWithMessagesRange {
        range,
        query: &body,
    }
    .to_bytes();
    let takeout_id = 77;
    let body = api::InvokeWithTakeout {
        takeout_id,
        query: &body,
    }
    .to_bytes();
    let mut world = World::new();
    world.send_bytes(true, body);
    let call = world.answer_next(RESULT);
    assert_eq!(call.body, METHOD[..]);
    let expected = Scope {
        messages: Some((5, 9)),
        takeout_id: Some(77),
        business_connection: Some("biz".to_owned()),
        proof: None,
    };
    assert_eq!(call.scope.as_deref(), Some(&expected));
    world.send_bytes(true, METHOD.to_vec());
    assert_eq!(world.answer_next(RESULT).scope, None);
}

#[test]
fn proofs_of_an_application_are_handed_to_the_backend() {
    let (nonce, token, query) = (&b"12"[..], &b"345"[..], &METHOD[..]);
    let integrity = api::InvokeWithGooglePlayIntegrity {
        nonce,
        token,
        query,
    };
    let apns = api::InvokeWithApnsSecret {
        nonce,
        secret: token,
        query,
    };
    let captcha = api::InvokeWithReCaptcha { token, query };
    let (nonce, token) = (Box::from(nonce), Box::<[u8]>::from(token));
    let secret = token.clone();
    for (body, proof) in [
        (
            captcha.to_bytes(),
            Proof::ReCaptcha {
                token: token.clone(),
            },
        ),
        (
            apns.to_bytes(),
            Proof::Apns {
                nonce: Box::clone(&nonce),
                secret,
            },
        ),
        (integrity.to_bytes(), Proof::PlayIntegrity { nonce, token }),
    ] {
        let mut world = World::new();
        world.send_bytes(true, body);
        let call = world.answer_next(RESULT);
        assert_eq!(call.scope.unwrap().proof, Some(proof));
    }
}

#[test]
fn a_proof_has_16_kib_at_most_and_a_call_with_a_larger_one_is_refused() {
    for (len, good) in [(16 << 10, true), ((16 << 10) + 1, false)] {
        let mut world = World::new();
        let token = vec![b'a'; len];
        let token = &token[..];
        let query = &METHOD;
        world.send(true, &api::InvokeWithReCaptcha { token, query });
        assert_eq!(world.calls.len(), usize::from(good));
    }
}

#[test]
fn proxy_and_parameters_of_init_connection_are_kept_up_to_4096_bytes() {
    for (len, kept) in [(4088, true), (4089, false)] {
        let text = vec![b'a'; len];
        let params = api::JsonString { value: &text };
        let params = api::JsonValue::JsonString(params);
        let mut world = World::new();
        world.send(
            true,
            &api::InitConnection {
                proxy: Some(api::InputClientProxy {
                    address: b"a.example",
                    port: 443,
                }),
                params: Some(params),
                query: &METHOD,
                ..Default::default()
            },
        );
        let client = world.answer_next(RESULT).client.unwrap();
        assert_eq!(client.proxy, Some(("a.example".to_owned(), 443)));
        let expected = kept.then(|| params.to_bytes().into_boxed_slice());
        assert_eq!(client.params, expected);
    }
}

#[test]
fn invoke_after_msgs_names_100_messages_and_not_101() {
    for (count, good) in [(100, true), (101, false)] {
        let ids: Vec<i64> = (0..count).collect();
        let body = api::InvokeAfterMsgs {
            msg_ids: ids.as_slice().into(),
            query: &METHOD,
        };
        let mut world = World::new();
        world.send(true, &body);
        assert_eq!(world.calls.len(), usize::from(good));
    }
}

#[test]
fn layers_outside_1_to_1000_are_refused() {
    for (layer, good) in [
        (0, false),
        (1, true),
        (1000, true),
        (1001, false),
        (-1, false),
    ] {
        let mut world = World::new();
        world.send(
            true,
            &api::InvokeWithLayer {
                layer,
                query: &METHOD,
            },
        );
        assert_eq!(world.calls.len(), usize::from(good), "{layer}");
        if !good {
            assert_eq!(
                error(&world.answers()),
                (400, "CONNECTION_LAYER_INVALID".to_owned())
            );
        }
    }
}

#[test]
fn an_application_that_is_not_allowed_gets_no_further_than_init_connection() {
    for (api_id, good) in [(4, true), (5, false)] {
        let mut config = Config::new(Term(1), SecretBytes::new([7; 32]));
        config.api_ids = Some(vec![4]);
        let mut world = World::with_config(config);
        let init = api::InitConnection {
            api_id,
            query: &METHOD,
            ..Default::default()
        };
        world.send(true, &init);
        assert_eq!(world.calls.len(), usize::from(good));
        if !good {
            assert_eq!(
                error(&world.answers()),
                (400, "CONNECTION_API_ID_INVALID".to_owned())
            );
            assert_eq!(world.host.calls_running(), 0);
        }
    }
}

#[test]
fn a_client_that_has_not_introduced_itself_may_call_even_if_applications_are_listed() {
    let mut config = Config::new(Term(1), SecretBytes::new([7; 32]));
    config.api_ids = Some(vec![4]);
    let mut world = World::with_config(config);

    world.send_bytes(true, 0x0d91_a548_u32.to_le_bytes().to_vec());

    assert_eq!(world.calls.len(), 1);
    assert_eq!(world.calls[0].1.client, None);
}

#[test]
fn an_unbound_temporary_key_may_call_three_methods_only() {
    let expires_at_unix_s = u32::try_from(START_S).unwrap() + 3600;
    let allowed = [0xc4f9_186b_u32, 0x1fb3_3026, 0xcdd4_2a05];
    for (method, perm, good) in [
        (allowed[0], None, true),
        (allowed[1], None, true),
        (allowed[2], None, true),
        (0x0d91_a548, None, false),
        (0x0d91_a548, Some(AuthKeyId(6)), true),
    ] {
        let mut world = World::new();
        world.facts.kind = KeyKind::Temporary { expires_at_unix_s };
        world.facts.perm = perm;
        world.send_bytes(true, method.to_le_bytes().to_vec());
        let answers = world.answers();
        let is_refused =
            !answers.is_empty() && error(&answers) == (401, "AUTH_KEY_PERM_EMPTY".to_owned());
        assert_eq!(is_refused, !good, "{method:08x} {perm:?}");
    }
}

#[test]
fn an_expired_temporary_key_is_refused_to_the_second() {
    let mut world = World::new();
    let expires_at_unix_s = u32::try_from(START_S).unwrap() + 10;
    world.facts.kind = KeyKind::Temporary { expires_at_unix_s };
    world.pass_s(9);
    world.send_bytes(false, ping(1));
    assert!(!world.received().is_empty());
    world.pass_s(1);
    world.send_bytes(false, ping(1));
    assert_eq!(world.received(), []);
    assert_eq!(world.closed, [(LINK, Some(-404))]);
}
