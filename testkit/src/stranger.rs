//! A stranger on the wire: has seen every envelope, holds no key, and sends again what it has seen.

use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config, Transport};

use crate::dice::Dice;
use crate::net::{ConnId, End, Who};
use crate::queue::Event;
use crate::world::World;

/// The stranger.
#[derive(Debug, Default)]
pub(crate) struct Stranger {
    captured: Vec<Vec<u8>>,
    conn: Option<(ConnId, Transport)>,
}

impl Stranger {
    /// Sees an envelope of a client.
    pub(crate) fn captures(&mut self, envelope: &[u8], dice: &mut Dice) {
        if self.captured.len() < CAPTURED_MAX {
            self.captured.push(envelope.to_vec());
        } else if dice.chance(100) {
            let at = dice.index(CAPTURED_MAX);
            self.captured[at] = envelope.to_vec();
        }
    }
}

impl World {
    /// Sends something that was seen, as it was or a little changed.
    pub(crate) fn attack(&mut self) {
        let Some((low, high)) = self.plan.attack_ms else {
            return;
        };
        if self.now > self.busy_until {
            return;
        }
        let pause = self.dice.millis(low, high);
        self.queue.push(self.now + pause, Event::Attack);
        let at = self.dice.index(self.stranger.captured.len());
        let Some(mut envelope) = self.stranger.captured.get(at).cloned() else {
            return;
        };
        if self.dice.chance(200) {
            let at = self.dice.index(envelope.len());
            envelope[at] ^= 1;
            self.coverage.fault("changed packet");
        } else {
            self.coverage.fault("captured packet");
        }
        if self.stranger.conn.is_none() || self.dice.chance(200) {
            self.stranger_dials();
        }
        let mut bytes = Vec::new();
        let Some((conn, transport)) = &mut self.stranger.conn else {
            return;
        };
        let conn = *conn;
        for _ in 0..self.dice.pick(&[1, 1, 2], 1) {
            let wants_quick_ack = self.dice.chance(500);
            let sent = transport.encode(&envelope, wants_quick_ack, &mut self.entropy, &mut bytes);
            debug_assert!(sent.is_ok(), "a captured envelope has whole words");
        }
        self.send(conn, End::Edge, &bytes);
    }

    fn stranger_dials(&mut self) {
        self.stranger_leaves();
        let edge = self.dice.index(self.edges.len());
        if !self.edges[edge].is_up {
            return;
        }
        let (conn, link) = self.net.open(Who::Stranger, edge);
        self.accept(edge, link);
        let mut hello = Vec::new();
        let config = Config::new(Framing::Intermediate);
        if let Ok(transport) = Transport::new(&config, &mut self.entropy, &mut hello) {
            self.stranger.conn = Some((conn, transport));
        }
        self.send(conn, End::Edge, &hello);
    }

    /// Hangs up.
    pub(crate) fn stranger_leaves(&mut self) {
        if let Some((conn, _)) = self.stranger.conn.take() {
            self.with_weather(|net, weather| net.close(conn, End::Client, weather));
        }
    }
}

const CAPTURED_MAX: usize = 200;
