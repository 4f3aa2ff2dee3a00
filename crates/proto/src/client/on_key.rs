//! Making, binding, renewing and losing keys.

use core::time::Duration;

use crate::client::exchange::{Exchange, Next, Work, Worked};
use crate::client::keys::{BindingCall, Candidate, Kind, Saved, TempKey};
use crate::client::line::Line;
use crate::client::{Effect, Engine, Event, Failure};
use crate::cx::{Cx, Mono};
use crate::envelope::{self, Message};
use crate::exchange::client::{self as exchange, Error, Made, restart_after};
use crate::exchange::plain;
use crate::limits::EXCHANGE_RESTARTS_MAX;
use crate::port::Reply;
use crate::session::client::Binding;
use crate::side::Client;

impl Engine {
    /// Asks for what is missing.
    pub(super) fn go_on_with_keys(&mut self, cx: &mut Cx<'_, Effect>) {
        if self.exchange.is_none()
            && let Some(kind) = self.keys.missing()
        {
            self.begin_exchange(kind, cx);
        }
        self.ask(cx);
        self.bind(cx);
    }

    fn begin_exchange(&mut self, kind: Kind, cx: &mut Cx<'_, Effect>) {
        let config = exchange::Config {
            keys: self.config.server_keys.clone(),
            dc: self.config.dc,
            expires_in_s: self
                .config
                .temp_key_life_s
                .filter(|_| kind == Kind::Temporary),
            padding: self.config.padding,
        };
        self.exchange = Some(Exchange::begin(kind, config, cx.now.mono, cx.rng));
    }

    /// Sends the exchange's query, if it was not sent on this connection.
    fn ask(&mut self, cx: &mut Cx<'_, Effect>) {
        let (Line::Up(up), Some(exchange)) = (&mut self.line, &mut self.exchange) else {
            return;
        };
        let answer_by = cx.now.mono + self.config.exchange_answer_max;
        let Some(query) = exchange.ask(answer_by) else {
            return;
        };
        let msg_id = plain::query_id(cx.now.unix, up.last_query);
        up.last_query = Some(msg_id);
        let mut out = Vec::new();
        // A query is a whole number of words.
        let _ = up
            .transport
            .encode(&plain::build(msg_id, query), false, cx.rng, &mut out);
        cx.out.push(Effect::Send(out));
    }

    pub(super) fn on_exchange_answer(&mut self, body: &[u8], cx: &mut Cx<'_, Effect>) {
        // Without a question, as for a second copy, nothing is to be learnt.
        let Some(exchange) = self.exchange.take_if(|it| it.is_asking()) else {
            return;
        };
        match exchange.handle(body, cx.now) {
            Err(error) => self.on_exchange_failed(error, cx),
            Ok(Next::Made(kind, made)) => self.on_made(kind, made, cx),
            Ok(Next::Work(rest, job)) => {
                self.works += 1;
                self.exchange = Some(rest.working(self.works));
                let work = Work {
                    number: self.works,
                    job,
                };
                cx.out.push(Effect::Work(work));
            }
        }
    }

    pub(super) fn on_worked(&mut self, worked: Worked, cx: &mut Cx<'_, Effect>) {
        let waiting = self.exchange.take_if(|it| it.waits_for(worked.number));
        let Some(exchange) = waiting else {
            return;
        };
        match worked.result {
            Ok((state, query)) => self.exchange = Some(exchange.worked(state, query)),
            Err(error) => self.on_exchange_failed(error, cx),
        }
    }

    fn on_made(&mut self, kind: Kind, made: Made, cx: &mut Cx<'_, Effect>) {
        self.failed_exchanges = 0;
        let offset_ns = made.time_offset_s.saturating_mul(1_000_000_000);
        if !self.keys.is_ready() {
            self.session.begin_under(made.first_salt, offset_ns);
        }
        match (kind, made.expires_at_unix_s) {
            (Kind::Temporary, Some(expires_at_unix_s)) => {
                let life = Duration::from_secs(
                    self.config
                        .temp_key_life_s
                        .unwrap_or(0)
                        .unsigned_abs()
                        .into(),
                );
                let temp = TempKey {
                    key: made.key,
                    expires_at_unix_s: expires_at_unix_s.cast_signed(),
                    first_salt: made.first_salt,
                    renew_at: renewal(cx.now.mono, life, cx),
                    ends_at: cx.now.mono + life,
                };
                self.keys.candidate = Some(Candidate::new(temp));
            }
            _ => {
                let saved = Saved {
                    key: made.key,
                    salt: made.first_salt,
                    clock_offset_ns: offset_ns,
                };
                self.keys.permanent = Some(saved.key.clone());
                cx.out.push(Effect::Keep(saved));
                if self.keys.is_ready() {
                    cx.out.push(Effect::Tell(Event::Ready { introduce: true }));
                }
            }
        }
    }

