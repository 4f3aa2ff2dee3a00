//! Perfect forward secrecy against the whole binary: keys of a day, bound to one that is never used on the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::net::SocketAddr;

use heliogram_crypto::rsa::PublicKey;
use heliogram_proto::exchange::binding::{self, Subject};
use heliogram_proto::ids::Salt;
use heliogram_tl::Serialize;
use heliogram_tl::api::auth::DropTempAuthKeys;
use heliogram_tl::api::help::{GetAppConfig, GetConfig};
use heliogram_tl::mtproto::{
    DestroyAuthKey, DestroyAuthKeyFail, DestroyAuthKeyNone, DestroyAuthKeyOk, NewSessionCreated,
    Ping, Pong,
};
use support::server::{Server, first_call};
use support::{Frames, Login, RawClient, now, rng};

#[test]
fn a_bound_key_calls_for_the_permanent_one_and_an_unbound_one_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let keys = Keys::make(&server);
    let mut client = keys.client();

    let unbound = client.call(&app_config()).unwrap();
    assert_eq!(unbound, Err((401, "AUTH_KEY_PERM_EMPTY".to_owned())));
    assert!(
        client
            .call(&first_call(&GetConfig.to_bytes()))
            .unwrap()
            .is_ok()
    );
    assert_eq!(keys.bind(&mut client).unwrap(), Ok(bool_true()));
    assert!(client.call(&app_config()).unwrap().is_ok());
    assert_eq!(keys.bind(&mut client).unwrap(), Ok(bool_true()), "a repeat");
}

#[test]
fn a_binding_survives_a_kill_and_needs_no_salt_of_the_new_term() {
    let directory = tempfile::tempdir().unwrap();
    let (bound, unbound);
    {
        let server = Server::start(directory.path(), &[]);
        bound = Keys::make(&server);
        unbound = Keys::make(&server);
        let mut client = bound.client();
        assert_eq!(bound.bind(&mut client).unwrap(), Ok(bool_true()));
    }

    let server = Server::start(directory.path(), &[]);

    let mut client = bound.at(server.tcp()).client();
    assert!(client.call(&app_config()).unwrap().is_ok());
    // Its first salt was of the old term. Who can't bear to be told of another one is not.
    let unbound = unbound.at(server.tcp());
    let mut client = unbound.client();
    assert_eq!(unbound.bind(&mut client).unwrap(), Ok(bool_true()));
}

#[test]
fn a_binding_that_another_key_has_sealed_is_refused_and_binds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let (keys, victim) = (Keys::make(&server), Keys::make(&server));
    let mut client = keys.client();
    let msg_id = client.next_msg_id();
    let subject = keys.subject(&client, msg_id);
    let mut request = binding::seal(&keys.perm.key, &subject, &mut rng());
    request
        .get_mut(4..12)
        .unwrap()
        .copy_from_slice(&victim.perm.key.id().0.to_le_bytes());

    let answer = client.call_as(msg_id, &request).unwrap();

    assert_eq!(answer, Err((400, "ENCRYPTED_MESSAGE_INVALID".to_owned())));
    let unbound = client.call(&app_config()).unwrap();
    assert_eq!(unbound, Err((401, "AUTH_KEY_PERM_EMPTY".to_owned())));
    assert_eq!(keys.bind(&mut client).unwrap(), Ok(bool_true()));
}

#[test]
fn a_session_goes_on_under_a_renewed_key_while_the_old_one_still_serves() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let keys = Keys::make(&server);
    let mut old = keys.client();
    assert_eq!(keys.bind(&mut old).unwrap(), Ok(bool_true()));
    assert!(old.call(&app_config()).unwrap().is_ok());

    let renewed = keys.renewed(&server);
    let mut new = renewed.client();
    new.session_id = old.session_id;
    let msg_id = new.next_msg_id();
    let request = binding::seal(&keys.perm.key, &renewed.subject(&new, msg_id), &mut rng());
    new.content_count = old.content_count;
    new.send_as(msg_id, &request).unwrap();
    let first = new.receive().unwrap();
    assert_ne!(
        heliogram_tl::peek_id(&first.body),
        Some(NewSessionCreated::ID),
        "the client knows this session"
    );

    assert!(new.call(&app_config()).unwrap().is_ok());
    old.content_count = new.content_count;
    assert!(old.call(&app_config()).unwrap().is_ok());
}

#[test]
fn a_destroyed_key_takes_its_temporary_keys_with_it_and_says_so_first() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let (keys, stranger) = (Keys::make(&server), Keys::make(&server));
    let mut client = keys.client();
    assert_eq!(destroy(&mut client).unwrap(), DestroyAuthKeyFail::ID);
    assert_eq!(keys.bind(&mut client).unwrap(), Ok(bool_true()));
    let mut idle = keys.client();
    assert!(idle.call(&app_config()).unwrap().is_ok());

    assert_eq!(destroy(&mut client).unwrap(), DestroyAuthKeyOk::ID);

    assert!(is_refused(&mut client));
    assert!(is_refused(&mut idle));
    assert!(is_refused(&mut keys.client()));
    let mut permanent = RawClient::resume(keys.address, keys.perm.clone()).unwrap();
    assert!(is_refused(&mut permanent));
    assert!(!is_refused(&mut stranger.client()));
    drop(server);
    // Nor does a restart bring it back.
    let server = Server::start(directory.path(), &[]);
    assert!(is_refused(&mut keys.at(server.tcp()).client()));
}

