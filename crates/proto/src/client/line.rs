//! The connection of a client.

use core::time::Duration;

use crate::client::Config;
use crate::cx::Mono;
use crate::ids::MsgId;
use crate::transport::client::Transport;

/// Where it stands.
#[derive(Debug)]
pub(super) enum Line {
    /// There is none. It is dialled then, if at all.
    Down { dial_at: Option<Mono> },
    /// It is being opened since then.
    Dialling { since: Mono },
    /// It is open.
    Up(Box<Up>),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) transport: Transport,
    /// When the server was heard last.
    pub(super) heard: Mono,
    /// When it was last asked whether it is there.
    pub(super) pinged: Mono,
    /// The identifier of the last query without a key.
    pub(super) last_query: Option<MsgId>,
}

impl Line {
    /// Returns when there is something to do.
    pub(super) fn deadline(&self, config: &Config) -> Option<Mono> {
        match self {
            Self::Down { dial_at } => *dial_at,
            Self::Dialling { since } => Some(*since + config.connect_max),
            Self::Up(up) => Some(up.ping_at(config).min(up.silent_at(config))),
        }
    }
}

impl Up {
    /// Returns when to ask the server whether it is there.
    pub(super) fn ping_at(&self, config: &Config) -> Mono {
        self.pinged + config.ping_every
    }

    /// Returns when a server that says nothing is given up.
    pub(super) fn silent_at(&self, config: &Config) -> Mono {
        self.heard + silence_max(config)
    }
}

/// How long a server may be silent: it was pinged meanwhile.
pub(super) fn silence_max(config: &Config) -> Duration {
    config.ping_every.saturating_mul(3) / 2
}
