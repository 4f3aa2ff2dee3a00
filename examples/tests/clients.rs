//! The examples of clients, each run as a program against a server.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use heliogram_client::tl::enums;
use heliogram_client::tl::functions::auth::ImportBotAuthorization;
use heliogram_client::tl::functions::messages::SendMessage;
use heliogram_client::tl::functions::updates::GetDifference;
use heliogram_client::updates::Position;
use heliogram_client::{Client, DataCentre};
use heliogram_testkit::backend::things;
use heliogram_testkit::server::{Servers, public_key};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_call_says_who_answers_and_who_asks() {
    let bed = Bed::start();
    let said = bed.run("connect_and_call", &[&bed.address(), &bed.key()]);
    let expected = "data centre 2 answers\n\
        signed in as user 1000\n\
        1 addresses of data centres are known; the nearest is 2\n";
    assert_eq!(said, expected);

    bed.servers.at(2).backend().welcome(None);
    let said = bed.run("connect_and_call", &[&bed.address(), &bed.key()]);
    assert!(
        said.contains("not signed in: 401 AUTH_KEY_UNREGISTERED\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn own_loop_gets_its_answer_without_a_runtime() {
    let bed = Bed::start();
    let said = bed.run("own_loop", &[&bed.address(), &bed.key()]);
    assert_eq!(said, "data centre 2 answers\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_key_store_comes_back_with_its_key() {
    let bed = Bed::start();
    let database = bed.path("keys.redb");
    for keys in [0, 1] {
        let arguments = [&database, &bed.address(), &bed.key()];
        let said = bed.run("custom_key_store", &arguments.map(String::as_str));
        assert_eq!(
            said,
            format!("{keys} keys are kept\ndata centre 2 answers\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn echo_bot_answers_each_message_once_however_it_comes_and_goes() {
    let bed = Bed::start();
    let person = bed.person().await;
    let sign_in = ImportBotAuthorization {
        flags: 0,
        api_id: 4,
        api_hash: "hash".to_owned(),
        bot_auth_token: TOKEN.to_owned(),
    };
    let other = bed.person().await;
    other.invoke(&sign_in).await.unwrap();
    // The bot has been here before, and has seen nothing yet.
    let position = Position {
        state: bed.servers.cloud().news().state(BOT).unwrap(),
        ..Position::default()
    };
    std::fs::write(bed.path("position"), position.to_bytes()).unwrap();

    person
        .invoke(&to_bot("while you were out", 1))
        .await
        .unwrap();
    let mut bot = bed.bot();
    assert_eq!(bot.line(), format!("signed in as bot {BOT}"));
    assert_eq!(bot.line(), "echoed while you were out");
    person.invoke(&to_bot("while you listen", 2)).await.unwrap();
    assert_eq!(bot.line(), "echoed while you listen");
    drop(bot);

    person.invoke(&to_bot("once more", 3)).await.unwrap();
    let mut bot = bed.bot();
    assert_eq!(bot.line(), format!("signed in as bot {BOT}"));
    assert_eq!(bot.line(), "echoed once more");
    assert_eq!(
        answers(&person).await,
        ["while you were out", "while you listen", "once more"]
    );
}

/// Asks for all that a person was ever told, and returns what others have written.
async fn answers(person: &Client) -> Vec<String> {
    let all = GetDifference {
        pts: 1,
        pts_limit: None,
        pts_total_limit: None,
        date: 0,
        qts: 0,
        qts_limit: None,
    };
    let enums::updates::Difference::Difference(all) = person.invoke(&all).await.unwrap() else {
        panic!("a few messages are one difference")
    };
    let messages = all.new_messages.into_iter().filter_map(|it| {
        let enums::Message::Message(it) = it else {
            return None;
        };
        (!it.out).then_some(it.message)
    });
    messages.collect()
}

fn to_bot(text: &str, random_id: i64) -> SendMessage {
    SendMessage {
        no_webpage: false,
        silent: false,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer: things::input_person(BOT),
        reply_to: None,
        message: text.to_owned(),
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
    }
}

const BOT: i64 = 12;
const TOKEN: &str = "12:secret";

/// A bot's process, ended when it is dropped.
struct Bot {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Bot {
    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        // Without warning, as machines end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server, and a directory with its key.
struct Bed {
    servers: Servers,
    files: TempDir,
}

impl Bed {
    fn start() -> Self {
        let bed = Self {
            servers: Servers::start([2]).unwrap(),
            files: TempDir::new().unwrap(),
        };
        std::fs::write(bed.key(), public_key().to_pkcs1_pem()).unwrap();
        bed
    }

    /// Somebody who is signed in.
    async fn person(&self) -> Client {
        let builder = Client::builder()
            .api_id(4)
            .api_hash("hash")
            .server_key(public_key())
            .data_centre(DataCentre::new(2, [self.servers.at(2).address()]));
        builder.connect().await.unwrap()
    }

    fn bot(&self) -> Bot {
        let mut command = Command::new(program("echo_bot"));
        command.args([&self.address(), &self.key(), TOKEN, &self.path("position")]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Bot { process, lines }
    }

    fn address(&self) -> String {
        self.servers.at(2).address().to_string()
    }

    fn key(&self) -> String {
        self.path("server_public.pem")
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs an example to its end; returns what it prints.
    fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = Command::new(program(name)).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Finds a program that cargo has built for these tests: `target/debug/deps/` is where this one is.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(file);
    assert!(
        program.exists(),
        "`cargo test` builds examples unless it is told which test to run: then \
         `cargo build -p heliogram-examples --examples` does"
    );
    program
}
