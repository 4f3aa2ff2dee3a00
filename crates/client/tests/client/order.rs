//! Calls that are begun in an order, and are to run in it.

use heliogram_client::{InvokeError, Raw};

use crate::server::{Count, Fail, Never, Server};

#[tokio::test]
async fn calls_that_are_begun_run_one_after_another_if_they_are_to() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let mut begun = vec![client.begin(&Count(1)).unwrap()];
    for token in 2..20 {
        let earlier = begun.last().unwrap();
        begun.push(client.begin_after(earlier, &Count(token)).unwrap());
    }
    for (token, call) in (1..).zip(begun) {
        assert_eq!(call.answer().await, Ok(token));
    }
    let order = server.backend.order();
    assert_eq!(order, (1..20).collect::<Vec<_>>());
    client.shutdown().await;
}

#[tokio::test]
async fn a_call_after_one_that_fails_fails_and_after_one_that_is_over_runs() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let first = client.begin(&Fail(1)).unwrap();
    let second = client.begin_after(&first, &Count(2)).unwrap();
    assert_eq!(name(first.answer().await), "PEER_ID_INVALID");
    assert_eq!(name(second.answer().await), "MSG_WAIT_FAILED");
    let first = client.begin(&Never(3)).unwrap();
    let second = client.begin_after(&first, &Count(4)).unwrap();
    assert_eq!(name(second.answer().await), "MSG_WAIT_TIMEOUT");
    assert!(!server.backend.runs().contains_key(&4));
    drop(first);
    let first = client.begin(&Count(5)).unwrap();
    while !server.backend.runs().contains_key(&5) {
        tokio::task::yield_now().await;
    }
    let second = client.begin_after(&first, &Count(6)).unwrap();
    assert_eq!(second.answer().await, Ok(6));
    client.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_begun_and_dropped_is_given_up() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    drop(client.begin(&Never(1)).unwrap());
    assert_eq!(client.invoke(&Count(2)).await, Ok(2));
    let start = std::time::Instant::now();
    client.shutdown().await;
    assert!(start.elapsed() < heliogram_client::SHUTDOWN_MAX);
}

#[tokio::test]
async fn sixteen_mebibytes_of_calls_are_begun_at_once_and_four_kib_more_are_not() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let large = |kib: usize| Raw(vec![0; kib << 10].into());
    // Nothing is answered before this task first waits.
    let mut begun: Vec<_> = (0..16)
        .map(|_| client.begin(&large(1020)).unwrap())
        .collect();
    begun.push(client.begin(&large(60)).unwrap());
    let error = client.begin(&large(8)).unwrap_err();
    assert_eq!(error, InvokeError::TooManyCalls);
    begun.push(client.begin(&large(4)).unwrap());
    for call in begun {
        assert!(matches!(call.answer().await, Err(InvokeError::Rpc(_))));
    }
    assert_eq!(client.invoke(&Count(1)).await, Ok(1), "there is room again");
    client.shutdown().await;
}

#[tokio::test]
async fn calls_that_are_dropped_at_once_have_their_room_until_the_line_has_seen_it() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    // The line sees nothing before this task first waits.
    for token in 0..1024 {
        drop(client.begin(&Never(token)).unwrap());
    }
    let error = client.begin(&Never(1024)).unwrap_err();
    assert_eq!(error, InvokeError::TooManyCalls);
    assert_eq!(client.invoke(&Count(1)).await, Ok(1), "there is room again");
    client.shutdown().await;
}

fn name<T: std::fmt::Debug>(outcome: Result<T, InvokeError>) -> String {
    match outcome {
        Err(InvokeError::Rpc(error)) => error.name,
        other => panic!("{other:?}"),
    }
}
