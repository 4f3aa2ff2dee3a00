//! What clients want: calls, pings, salts, connections.

use bytes::Bytes;

use crate::body::Query;
use crate::queue::Event;
use crate::world::World;

impl World {
    /// Has a client want something, and again after a pause.
    pub(crate) fn act(&mut self, client: usize) {
        if self.now > self.busy_until {
            return;
        }
        let (low, high) = self.plan.pause_ms;
        let pause = self.dice.millis(low, high);
        self.queue.push(self.now + pause, Event::Act { client });
        match self.dice.below(100) {
            0..70 => {
                for _ in 0..self.dice.pick(&[1, 1, 1, 3, 20], 1) {
                    self.wish(client);
                }
            }
            70..80 => self.clients[client].session.ping(1, None),
            80..85 => self.clients[client].session.ask_for_salts(4),
            85..90 if self.clients[client].conns.len() < CONNS_MAX => {
                self.coverage.fault("second connection of a session");
                self.dial(client);
            }
            90..92 => self.hang_up(client),
            _ => {}
        }
        self.flush_client(client);
    }

    /// Has a client make a call.
    fn wish(&mut self, client: usize) {
        self.tokens += 1;
        let token = self.tokens;
        let answer_bytes = match self.dice.below(1000) {
            0..700 => self.dice.between(0, 64),
            700..950 => self.dice.between(64, 4_000),
            950..998 => self.dice.between(4_000, 100_000),
            _ => self.dice.between(100_000, 600_000),
        };
        let query = Query {
            token,
            answer_bytes: u32::try_from(answer_bytes).unwrap_or(0),
            wants_error: self.dice.chance(30),
        };
        let filler = if self.dice.chance(50) { 2_000 } else { 0 };
        let words = self.dice.index(filler + 8);
        let state = &mut self.clients[client];
        let identity = state.identity();
        if let Ok(call) = state.session.call(Bytes::from(query.write(words))) {
            state.wishes.insert(call, token);
            self.checks.tokens.issued(token, client, identity);
        } else {
            self.coverage.fault("too many calls wait");
        }
    }

    fn hang_up(&mut self, client: usize) {
        let conns = &self.clients[client].conns;
        let Some(conn) = conns.get(self.dice.index(conns.len())).map(|it| it.id) else {
            return;
        };
        self.coverage.fault("client hangs up");
        self.client_leaves(client, conn);
    }
}

const CONNS_MAX: usize = 3;
