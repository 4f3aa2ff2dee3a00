//! What is shown is taken back, shorter ways mean the same, and what is wrong is said with what to write instead.

use std::io;
use std::path::Path;

use heliogram_tl::Serialize as _;
use heliogram_tl::dynamic::{Catalog, Value};
use serde_json::{Value as Json, json};

use super::*;
use random::{Maker, Optional};

#[path = "../../../tl/tests/dynamic/random.rs"]
mod random;

#[test]
fn every_row_of_the_layer_comes_back_from_its_json() {
    let catalog = Catalog::of_layer();
    let taker = Taker::new(&catalog);
    let mut maker = Maker::new(&catalog);
    for declaration in catalog.constructors().chain(catalog.methods()) {
        for (seed, optional) in (0..).zip([Optional::All, Optional::None, Optional::Some]) {
            maker.reseed(u64::from(declaration.id_or_checksum()) << 8 | seed);
            let object = maker.object(declaration, true, optional, 2);
            let bytes = if seed == 0 {
                BytesForm::Hex
            } else {
                BytesForm::Base64
            };
            let value = Value::Object(object);
            let text = serde_json::to_string(&Shown::new(&value, bytes)).unwrap();
            let json = serde_json::from_str(&text).unwrap();
            let taken = taker.call(declaration, &json);
            let taken = taken.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(Value::Object(taken), value, "{text}");
        }
    }
}

#[test]
fn an_object_is_shown_in_the_order_of_its_schema_longs_as_strings() {
    assert_eq!(
        show(
            "messages.sendMessage",
            &[
                "silent=true",
                "peer=inputPeerUser",
                "peer.user_id=9007199254740993",
                "peer.access_hash=-1",
                "message=hé",
                "random_id=7",
            ]
        ),
        r#"{"_":"messages.sendMessage","silent":true,"peer":{"_":"inputPeerUser","user_id":"9007199254740993","access_hash":"-1"},"message":"hé","random_id":"7"}"#
    );
}

#[test]
fn bytes_are_base64_or_hex_and_taken_in_four_forms() {
    let taken = |text: &str| call("auth.importAuthorization", &["id=1", text]).unwrap();
    let expected = taken("bytes=3q2+7w==");
    for other in [
        "bytes=hex:DEADbeef",
        "bytes=base64:3q2+7w==",
        "bytes:={\"$base64\":\"3q2+7w==\"}",
        "bytes@=deadbeef",
    ] {
        assert_eq!(taken(other), expected, "{other}");
    }
    assert_ne!(taken("bytes=text:deadbeef"), expected);
    let error = call("auth.importAuthorization", &["id=1", "bytes=hex:abc"]).unwrap_err();
    assert!(
        error.contains("expected bytes, a string of Base64"),
        "{error}"
    );
}

#[test]
fn a_string_that_is_no_text_is_an_object_of_base64() {
    let catalog = Catalog::of_layer();
    let error = catalog.constructor("error").unwrap();
    let value = Taker::new(&catalog).call(error, &json!({"code": 1, "text": {"$base64": "/w=="}}));
    let value = Value::Object(value.unwrap());
    let shown = serde_json::to_value(Shown::new(&value, BytesForm::Base64)).unwrap();
    assert_eq!(
        shown,
        json!({"_": "error", "code": 1, "text": {"$base64": "/w=="}})
    );
}

#[test]
fn numbers_that_json_has_not_are_strings() {
    let catalog = Catalog::of_layer();
    let number = catalog.constructor("jsonNumber").unwrap();
    for (text, value) in [
        ("NaN", f64::NAN),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ] {
        let taken = Taker::new(&catalog)
            .call(number, &json!({"value": text}))
            .unwrap();
        assert_eq!(taken.to_bytes()[4..], value.to_le_bytes(), "{text}");
        let taken = Value::Object(taken);
        let shown = serde_json::to_value(Shown::new(&taken, BytesForm::Base64)).unwrap();
        assert_eq!(shown["value"], text);
    }
}

