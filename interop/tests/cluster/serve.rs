//! `heliogram serve` with a backend in another process, each killed and stopped under load.

use std::path::Path;
use std::time::Duration;

use heliogram_interop::binary;
use heliogram_testservices::free_port;

use crate::load::Load;
use crate::logs::Secrets;
use crate::member::Member;
use crate::round::{Doubles, Rounds};
use crate::stores::{self, Stores};

#[test]
fn one_process_and_its_backend_lose_nothing_when_either_is_killed_or_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, mut backend) = members(dir.path(), "");
    backend.start();
    server.start();
    let mut rounds = rounds(&server, &backend);

    rounds.run("serve killed", Doubles::Unanswered, || {
        server.kill();
        server.start();
    });
    rounds.run("backend killed", Doubles::Unanswered, || {
        backend.kill();
        backend.start();
    });
    let stopped = rounds.run("serve stopped for 3 s", Doubles::None, || {
        server.freeze();
        std::thread::sleep(Duration::from_secs(3));
        server.thaw();
    });
    assert_eq!((stopped.errors, stopped.missed), (0, 0));
    server.terminate();
}

#[test]
fn one_process_on_a_cluster_s_store_goes_on_without_its_cache_and_without_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Stores::start(dir.path());
    let (server, mut backend) = members(dir.path(), &stores.section);
    let mut server = server.with(&["--through-grpc"]);
    backend.start();
    server.start();
    let mut rounds = rounds(&server, &backend);

    stores::redis_flushed(&mut rounds, &stores);
    stores::redis_down(&mut rounds, &mut stores);
    stores::mysql_down(&mut rounds, &mut stores);
    rounds.run("serve killed", Doubles::Unanswered, || {
        server.kill();
        server.start();
    });

    let mut secrets = Secrets::default();
    rounds.load().tell_secrets(&mut secrets);
    let found = secrets.found_in(&server.log());
    assert!(found.is_empty(), "{found:#?}");
}

fn rounds(server: &Member, backend: &Member) -> Rounds {
    let key = std::fs::read_to_string(server.path("server_public.pem")).unwrap();
    let address = server.endpoint("tcp").unwrap().parse().unwrap();
    let load = Load::connect(8, 0, &key, &[address]);
    Rounds::new(load, backend.path("ledger.txt").into())
}

fn members(dir: &Path, section: &str) -> (Member, Member) {
    let tcp = format!("127.0.0.1:{}", free_port().unwrap());
    let calls = format!("127.0.0.1:{}", free_port().unwrap());
    let pushes = format!("127.0.0.1:{}", free_port().unwrap());
    let server = Member::new(dir, "serve", binary())
        .with(&["serve"])
        .configured(&format!(
            "listen.tcp = ['{tcp}']\nlisten.websocket = []\nlisten.admin = '127.0.0.1:0'\n\
             [backend]\naddress = '{calls}'\npush_listen = '{pushes}'\n{section}"
        ));
    let backend = Member::new(
        dir,
        "backend",
        Path::new(env!("CARGO_BIN_EXE_heliogram-ledger")),
    );
    let data = backend.path("");
    let backend = backend.with(&["--data", &data, "--listen", &calls, "--push", &pushes]);
    (server, backend)
}
