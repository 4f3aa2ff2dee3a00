//! The port of one process, driven as a gateway drives it, before a backend that does as it is told.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use heliogram_ports::conformance::record;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{Attach, AuthKeys, FromHost, Inserted, KeyKind, SessionPort, ToHost};
use heliogram_proto::ids::{AuthKeyId, SessionId};
use heliogram_tl::mtproto::{
    DestroyAuthKey, DestroyAuthKeyFail, DestroyAuthKeyOk, DestroySession, HttpWait,
    PingDelayDisconnect, Pong,
};
use heliogram_tl::{Deserialize, Serialize};

use rig::{
    Ear, Gateway, KEY, LATER, LINK, NOW, PANIC_LATER, PANIC_NOW, PATIENCE, Scripted, Store, TERM,
    Woken, bodies, facts, failure, reply_bytes,
};

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_drained_in_the_same_turn_and_wakes_nobody() {
    let mut gateway = Gateway::new(Scripted::now());

    let call = gateway.send(KEY, NOW);

    assert_eq!(gateway.results(), [(call, reply_bytes(NOW))]);
    assert_eq!(gateway.woken(), 0);
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn an_answer_that_comes_later_wakes_the_link() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));

    let call = gateway.send(KEY, LATER);
    assert_eq!(gateway.results(), []);
    assert!(!gateway.port.is_quiet());
    backend.release();
    gateway.until_woken().await;

    assert_eq!(gateway.results(), [(call, reply_bytes(LATER))]);
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn a_response_over_http_that_is_due_wakes_its_link() {
    let mut gateway = Gateway::new(Scripted::now());
    let port = gateway.port.clone();
    let deadlines = tokio::spawn(async move { port.run().await });
    gateway.is_http = true;
    gateway.send(KEY, NOW);
    assert_eq!(
        gateway.drain().len(),
        1,
        "one response with the news and the result"
    );

    let hold = HttpWait {
        max_delay: 0,
        wait_after: 0,
        max_wait: 20,
    };
    gateway.send_body(KEY, &hold.to_bytes(), false);
    gateway.until_woken().await;

    let response = gateway.drain();
    assert_eq!((response.len(), bodies(&response).len()), (1, 0));
    deadlines.abort();
}

#[tokio::test]
async fn calls_of_one_link_do_not_wait_for_each_other() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));

    gateway.send(KEY, LATER);
    let second = gateway.send(KEY, NOW);

    assert_eq!(gateway.results(), [(second, reply_bytes(NOW))]);
}

#[tokio::test]
async fn a_call_of_a_destroyed_session_is_dropped_and_ends() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    gateway.send(KEY, LATER);
    let destroyed = gateway.session_id;

    gateway.session_id = SessionId(destroyed.0 + 1);
    gateway.send_body(
        KEY,
        &DestroySession {
            session_id: destroyed.0,
        }
        .to_bytes(),
        true,
    );

    backend.until_dropped().await;
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn a_backend_that_panics_at_once_fails_its_call_alone() {
    let mut gateway = Gateway::new(Scripted::now());

    let first = gateway.send(KEY, PANIC_NOW);
    let second = gateway.send(KEY, NOW);

    assert_eq!(
        gateway.results(),
        [(first, failure()), (second, reply_bytes(NOW))]
    );
}

#[tokio::test]
async fn a_backend_that_panics_later_fails_its_call() {
    let mut gateway = Gateway::new(Scripted::now());

    let call = gateway.send(KEY, PANIC_LATER);
    assert_eq!(gateway.results(), []);
    gateway.until_woken().await;

    assert_eq!(gateway.results(), [(call, failure())]);
    assert!(gateway.port.is_quiet());
}

#[test]
fn a_call_that_begins_when_its_runtime_has_ended_fails_and_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let guard = runtime.enter();
    let mut gateway = Gateway::new(Scripted::now());
    drop(guard);
    drop(runtime);

    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let call = gateway.send(KEY, LATER);
        done.send((call, gateway.results())).unwrap();
    });

    let (call, results) = is_done.recv_timeout(PATIENCE).expect("the port hangs");
    assert_eq!(results, [(call, failure())]);
}

