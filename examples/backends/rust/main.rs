//! A backend in Rust: signs bots in, and tells each one's other sessions that it is online.
//!
//! usage: backend ADDRESS `PUSH_ADDRESS`
//!
//! Teaches: how to serve a [`Backend`] to session nodes, how a log-in is said, how an update is pushed, and how a call that
//! nobody waits for ends. `docs/backends.md` walks through it. State is kept in memory; a real backend keeps it in a
//! database. Only types that are the same in all layers of today are used: one that answers users in full has the types of
//! each layer that its clients speak.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use grammers_tl_types::{
    Cursor, Deserializable, Identifiable, Serializable, enums, functions, types,
};
use heliogram_grpc::{Address, BackendService, RemotePushes, Role, Server, dial};
use heliogram_ports::{Answer, Backend, Call, LoggedIn, Push, Pushes, Reply, RpcError, Target};
use heliogram_proto::ids::{Identity, Term};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut address = || -> anyhow::Result<Address> {
        let address = arguments
            .next()
            .context("usage: backend ADDRESS PUSH_ADDRESS")?;
        Ok(address.parse()?)
    };
    let (address, push_address) = (address()?, address()?);
    let pushes = RemotePushes::new(dial(push_address, Role::Session, None));
    let service = BackendService::new(Arc::new(Presence::default()), Some(Arc::new(pushes)));
    let bound = Server::new().backend(service).bind(&address, None).await?;
    println!("ready");
    bound.serve(std::future::pending()).await?;
    Ok(())
}

/// Who is online.
#[derive(Default)]
struct Presence {
    pushes: OnceLock<Arc<dyn Pushes>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who has logged in with a client's key.
    users: HashMap<Identity, i64>,
    /// The greatest term that was seen.
    terms: HashMap<Identity, Term>,
}

impl Backend for Presence {
    /// Answers one call. The future is dropped when the client drops the answer, or its time is over.
    fn call(&self, call: Call) -> Answer {
        if !self.is_of_owner(&call) {
            return Answer::Now(error(500, "RPC_CALL_FAIL"));
        }
        let id = call.body.first_chunk().map(|id| u32::from_le_bytes(*id));
        if id == Some(functions::auth::ImportBotAuthorization::CONSTRUCTOR_ID) {
            return Answer::Now(self.sign_in(&call));
        }
        let user = self.state().users.get(&call.identity).copied();
        let Some(user) = user else {
            return Answer::Now(error(401, "AUTH_KEY_UNREGISTERED"));
        };
        Answer::Now(match id {
            Some(functions::account::UpdateStatus::CONSTRUCTOR_ID) => {
                self.update_status(&call, user)
            }
            Some(functions::auth::LogOut::CONSTRUCTOR_ID) => self.log_out(&call),
            Some(functions::messages::GetBotCallbackAnswer::CONSTRUCTOR_ID) => {
                return never_answered();
            }
            Some(functions::users::GetUsers::CONSTRUCTOR_ID) => result(&vec![about(user)]),
            _ => error(400, "METHOD_INVALID"),
        })
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        // It is said once.
        let _ = self.pushes.set(pushes);
    }

    /// Says who has logged in with a key: a session node that has just started does not know.
    fn user(&self, identity: Identity) -> LoggedIn {
        LoggedIn::Now(self.state().users.get(&identity).copied())
    }
}

impl Presence {
    /// Tells whether a call is of the client's owner: a session node that was cut off does not know yet that another one
    /// owns the client by now.
    fn is_of_owner(&self, call: &Call) -> bool {
        let mut state = self.state();
        let term = state.terms.entry(call.identity).or_insert(call.term);
        let is_of_owner = call.term >= *term;
        *term = call.term.max(*term);
        is_of_owner
    }

    fn sign_in(&self, call: &Call) -> Reply {
        let Some(request) = read::<functions::auth::ImportBotAuthorization>(call) else {
            return error(400, "INPUT_REQUEST_INVALID");
        };
        let user = request.bot_auth_token.split_once(':');
        let user = user.filter(|(_, secret)| !secret.is_empty());
        let Some(Ok(user)) = user.map(|(number, _)| number.parse::<u32>()) else {
            return error(400, "ACCESS_TOKEN_INVALID");
        };
        self.state().users.insert(call.identity, user.into());
        // The session node knows before the client gets its answer: pushes to this user reach it from now on.
        self.set_user(call, Some(user.into()));
        result(&enums::auth::Authorization::from(
            types::auth::Authorization {
                setup_password_required: false,
                otherwise_relogin_days: None,
                tmp_sessions: None,
                future_auth_token: None,
                user: about(user.into()),
            },
        ))
    }

    fn log_out(&self, call: &Call) -> Reply {
        self.state().users.remove(&call.identity);
        self.set_user(call, None);
        let logged_out = types::auth::LoggedOut {
            future_auth_token: None,
        };
        result(&enums::auth::LoggedOut::from(logged_out))
    }

    fn update_status(&self, call: &Call, user: i64) -> Reply {
        let Some(request) = read::<functions::account::UpdateStatus>(call) else {
            return error(400, "INPUT_REQUEST_INVALID");
        };
        let now = now_unix_s();
        let status = if request.offline {
            types::UserStatusOffline { was_online: now }.into()
        } else {
            types::UserStatusOnline { expires: now + 300 }.into()
        };
        let update = types::UpdateUserStatus {
            user_id: user,
            status,
        }
        .into();
        let body = enums::Updates::from(types::UpdateShort { update, date: now });
        // All sessions of the user but the one that says so.
        let push = Push {
            targets: vec![Target::User(user)],
            except: Some((call.identity, call.session_id)),
            body: body.to_bytes().into(),
        };
        let pushed = self.pushes.get().map(|pushes| pushes.push(push));
        match pushed {
            Some(Ok(())) => result(&true),
            Some(Err(_)) | None => error(500, "NOT_PUSHED"),
        }
    }

    fn set_user(&self, call: &Call, user: Option<i64>) {
        if let Some(pushes) = self.pushes.get() {
            pushes.set_user(call.identity, user);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a bot that never says anything: until nobody waits any more.
fn never_answered() -> Answer {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            println!("cancelled");
        }
    }
    println!("waits");
    let waits = Waits;
    Answer::Later(Box::pin(async move {
        let _waits = waits;
        std::future::pending().await
    }))
}

/// Reads what a method asks, behind its id.
fn read<M: Deserializable>(call: &Call) -> Option<M> {
    let asked = call.body.get(4..)?;
    M::deserialize(&mut Cursor::from_slice(asked)).ok()
}

fn about(user: i64) -> enums::User {
    types::UserEmpty { id: user }.into()
}

fn result(object: &impl Serializable) -> Reply {
    Reply::Result(object.to_bytes().into())
}

fn error(code: i32, message: &str) -> Reply {
    Reply::Error(RpcError {
        code,
        message: message.to_owned(),
    })
}

fn now_unix_s() -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i32::try_from(now.as_secs()).unwrap_or(i32::MAX))
}
