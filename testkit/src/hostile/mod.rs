//! A hostile peer that breaks each rule on purpose, and what is to come of it.

mod peer;
mod rows;

use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

use crate::coverage::Coverage;

use peer::{Heard, Peer};
use rows::ROWS;

/// A rule, how it is broken, and what the server does about it.
struct Row {
    rule: &'static str,
    breaks: fn(&mut Peer),
    reaction: Reaction,
    /// Calls that may run.
    runs: u32,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Answers with this object, whatever else it says.
    Answers(u32),
    /// Answers with `bad_msg_notification` of this code, or `bad_server_salt` for 48.
    BadMsg(i32),
    /// Says this transport error, if any, and closes.
    Closes(Option<i32>),
    /// Says nothing.
    Nothing,
    /// Answers with an `rpc_error` of this name.
    RpcError(&'static str),
}

/// Has every rule broken once by a peer that holds a good key. Returns each rule, and what was wrong about the reaction if
/// anything was; counts what was said.
pub fn break_every_rule(
    seed: u64,
    coverage: &mut Coverage,
) -> Vec<(&'static str, Result<(), String>)> {
    let mut check = |row: &Row| {
        *coverage.broken.entry(row.rule).or_default() += 1;
        (row.rule, row.check(seed, coverage))
    };
    ROWS.iter().map(&mut check).collect()
}

impl Row {
    fn check(&self, seed: u64, coverage: &mut Coverage) -> Result<(), String> {
        let mut peer = Peer::known(seed);
        (self.breaks)(&mut peer);
        coverage.add(&peer.coverage);
        let reactions = reactions(&peer);
        let name = self.reaction.name();
        let is_expected = match self.reaction {
            Reaction::Answers(_) => reactions.contains(&name),
            Reaction::Nothing => reactions.is_empty(),
            Reaction::BadMsg(_) | Reaction::Closes(_) | Reaction::RpcError(_) => {
                reactions == [name]
            }
        };
        if !is_expected {
            return Err(format!("expected {:?}, got {reactions:?}", self.reaction));
        }
        if peer.ran != self.runs {
            return Err(format!("{} calls ran, not {}", peer.ran, self.runs));
        }
        goes_on(&mut peer)
    }
}

impl Reaction {
    fn name(self) -> String {
        match self {
            Self::Answers(kind) => format!("answers {kind:08x}"),
            Self::BadMsg(code) => format!("bad_msg {code}"),
            Self::Closes(Some(code)) => format!("says {code} and closes"),
            Self::Closes(None) => "closes".to_owned(),
            Self::Nothing => String::new(),
            Self::RpcError(name) => format!("rpc_error {name}"),
        }
    }
}

/// Returns what a peer got, in the words of [`Reaction`]; what every client gets is left out.
fn reactions(peer: &Peer) -> Vec<String> {
    let mut reactions = Vec::new();
    let mut code = None;
    for heard in &peer.heard {
        match heard {
            Heard::Closed => reactions.push(Reaction::Closes(code).name()),
            Heard::Error(said) => code = Some(*said),
            Heard::Message(body) => reactions.extend(reaction_of(body)),
        }
    }
    reactions
}

fn reaction_of(body: &[u8]) -> Option<String> {
    let reaction = match peek_id(body)? {
        tl::NewSessionCreated::ID | tl::MsgsAck::ID => return None,
        tl::BadMsgNotification::ID => {
            let message = tl::BadMsgNotification::from_bytes(body).ok()?;
            Reaction::BadMsg(message.error_code)
        }
        tl::BadServerSalt::ID => Reaction::BadMsg(48),
        tl::RpcResult::ID => {
            let result = tl::RpcResult::from_bytes(body).ok()?.result;
            if peek_id(result) != Some(tl::RpcError::ID) {
                return Some(Reaction::Answers(peek_id(result)?).name());
            }
            let error = tl::RpcError::from_bytes(result).ok()?;
            let name = String::from_utf8_lossy(error.error_message);
            return Some(format!("rpc_error {name}"));
        }
        kind => Reaction::Answers(kind),
    };
    Some(reaction.name())
}

/// Whatever was broken, an honest client goes on: on the same connection if it lives, else on the next.
fn goes_on(peer: &mut Peer) -> Result<(), String> {
    if !peer.may_go_on() {
        return Ok(());
    }
    if peer.is_closed() {
        peer.reconnect();
    }
    peer.heard.clear();
    peer.holds = false;
    peer.say(false, &tl::Ping { ping_id: 2 });
    if peer.kinds().contains(&tl::Pong::ID) {
        return Ok(());
    }
    Err(format!("an honest ping got {:?}", reactions(peer)))
}