#[tokio::test]
async fn the_port_is_not_quiet_before_the_link_was_told_of_the_last_answer() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    let port = gateway.port.clone();
    *gateway.wake.look.lock().unwrap() = Some(Box::new(move || port.is_quiet()));

    gateway.send(KEY, LATER);
    gateway.drain();
    backend.release();
    gateway.until_woken().await;

    assert_eq!(*gateway.wake.was_quiet.lock().unwrap(), Some(false));
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn one_link_may_carry_two_keys() {
    let mut gateway = Gateway::new(Scripted::now());

    let first = gateway.send(KEY, NOW);
    let second = gateway.send(AuthKeyId(KEY.0 + 1), NOW);

    let mut calls = gateway
        .results()
        .into_iter()
        .map(|(call, _)| call)
        .collect::<Vec<_>>();
    calls.sort_unstable();
    assert_eq!(calls, [first, second]);
}

#[tokio::test]
async fn a_link_that_is_gone_gets_nothing_and_brings_nothing() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    gateway.send(KEY, LATER);
    gateway
        .port
        .submit(&mut vec![ToHost::Detach { link: LINK }]);

    backend.release();
    let before = backend.calls.load(Ordering::Relaxed);
    gateway.send(KEY, NOW);

    assert_eq!(backend.calls.load(Ordering::Relaxed), before);
    assert_eq!(gateway.results(), []);
}

#[tokio::test]
async fn a_link_that_comes_back_gets_what_its_session_has_and_one_that_is_not_attached_nothing() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    let call = gateway.send(KEY, LATER);
    gateway
        .port
        .submit(&mut vec![ToHost::Detach { link: LINK }]);
    let back = Attach {
        link: LINK,
        key: facts(KEY),
        session_id: gateway.session_id,
        term: Some(TERM),
        is_http: false,
    };
    gateway.port.submit(&mut vec![ToHost::Attach(back)]);

    let wake = Arc::<Woken>::clone(&gateway.wake);
    gateway.port.attach(LINK, wake);
    backend.release();
    assert_eq!(gateway.results(), []);

    gateway.port.submit(&mut vec![ToHost::Attach(back)]);
    assert!(!gateway.drain().is_empty(), "the news of the session");
    gateway.until_woken().await;
    assert_eq!(gateway.results(), [(call, reply_bytes(LATER))]);
}

#[tokio::test]
async fn a_deadline_passes_without_any_message() {
    let mut gateway = Gateway::new(Scripted::now());
    let port = gateway.port.clone();
    let running = tokio::spawn(async move { port.run().await });

    gateway.send_body(
        KEY,
        &PingDelayDisconnect {
            ping_id: 1,
            disconnect_delay: 1,
        }
        .to_bytes(),
        false,
    );
    let first = gateway.drain();
    gateway.until_woken().await;
    let second = gateway.drain();
    running.abort();

    assert!(
        bodies(&first)
            .iter()
            .any(|body| Pong::from_bytes(body).is_ok())
    );
    assert_eq!(
        second,
        [FromHost::Close {
            link: LINK,
            code: None
        }]
    );
}

#[tokio::test]
async fn a_store_that_cannot_say_destroys_nothing_and_every_gateway_hears_of_what_is_destroyed() {
    for is_down in [true, false] {
        let (kept, keys) = (record(7, KeyKind::Permanent), MemoryKeys::new());
        let key = kept.facts.id;
        assert_eq!(keys.insert(kept).await, Ok(Inserted::Stored));
        let keys = Arc::new(Store { keys, is_down });
        let mut gateway = Gateway::with(Arc::<Store>::clone(&keys), Scripted::now());
        let edges = [Arc::new(Ear::default()), Arc::new(Ear::default())];
        for edge in &edges {
            let edge = Arc::downgrade(edge);
            gateway.port.open(edge);
        }

        gateway.send_body(key, &DestroyAuthKey.to_bytes(), false);
        assert!(!gateway.port.is_quiet(), "an answer is to come");
        let answer = gateway.until_body_but_news().await;

        let expected = if is_down {
            DestroyAuthKeyFail::ID
        } else {
            DestroyAuthKeyOk::ID
        };
        assert_eq!(heliogram_tl::peek_id(&answer), Some(expected));
        while !gateway.port.is_quiet() {
            tokio::task::yield_now().await;
        }
        let told = if is_down { vec![] } else { vec![key] };
        for edge in &edges {
            assert_eq!(*edge.revoked.lock().unwrap(), told);
        }
        assert_eq!(keys.find(key).await.is_ok_and(|it| it.is_none()), !is_down);
    }
}
