//! The byte form of a server's session, and of what a frame contains: for its way to another owner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::crossing::{Cross, In, Malformed, Out, crosses, ensure, rise};
use crate::ids::LinkId;
use crate::limits::{CALLS_BYTES_MAX, CALLS_RUNNING_MAX};
use crate::session::Session;
use crate::session::incoming::{Contents, Item, Object};
use crate::session::order::Order;
use crate::session::request::{FETCH_FAIL, LAYER_INVALID, Request};
use crate::session::server::{Running, State};
use crate::side::Server;

impl Cross for Session<Server> {
    fn write(&self, out: &mut Out) {
        let Self {
            id,
            inbox,
            outbox,
            acks,
            state,
        } = self;
        id.write(out);
        inbox.write(out);
        outbox.write(out);
        acks.write(out);
        state.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: Cross::read(from)?,
            inbox: Cross::read(from)?,
            outbox: Cross::read(from)?,
            acks: Cross::read(from)?,
            state: Cross::read(from)?,
        })
    }
}

impl Cross for State {
    fn write(&self, out: &mut Out) {
        let Self {
            unique_id,
            merged,
            first,
            is_silent,
            calls,
            calls_bytes: _,
            calls_due,
            order,
            wants_updates,
        } = self;
        unique_id.write(out);
        merged.write(out);
        first.write(out);
        is_silent.write(out);
        calls.write(out);
        calls_due.write(out);
        order.write(out);
        wants_updates.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let mut it = Self {
            unique_id: Cross::read(from)?,
            merged: Cross::read(from)?,
            first: Cross::read(from)?,
            is_silent: Cross::read(from)?,
            calls: VecDeque::<Running>::read(from)?,
            calls_bytes: 0,
            calls_due: Cross::read(from)?,
            order: Option::<Box<Order>>::read(from)?,
            wants_updates: Cross::read(from)?,
        };
        ensure(it.calls.len() <= CALLS_RUNNING_MAX && rise(it.calls.iter().map(|it| it.msg_id)))?;
        for call in &it.calls {
            it.calls_bytes = it.calls_bytes.saturating_add(call.bytes);
        }
        ensure(it.calls_bytes <= CALLS_BYTES_MAX)?;
        let held = it.calls.iter().filter(|call| call.held.is_some()).count();
        match &mut it.order {
            Some(order) => order.set_held(held),
            None => ensure(held == 0)?,
        }
        Ok(it)
    }
}

crosses!(Running {
    msg_id,
    bytes,
    link,
    since,
    acked,
    held
});

impl Session<Server> {
    /// Puts the names that connections have here into the place of those that they had where the session comes from. One
    /// that has none is gone.
    pub(crate) fn rename_links(&mut self, names: &BTreeMap<LinkId, LinkId>) {
        let mut gone = BTreeSet::new();
        self.each_link(&mut |link| {
            gone.extend(link.filter(|it| !names.contains_key(it)));
        });
        for link in gone {
            self.detach(link);
        }
        self.each_link(&mut |link| {
            *link = link.and_then(|it| names.get(&it).copied());
        });
    }

    fn each_link(&mut self, visit: &mut dyn FnMut(&mut Option<LinkId>)) {
        self.outbox.each_link(visit);
        for call in &mut self.state.calls {
            visit(&mut call.link);
        }
    }
}

crosses!(enum Contents {
    0 = One(object),
    1 = Container(items),
    2 = Undecodable,
});
crosses!(Item {
    msg_id,
    seqno,
    object
});
crosses!(Request {
    query,
    layer,
    client,
    after,
    without_updates,
    scope
});

impl Cross for Object {
    fn write(&self, out: &mut Out) {
        match self {
            Self::Service(kind, body) => {
                0_u8.write(out);
                kind.write(out);
                body.write(out);
            }
            Self::Request(request) => {
                1_u8.write(out);
                request.write(out);
            }
            &Self::BadRequest(why) => {
                2_u8.write(out);
                match REASONS.iter().zip(0_u8..).find(|(it, _)| **it == why) {
                    Some((_, number)) => number.write(out),
                    None => out.fail(),
                }
            }
            // Only clients get these.
            Self::Result(..) | Self::Update(_) | Self::Unreadable => out.fail(),
        }
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(from)? {
            0 => Self::Service(Cross::read(from)?, Cross::read(from)?),
            1 => Self::Request(Cross::read(from)?),
            2 => {
                let number = usize::from(u8::read(from)?);
                Self::BadRequest(REASONS.get(number).ok_or(Malformed)?)
            }
            _ => return Err(Malformed),
        })
    }
}

/// Why calls can't be made, by number.
const REASONS: [&str; 2] = [FETCH_FAIL, LAYER_INVALID];
