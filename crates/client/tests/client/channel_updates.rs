//! The stream of updates, of channels: each with a sequence and a difference of its own.

use grammers_tl_types::functions::{channels, updates as api};
use grammers_tl_types::{enums, types};
use heliogram_client::updates::{Event, OPEN_CHANNELS_MAX, Position, TooManyOpen, Which};
use heliogram_testkit::backend::{refuse, things};
use heliogram_testkit::server::GUEST;

use crate::world::{World, text};

#[tokio::test]
async fn a_gap_in_a_channel_is_closed_by_its_own_difference_in_slices() {
    let mut world = world().await;
    world.news().channel_slices_of(2);
    let differences = world.ledger().calls::<api::GetDifference>();
    for text in ["b", "c"] {
        world.lose_in_channel(text);
    }
    world.push_in_channel("d");
    assert_eq!(world.next().await, Event::Gap(Which::Channel(CLUB)));
    assert_eq!(world.next().await, NEED);
    assert_eq!(world.texts(3).await, ["b", "c", "d"]);
    assert_eq!(world.ledger().calls::<api::GetDifference>(), differences);
    world.push("of the account");
    assert_eq!(world.next_text().await, "of the account");
}

#[tokio::test]
async fn channels_and_what_they_are_called_upon_with_are_in_the_position() {
    let mut world = world().await;
    let stored = world.updates.position().to_bytes();
    world.lose_in_channel("b");
    // After a restart: nothing that comes names the channel.
    let from = Position::from_bytes(&stored).unwrap();
    assert_eq!(from.channels[0].access_hash, things::access_hash(CLUB));
    world.updates = world.client.updates(Some(from));
    world.say_too_long(None);
    assert_eq!(world.next_text().await, "b");
}

#[tokio::test]
async fn word_of_a_number_that_was_reached_asks_for_nothing_and_of_a_later_one_does() {
    let mut world = world().await;
    let now = world.news().channel_pts(CLUB).unwrap();
    world.say_too_long(Some(now));
    world.lose_in_channel("b");
    world.say_too_long(Some(now + 1));
    assert_eq!(world.next().await, NEED);
    assert_eq!(world.next_text().await, "b");
    assert_eq!(world.ledger().calls::<api::GetChannelDifference>(), 1);
}

#[tokio::test]
async fn a_channel_in_which_too_much_was_missed_is_told_and_goes_on_from_there() {
    let mut world = world().await;
    world.news().reset_channel(CLUB, 9000);
    world.say_too_long(None);
    assert_eq!(world.next().await, NEED);
    let told = Event::TooLong(Which::Channel(CLUB));
    assert_eq!(world.next().await, told);
    world.push_in_channel("b");
    assert_eq!(world.next_text().await, "b");
}

#[tokio::test]
async fn a_channel_that_is_private_now_is_told_after_what_had_come_from_it() {
    let mut world = world().await;
    world.lose_in_channel("lost");
    world.push_in_channel("came");
    world.news().close_channel(CLUB);
    assert_eq!(world.next().await, Event::Gap(Which::Channel(CLUB)));
    assert_eq!(world.next().await, NEED);
    assert_eq!(world.next_text().await, "came");
    let channel_id = CLUB;
    assert_eq!(world.next().await, Event::ChannelGone { channel_id });
    assert_eq!(world.updates.position().channels, []);
}

#[tokio::test]
async fn a_channels_number_that_the_server_refuses_is_too_long_ago_and_a_server_that_fails_is_asked_again()
 {
    let mut world = world().await;
    let script = world.servers.at(2).backend().script();
    script.fail::<api::GetChannelDifference>(1, 420, "FLOOD_WAIT_1");
    world.lose_in_channel("b");
    world.say_too_long(None);
    assert_eq!(world.next_text().await, "b");
    let script = world.servers.at(2).backend().script();
    script.fail::<api::GetChannelDifference>(1, 400, "PERSISTENT_TIMESTAMP_INVALID");
    world.say_too_long(None);
    assert_eq!(world.next().await, NEED);
    let told = Event::TooLong(Which::Channel(CLUB));
    assert_eq!(world.next().await, told);
    world.push_in_channel("c");
    assert_eq!(world.next_text().await, "c");
}

