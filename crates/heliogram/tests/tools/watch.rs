//! `heliogram watch`: what the server sends, as lines.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use heliogram_testkit::server::GUEST;
use heliogram_tl::Serialize as _;
use heliogram_tl::dynamic::{Catalog, Object, Value};
use serde_json::{Value as Json, json};

use crate::bed::{Bed, id};

#[test]
fn updates_are_lines_of_json_in_their_order_and_the_last_that_was_asked_for_ends_it() {
    let bed = Bed::new();
    let watching = watch(&bed, &["--count", "3"]);
    bed.push(&phone_number("123"));
    bed.push(&0xe317_af7e_u32.to_le_bytes());
    bed.push(&[1, 2, 3, 4]);
    let output = watching.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Json> = lines
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let update = json!({"_": "updateUserPhone", "user_id": "7", "phone": "123"});
    assert_eq!(
        lines,
        [
            json!({"_": "updateShort", "update": update, "date": 5}),
            json!({"_": "updatesTooLong"}),
            json!({"$unknown": "hex:01020304"}),
        ]
    );
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "connected\n");
}

#[cfg(unix)]
#[test]
fn each_line_is_there_at_once_and_ctrl_c_ends_it_with_0() {
    let bed = Bed::new();
    let mut watching = watch(&bed, &[]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for phone in ["1", "2"] {
        bed.push(&phone_number(phone));
        let line: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["update"]["phone"], phone);
    }
    let child = watching.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &child])
            .status()
            .unwrap()
            .success()
    );
    assert!(watching.wait().unwrap().success());
}

#[test]
fn who_is_not_signed_in_is_told_and_goes_on_waiting() {
    let bed = Bed::new();
    bed.backend()
        .script()
        .fail_any(1, 401, "AUTH_KEY_UNREGISTERED");
    let watching = watch(&bed, &["--count", "1"]);
    bed.push(&phone_number("1"));
    let output = watching.wait_with_output().unwrap();
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("the first call was refused: the server answered 401"),
        "{errors}"
    );
}

impl Bed {
    fn push(&self, updates: &[u8]) {
        let updates = bytes::Bytes::copy_from_slice(updates);
        self.backend().push_to(GUEST, updates).unwrap();
    }
}

/// Starts to watch; comes back once the server knows who listens.
fn watch(bed: &Bed, arguments: &[&str]) -> Child {
    let server = bed.servers.at(2).address().to_string();
    let fixed = ["--server", &server, "--pubkey", "key.pem"];
    let mut command = bed.command("watch", &[&fixed, arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let ledger = bed.backend().ledger();
    bed.runtime
        .block_on(ledger.wait_for_of(id("updates.getState"), 1));
    child
}

/// `updateShort` with `updateUserPhone`.
fn phone_number(phone: &str) -> Vec<u8> {
    let catalog = Catalog::of_layer();
    let phone = Value::String(phone.as_bytes().to_vec());
    let fields = vec![("user_id", Value::Long(7)), ("phone", phone)];
    let update = Object::new(
        catalog.constructor("updateUserPhone").unwrap(),
        true,
        fields,
    )
    .unwrap();
    let fields = vec![("update", Value::Object(update)), ("date", Value::Int(5))];
    let short = catalog.constructor("updateShort").unwrap();
    Object::new(short, true, fields).unwrap().to_bytes()
}