#[test]
fn dropped_temporary_keys_are_refused_and_the_excepted_one_and_the_callers_serve() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let keys = Keys::make(&server);
    let (dropped, spared) = (keys.renewed(&server), keys.renewed(&server));
    let mut clients = [&keys, &dropped, &spared].map(|keys| {
        let mut client = keys.client();
        assert_eq!(keys.bind(&mut client).unwrap(), Ok(bool_true()));
        client
    });
    let except = [spared.temp.key.id().0];
    let request = DropTempAuthKeys {
        except_auth_keys: (&except).into(),
    };

    let [caller, dropped_client, spared_client] = &mut clients;
    let answer = caller.call(&request.to_bytes()).unwrap();

    assert_eq!(answer, Ok(bool_true()));
    assert!(is_refused(dropped_client));
    assert!(is_refused(&mut dropped.client()));
    assert!(!is_refused(spared_client));
    assert!(!is_refused(caller));
}

#[test]
fn an_unbound_key_is_refused_from_its_end_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let keys = Keys::made(&server, None, 2);
    let mut client = keys.client();
    assert!(!is_refused(&mut client));
    // The server's own clock decides, and every ping before its end is answered.
    while !is_refused(&mut client) {}
    assert!(now().unix.seconds() >= u64::try_from(keys.end).unwrap());
    assert!(is_refused(&mut keys.client()));
}

/// A client's keys at a server.
struct Keys {
    address: SocketAddr,
    perm: Login,
    temp: Login,
    /// When the temporary one ends, Unix time in seconds.
    end: i32,
}

impl Keys {
    /// Makes both keys.
    fn make(server: &Server) -> Self {
        Self::made(server, None, 3600)
    }

    /// Makes another temporary key to the same permanent one.
    fn renewed(&self, server: &Server) -> Self {
        Self::made(server, Some(self.perm.clone()), 3600)
    }

    fn made(server: &Server, perm: Option<Login>, expires_in_s: i32) -> Self {
        let (address, rsa): (_, PublicKey) = (server.tcp(), server.public_key());
        let exchange = |expires_in_s| {
            let mut frames = Frames::connect(address).unwrap();
            frames.exchange_for(&rsa, Some(2), expires_in_s).unwrap()
        };
        let perm = perm.unwrap_or_else(|| exchange(None));
        let begun_s = i32::try_from(now().unix.seconds()).unwrap();
        Self {
            address,
            perm,
            temp: exchange(Some(expires_in_s)),
            end: begun_s + expires_in_s,
        }
    }

    /// The same keys at a server that has moved.
    fn at(&self, address: SocketAddr) -> Self {
        let (perm, temp) = (self.perm.clone(), self.temp.clone());
        Self {
            address,
            perm,
            temp,
            end: self.end,
        }
    }

    /// Connects with the temporary key.
    fn client(&self) -> RawClient {
        RawClient::resume(self.address, self.temp.clone()).unwrap()
    }

    fn subject(&self, client: &RawClient, msg_id: heliogram_proto::ids::MsgId) -> Subject {
        Subject {
            temp: self.temp.key.id(),
            session_id: client.session_id,
            msg_id,
            expires_at_unix_s: self.end,
        }
    }

    /// Binds the temporary key in a client's session.
    fn bind(&self, client: &mut RawClient) -> io::Result<Result<Vec<u8>, (i32, String)>> {
        let msg_id = client.next_msg_id();
        let request = binding::seal(&self.perm.key, &self.subject(client, msg_id), &mut rng());
        client.call_as(msg_id, &request)
    }
}

fn app_config() -> Vec<u8> {
    first_call(&GetAppConfig { hash: 0 }.to_bytes())
}

/// Asks for the end of the key; returns the constructor of the answer.
fn destroy(client: &mut RawClient) -> io::Result<u32> {
    client.send(&DestroyAuthKey.to_bytes(), false)?;
    loop {
        let received = client.receive()?;
        let id = heliogram_tl::peek_id(&received.body);
        let answers = [
            DestroyAuthKeyOk::ID,
            DestroyAuthKeyNone::ID,
            DestroyAuthKeyFail::ID,
        ];
        if let Some(id) = id.filter(|id| answers.contains(id)) {
            return Ok(id);
        }
    }
}

/// Tells whether the key is refused with -404. Panics if it is refused otherwise.
fn is_refused(client: &mut RawClient) -> bool {
    let sent = client.send(&Ping { ping_id: 1 }.to_bytes(), false);
    let answer = sent.and_then(|_| {
        loop {
            let received = client.receive()?;
            if let Ok(salt) = heliogram_tl::Deserialize::from_bytes(&received.body) {
                let salt: heliogram_tl::mtproto::BadServerSalt = salt;
                client.login.salt = Salt(salt.new_server_salt);
                client.send(&Ping { ping_id: 1 }.to_bytes(), false)?;
            }
            if heliogram_tl::peek_id(&received.body) == Some(Pong::ID) {
                return Ok(());
            }
        }
    });
    match answer {
        Ok(()) => false,
        Err(error) => {
            let text = error.to_string();
            let code = format!("{:?}", (-404_i32).to_le_bytes());
            assert!(text.contains(&code), "{text}");
            true
        }
    }
}

fn bool_true() -> Vec<u8> {
    0x9972_75b5_u32.to_le_bytes().to_vec()
}
