//! The stream of updates of an account: in order, without gaps, whatever is lost on the way.

use std::sync::Arc;

use grammers_tl_types::functions::{auth, messages, updates as api};
use grammers_tl_types::{Serializable as _, enums, types};
use heliogram_client::updates::{Event, Position, Updates, Which};
use heliogram_client::{Client, DataCentre, Notice};
use heliogram_ports::memory::MemoryKeys;
use heliogram_proto::ids::Term;
use heliogram_testkit::backend::{Backend, Cloud, things};
use heliogram_testkit::server::{GUEST, Server, Servers, Setup, public_key};

use crate::backend::client_of;
use crate::proxy::Proxy;
use crate::world::{World, body, next, text};

#[tokio::test]
async fn a_gap_is_told_and_closed_and_what_follows_it_comes_after() {
    let mut world = World::settled().await;
    world.lose("a");
    world.push("b");
    assert_eq!(world.next().await, Event::Gap(Which::Common));
    assert_eq!(world.next().await, Event::NeedDifference);
    assert_eq!(world.texts(2).await, ["a", "b"]);
    world.push("c");
    assert_eq!(world.next_text().await, "c");
}

#[tokio::test]
async fn what_is_pushed_in_another_order_is_told_in_its_own_and_no_difference_is_asked_for() {
    let mut world = World::settled().await;
    let asked = world.ledger().calls::<api::GetDifference>();
    let [first, second] = ["a", "b"].map(|it| world.news().write(GUEST, GUEST, it).unwrap());
    // Both wait before the stream reads either.
    world.push_update(second);
    world.push_update(first);
    assert_eq!(world.next().await, Event::Gap(Which::Common));
    assert_eq!(world.texts(2).await, ["a", "b"]);
    assert_eq!(world.ledger().calls::<api::GetDifference>(), asked);
}

#[tokio::test]
async fn users_travel_with_their_update() {
    let mut world = World::settled().await;
    let message = world.news().write(GUEST, GUEST, "a").unwrap();
    let told = world.news().with_people(things::updates(vec![message]));
    world.push_updates(&told);
    let update = world.updates.next_update().await.unwrap();
    assert_eq!(update.peers.user(GUEST).map(|it| it.id), Some(GUEST));
    assert!(update.date > 0);
    let input = world.updates.input_peer(&things::person(GUEST));
    assert_eq!(input, Some(things::input_person(GUEST)));
}

#[tokio::test]
async fn without_a_position_a_stream_begins_where_the_account_is() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    servers.cloud().news().write(GUEST, GUEST, "old").unwrap();
    let mut updates = client.updates(None);
    let backend = servers.at(2).backend();
    tokio::select! {
        event = updates.next() => panic!("{event:?}"),
        () = backend.ledger().wait_for::<api::GetState>(1) => {}
    }
    let message = servers.cloud().news().write(GUEST, GUEST, "new").unwrap();
    backend
        .push_to(GUEST, body(&things::updates(vec![message])))
        .unwrap();
    let update = updates.next_update().await.unwrap();
    assert_eq!(text(&update), "new");
    assert_eq!(backend.ledger().calls::<api::GetDifference>(), 0);
}

#[tokio::test]
async fn a_stream_goes_on_from_a_position_in_slices() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let state = servers.cloud().news().state(GUEST).unwrap();
    for text in ["a", "b", "c", "d", "e"] {
        servers.cloud().news().write(GUEST, GUEST, text).unwrap();
    }
    servers.cloud().news().slices_of(2);
    let mut world = World {
        updates: client.updates(Some(state.into())),
        client,
        servers,
    };
    assert_eq!(world.next().await, Event::NeedDifference);
    assert_eq!(world.next_text().await, "a");
    assert_eq!(
        world.updates.position().state,
        state,
        "not all of it is told"
    );
    assert_eq!(world.next_text().await, "b");
    // Nothing of the slice is left.
    assert_eq!(world.updates.position().state.pts, state.pts + 2);
    let stored = world.updates.position().to_bytes();

    // After a restart.
    let from = Position::from_bytes(&stored).unwrap();
    world.updates = world.client.updates(Some(from));
    assert_eq!(world.texts(3).await, ["c", "d", "e"]);
    let now = world.news().state(GUEST).unwrap();
    assert_eq!(world.updates.position().state.pts, now.pts);
}