    fn on_exchange_failed(&mut self, error: Error, cx: &mut Cx<'_, Effect>) {
        self.exchange = None;
        if self.keys.is_ready() {
            // There is time until the present key ends.
            self.keys.renew_again_at(cx.now.mono + RENEW_PAUSE);
            return self.hang_up(cx);
        }
        self.failed_exchanges = self.failed_exchanges.saturating_add(1);
        let wait = if self.has_met {
            // Anybody on the way could have written this, and the server was there before.
            restart_after(self.failed_exchanges.min(EXCHANGE_RESTARTS_MAX))
        } else {
            let helps = !matches!(error, Error::NoKnownKey(_));
            restart_after(self.failed_exchanges).filter(|_| helps)
        };
        let Some(wait) = wait else {
            self.failed_exchanges = 0;
            return self.fail(Failure::Exchange(error), cx);
        };
        self.hang_up_for(wait, cx);
    }

    pub(super) fn on_exchange_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        if exchange.is_over(cx.now.mono) {
            return self.on_exchange_failed(Error::Failed, cx);
        }
        if exchange.deadline() <= cx.now.mono {
            // The same bytes go out on the next connection.
            self.hang_up(cx);
        }
    }

    /// Makes the message that binds the new temporary key, under that key.
    fn bind(&mut self, cx: &mut Cx<'_, Effect>) {
        let (Line::Up(up), Some(permanent), Some(candidate)) = (
            &mut self.line,
            &self.keys.permanent,
            &mut self.keys.candidate,
        ) else {
            return;
        };
        if candidate.call.is_some() {
            return;
        }
        let temp = &candidate.temp;
        let binding = Binding {
            perm_key: permanent,
            temp: temp.key.id(),
            salt: temp.first_salt,
            expires_at_unix_s: temp.expires_at_unix_s,
        };
        let (number, message) = self.session.bind(&binding, cx.now, cx.rng);
        let message = Message {
            header: message.header,
            body: &message.body,
        };
        let (mut sealed, mut out) = (Vec::new(), Vec::new());
        // It is a whole number of words, as any method is.
        let _ = envelope::seal::<Client>(&temp.key, &message, &mut sealed, cx.rng);
        let _ = up.transport.encode(&sealed, false, cx.rng, &mut out);
        candidate.call = Some(BindingCall {
            number,
            answer_by: cx.now.mono + self.config.exchange_answer_max,
        });
        cx.out.push(Effect::Send(out));
    }

    pub(super) fn on_binding_answer(&mut self, reply: &Reply, cx: &mut Cx<'_, Effect>) {
        if matches!(reply, Reply::Result(result) if **result == BOOL_TRUE) {
            if let Some(salt) = self.keys.take_over() {
                self.session.set_salt(salt);
            }
            self.failed_bindings = 0;
            cx.out.push(Effect::Tell(Event::Ready { introduce: true }));
            return;
        }
        if matches!(reply, Reply::Error(error) if error.code != BAD_REQUEST) {
            // The server has trouble, and no doubt about our keys.
            return self.hang_up(cx);
        }
        self.keys.candidate = None;
        if self.keys.is_ready() {
            // The present key is bound to the permanent one: that can't be what the server does not know.
            return self.keys.renew_again_at(cx.now.mono + RENEW_PAUSE);
        }
        self.failed_bindings = self.failed_bindings.saturating_add(1);
        match self.failed_bindings {
            // The permanent key may be what the server does not know: try with another.
            BINDINGS_MAX => self.lose_key(cx),
            BINDINGS_IN_ALL_MAX.. => self.fail(Failure::Binding, cx),
            _ => {}
        }
    }

    /// Forgets the call that binds, so that another one is made: this one's connection or session is gone.
    pub(super) fn forget_binding(&mut self) {
        let candidate = self.keys.candidate.as_mut();
        if let Some(call) = candidate.and_then(|it| it.call.take()) {
            self.session.unbind(call.number);
        }
    }

    /// The message that binds was refused, not the binding: it is made anew, with what was learnt from that.
    pub(super) fn on_binding_refused(&mut self) {
        self.forget_binding();
        let salt = self.session.salt();
        if let Some(candidate) = &mut self.keys.candidate {
            candidate.temp.first_salt = salt;
        }
    }

    /// Tells whether a new temporary key could be begun beside the present one.
    pub(super) fn may_renew(&self) -> bool {
        self.exchange.is_none() && self.is_ready()
    }

    pub(super) fn on_renewal_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        let is_due = self.keys.renew_at().is_some_and(|at| at <= cx.now.mono);
        if is_due && self.may_renew() {
            self.begin_exchange(Kind::Temporary, cx);
        }
    }

    /// Forgets keys that have ended, and gives up a connection on which no answer to a binding comes.
    pub(super) fn on_keys_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        let now = cx.now.mono;
        let candidate = self.keys.candidate.as_ref();
        let call = candidate.and_then(|it| it.call.as_ref());
        if call.is_some_and(|it| it.answer_by <= now) {
            self.hang_up(cx);
        }
        let candidate = self.keys.candidate.as_ref();
        if candidate.is_some_and(|it| it.temp.ends_at <= now) {
            self.forget_binding();
        }
        self.keys.drop_ended(now);
    }

    /// A transport error is not authentic: anybody on the way may have written it.
    pub(super) fn on_transport_error(&mut self, code: i32, cx: &mut Cx<'_, Effect>) {
        match code {
            // It does not say of what. A temporary key is soon made anew, and the query of an exchange soon repeated.
            KEY_NOT_FOUND if self.keys.has_temporary() => {
                self.forget_binding();
                self.keys.drop_temporary();
            }
            KEY_NOT_FOUND if self.exchange.as_ref().is_some_and(Exchange::is_asking) => {
                return self.on_exchange_failed(Error::Failed, cx);
            }
            KEY_NOT_FOUND => {
                self.refusals_of_key += 1;
                if self.refusals_of_key >= KEY_REFUSALS_MAX {
                    self.lose_key(cx);
                }
            }
            WRONG_DC if !self.has_met => {
                self.refusals_of_dc += 1;
                if self.refusals_of_dc >= DC_REFUSALS_MAX {
                    self.refusals_of_dc = 0;
                    return self.fail(Failure::WrongDataCentre, cx);
                }
            }
            _ => {}
        }
        self.hang_up(cx);
    }

    /// Gives up the permanent key, and goes on with a new one.
    fn lose_key(&mut self, cx: &mut Cx<'_, Effect>) {
        self.keys.drop_temporary();
        self.keys.permanent = None;
        self.refusals_of_key = 0;
        cx.out.push(Effect::Tell(Event::KeyLost));
        self.renew_session(cx);
    }
}

