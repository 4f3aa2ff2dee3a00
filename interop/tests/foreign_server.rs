//! Our client against a server that stands on the `mtproto` package: key exchange, calls, containers, salts, errors, lost answers.

#![cfg(test)]

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliogram_client::updates::{Event, UpdateState};
use heliogram_client::{
    Builder, Client, DataCentre, Framing, InvokeError, Method, Obfuscation, PublicKey, Reconnect,
    Transport, tl,
};
use heliogram_interop::{ForeignServer, Seen, python};

#[test]
fn a_key_is_made_and_calls_are_answered_over_abridged_full_and_obfuscated() {
    let Some(python) = python("a foreign server's framings") else {
        return;
    };
    let framings = [
        (Framing::Abridged, None),
        (Framing::Full, None),
        (Framing::Abridged, Some(Obfuscation::default())),
    ];
    for (framing, obfuscation) in framings {
        let transport = Transport::Tcp {
            framing,
            obfuscation,
        };
        let of = |builder: Builder| builder.transport(transport.clone());
        let seen = meet(&python, &[], of, |client| async move {
            for token in 0..20 {
                let method = if token % 2 == 0 { ECHO } else { ZIPPED };
                assert_eq!(client.invoke(&Ask(method, token)).await, Ok(token));
            }
        });
        assert_eq!(seen.count("keys"), 1, "{framing:?}");
        assert_eq!(seen.count("temporary keys"), 1, "{framing:?}");
        assert_eq!(seen.count("bound"), 1, "{framing:?}");
        assert_eq!(seen.count("sessions"), 1, "{framing:?}");
        assert_eq!(seen.count("introductions"), 1, "{framing:?}");
        assert_eq!(seen.count("layer"), 222, "{framing:?}");
        assert_eq!(seen.count("bad salts"), 0, "{framing:?}");
        assert!(seen.count("acks") > 0, "{framing:?}");
    }
}

#[test]
fn calls_that_are_made_at_once_travel_in_containers() {
    let Some(python) = python("a foreign server's containers") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        let calls = (0..300).map(|token| {
            let client = client.clone();
            tokio::spawn(async move { client.invoke(&Ask(ECHO, token)).await })
        });
        let calls: Vec<_> = calls.collect();
        for (token, call) in (0..).zip(calls) {
            assert_eq!(call.await.unwrap(), Ok(token));
        }
    });
    assert!(seen.count("largest container") >= 10, "{seen:?}");
}

#[test]
fn a_new_salt_costs_one_refusal_and_no_call() {
    let Some(python) = python("a foreign server's salts") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        for token in 0..10 {
            let method = if token % 2 == 0 { NEW_SALT } else { ECHO };
            assert_eq!(client.invoke(&Ask(method, token)).await, Ok(token));
        }
    });
    // Acknowledgements may be on their way when the salt changes, and are refused, too.
    assert!((5..=10).contains(&seen.count("bad salts")), "{seen:?}");
}

#[test]
fn salts_that_end_after_four_seconds_cost_no_call() {
    let Some(python) = python("a foreign server's short salts") else {
        return;
    };
    let short = ["--salt-life", "4"];
    let seen = meet(&python, &short, no_change, |client| async move {
        let start = Instant::now();
        for token in 0.. {
            assert_eq!(client.invoke(&Ask(ECHO, token)).await, Ok(token));
            if start.elapsed() > Duration::from_secs(9) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // The client waits a minute before it changes to a salt: these have ended by then.
    assert!(seen.count("bad salts") >= 1, "{seen:?}");
    assert!(seen.count("asked for salts") >= 1, "{seen:?}");
}

#[test]
fn a_call_whose_answer_was_cut_off_gets_the_kept_answer_and_does_not_run_again() {
    let Some(python) = python("a foreign server that hangs up") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        for token in 0..5 {
            assert_eq!(client.invoke(&Ask(CUT, token)).await, Ok(token));
        }
    });
    assert_eq!(seen.count("repeated calls"), 5);
    assert_eq!(seen.count("sessions"), 1, "it goes on with its session");
}

#[test]
fn an_answer_that_is_only_announced_is_asked_for() {
    let Some(python) = python("a foreign server that announces") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        for token in 0..3 {
            assert_eq!(client.invoke(&Ask(ANNOUNCE, token)).await, Ok(token));
        }
    });
    assert_eq!(seen.count("resent"), 3);
}

#[test]
fn an_answer_that_never_came_is_there_after_the_next_reconnection() {
    let Some(python) = python("a foreign server that loses answers") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        let method = Ask(LOSE, 1);
        let mut lost = pin!(client.invoke(&method));
        tokio::select! {
            biased;
            outcome = &mut lost => panic!("{outcome:?} before the call was repeated"),
            outcome = client.invoke(&Ask(ECHO, 2)) => assert_eq!(outcome, Ok(2)),
        }
        let (lost, cut) = tokio::join!(lost, client.invoke(&Ask(CUT, 3)));
        assert_eq!((lost, cut), (Ok(1), Ok(3)));
    });
    assert_eq!(seen.count("repeated calls"), 2);
}