#[tokio::test]
async fn word_that_too_much_was_missed_is_passed_on_and_the_stream_goes_on_from_there() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let state = servers.cloud().news().state(GUEST).unwrap();
    let ahead = heliogram_client::updates::UpdateState { pts: 9000, ..state };
    servers.cloud().news().reset(GUEST, ahead);
    let mut world = World {
        updates: client.updates(Some(state.into())),
        client,
        servers,
    };
    assert_eq!(world.next().await, Event::NeedDifference);
    assert_eq!(world.next().await, Event::TooLong(Which::Common));
    world.lose("a");
    assert_eq!(world.next_text().await, "a");
    assert_eq!(world.updates.position().state.pts, 9001);
}

#[tokio::test]
async fn a_number_that_the_server_refuses_or_an_answer_in_no_known_form_is_too_long_ago() {
    for answer in [Err("PERSISTENT_TIMESTAMP_INVALID"), Ok(0xdead_beef_u32)] {
        let servers = Servers::start([2]).unwrap();
        let client = client_of(&servers).await;
        let state = servers.cloud().news().state(GUEST).unwrap();
        let script = servers.at(2).backend().script();
        match answer {
            Err(name) => script.fail::<api::GetDifference>(1, 400, name),
            Ok(id) => script.answer_raw(GET_DIFFERENCE, move |_| Ok(id.to_bytes())),
        }
        let mut updates = client.updates(Some(state.into()));
        assert_eq!(next(&mut updates).await, Event::NeedDifference);
        assert_eq!(next(&mut updates).await, Event::TooLong(Which::Common));
        tokio::select! {
            event = updates.next() => panic!("{event:?}"),
            () = servers.at(2).backend().ledger().wait_for::<api::GetState>(1) => {}
        }
    }
}

#[tokio::test]
async fn what_the_client_does_itself_leaves_no_gap_and_is_told() {
    let mut world = World::settled().await;
    world.news().add_user(7);
    let asked = world.ledger().calls::<api::GetDifference>();
    let sent = world.client.invoke(&message_to(7, "mine")).await.unwrap();
    assert!(matches!(sent, enums::Updates::UpdateShortSentMessage(_)));
    let update = world.updates.next_update().await.unwrap();
    assert_eq!(text(&update), "mine");
    let enums::Update::NewMessage(it) = &update.update else {
        panic!("{update:?}")
    };
    let enums::Message::Message(message) = &it.message else {
        panic!("{update:?}")
    };
    assert!(message.out);
    assert_eq!(message.peer_id, things::person(7));
    world.push("next");
    let event = world.next().await;
    assert_eq!(event_text(&event), Some("next".to_owned()), "{event:?}");
    assert_eq!(world.ledger().calls::<api::GetDifference>(), asked);
}

#[tokio::test]
async fn numbers_in_an_answer_are_counted_though_nothing_is_told() {
    let mut world = World::settled().await;
    let affected = world.news().record(GUEST, 2, |at| {
        types::UpdateDeleteMessages {
            messages: vec![1, 2],
            pts: at.pts,
            pts_count: at.pts_count,
        }
        .into()
    });
    let enums::Update::DeleteMessages(deleted) = affected.unwrap() else {
        panic!("something else")
    };
    let script = world.servers.at(2).backend().script();
    script.answer::<messages::DeleteMessages>(move |_, _| {
        Ok(types::messages::AffectedMessages {
            pts: deleted.pts,
            pts_count: deleted.pts_count,
        }
        .into())
    });
    let delete = messages::DeleteMessages {
        revoke: true,
        id: vec![1, 2],
    };
    world.client.invoke(&delete).await.unwrap();
    world.push("next");
    // No gap, and nothing of its own: the caller knows.
    let event = world.next().await;
    assert_eq!(event_text(&event), Some("next".to_owned()), "{event:?}");
}

