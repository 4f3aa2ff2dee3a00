//! Who is signed in, who writes to whom, and what goes wrong on purpose.

use std::sync::Arc;

use grammers_tl_types::functions::auth::{
    ExportAuthorization, ImportAuthorization, ImportBotAuthorization, LogOut,
};
use grammers_tl_types::functions::help::GetNearestDc;
use grammers_tl_types::functions::messages::SendMessage;
use grammers_tl_types::functions::updates::GetState;
use grammers_tl_types::functions::users::GetUsers;
use grammers_tl_types::{Identifiable as _, Serializable as _, enums, types};
use heliogram_ports::{Backend as _, Push, PushRefused, Pushes, Reply};
use heliogram_proto::ids::{AuthKeyId, Identity};
use parking_lot::Mutex;

use super::{ask, ask_as, ask_raw, backend};
use crate::backend::{Backend, Cloud, things};

#[test]
fn a_key_that_is_not_signed_in_is_refused_and_a_guest_is_not() {
    let backend = backend();
    assert!(ask(&backend, &GetState {}).is_ok());
    backend.welcome(None);
    assert_eq!(
        ask(&backend, &GetState {}).unwrap_err(),
        "401 AUTH_KEY_UNREGISTERED"
    );
    assert!(ask(&backend, &GetNearestDc {}).is_ok(), "open to all");
    backend.sign_in(Identity(AuthKeyId(1)), 8);
    assert_eq!(me(&backend, 1), Ok(8));
    assert!(me(&backend, 2).is_err());
}

#[test]
fn whoever_signs_out_is_nobodys_guest() {
    let backend = backend();
    ask(&backend, &LogOut {}).unwrap();
    assert_eq!(me(&backend, 1), Err("401 AUTH_KEY_UNREGISTERED".to_owned()));
    assert_eq!(me(&backend, 2), Ok(7), "others are");
}

#[test]
fn a_bot_signs_in_with_its_number_and_any_secret() {
    let backend = backend();
    for (token, outcome) in [
        ("12:secret", Ok(12)),
        ("12:", Err("400 ACCESS_TOKEN_INVALID".to_owned())),
        ("secret", Err("400 ACCESS_TOKEN_INVALID".to_owned())),
        ("0:secret", Err("400 ACCESS_TOKEN_INVALID".to_owned())),
    ] {
        let method = ImportBotAuthorization {
            flags: 0,
            api_id: 4,
            api_hash: "hash".to_owned(),
            bot_auth_token: token.to_owned(),
        };
        let signed = ask(&backend, &method).and_then(|_| me(&backend, 1));
        assert_eq!(signed, outcome, "{token}");
    }
    assert!(backend.cloud().news().user(12).unwrap().bot);
}

#[test]
fn an_authorization_is_for_one_data_centre_one_user_and_one_use() {
    let (home, other) = pair();
    let refused = |name: &str| format!("400 {name}");
    let export = |dc_id| ask(&home, &ExportAuthorization { dc_id });
    assert_eq!(
        export(2).unwrap_err(),
        refused("DC_ID_INVALID"),
        "where one is"
    );
    assert_eq!(export(5).unwrap_err(), refused("DC_ID_INVALID"), "nowhere");
    let pass = || {
        let enums::auth::ExportedAuthorization::Authorization(it) = export(4).unwrap();
        ImportAuthorization {
            id: it.id,
            bytes: it.bytes,
        }
    };
    let good = pass();
    assert!(ask(&other, &good).is_ok());
    assert_eq!(me(&other, 1), Ok(7));
    assert_eq!(
        ask(&other, &good).unwrap_err(),
        refused("AUTH_BYTES_INVALID"),
        "used"
    );
    assert_eq!(
        ask(&home, &pass()).unwrap_err(),
        refused("AUTH_BYTES_INVALID"),
        "elsewhere"
    );
    let forged = ImportAuthorization { id: 8, ..pass() };
    assert_eq!(
        ask(&other, &forged).unwrap_err(),
        refused("USER_ID_INVALID")
    );
}