#[tokio::test]
async fn an_open_channel_is_asked_about_by_itself_until_it_is_closed() {
    let mut world = world().await;
    world.updates.open_channel(CLUB).unwrap();
    for text in ["b", "c"] {
        // Nothing is pushed.
        world.lose_in_channel(text);
        assert_eq!(world.next_text().await, text);
    }
    world.updates.close_channel(CLUB);
    let asked = world.ledger().calls::<api::GetChannelDifference>();
    world.lose_in_channel("d");
    world.push("of the account");
    while world.next_text().await != "of the account" {}
    let asked_since = world.ledger().calls::<api::GetChannelDifference>() - asked;
    assert!(asked_since <= 1, "one may have been under way");
}

#[tokio::test]
async fn ten_channels_may_be_open_and_an_eleventh_may_not() {
    let mut world = world().await;
    for id in 0..OPEN_CHANNELS_MAX {
        let id = i64::try_from(id).unwrap();
        assert_eq!(world.updates.open_channel(id), Ok(()));
    }
    assert_eq!(world.updates.open_channel(0), Ok(()), "it is open");
    assert_eq!(world.updates.open_channel(99), Err(TooManyOpen));
    world.updates.close_channel(0);
    assert_eq!(world.updates.open_channel(99), Ok(()));
}

#[tokio::test]
async fn what_the_client_deletes_in_a_channel_is_counted_there() {
    let mut world = world().await;
    let deleted = world.news().record_in_channel(CLUB, 2, |at| {
        types::UpdateDeleteChannelMessages {
            channel_id: CLUB,
            messages: vec![1, 2],
            pts: at.pts,
            pts_count: at.pts_count,
        }
        .into()
    });
    let enums::Update::DeleteChannelMessages(deleted) = deleted.unwrap() else {
        panic!("something else")
    };
    let script = world.servers.at(2).backend().script();
    script.answer::<channels::DeleteMessages>(move |_, it| {
        if it.id != deleted.messages {
            return Err(refuse(400, "MESSAGE_IDS_EMPTY"));
        }
        Ok(types::messages::AffectedMessages {
            pts: deleted.pts,
            pts_count: deleted.pts_count,
        }
        .into())
    });
    let delete = channels::DeleteMessages {
        channel: things::input_channel(CLUB),
        id: vec![1, 2],
    };
    world.client.invoke(&delete).await.unwrap();
    world.push_in_channel("b");
    let Event::Update(update) = world.next().await else {
        panic!("a gap")
    };
    assert_eq!(text(&update), "b");
}

impl World {
    /// A message in a channel that is recorded, and not pushed.
    fn lose_in_channel(&self, text: &str) {
        self.news().write_in_channel(CLUB, GUEST, text).unwrap();
    }

    fn push_in_channel(&self, text: &str) {
        let message = self.news().write_in_channel(CLUB, GUEST, text).unwrap();
        let told = self.news().with_people(things::updates(vec![message]));
        self.push_updates(&told);
    }

    fn say_too_long(&self, pts: Option<i32>) {
        let channel_id = CLUB;
        let word = types::UpdateChannelTooLong { channel_id, pts };
        self.push_updates(&things::short(word.into()));
    }
}

/// A client to whose stream one message in a channel was told.
async fn world() -> World {
    let mut world = World::settled().await;
    world.news().add_channel(CLUB);
    world.push_in_channel("a");
    assert_eq!(world.next_text().await, "a");
    world
}

const CLUB: i64 = 9;

const NEED: Event = Event::NeedChannelDifference { channel_id: CLUB };
