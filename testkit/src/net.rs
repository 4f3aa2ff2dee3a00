//! Connections: bytes that arrive late, in pieces, or not at all.

use std::collections::{BTreeMap, VecDeque};

use core::time::Duration;

use heliogram_proto::cx::Mono;
use heliogram_proto::ids::LinkId;

use crate::dice::Dice;
use crate::plan::Plan;
use crate::queue::{Event, Queue};

/// One connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Edge,
}

/// Who is at the client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Client(usize),
    Stranger,
}

/// A connection on its way through the network.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) who: Who,
    pub(crate) edge: usize,
    pub(crate) link: LinkId,
    up: Pipe,
    down: Pipe,
    ended: (bool, bool),
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    /// What is under way, in order; an event brings the first of it.
    pieces: VecDeque<Vec<u8>>,
    in_flight: usize,
    last: Mono,
    /// Bytes that still arrive before the cut.
    left: Option<usize>,
    paused_until: Mono,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Network {
    conns: BTreeMap<ConnId, Conn>,
    count: u64,
}

impl Network {
    /// Makes a connection and its link's id.
    pub(crate) fn open(&mut self, who: Who, edge: usize) -> (ConnId, LinkId) {
        self.count += 1;
        let link = LinkId(self.count);
        let conn = Conn {
            who,
            edge,
            link,
            up: Pipe::default(),
            down: Pipe::default(),
            ended: (false, false),
        };
        self.conns.insert(ConnId(self.count), conn);
        (ConnId(self.count), link)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(&conn)
    }

    /// Returns the connection of a link: both have one number.
    pub(crate) fn of_link(link: LinkId) -> ConnId {
        ConnId(link.0)
    }

    /// Returns connections between an edge and anybody that are not cut.
    pub(crate) fn whole(&self) -> Vec<ConnId> {
        let whole = self.conns.iter().filter(|(_, it)| it.up.left.is_none());
        whole.map(|(&id, _)| id).collect()
    }

    /// Sends bytes from the other end to `to`, in pieces.
    pub(crate) fn send(&mut self, conn: ConnId, to: End, bytes: &[u8], world: &mut Weather<'_>) {
        let Some(pipe) = self.pipe(conn, to) else {
            return;
        };
        if bytes.is_empty() || pipe.left.is_some() {
            return;
        }
        pipe.in_flight += bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            let is_split = rest.len() > 1 && world.dice.chance(world.plan.split_per_mille);
            let len = if is_split {
                1 + world.dice.index(rest.len() - 1)
            } else {
                rest.len()
            };
            let (piece, after) = rest.split_at(len);
            let delay = world
                .dice
                .millis(world.plan.delay_ms.0, world.plan.delay_ms.1);
            pipe.last = pipe.last.max(world.now + delay);
            pipe.pieces.push_back(piece.to_vec());
            world.queue.push(pipe.last, Event::Bytes { conn, to });
            rest = after;
        }
    }

    /// Takes what arrives: as much as is left before a cut. `None` if it has to wait for a slow reader.
    pub(crate) fn arrive(
        &mut self,
        conn: ConnId,
        to: End,
        world: &mut Weather<'_>,
    ) -> Option<Vec<u8>> {
        let pipe = self.pipe(conn, to)?;
        if pipe.paused_until > world.now {
            world
                .queue
                .push(pipe.paused_until, Event::Bytes { conn, to });
            return None;
        }
        let mut bytes = pipe.pieces.pop_front()?;
        pipe.in_flight = pipe.in_flight.saturating_sub(bytes.len());
        if let Some(left) = &mut pipe.left {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Tells whether an end may learn of the end of a connection now; else it does so later.
    pub(crate) fn may_end(&mut self, conn: ConnId, to: End, world: &mut Weather<'_>) -> bool {
        let Some(pipe) = self.pipe(conn, to) else {
            return true;
        };
        if pipe.pieces.is_empty() {
            return true;
        }
        let later = pipe.last.max(pipe.paused_until).max(world.now);
        world.queue.push(later + LATER, Event::Eof { conn, to });
        false
    }

    /// Cuts a connection: each direction still brings some of what is under way. The ends learn of it when they do.
    pub(crate) fn cut(&mut self, conn: ConnId, world: &mut Weather<'_>) {
        for to in [End::Client, End::Edge] {
            let Some(pipe) = self.pipe(conn, to) else {
                return;
            };
            if pipe.left.is_some() {
                continue;
            }
            pipe.left = Some(world.dice.index(pipe.in_flight + 1));
            let silence = match world.dice.below(10) {
                0..5 => world.dice.millis(0, 20),
                5..9 => world.dice.millis(0, 5_000),
                _ => world.dice.millis(0, 150_000),
            };
            let at = pipe.last.max(world.now) + silence;
            world.queue.push(at, Event::Eof { conn, to });
        }
    }

    /// One end closes: the other gets what was said, then learns of it.
    pub(crate) fn close(&mut self, conn: ConnId, by: End, world: &mut Weather<'_>) {
        let to = match by {
            End::Client => End::Edge,
            End::Edge => End::Client,
        };
        if let Some(pipe) = self.pipe(conn, to) {
            let at = pipe.last.max(world.now) + world.dice.millis(0, 20);
            world.queue.push(at, Event::Eof { conn, to });
        }
        if let Some(pipe) = self.pipe(conn, by) {
            pipe.left = Some(0);
        }
        self.end(conn, by);
    }

    /// Makes the client's end read nothing for a while.
    pub(crate) fn pause(&mut self, conn: ConnId, until: Mono) {
        if let Some(pipe) = self.pipe(conn, End::Client) {
            pipe.paused_until = pipe.paused_until.max(until);
        }
    }

    /// Returns how many bytes are on their way to an end.
    pub(crate) fn in_flight(&self, conn: ConnId, to: End) -> usize {
        self.conns.get(&conn).map_or(0, |conn| match to {
            End::Client => conn.down.in_flight,
            End::Edge => conn.up.in_flight,
        })
    }

    /// Takes note that an end has left; forgets the connection that both have.
    pub(crate) fn end(&mut self, conn: ConnId, end: End) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        match end {
            End::Client => state.ended.0 = true,
            End::Edge => state.ended.1 = true,
        }
        if state.ended == (true, true) {
            self.conns.remove(&conn);
        }
    }

    fn pipe(&mut self, conn: ConnId, to: End) -> Option<&mut Pipe> {
        let conn = self.conns.get_mut(&conn)?;
        Some(match to {
            End::Client => &mut conn.down,
            End::Edge => &mut conn.up,
        })
    }
}

const LATER: Duration = Duration::from_millis(1);

/// What the network needs of the world.
pub(crate) struct Weather<'a> {
    pub(crate) now: Mono,
    pub(crate) queue: &'a mut Queue,
    pub(crate) dice: &'a mut Dice,
    pub(crate) plan: &'a Plan,
}