#[test]
fn the_same_call_may_be_written_in_many_ways() {
    let expected = call("users.getUsers", &[r#"{"id":[{"_":"inputUserSelf"}]}"#]).unwrap();
    for arguments in [
        &[r#"id=[{"_":"inputUserSelf"}]"#][..],
        &[r#"id=["inputUserSelf"]"#],
        &[r#"id:=["inputUserSelf"]"#],
        &["id.0=inputUserSelf"],
        &["id.0._=inputUserSelf"],
        &["-"],
        &["@file"],
        &["id=[]", "id.0=inputUserSelf"],
    ] {
        assert_eq!(
            call("users.getUsers", arguments).unwrap(),
            expected,
            "{arguments:?}"
        );
    }
}

#[test]
fn a_wrapper_takes_a_method_by_its_name_and_with_arguments() {
    let name = call("invokeWithoutUpdates", &["query=help.getConfig"]).unwrap();
    let object = call("invokeWithoutUpdates", &["query._=help.getConfig"]).unwrap();
    assert_eq!(name, object);
    let error = call("invokeWithoutUpdates", &["query=config"]).unwrap_err();
    assert!(
        error.contains("query: config is a constructor, and only methods"),
        "{error}"
    );
    let error = call("invokeWithoutUpdates", &["query=help.getAppUpdate"]).unwrap_err();
    assert!(
        error.contains("query: source is missing: it is of type string"),
        "{error}"
    );
}

#[test]
fn the_only_constructor_of_a_type_need_not_be_named() {
    let short = call("account.setAccountTTL", &["ttl.days=5"]).unwrap();
    let long = call(
        "account.setAccountTTL",
        &[r#"ttl={"_":"accountDaysTTL","days":5}"#],
    );
    assert_eq!(short, long.unwrap());
}

#[test]
fn absent_fields_are_left_out_null_or_false() {
    let without = call("help.getAppConfig", &["hash=1"]).unwrap();
    assert_eq!(
        call("help.getAppConfig", &[r#"{"hash":1}"#]).unwrap(),
        without
    );
    let base = ["peer=inputPeerSelf", "message=x", "random_id=1"];
    let expected = call("messages.sendMessage", &base).unwrap();
    for absent in ["silent=false", "silent:=null", "reply_to:=null"] {
        let arguments = [&base[..], &[absent]].concat();
        assert_eq!(
            call("messages.sendMessage", &arguments).unwrap(),
            expected,
            "{absent}"
        );
    }
}

#[test]
fn numbers_at_the_edges_are_taken_and_one_beyond_is_not() {
    for (method, field, good, bad) in [
        ("help.getAppConfig", "hash", "-2147483648", "-2147483649"),
        ("help.getAppConfig", "hash", "2147483647", "2147483648"),
        (
            "messages.getStickers",
            "hash",
            "-9223372036854775808",
            "-9223372036854775809",
        ),
        (
            "messages.getStickers",
            "hash",
            "9223372036854775807",
            "9223372036854775808",
        ),
    ] {
        for form in ["=", ":="] {
            let with = |value: &str| {
                call(
                    method,
                    &["emoticon=x", &format!("{field}{form}{value}")]
                        [usize::from(method == "help.getAppConfig")..],
                )
            };
            assert!(with(good).is_ok(), "{good}");
            let error = with(bad).unwrap_err();
            assert!(error.contains("hash: expected"), "{error}");
        }
    }
}

#[test]
fn what_is_missing_is_named_with_its_type_its_choices_and_the_whole_signature() {
    let error = call("messages.getHistory", &[]).unwrap_err();
    assert_eq!(
        error,
        "peer is missing: it is of type InputPeer: one of inputPeerChannel, inputPeerChannelFromMessage, inputPeerChat, \
         inputPeerEmpty, inputPeerSelf, inputPeerUser, inputPeerUserFromMessage\n  \
         messages.getHistory#4423e6c5 peer:InputPeer offset_id:int offset_date:int add_offset:int limit:int max_id:int \
         min_id:int hash:long = messages.Messages"
    );
}

#[test]
fn typos_are_answered_with_guesses() {
    let cases: [(&str, &[&str], &str); 5] = [
        (
            "help.getConfg",
            &[],
            "there is no method help.getConfg in this schema; did you mean help.getConfig?",
        ),
        (
            "config",
            &[],
            "config is a constructor, and only methods can be called",
        ),
        (
            "help.getAppConfig",
            &["hsh=1"],
            "help.getAppConfig has no field hsh; did you mean hash?",
        ),
        (
            "users.getUsers",
            &["id.0=inputUsrSelf"],
            "id.0: inputUsrSelf is not InputUser: one of",
        ),
        (
            "users.getUsers",
            &["id=5"],
            "id: expected Vector<InputUser>, an array: [ ]; found \"5\"",
        ),
    ];
    for (method, arguments, expected) in cases {
        let error = call(method, arguments).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_is_no_argument_is_said() {
    for (argument, expected) in [
        ("hash", "hash is no argument: write name=value"),
        ("=1", "= is no argument: a name is empty"),
        ("a..b=1", "a..b= is no argument: a name is empty"),
        ("hash:=x", "hash:=x: no JSON"),
        ("{", "{ is no object of JSON"),
        ("@missing", "missing can't be read"),
    ] {
        let error = call("help.getAppConfig", &[argument]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = call("help.getAppConfig", &["hash:=1", "hash.x=1"]).unwrap_err();
    assert!(
        error.contains("there is no x in what was given before"),
        "{error}"
    );
}

#[test]
fn objects_within_one_another_are_taken_as_deep_as_readers_read_and_no_deeper() {
    let nested = |depth: usize| {
        let open = r#"{"_":"textBold","text":"#.repeat(depth);
        let json = format!("{open}\"textEmpty\"{}", "}".repeat(depth));
        let catalog = Catalog::of_layer();
        let json: Json = serde_json::from_str(&json).unwrap();
        let bold = catalog.constructor("textBold").unwrap();
        let taken = Taker::new(&catalog).call(bold, &json);
        let bytes = taken.map_err(|error| error.to_string())?.to_bytes();
        catalog
            .read_all(&bytes, bold.result)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    // The innermost is one, too.
    assert_eq!(nested(31), Ok(()));
    let error = nested(32).unwrap_err();
    assert!(error.contains("more than 32 objects"), "{error}");
}

fn show(method: &str, arguments: &[&str]) -> String {
    let catalog = Catalog::of_layer();
    let bytes = call(method, arguments).unwrap();
    let result = catalog.method(method).unwrap();
    let mut reader = heliogram_tl::Reader::new(&bytes);
    let value = Value::Object(catalog.read_any(&mut reader).unwrap());
    assert_eq!(value.as_object().unwrap().declaration(), result);
    serde_json::to_string(&Shown::new(&value, BytesForm::Base64)).unwrap()
}

fn call(method: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let catalog = Catalog::of_layer();
    let taker = Taker::new(&catalog);
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    let json = merge(&arguments, read).map_err(|error| format!("{error:#}"))?;
    let call = taker.method(method).and_then(|it| taker.call(it, &json));
    call.map(|it| it.to_bytes())
        .map_err(|error| error.to_string())
}

/// Files that tests name, and standard input.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("-" | "file") => Ok(br#"{"id":["inputUserSelf"]}"#.to_vec()),
        Some("deadbeef") => Ok(vec![0xde, 0xad, 0xbe, 0xef]),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}
