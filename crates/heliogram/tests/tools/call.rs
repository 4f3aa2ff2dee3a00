//! `heliogram call`: what is sent, what is printed, and what scripts can tell from the exit code.

use std::sync::{Arc, Mutex};

use grammers_tl_types::functions::help::GetConfig;
use heliogram_tl::Deserialize as _;
use heliogram_tl::api::{Config, NearestDc};
use serde_json::json;

use crate::bed::{Bed, Said, id};

#[test]
fn an_answer_is_json_in_the_order_of_the_schema_and_the_exit_code_is_0() {
    let bed = Bed::new();
    let said = bed.call(&["help.getConfig"]);
    assert_eq!(said.json()["this_dc"], 2);
    assert!(
        said.out.starts_with("{\n  \"_\": \"config\",\n"),
        "{}",
        said.out
    );
    let compact = bed.call(&["help.getNearestDc", "--output", "compact"]);
    assert_eq!(compact.json()["nearest_dc"], 2);
    assert!(
        compact.out.starts_with("{\"_\":\"nearestDc\","),
        "{}",
        compact.out
    );
    assert_eq!(compact.out.lines().count(), 1);
}

#[test]
fn arguments_reach_the_server_and_longs_come_back_as_strings() {
    let bed = Bed::new();
    let users = bed.call(&["users.getUsers", "id.0=inputUserSelf"]).json();
    assert_eq!(users[0]["_"], "user");
    assert_eq!(users[0]["id"], "1000");
    let input = json!({"id": [{"_": "inputUserSelf"}]}).to_string();
    let server = bed.servers.at(2).address().to_string();
    let arguments = [
        "users.getUsers",
        "-",
        "--server",
        &server,
        "--pubkey",
        "key.pem",
    ];
    let from_input = bed.call_with_input(&arguments, input.as_bytes());
    assert_eq!(from_input.json(), users);
}

#[test]
fn a_wrapper_is_called_as_any_method_and_its_answer_read_as_that_of_its_query() {
    let bed = Bed::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    bed.backend()
        .script()
        .answer_raw(id("help.getNearestDc"), move |call| {
            noted
                .lock()
                .unwrap()
                .push((call.layer, call.without_updates));
            Ok(nearest_dc())
        });
    let arguments = ["invokeWithoutUpdates", "query=help.getNearestDc"];
    assert_eq!(bed.call(&arguments).json()["_"], "nearestDc");
    assert_eq!(*seen.lock().unwrap(), [(Some(222), true)]);
}

#[test]
fn bytes_go_out_and_come_back_as_they_are() {
    let bed = Bed::new();
    let written = bed.call(&["help.getNearestDc", "--dry-run"]);
    assert_eq!(written.out, "2630b31f\n");
    assert_eq!(bed.backend().ledger().calls_of(id("help.getNearestDc")), 0);

    let hex = bed.call(&["--raw", "2630b31f"]);
    let answer = unhex(hex.out.trim());
    assert_eq!(NearestDc::from_bytes(&answer).unwrap().nearest_dc, 2);
    let base64 = bed.call(&["--raw", "base64:JjCzHw==", "--output", "base64"]);
    assert!(base64.out.starts_with("dRcajg"), "{base64:?}");
    assert_eq!(
        bed.call(&["--raw", "2630b31f", "--output", "json"]).json()["_"],
        "nearestDc"
    );
    std::fs::write(bed.path("call.bin"), id("help.getConfig").to_le_bytes()).unwrap();
    let from_file = bed.call(&["--raw", "@call.bin"]);
    assert_eq!(
        Config::from_bytes(&unhex(from_file.out.trim()))
            .unwrap()
            .this_dc,
        2
    );
    bed.call(&["--raw", "2630b3"])
        .failed(2, "bytes are no method");
    bed.call(&["--raw", "xyz"])
        .failed(2, "--raw takes bytes in hex");
}

#[test]
fn another_schema_brings_its_layer_and_its_methods() {
    let bed = Bed::new();
    let layer = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&layer);
    bed.backend().script().answer_raw(0x7e57_0001, move |call| {
        *noted.lock().unwrap() = call.layer;
        Ok([&0x7e57_0002_u32.to_le_bytes()[..], &call.body[4..]].concat())
    });
    let schema = "echoed#7e570002 text:string = Echo;\n---functions---\necho#7e570001 text:string = Echo;\n// LAYER 77\n";
    std::fs::write(bed.path("s.tl"), schema).unwrap();
    let echo = bed.call(&["echo", "text=héllo", "--schema", "s.tl"]);
    assert_eq!(echo.json(), json!({"_": "echoed", "text": "héllo"}));
    assert_eq!(*layer.lock().unwrap(), Some(77));

    bed.call(&["echo", "text=x", "--schema", "s.tl", "--layer", "78"])
        .json();
    assert_eq!(*layer.lock().unwrap(), Some(78));
    bed.call(&["help.getConfig", "--layer", "78"])
        .failed(2, "--schema FILE");
}

