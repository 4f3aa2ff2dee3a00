//! Signing in: bots by their token, whoever is signed in elsewhere by an exported authorization.

use std::collections::BTreeMap;

use grammers_tl_types::{enums, functions::auth, types};
use heliogram_ports::Call;
use heliogram_ports::clock::unix_now;
use rand_core::Rng as _;

use super::calls::{Asked, Outcome, refuse};
use super::{Backend, unregistered};

/// Authorizations that were exported and not imported yet.
#[derive(Debug, Default)]
pub(super) struct Passes {
    issued: BTreeMap<Vec<u8>, Pass>,
}

/// Good for one user, one data centre, one use and five minutes.
#[derive(Clone, Copy, Debug)]
struct Pass {
    user: i64,
    dc: i32,
    until_unix_s: u64,
}

impl Backend {
    pub(super) fn on_export(
        &self,
        asked: &Asked<'_, auth::ExportAuthorization>,
    ) -> Outcome<enums::auth::ExportedAuthorization> {
        let dc = asked.request.dc_id;
        // To where one is nothing is exported, either.
        if dc == self.dc || !self.cloud.addresses().contains_key(&dc) {
            return Err(refuse(400, "DC_ID_INVALID"));
        }
        let mut bytes = vec![0; PASS_BYTES];
        heliogram_ports::random::lend().fill_bytes(&mut bytes);
        let pass = Pass {
            user: asked.user,
            dc,
            until_unix_s: unix_now().seconds() + PASS_LIFE_S,
        };
        let mut passes = self.cloud.passes.lock();
        passes.issued.retain(|_, it| it.is_good());
        if passes.issued.len() >= PASSES_MAX {
            return Err(refuse(420, "FLOOD_WAIT_1"));
        }
        passes.issued.insert(bytes.clone(), pass);
        let id = asked.user;
        Ok(types::auth::ExportedAuthorization { id, bytes }.into())
    }

    pub(super) fn on_import(
        &self,
        call: &Call,
        request: &auth::ImportAuthorization,
    ) -> Outcome<enums::auth::Authorization> {
        // Used up by whoever shows it, whatever else is wrong.
        let pass = self.cloud.passes.lock().issued.remove(&request.bytes);
        let pass = pass.filter(|it| it.dc == self.dc && it.is_good());
        let pass = pass.ok_or_else(|| refuse(400, "AUTH_BYTES_INVALID"))?;
        if pass.user != request.id {
            return Err(refuse(400, "USER_ID_INVALID"));
        }
        self.sign_in(call.identity, pass.user);
        self.authorization(pass.user)
    }

    pub(super) fn on_import_bot(
        &self,
        call: &Call,
        request: &auth::ImportBotAuthorization,
    ) -> Outcome<enums::auth::Authorization> {
        if request.api_id <= 0 || request.api_hash.is_empty() {
            return Err(refuse(400, "API_ID_INVALID"));
        }
        let bot =
            bot_of(&request.bot_auth_token).ok_or_else(|| refuse(400, "ACCESS_TOKEN_INVALID"))?;
        self.cloud.news().add_bot(bot);
        self.cloud.settle(bot, self.dc);
        self.sign_in(call.identity, bot);
        self.authorization(bot)
    }

    pub(super) fn on_log_out(
        &self,
        asked: &Asked<'_, auth::LogOut>,
    ) -> Outcome<enums::auth::LoggedOut> {
        self.sign_out(asked.call.identity);
        let future_auth_token = None;
        Ok(types::auth::LoggedOut { future_auth_token }.into())
    }

    fn authorization(&self, user: i64) -> Outcome<enums::auth::Authorization> {
        let user = self.cloud.news().user(user).ok_or_else(unregistered)?;
        Ok(types::auth::Authorization {
            setup_password_required: false,
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user: enums::User::User(user),
        }
        .into())
    }
}

impl Pass {
    fn is_good(&self) -> bool {
        unix_now().seconds() < self.until_unix_s
    }
}

/// `NUMBER:SECRET`: any secret is that bot's.
fn bot_of(token: &str) -> Option<i64> {
    let (number, secret) = token.split_once(':')?;
    let number = number.parse().ok().filter(|&it| it > 0)?;
    (!secret.is_empty()).then_some(number)
}

const PASS_BYTES: usize = 128;
const PASS_LIFE_S: u64 = 300;
const PASSES_MAX: usize = 10_000;
