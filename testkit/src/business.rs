//! The business behind the hosts: answers each call with what it was asked, sooner or later.

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::Bytes;
use heliogram_proto::host::CallId;
use heliogram_proto::port::{Call, Reply, RpcError};

use crate::body::{Answer, Query};
use crate::dice::Dice;

/// The backend.
#[derive(Debug, Default)]
pub(crate) struct Backend {
    /// Calls whose answers nobody wants.
    pub(crate) cancelled: BTreeSet<CallId>,
    /// For the mutation that mixes answers up.
    pub(crate) kept_back: Option<Reply>,
}

impl Backend {
    /// Answers a call, and says after how long.
    pub(crate) fn call(&self, call: &Call, dice: &mut Dice) -> (Reply, Duration) {
        let delay = match dice.below(100) {
            0..50 => Duration::ZERO,
            50..90 => dice.millis(1, 300),
            90..98 => dice.millis(300, 3_000),
            _ => dice.millis(3_000, 15_000),
        };
        let Some(query) = Query::read(&call.body) else {
            let error = RpcError {
                code: 400,
                message: "INPUT_METHOD_INVALID".to_owned(),
            };
            return (Reply::Error(error), delay);
        };
        let reply = if query.wants_error {
            Reply::Error(RpcError {
                code: 400,
                message: Answer::error_name(query.token),
            })
        } else {
            Reply::Result(Bytes::from(Answer::write(&query, dice)))
        };
        (reply, delay)
    }
}
