//! Which route a call takes, and what becomes of it there.

use std::sync::atomic::{AtomicUsize, Ordering};

use heliogram_ports::metrics::Readings;
use heliogram_ports::{Reply, RpcError, conformance};
use heliogram_proto::ids::AuthKeyId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::lane::is_failure;
use super::*;

#[test]
fn a_method_goes_before_its_namespace_and_both_before_the_rest() {
    let [rest, messages, send] = [(); 3].map(|()| Arc::new(Backed::default()));
    let routes = [
        Route::new(["messages.*"], Arc::<Backed>::clone(&messages) as Arc<_>),
        Route::new(
            ["messages.sendMessage"],
            Arc::<Backed>::clone(&send) as Arc<_>,
        ),
    ];
    let routes = Routes::new(Arc::<Backed>::clone(&rest) as Arc<_>, routes).unwrap();
    for (name, calls) in [
        ("help.getConfig", [1, 0, 0]),
        ("messages.getHistory", [1, 1, 0]),
        ("messages.sendMessage", [1, 1, 1]),
        ("upload.getFile", [2, 1, 1]),
    ] {
        routes.call(call(layer::method_by_name(name).unwrap().id()));
        let made = [&rest, &messages, &send].map(|it| it.calls());
        assert_eq!(made, calls, "{name}");
    }
    // A method of no layer, and what is no method at all.
    routes.call(call(0x1111_1111));
    let mut nothing = call(0);
    nothing.body.clear();
    routes.call(nothing);
    assert_eq!(rest.calls(), 4);
}

#[test]
fn a_method_of_another_layer_is_known_by_its_id_which_goes_before_names() {
    let [rest, auth, old] = [(); 3].map(|()| Arc::new(Backed::default()));
    let get_config = layer::method_by_name("help.getConfig").unwrap().id();
    let by_id = format!("#{get_config:x}");
    let of_old = ["auth.sendCode#86AEF0EC", "#1", &by_id];
    let routes = [
        Route::new(["auth.*", "help.*"], Arc::<Backed>::clone(&auth) as Arc<_>),
        Route::new(of_old, Arc::<Backed>::clone(&old) as Arc<_>),
    ];
    let routes = Routes::new(Arc::<Backed>::clone(&rest) as Arc<_>, routes).unwrap();
    let of_layer = |name| layer::method_by_name(name).unwrap().id();
    for (method, calls) in [
        (0x86ae_f0ec, [0, 0, 1]),
        (of_layer("auth.sendCode"), [0, 1, 1]),
        (1, [0, 1, 2]),
        (get_config, [0, 1, 3]),
        (of_layer("help.getNearestDc"), [0, 2, 3]),
        (2, [1, 2, 3]),
    ] {
        routes.call(call(method));
        let made = [&rest, &auth, &old].map(|it| it.calls());
        assert_eq!(made, calls, "{method:x}");
    }
}

#[test]
fn an_id_that_is_none_or_is_taken_is_refused() {
    let routes = |names: [&str; 2]| {
        let route = |name| Route::new([name], Arc::new(Backed::default()) as Arc<_>);
        Routes::new(Arc::new(Backed::default()), names.map(route)).err()
    };
    assert_eq!(routes(["a#ffffffff", "a#00000000"]), None);
    for name in ["a#", "#", "a#g", "a#+1", "a#100000000", "a#1#2"] {
        let bad = RouteError::BadId(name.to_owned());
        assert_eq!(routes(["#1", name]), Some(bad));
    }
    let twice = RouteError::Twice("b#0a".to_owned());
    assert_eq!(routes(["#A", "b#0a"]), Some(twice));
}

#[test]
fn users_are_asked_of_the_backend_that_they_sign_in_with() {
    let user = |user| Arc::new(Knows(user)) as Arc<dyn Backend>;
    for (methods, expected) in [("auth.*", 2), ("auth.signIn", 2), ("auth.logOut", 1)] {
        let routes = Routes::new(user(1), [Route::new([methods], user(2))]).unwrap();
        let LoggedIn::Now(user) = routes.user(Identity(AuthKeyId(1))) else {
            panic!("they know at once")
        };
        assert_eq!(user, Some(expected), "{methods}");
    }
}

