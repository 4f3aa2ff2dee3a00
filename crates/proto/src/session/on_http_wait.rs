//! `http_wait`: for how long the response to an HTTP request is held. On other connections it asks for nothing.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages#http-wait-long-poll>.

use core::time::Duration;

use heliogram_tl::mtproto as tl;

use crate::crossing::crosses;
use crate::limits::{HTTP_WAIT_MS, HTTP_WAIT_MS_MAX};
use crate::session::Session;
use crate::session::server::Effect;
use crate::side::Server;

/// For how long a response is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// After the first message that waits.
    pub(crate) max_delay: Duration,
    /// After the last one.
    pub(crate) wait_after: Duration,
    /// In all.
    pub(crate) max_wait: Duration,
}

impl Default for Hold {
    /// What holds when a request says nothing.
    fn default() -> Self {
        Self {
            max_delay: Duration::ZERO,
            wait_after: Duration::ZERO,
            max_wait: Duration::from_millis(HTTP_WAIT_MS),
        }
    }
}

impl Session<Server> {
    pub(super) fn on_http_wait(message: &tl::HttpWait, out: &mut Vec<Effect>) {
        out.push(Effect::Hold(Hold {
            max_delay: clamped(message.max_delay),
            wait_after: clamped(message.wait_after),
            max_wait: clamped(message.max_wait),
        }));
    }
}

fn clamped(milliseconds: i32) -> Duration {
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    Duration::from_millis(milliseconds.min(HTTP_WAIT_MS_MAX))
}

crosses!(Hold {
    max_delay,
    wait_after,
    max_wait
});
