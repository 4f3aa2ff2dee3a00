//! How often each kind of message and each fault came about.

use std::collections::BTreeMap;

use heliogram_proto::link::Cause;
use heliogram_tl::{api, mtproto as tl, peek_id};

use crate::messages::walk;

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Messages that a host received, by kind.
    pub to_server: BTreeMap<&'static str, u64>,
    /// Messages that a client received, by kind.
    pub to_client: BTreeMap<&'static str, u64>,
    /// Rules that a hostile peer has broken.
    pub broken: BTreeMap<&'static str, u64>,
    /// Faults and what came of them.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Counts a fault.
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    /// Counts the messages of an outer one that a host received.
    pub(crate) fn received_by_server(&mut self, body: &[u8]) {
        count(&mut self.to_server, body);
    }

    /// Counts the messages of an outer one that a client received.
    pub(crate) fn received_by_client(&mut self, body: &[u8]) {
        count(&mut self.to_client, body);
    }

    /// Counts why a link closed.
    pub(crate) fn cause(&mut self, cause: Cause) {
        self.fault(match cause {
            Cause::DetectTimeout => "closed: no transport in time",
            Cause::Exchange => "closed: exchange refused",
            Cause::FrameTimeout => "closed: frame not complete in time",
            Cause::HandshakeTimeout => "closed: no key in time",
            Cause::Host => "closed: by the host",
            Cause::Idle => "closed: idle",
            Cause::InvalidMessage => "closed: invalid message",
            Cause::KeyAbsent => "closed: key absent",
            Cause::KeyUnavailable => "closed: key unavailable",
            Cause::TooMuch => "closed: too much",
            Cause::Transport(_) => "closed: transport error",
            _ => "closed: other",
        });
    }

    /// Returns how many messages arrived.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.to_server.values().sum::<u64>() + self.to_client.values().sum::<u64>()
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.to_server, &other.to_server),
            (&mut self.to_client, &other.to_client),
            (&mut self.faults, &other.faults),
            (&mut self.broken, &other.broken),
        ] {
            for (&name, &count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (title, counts) in [
            ("to the server", &self.to_server),
            ("to the client", &self.to_client),
            ("faults", &self.faults),
            ("rules broken on purpose", &self.broken),
        ] {
            writeln!(f, "{title}")?;
            for (name, count) in counts {
                writeln!(f, "  {name:<55} {count:>10}")?;
            }
        }
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<&'static str, u64>, body: &[u8]) {
    let mut add = |name| *counts.entry(name).or_default() += 1;
    if let Some(outer @ (tl::MsgContainer::ID | tl::MsgCopy::ID)) = peek_id(body) {
        add(name_of(outer));
    }
    walk(body, &mut |message| {
        if let Some(id) = peek_id(message.body) {
            add(name_of(id));
        }
    });
}

/// Names a kind of message.
pub(crate) fn name_of(id: u32) -> &'static str {
    NAMES
        .iter()
        .find(|(known, _)| *known == id)
        .map_or("call or update", |(_, name)| name)
}

/// Every kind of message that sessions know.
const NAMES: &[(u32, &str)] = &[
    (tl::MsgContainer::ID, "msg_container"),
    (tl::MsgCopy::ID, "msg_copy"),
    (tl::GzipPacked::ID, "gzip_packed"),
    (tl::MsgsAck::ID, "msgs_ack"),
    (tl::BadMsgNotification::ID, "bad_msg_notification"),
    (tl::BadServerSalt::ID, "bad_server_salt"),
    (tl::MsgsStateReq::ID, "msgs_state_req"),
    (tl::MsgsStateInfo::ID, "msgs_state_info"),
    (tl::MsgsAllInfo::ID, "msgs_all_info"),
    (tl::MsgDetailedInfo::ID, "msg_detailed_info"),
    (tl::MsgNewDetailedInfo::ID, "msg_new_detailed_info"),
    (tl::MsgResendReq::ID, "msg_resend_req"),
    (tl::MsgResendAnsReq::ID, "msg_resend_ans_req"),
    (tl::RpcResult::ID, "rpc_result"),
    (tl::RpcDropAnswer::ID, "rpc_drop_answer"),
    (tl::GetFutureSalts::ID, "get_future_salts"),
    (tl::FutureSalts::ID, "future_salts"),
    (tl::Ping::ID, "ping"),
    (tl::PingDelayDisconnect::ID, "ping_delay_disconnect"),
    (tl::Pong::ID, "pong"),
    (tl::DestroySession::ID, "destroy_session"),
    (tl::DestroySessionOk::ID, "destroy_session_ok"),
    (tl::DestroySessionNone::ID, "destroy_session_none"),
    (tl::NewSessionCreated::ID, "new_session_created"),
    (tl::HttpWait::ID, "http_wait"),
    (tl::DestroyAuthKey::ID, "destroy_auth_key"),
    (tl::DestroyAuthKeyOk::ID, "destroy_auth_key_ok"),
    (tl::DestroyAuthKeyNone::ID, "destroy_auth_key_none"),
    (tl::DestroyAuthKeyFail::ID, "destroy_auth_key_fail"),
    (api::InvokeAfterMsg::ID, "invokeAfterMsg"),
    (api::InvokeAfterMsgs::ID, "invokeAfterMsgs"),
    (api::InvokeWithLayer::ID, "invokeWithLayer"),
    (api::InvokeWithoutUpdates::ID, "invokeWithoutUpdates"),
    (api::InitConnection::ID, "initConnection"),
    (api::InvokeWithMessagesRange::ID, "invokeWithMessagesRange"),
    (api::InvokeWithTakeout::ID, "invokeWithTakeout"),
];