#[tokio::test]
async fn what_another_data_centre_answers_moves_no_number() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).await;
    let script = servers.at(4).backend().script();
    script.answer::<messages::DeleteMessages>(|_, _| {
        Ok(types::messages::AffectedMessages {
            pts: 9000,
            pts_count: 1,
        }
        .into())
    });
    let mut world = World::settled_of(servers, client).await;
    let delete = messages::DeleteMessages {
        revoke: true,
        id: vec![1],
    };
    world.client.invoke_at(4, &delete).await.unwrap();
    world.push("next");
    let event = world.next().await;
    assert_eq!(event_text(&event), Some("next".to_owned()), "{event:?}");
    assert_eq!(world.ledger().calls::<api::GetDifference>(), 1);
}

#[tokio::test]
async fn word_that_all_is_too_long_and_what_can_not_be_read_are_made_up_for_by_the_difference() {
    let unreadable = 0xdead_beef_u32.to_bytes();
    for object in [enums::Updates::TooLong.to_bytes(), unreadable] {
        let mut world = World::settled().await;
        world.lose("a");
        let backend = world.servers.at(2).backend();
        backend.push_to(GUEST, object.into()).unwrap();
        assert_eq!(world.next().await, Event::NeedDifference);
        assert_eq!(world.next_text().await, "a");
    }
}

#[tokio::test]
async fn an_update_that_is_nothing_but_levels_ends_nobody() {
    let mut world = World::settled().await;
    let message = world.news().write(GUEST, GUEST, "deep").unwrap();
    let enums::Update::NewMessage(mut update) = message else {
        panic!("{message:?}")
    };
    let enums::Message::Message(message) = &mut update.message else {
        panic!("{update:?}")
    };
    let empty = enums::MessageMedia::Empty.to_bytes();
    message.media = Some(enums::MessageMedia::Empty);
    let object = things::updates(vec![update.into()]).to_bytes();
    let inner = types::MessageExtendedMedia {
        media: enums::MessageMedia::Empty,
    };
    let level = enums::MessageMedia::from(types::MessageMediaPaidMedia {
        stars_amount: 1,
        extended_media: vec![inner.into()],
    });
    let level = level.to_bytes();
    let (level, end) = level.split_at(level.len() - empty.len());
    assert_eq!(end, empty);
    let at = object.windows(4).position(|it| it == empty).unwrap();
    let deep = [&object[..at], &level.repeat(5_000), &object[at..]].concat();
    world
        .servers
        .at(2)
        .backend()
        .push_to(GUEST, deep.into())
        .unwrap();
    assert_eq!(world.next().await, Event::NeedDifference);
    assert_eq!(world.next_text().await, "deep");
}

#[tokio::test]
async fn a_message_in_short_form_is_written_out_or_asked_for_if_its_sender_is_unknown() {
    let mut world = World::settled().await;
    world.news().add_user(7);
    // Of user 7 nothing was told: the difference tells.
    world.push_short(7, "a");
    assert_eq!(world.next().await, Event::NeedDifference);
    let update = world.updates.next_update().await.unwrap();
    assert_eq!(text(&update), "a");
    assert!(update.peers.user(7).is_some());
    // Now it is known.
    world.push_short(7, "b");
    let event = world.next().await;
    assert_eq!(event_text(&event), Some("b".to_owned()), "{event:?}");
}

