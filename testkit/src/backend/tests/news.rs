//! Updates and differences.

use grammers_tl_types::functions::updates::{GetChannelDifference, GetDifference, GetState};
use grammers_tl_types::{enums, types};
use heliogram_proto::updates::UpdateState;

use super::{ask, backend};
use crate::backend::{Backend, things};

#[test]
fn a_difference_has_messages_what_is_secret_and_the_rest_each_in_its_place() {
    let backend = backend();
    let mut news = backend.cloud().news();
    news.write(7, 7, "one").unwrap();
    news.record(7, 2, |at| {
        types::UpdateDeleteMessages {
            messages: vec![1, 2],
            pts: at.pts,
            pts_count: at.pts_count,
        }
        .into()
    })
    .unwrap();
    news.record_secondary(7, |qts| {
        let message = types::EncryptedMessageService {
            random_id: 1,
            chat_id: 1,
            date: 1,
            bytes: Vec::new(),
        };
        types::UpdateNewEncryptedMessage {
            message: message.into(),
            qts,
        }
        .into()
    })
    .unwrap();
    drop(news);
    let enums::updates::Difference::Difference(it) = ask(&backend, &after(1, 0)).unwrap() else {
        panic!("all of it")
    };
    assert_eq!(it.new_messages.len(), 1);
    assert_eq!(it.new_encrypted_messages.len(), 1);
    assert!(matches!(
        it.other_updates[..],
        [enums::Update::DeleteMessages(_)]
    ));
    let enums::updates::State::State(state) = it.state;
    assert_eq!((state.pts, state.qts), (4, 1));
    let enums::updates::State::State(now) = ask(&backend, &GetState {}).unwrap();
    assert_eq!(now, state);
    let nothing = ask(&backend, &after(4, 1)).unwrap();
    assert!(matches!(nothing, enums::updates::Difference::Empty(_)));
}

#[test]
fn slices_have_as_many_events_as_a_test_wants_and_the_last_is_none() {
    let backend = backend();
    let mut news = backend.cloud().news();
    for _ in 0..5 {
        news.write(7, 7, "hello").unwrap();
    }
    news.slices_of(2);
    drop(news);
    let mut pts = 1;
    for expected in [3, 5] {
        let enums::updates::Difference::Slice(it) = ask(&backend, &after(pts, 0)).unwrap() else {
            panic!("a slice")
        };
        let enums::updates::State::State(state) = it.intermediate_state;
        assert_eq!((it.new_messages.len(), state.pts), (2, expected));
        pts = state.pts;
    }
    let last = ask(&backend, &after(pts, 0)).unwrap();
    assert!(
        matches!(last, enums::updates::Difference::Difference(it) if it.new_messages.len() == 1)
    );
}

#[test]
fn what_is_not_kept_any_more_is_too_long() {
    let backend = backend();
    let state = UpdateState {
        pts: 50,
        ..UpdateState::default()
    };
    backend.cloud().news().reset(7, state);
    let too_long = ask(&backend, &after(49, 0)).unwrap();
    assert!(matches!(too_long, enums::updates::Difference::TooLong(it) if it.pts == 50));
    let nothing = ask(&backend, &after(50, 0)).unwrap();
    assert!(matches!(nothing, enums::updates::Difference::Empty(_)));
    let unknown = ask(&backend, &after(0, 0));
    assert_eq!(unknown.unwrap_err(), "400 PERSISTENT_TIMESTAMP_EMPTY");
}

#[test]
fn a_channel_has_numbers_slices_and_an_end_of_its_own() {
    let backend = backend();
    let mut news = backend.cloud().news();
    news.add_channel(9);
    for _ in 0..3 {
        news.write_in_channel(9, 7, "hello").unwrap();
    }
    news.channel_slices_of(2);
    news.poll_after(Some(30));
    drop(news);
    let enums::updates::ChannelDifference::Difference(it) = ask(&backend, &of_channel(1)).unwrap()
    else {
        panic!("a difference")
    };
    assert_eq!((it.new_messages.len(), it.pts, it.r#final), (2, 3, false));
    let enums::updates::ChannelDifference::Difference(it) = ask(&backend, &of_channel(3)).unwrap()
    else {
        panic!("a difference")
    };
    assert_eq!((it.new_messages.len(), it.pts, it.r#final), (1, 4, true));
    let enums::updates::ChannelDifference::Empty(it) = ask(&backend, &of_channel(4)).unwrap()
    else {
        panic!("nothing")
    };
    assert_eq!((it.pts, it.timeout), (4, Some(30)));

    backend.cloud().news().reset_channel(9, 20);
    let enums::updates::ChannelDifference::TooLong(it) = ask(&backend, &of_channel(4)).unwrap()
    else {
        panic!("too long")
    };
    assert!(matches!(it.dialog, enums::Dialog::Dialog(it) if it.pts == Some(20)));
    backend.cloud().news().close_channel(9);
    assert_eq!(
        ask(&backend, &of_channel(4)).unwrap_err(),
        "400 CHANNEL_PRIVATE"
    );
}

#[test]
fn containers_are_numbered_one_by_one() {
    let backend = backend();
    for expected in [1, 2] {
        let numbered = backend
            .cloud()
            .news()
            .number(7, vec![enums::Update::Config]);
        assert!(matches!(numbered, Ok(enums::Updates::Updates(it)) if it.seq == expected));
    }
    assert_eq!(state(&backend).seq, 2);
}

fn state(backend: &Backend) -> types::updates::State {
    let enums::updates::State::State(state) = ask(backend, &GetState {}).unwrap();
    state
}

const fn after(pts: i32, qts: i32) -> GetDifference {
    GetDifference {
        pts,
        pts_limit: None,
        pts_total_limit: None,
        date: 0,
        qts,
        qts_limit: None,
    }
}

fn of_channel(pts: i32) -> GetChannelDifference {
    GetChannelDifference {
        force: false,
        channel: things::input_channel(9),
        filter: enums::ChannelMessagesFilter::Empty,
        pts,
        limit: 100,
    }
}