#[test]
fn a_flood_wait_is_waited_for_and_any_other_error_is_the_callers() {
    let Some(python) = python("a foreign server's errors") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        let Err(InvokeError::Rpc(error)) = client.invoke(&Ask(FAIL, 1)).await else {
            panic!("an error");
        };
        assert_eq!((error.code, error.name.as_str()), (400, "PEER_ID_INVALID"));
    });
    assert_eq!(seen.count("failed"), 2);
}

#[test]
fn a_server_whose_clock_is_ten_minutes_ahead_or_behind_refuses_no_message() {
    let Some(python) = python("a foreign server's clock") else {
        return;
    };
    for ahead in ["600", "-600"] {
        let seen = meet(
            &python,
            &["--ahead", ahead],
            no_change,
            |client| async move {
                for token in 0..3 {
                    assert_eq!(client.invoke(&Ask(ECHO, token)).await, Ok(token));
                }
            },
        );
        assert_eq!(seen.count("refusals 16") + seen.count("refusals 17"), 0);
    }
}

#[test]
fn a_clock_that_is_stepped_by_ten_minutes_while_calls_are_made_costs_a_refusal_and_no_call() {
    let Some(python) = python("a foreign server whose clock is stepped") else {
        return;
    };
    for (step, refusal) in [(600, "refusals 16"), (-600, "refusals 17")] {
        let seen = meet(&python, &[], no_change, |client| async move {
            assert_eq!(client.invoke(&Ask(STEP_CLOCK, step)).await, Ok(step));
            for token in 0..10 {
                assert_eq!(client.invoke(&Ask(ECHO, token)).await, Ok(token));
            }
        });
        assert!((1..=2).contains(&seen.count(refusal)), "{step}: {seen:?}");
    }
}

#[test]
fn updates_that_were_never_pushed_are_asked_for_and_told_in_their_order() {
    let Some(python) = python("a foreign server's updates") else {
        return;
    };
    let seen = meet(&python, &[], no_change, |client| async move {
        let from = UpdateState {
            pts: 1,
            ..UpdateState::default()
        };
        let mut updates = client.updates(Some(from.into()));
        let (mut told, mut gaps) = (Vec::new(), 0);
        for (swallowed, until) in [(0, 2), (3, 6)] {
            for (token, method) in [(swallowed, SWALLOW), (until - swallowed - told.len(), PUSH)] {
                let token = i64::try_from(token).unwrap();
                assert_eq!(client.invoke(&Ask(method, token)).await, Ok(token));
            }
            while told.len() < until {
                let event = updates.next().await.unwrap();
                if let Event::Update(it) = &event {
                    told.push(deleted(&it.update));
                } else if matches!(event, Event::Gap(_)) {
                    gaps += 1;
                } else {
                    assert_eq!(event, Event::NeedDifference);
                }
            }
        }
        assert_eq!(told, [2, 3, 4, 5, 6, 7]);
        assert_eq!(gaps, 1);
    });
    assert_eq!(
        seen.count("differences"),
        2,
        "at the start, and for the gap"
    );
}

/// The message that an update of the foreign server names: the update's number.
fn deleted(update: &tl::enums::Update) -> i32 {
    let tl::enums::Update::DeleteMessages(update) = update else {
        panic!("{update:?}");
    };
    update.messages[0]
}

/// Runs a client and what it does against a new server, and returns what the server says of it.
fn meet<F: Future<Output = ()>>(
    python: &Path,
    options: &[&str],
    change: impl FnOnce(Builder) -> Builder,
    talk: impl FnOnce(Client) -> F,
) -> Seen {
    let server = ForeignServer::start(python, options);
    let builder = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(PublicKey::from_pem(&server.public_key()).unwrap())
        .data_centre(DataCentre::new(2, [server.address()]))
        .fixed_addresses()
        .transport(Transport::Tcp {
            framing: Framing::Abridged,
            obfuscation: None,
        })
        .reconnect(Reconnect {
            first: Duration::from_millis(5),
            ..Reconnect::default()
        });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = change(builder).connect().await.unwrap();
        talk(client.clone()).await;
        client.shutdown().await;
    });
    server.end()
}

fn no_change(builder: Builder) -> Builder {
    builder
}

/// A method of the foreign server, and a token that its answer repeats.
struct Ask(u32, i64);

impl Method for Ask {
    type Return = i64;

    fn to_body(&self) -> Bytes {
        [&self.0.to_le_bytes()[..], &self.1.to_le_bytes()]
            .concat()
            .into()
    }

    fn read_result(result: &[u8]) -> Result<i64, String> {
        let (_, token) = result.split_first_chunk::<4>().ok_or("short")?;
        Ok(i64::from_le_bytes(token.try_into().map_err(|_| "length")?))
    }
}

const ECHO: u32 = 0x7e57_0101;
const ZIPPED: u32 = 0x7e57_0102;
const NEW_SALT: u32 = 0x7e57_0103;
const CUT: u32 = 0x7e57_0104;
const ANNOUNCE: u32 = 0x7e57_0105;
const LOSE: u32 = 0x7e57_0106;
const FAIL: u32 = 0x7e57_0107;
const STEP_CLOCK: u32 = 0x7e57_0108;
const PUSH: u32 = 0x7e57_0109;
const SWALLOW: u32 = 0x7e57_010a;