#[tokio::test]
async fn numbers_of_secret_chats_and_of_containers_are_kept_in_order_as_well() {
    let mut world = World::settled().await;
    let stopped = |qts| {
        types::UpdateBotStopped {
            user_id: 7,
            date: 1,
            stopped: true,
            qts,
        }
        .into()
    };
    let first = world.news().record_secondary(GUEST, stopped).unwrap();
    world.push_update(first.clone());
    assert_eq!(world.next_update().await.update, first);
    let lost = world.news().record_secondary(GUEST, stopped).unwrap();
    let second = world.news().record_secondary(GUEST, stopped).unwrap();
    world.push_update(second.clone());
    assert_eq!(world.next().await, Event::Gap(Which::Secondary));
    assert_eq!(world.next_update().await.update, lost);
    assert_eq!(world.next_update().await.update, second);

    let typing = |user_id| {
        vec![
            types::UpdateUserTyping {
                user_id,
                top_msg_id: None,
                action: enums::SendMessageAction::SendMessageTypingAction,
            }
            .into(),
        ]
    };
    let number = |user| world.news().number(GUEST, typing(user)).unwrap();
    let [zeroth, first, second] = [0, 1, 2].map(number);
    for container in [zeroth, second, first] {
        world.push_updates(&container);
    }
    assert_eq!(world.next_update().await.update, typing(0)[0]);
    assert_eq!(world.next().await, Event::Gap(Which::Containers));
    for user in [1, 2] {
        assert_eq!(world.next_update().await.update, typing(user)[0]);
    }
}

#[tokio::test]
async fn a_server_that_can_not_answer_for_now_is_asked_again() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let state = servers.cloud().news().state(GUEST).unwrap();
    servers.cloud().news().write(GUEST, GUEST, "a").unwrap();
    let script = servers.at(2).backend().script();
    script.fail::<api::GetDifference>(1, 420, "FLOOD_WAIT_1");
    let mut updates = client.updates(Some(state.into()));
    assert_eq!(text(&updates.next_update().await.unwrap()), "a");
    let asked = servers
        .at(2)
        .backend()
        .ledger()
        .calls::<api::GetDifference>();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn nobody_is_asked_while_nobody_is_signed_in() {
    let servers = Servers::start([2]).unwrap();
    servers.at(2).backend().welcome(None);
    let client = client_of(&servers).await;
    let mut updates = client.updates(None);
    let backend = servers.at(2).backend();
    let sign_in = async {
        backend.ledger().wait_for::<api::GetState>(1).await;
        client.invoke(&bot_of(77)).await.unwrap();
        backend.ledger().wait_for::<api::GetState>(2).await;
    };
    tokio::select! {
        event = updates.next() => panic!("{event:?}"),
        () = sign_in => {}
    }
    let message = servers.cloud().news().write(77, 77, "hello").unwrap();
    backend
        .push_to(77, body(&things::updates(vec![message])))
        .unwrap();
    assert_eq!(text(&updates.next_update().await.unwrap()), "hello");
}