#[test]
fn a_mistake_on_the_command_line_ends_with_2_before_anybody_is_called() {
    let bed = Bed::new();
    bed.call(&["help.getConfg"])
        .failed(2, "did you mean help.getConfig?");
    let missing = bed.call(&["messages.getHistory"]);
    missing.failed(
        2,
        "peer is missing: it is of type InputPeer: one of inputPeerChannel,",
    );
    missing.failed(
        2,
        "\n  messages.getHistory#4423e6c5 peer:InputPeer offset_id:int",
    );
    assert_eq!(
        bed.call(&["help.getConfig", "--no-such-option"]).code,
        Some(2)
    );
    bed.call(&["help.getConfig", "--proxy", "nonsense"])
        .failed(2, "tg://proxy?server");
    bed.call(&["help.getConfig", "nonsense"])
        .failed(2, "nonsense is no argument");
    let ledger = bed.backend().ledger();
    assert_eq!(ledger.calls_of(id("messages.getHistory")), 0);
}

#[test]
fn an_error_of_the_server_is_printed_as_json_and_ends_with_5() {
    let bed = Bed::new();
    bed.backend().script().fail_any(1, 420, "FLOOD_WAIT_42");
    let said = bed.call(&["help.getConfig"]);
    said.failed(5, "the server answered 420 FLOOD_WAIT_42\nwait 42 s");
    assert_eq!(
        said.out,
        "{\"_\":\"rpc_error\",\"error_code\":420,\"error_message\":\"FLOOD_WAIT_42\"}\n"
    );
    bed.backend().script().fail_any(1, 400, "PEER_ID_INVALID");
    let hex = bed.call(&["help.getConfig", "--output", "hex"]);
    hex.failed(5, "400 PEER_ID_INVALID");
    assert_eq!(hex.out, "", "only bytes are hex");
}

#[test]
fn a_flood_wait_is_waited_for_if_that_was_asked_for() {
    let bed = Bed::new();
    bed.backend().script().fail_any(1, 420, "FLOOD_WAIT_1");
    let said = bed.call(&["help.getConfig", "--wait", "1"]);
    assert_eq!(said.json()["_"], "config");
    bed.backend().script().fail_any(1, 420, "FLOOD_WAIT_2");
    bed.call(&["help.getConfig", "--wait", "1"])
        .failed(5, "420 FLOOD_WAIT_2");
}

#[test]
fn an_answer_that_is_not_what_the_schema_says_ends_with_6() {
    let bed = Bed::new();
    bed.backend()
        .script()
        .answer_raw(id("help.getConfig"), |_| Ok(nearest_dc()));
    let said = bed.call(&["help.getConfig"]);
    said.failed(
        6,
        "the answer is no Config of this schema: unexpected constructor #8e1a1775",
    );
    let hex = bed.call(&["help.getConfig", "--output", "hex"]);
    assert!(hex.out.starts_with("75"), "{hex:?}");
}

#[test]
fn a_server_that_does_not_answer_in_time_ends_with_4() {
    let bed = Bed::new();
    let held = bed.backend().script().hold::<GetConfig>();
    bed.call(&["help.getConfig", "--timeout", "1"])
        .failed(4, "--timeout");
    drop(held);
}

#[test]
fn a_connection_that_ends_within_a_call_ends_with_7() {
    let bed = Bed::new();
    let _held = bed.backend().script().hold::<GetConfig>();
    let server = bed.servers.at(2).address().to_string();
    let arguments = ["help.getConfig", "--server", &server, "--pubkey", "key.pem"];
    let mut command = bed.command("call", &arguments);
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let ledger = bed.backend().ledger();
    bed.runtime
        .block_on(ledger.wait_for_of(id("help.getConfig"), 1));
    // Connections end with what runs them.
    bed.runtime.shutdown_background();
    let output = child.wait_with_output().unwrap();
    let said = Said {
        code: output.status.code(),
        out: String::new(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    said.failed(7, "the connection ended before an answer came");
}

#[test]
fn what_the_schema_says_is_printed_without_a_server() {
    let bed = Bed::new();
    let describe = |name| bed.call_elsewhere(&["--describe", name]);
    let method = describe("help.getConfig");
    assert_eq!(method.out, "help.getConfig#c4f9186b = Config;\n");
    assert_eq!(describe("InputPeer").out.lines().count(), 7);
    assert_eq!(
        describe("inputPeerSelf").out,
        "inputPeerSelf#7da07ec9 = InputPeer;\n"
    );
    describe("getConfg").failed(2, "did you mean help.getConfig?");
}

#[test]
fn the_help_lists_the_exit_codes_and_shows_arguments() {
    let bed = Bed::new();
    for tool in ["call", "watch"] {
        let output = bed.command(tool, &["--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Exit codes: 0 a result"), "{help}");
    }
}

fn nearest_dc() -> Vec<u8> {
    let nearest = NearestDc {
        country: b"ZZ",
        this_dc: 2,
        nearest_dc: 2,
    };
    heliogram_tl::Serialize::to_bytes(&nearest)
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