/// An hour before its end, give or take ten minutes; for a short-lived key a tenth of its life before.
fn renewal(now: Mono, life: Duration, cx: &mut Cx<'_, Effect>) -> Mono {
    let mut random = [0; 2];
    cx.rng.fill_bytes(&mut random);
    let early = if life >= LONG_LIFE {
        RENEW_BEFORE + Duration::from_secs(u64::from(u16::from_le_bytes(random)) % RENEW_SPREAD_S)
    } else {
        life / 10
    };
    now + life.saturating_sub(early)
}

/// `boolTrue`.
pub(super) const BOOL_TRUE: [u8; 4] = 0x9972_75b5_u32.to_le_bytes();

/// The server does not know the key.
const KEY_NOT_FOUND: i32 = -404;

/// The server does not serve the data centre.
const WRONG_DC: i32 = -444;

/// Times in a row that a server may say, without proof, that it does not know the permanent key.
const KEY_REFUSALS_MAX: u8 = 3;

/// Times in a row that a server that was never authentic may say, without proof, that it does not serve the data centre.
const DC_REFUSALS_MAX: u8 = 3;

/// Temporary keys in a row that a server may refuse to bind before the permanent key is given up.
const BINDINGS_MAX: u8 = 3;

/// Temporary keys in a row that a server may refuse to bind.
const BINDINGS_IN_ALL_MAX: u8 = 6;

/// The code of an `rpc_error` that says that the request is wrong.
const BAD_REQUEST: i32 = 400;

/// How long after a renewal that failed the next is tried.
const RENEW_PAUSE: Duration = Duration::from_mins(1);

const LONG_LIFE: Duration = Duration::from_hours(6);
const RENEW_BEFORE: Duration = Duration::from_mins(50);
const RENEW_SPREAD_S: u64 = 1200;