#[tokio::test]
async fn an_account_that_signs_in_after_another_begins_anew() {
    let mut world = World::settled().await;
    for (bot, asked) in [(77, 2), (78, 3)] {
        let World {
            client,
            updates,
            servers,
        } = &mut world;
        let ledger = servers.at(2).backend().ledger();
        let sign_in = async {
            client.invoke(&bot_of(bot)).await.unwrap();
            ledger.wait_for::<api::GetState>(asked).await;
        };
        tokio::select! {
            event = next_but(updates, &Event::NeedDifference) => panic!("{event:?}"),
            () = sign_in => {}
        }
    }
    // The second began where its own account is: at 1, and not at the first one's numbers.
    world.news().write(78, 78, "a").unwrap();
    let backend = world.servers.at(2).backend();
    let too_long = body(&enums::Updates::TooLong);
    backend.push_to(78, too_long).unwrap();
    assert_eq!(world.next_text().await, "a");
    assert_eq!(world.updates.position().state.pts, 2);
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_session_is_asked_what_was_missed() {
    let cloud = Cloud::new();
    let backend = Backend::new(2, &cloud);
    backend.welcome(Some(GUEST));
    let keys = Arc::new(MemoryKeys::new());
    let setup = || Setup {
        keys: Arc::<MemoryKeys>::clone(&keys),
        ..Setup::new(Arc::<Backend>::clone(&backend))
    };
    let server = Server::start(setup()).unwrap();
    let proxy = Proxy::start(server.address()).await;
    let builder = Client::builder().api_id(4).api_hash("hash");
    let builder = builder.server_key(public_key());
    let dc = DataCentre::new(2, [proxy.address]);
    let client = builder.data_centre(dc).connect().await.unwrap();
    let mut updates = client.updates(None);
    tokio::select! {
        event = updates.next() => panic!("{event:?}"),
        () = backend.ledger().wait_for::<api::GetState>(1) => {}
    }
    cloud.news().write(GUEST, GUEST, "settled").unwrap();
    backend
        .push_to(GUEST, body(&enums::Updates::TooLong))
        .unwrap();
    assert_eq!(text(&updates.next_update().await.unwrap()), "settled");

    drop(server);
    cloud
        .news()
        .write(GUEST, GUEST, "while it was away")
        .unwrap();
    let mut again = setup();
    again.host.term = Term(2);
    let server = Server::start(again).unwrap();
    proxy.redirect(server.address());
    proxy.cut();
    let update = updates.next_update().await.unwrap();
    assert_eq!(text(&update), "while it was away");
}

#[tokio::test]
async fn a_stream_that_was_not_read_for_long_asks_for_what_could_not_be_kept() {
    let mut world = World::settled().await;
    // As many as wait at most, and some more; the first ones of them are lost.
    let typing = types::UpdateUserTyping {
        user_id: 7,
        top_msg_id: None,
        action: enums::SendMessageAction::SendMessageTypingAction,
    };
    world.lose("a");
    let backend = world.servers.at(2).backend();
    let object = body(&things::short(typing.into()));
    for _ in 0..10_001 {
        backend.push_to(GUEST, object.clone()).unwrap();
    }
    let mut events = Vec::new();
    let missed = loop {
        let event = world.next().await;
        if let Some(text) = event_text(&event) {
            break text;
        }
        events.push(event);
    };
    assert_eq!(missed, "a");
    assert!(events.contains(&Event::NeedDifference));
    assert!(events.len() < 10_001, "nothing was given up");
}

#[tokio::test]
async fn a_stream_ends_with_the_next_one_or_with_the_client() {
    let mut world = World::settled().await;
    let mut other = world.client.updates(None);
    assert_eq!(world.updates.next().await, None);
    world.client.shutdown().await;
    assert_eq!(other.next().await, None);
}

#[tokio::test]
async fn while_there_is_no_stream_updates_are_notices() {
    let mut world = World::settled().await;
    let mut notices = world.client.notices();
    world.push("to the stream");
    assert_eq!(world.next_text().await, "to the stream");
    let World {
        client,
        servers,
        updates,
    } = world;
    drop(updates);
    let message = servers.cloud().news().write(GUEST, GUEST, "raw").unwrap();
    let object = body(&things::updates(vec![message]));
    let pushed = servers.at(2).backend().push_to(GUEST, object.clone());
    pushed.unwrap();
    loop {
        if let Notice::Update { object: told, .. } = notices.next().await {
            assert_eq!(told, object);
            break;
        }
    }
    client.shutdown().await;
}

/// Waits for an event that is not this one.
async fn next_but(updates: &mut Updates, event: &Event) -> Event {
    loop {
        let next = next(updates).await;
        if next != *event {
            return next;
        }
    }
}

fn bot_of(user: i64) -> auth::ImportBotAuthorization {
    auth::ImportBotAuthorization {
        flags: 0,
        api_id: 4,
        api_hash: "hash".to_owned(),
        bot_auth_token: format!("{user}:token"),
    }
}

/// Returns the text of a message, if the event is one.
fn event_text(event: &Event) -> Option<String> {
    let Event::Update(update) = event else {
        return None;
    };
    matches!(update.update, enums::Update::NewMessage(_)).then(|| text(update))
}

fn message_to(user: i64, text: &str) -> messages::SendMessage {
    messages::SendMessage {
        no_webpage: false,
        silent: true,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer: things::input_person(user),
        reply_to: None,
        message: text.to_owned(),
        random_id: 1,
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

const GET_DIFFERENCE: u32 = 0x19c2_f763;
