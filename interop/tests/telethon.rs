//! Telethon, unmodified, over every framing that it speaks.

use heliogram_interop::{Program, Server, python};

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_abridged() {
    first_calls("telethon over abridged", "abridged");
}

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_intermediate() {
    first_calls("telethon over intermediate", "intermediate");
}

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_full() {
    first_calls("telethon over full", "full");
}

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_obfuscated() {
    first_calls("telethon over obfuscated", "obfuscated");
}

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_padded_intermediate() {
    first_calls("telethon over padded intermediate", "padded");
}

#[test]
fn telethon_makes_a_key_calls_and_comes_back_over_websocket() {
    for framing in ["ws-abridged", "ws-intermediate", "ws-padded"] {
        first_calls("telethon over websocket", framing);
    }
}

#[test]
fn the_python_lines_that_serve_prints_connect_as_they_are() {
    let Some(python) = python("the printed lines") else {
        return;
    };
    let server = Server::start();
    let printed = server.stdout();
    let lines: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.starts_with("import "))
        .collect();
    let end = lines
        .iter()
        .position(|line| line.starts_with("asyncio.run"))
        .expect("the lines end with asyncio.run");
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("printed.py");
    std::fs::write(&program, lines[..=end].join("\n")).unwrap();

    let output = Program::start(&python, &program, []).finish();

    assert!(
        output.contains("Config(") && output.contains("this_dc=2"),
        "{output}"
    );
}

fn first_calls(test: &str, framing: &str) {
    let Some(python) = python(test) else { return };
    let server = Server::start();
    Program::start(&python, "first_calls.py", [server.data(), framing]).finish();
}