#[test]
fn a_message_stands_in_both_boxes_and_is_pushed_to_each_but_the_session_that_sent_it() {
    let backend = backend();
    backend.cloud().news().add_user(8);
    backend.cloud().settle(8, 2);
    let pushed = Arc::new(Pushed::default());
    backend.start(Arc::<Pushed>::clone(&pushed));
    let enums::Updates::UpdateShortSentMessage(sent) = ask(&backend, &to(8, 1)).unwrap() else {
        panic!("sent")
    };
    assert_eq!((sent.id, sent.pts, sent.pts_count), (1, 2, 1));
    let pushed = pushed.0.lock();
    assert_eq!(pushed.len(), 2);
    assert!(pushed[0].except.is_some() && pushed[1].except.is_none());
    drop(pushed);
    assert_eq!(backend.cloud().news().state(8).unwrap().pts, 2);
}

#[test]
fn a_message_is_sent_once() {
    let backend = backend();
    assert!(ask(&backend, &to(7, 5)).is_ok());
    assert_eq!(
        ask(&backend, &to(7, 5)).unwrap_err(),
        "500 RANDOM_ID_DUPLICATE"
    );
    assert_eq!(
        ask(&backend, &to(99, 6)).unwrap_err(),
        "400 PEER_ID_INVALID"
    );
    assert_eq!(backend.ledger().runs_of(5), 2);
    assert_eq!(backend.ledger().runs_of(6), 0);
}

#[test]
fn mishaps_come_in_their_order_those_of_a_method_first() {
    let backend = backend();
    let script = backend.script();
    script.fail_any(1, 500, "B");
    script.fail::<GetNearestDc>(1, 400, "A");
    script.fail::<GetNearestDc>(1, 420, "C_1");
    let asked = || ask(&backend, &GetNearestDc {}).map(|_| ()).unwrap_err();
    assert_eq!([asked(), asked(), asked()], ["400 A", "420 C_1", "500 B"]);
    assert!(ask(&backend, &GetNearestDc {}).is_ok());
    assert_eq!(backend.ledger().calls::<GetNearestDc>(), 4);
}

#[test]
fn a_test_answers_methods_itself() {
    let backend = backend();
    backend.script().answer(|_, request: GetUsers| {
        let users = request.id.len();
        Ok(vec![enums::User::Empty(types::UserEmpty {
            id: users.try_into().unwrap(),
        })])
    });
    let id = vec![enums::InputUser::UserSelf; 3];
    assert_eq!(ask(&backend, &GetUsers { id }).unwrap()[0].id(), 3);
}

#[test]
fn what_is_no_method_or_not_all_of_one_is_refused() {
    let backend = backend();
    let error = |body: Vec<u8>| match ask_raw(&backend, 1, body) {
        Reply::Error(error) => error.message,
        Reply::Result(body) => panic!("{body:?}"),
    };
    assert_eq!(error(vec![1, 0, 0, 0]), "INPUT_METHOD_INVALID_1");
    assert_eq!(error(vec![1]), "INPUT_FETCH_FAIL");
    let short = ExportAuthorization::CONSTRUCTOR_ID.to_le_bytes();
    assert_eq!(error(short.to_vec()), "INPUT_FETCH_FAIL");
    let mut long = GetNearestDc {}.to_bytes();
    long.extend([0; 4]);
    assert_eq!(error(long), "INPUT_FETCH_ERROR");
}

/// Data centre 2, where whoever comes is user 7, and data centre 4.
fn pair() -> (Arc<Backend>, Arc<Backend>) {
    let cloud = Cloud::new();
    let home = Backend::new(2, &cloud);
    home.welcome(Some(7));
    for dc in [2, 4] {
        cloud.place(dc, Vec::new());
    }
    let other = Backend::new(4, &cloud);
    (home, other)
}

fn me(backend: &Backend, key: i64) -> Result<i64, String> {
    let id = vec![enums::InputUser::UserSelf];
    ask_as(backend, key, &GetUsers { id }).map(|it| it[0].id())
}

fn to(user: i64, random_id: i64) -> SendMessage {
    SendMessage {
        no_webpage: false,
        silent: false,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer: things::input_person(user),
        reply_to: None,
        message: "hello".to_owned(),
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

#[derive(Default)]
struct Pushed(Mutex<Vec<Push>>);

impl Pushes for Pushed {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        self.0.lock().push(push);
        Ok(())
    }

    fn set_user(&self, _: Identity, _: Option<i64>) {}
}