#[test]
fn a_route_to_what_does_not_exist_or_is_taken_is_refused() {
    let routes = |names: [&str; 2]| {
        let route = |name| Route::new([name], Arc::new(Backed::default()) as Arc<_>);
        Routes::new(Arc::new(Backed::default()), names.map(route)).err()
    };
    assert_eq!(routes(["help.getConfig", "help.*"]), None);
    for name in ["help.getConfg", "hlp.*", "help", "*"] {
        let unknown = RouteError::Unknown(name.to_owned());
        assert_eq!(routes(["help.getConfig", name]), Some(unknown));
    }
    let twice = RouteError::Twice("help.*".to_owned());
    assert_eq!(routes(["help.*", "help.*"]), Some(twice));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_not_waited_for() {
    let backed = Arc::new(Backed::default());
    backed.says(Says::Never);
    let mut rest = limited(&backed);
    rest.patience = Duration::from_secs(5);
    let routes = Routes::with_rest(rest, []).unwrap();
    let begun = Instant::now();
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn one_call_more_than_may_run_fails_until_one_has_ended() {
    let backed = Arc::new(Backed::default());
    backed.says(Says::Never);
    let mut rest = limited(&backed);
    rest.calls_max = 2;
    let routes = Routes::with_rest(rest, []).unwrap();
    let running = [routes.call(call(1)), routes.call(call(1))];
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(backed.calls(), 2);
    drop(running);
    backed.says(Says::Result);
    assert!(!is_failure(&ask(&routes).await));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_so_often_gets_no_calls_then_one_and_then_all() {
    let backed = Arc::new(Backed::default());
    backed.says(Says::Fails);
    let routes = Routes::with_rest(limited(&backed), []).unwrap();
    for _ in 0..3 {
        assert!(is_failure(&ask(&routes).await));
    }
    assert_eq!(backed.calls(), 3);
    backed.says(Says::Result);
    tokio::time::advance(Duration::from_millis(999)).await;
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(backed.calls(), 3, "it is left alone");

    tokio::time::advance(Duration::from_millis(1)).await;
    backed.says(Says::Never);
    let trying = routes.call(call(1));
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(backed.calls(), 4, "one call tries");
    drop(trying);

    backed.says(Says::Fails);
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(backed.calls(), 5);
    backed.says(Says::Result);
    assert!(is_failure(&ask(&routes).await));
    assert_eq!(backed.calls(), 5, "its failure begins a new pause");

    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert!(!is_failure(&ask(&routes).await));
    }
    assert_eq!(backed.calls(), 7);
}

#[tokio::test]
async fn failures_that_are_not_in_a_row_and_errors_of_the_backend_itself_count_for_nothing() {
    let backed = Arc::new(Backed::default());
    let routes = Routes::with_rest(limited(&backed), []).unwrap();
    for says in [
        Says::Fails,
        Says::Fails,
        Says::Result,
        Says::Fails,
        Says::Fails,
    ] {
        backed.says(says);
        ask(&routes).await;
    }
    backed.says(Says::Refuses);
    for _ in 0..10 {
        ask(&routes).await;
    }
    assert_eq!(backed.calls(), 15);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_each_call_is_counted_under_its_route() {
    let backed = Arc::new(Backed::default());
    let mut rest = limited(&backed);
    rest.calls_max = 1;
    rest.patience = Duration::from_secs(1);
    let mut files = Route::new(["upload.*"], Arc::new(Backed::default()) as Arc<_>);
    files.name = "files".to_owned();
    let routes = Routes::with_rest(rest, [files]).unwrap();
    ask(&routes).await;
    backed.says(Says::Never);
    let running = routes.call(call(1));
    ask(&routes).await;
    assert_eq!(read(&routes, "calls_running"), [0, 1]);
    drop(running);
    ask(&routes).await;
    backed.says(Says::Fails);
    ask(&routes).await;
    assert_eq!(read(&routes, "paused"), [0, 0]);
    ask(&routes).await;
    assert_eq!(read(&routes, "paused"), [0, 1]);
    ask(&routes).await;

    for (name, count) in [
        ("calls", 5),
        ("calls_running", 0),
        ("excess_calls", 1),
        ("cancelled_calls", 1),
        ("late_calls", 1),
        ("failed_calls", 3),
        ("held_back_calls", 1),
        ("call_seconds", 4),
    ] {
        assert_eq!(read(&routes, name), [0, count], "{name}");
    }
}

/// Of the routes `files` and `rest`.
fn read(routes: &Routes, name: &str) -> [u64; 2] {
    let readings = Readings::of(routes).0;
    ["files", "rest"].map(|route| readings[&format!("backend_{name}{{route=\"{route}\"}}")])
}

#[test]
fn two_routes_of_one_name_are_refused() {
    let backed = || Arc::new(Backed::default()) as Arc<_>;
    let mut route = Route::new(["help.*"], backed());
    assert_eq!(route.name, "help.*");
    route.name = "rest".to_owned();
    let refused = Routes::new(backed(), [route]).err();
    assert_eq!(refused, Some(RouteError::Twice("rest".to_owned())));
}

/// Fails three times before a pause of a second.
fn limited(backed: &Arc<Backed>) -> Route {
    let everything: [&str; 0] = [];
    let mut route = Route::new(everything, Arc::<Backed>::clone(backed) as Arc<_>);
    route.failures_max = 3;
    route.pause = Duration::from_secs(1);
    route
}

/// A backend that says what it is told to.
#[derive(Default)]
struct Backed {
    calls: AtomicUsize,
    says: Mutex<Says>,
}

#[derive(Clone, Copy, Default)]
enum Says {
    #[default]
    Result,
    Fails,
    Refuses,
    Never,
}

impl Backed {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn says(&self, says: Says) {
        *self.says.lock() = says;
    }
}

impl Backend for Backed {
    fn call(&self, call: Call) -> Answer {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.says.lock() {
            Says::Result => Answer::Now(Reply::Result(call.body)),
            Says::Fails => Answer::Later(Box::pin(async { failed() })),
            Says::Refuses => Answer::Now(Reply::Error(RpcError {
                code: 500,
                message: "BACKEND_ERROR".to_owned(),
            })),
            Says::Never => Answer::Later(Box::pin(std::future::pending())),
        }
    }
}

struct Knows(i64);

impl Backend for Knows {
    fn call(&self, call: Call) -> Answer {
        Answer::Now(Reply::Result(call.body))
    }

    fn user(&self, _: Identity) -> LoggedIn {
        LoggedIn::Now(Some(self.0))
    }
}

async fn ask(routes: &Routes) -> Reply {
    match routes.call(call(1)) {
        Answer::Now(reply) => reply,
        Answer::Later(reply) => reply.await,
    }
}

fn call(method: u32) -> Call {
    conformance::call(method.to_le_bytes().to_vec().into())
}
