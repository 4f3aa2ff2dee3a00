//! What hosts want done about keys: the store is asked, owners and edges are told. What an adapter between processes
//! does, with its delays and its failures.

use bytes::Bytes;
use heliogram_proto::edge::keys;
use heliogram_proto::exchange::binding::{self, Claim, Error};
use heliogram_proto::host::{Asked, CallId, Effect, Handover, Input, PreparedAnswer, wire};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, Term};
use heliogram_proto::port::{KeyFacts, KeyKind, Reply, RpcError};

use crate::net::Network;
use crate::node::Place;
use crate::queue::Event;
use crate::ring::partition_of;
use crate::world::World;

/// What the store is asked by a host.
#[derive(Debug)]
pub(crate) enum Question {
    Bind {
        call: CallId,
        claim: Box<Claim>,
    },
    Destroy {
        asked: Asked,
    },
    Drop {
        call: CallId,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    },
}

impl World {
    /// Does what a host wants done about keys.
    pub(crate) fn on_keys(&mut self, place: Place, effect: Effect) {
        let question = match effect {
            Effect::Bind { id, claim } => Question::Bind {
                call: id,
                claim: Box::new(claim),
            },
            Effect::DestroyKey { asked } => Question::Destroy { asked },
            Effect::DropKeys { id, perm, except } => Question::Drop {
                call: id,
                perm,
                except,
            },
            Effect::HandOver(handover) => return self.hand_over(place, handover),
            Effect::TakenOver { key } => {
                self.tell_edges(&keys::Input::Bound { facts: key });
                let taken_over = Input::TakenOver { key: key.id };
                return self.tell_owner(place.node, Identity(key.id), &taken_over);
            }
            Effect::Forward { to, input } => return self.forward(place.node, to, &input),
            Effect::Call { .. }
            | Effect::Cancel { .. }
            | Effect::Fanout { .. }
            | Effect::FindUser { .. }
            | Effect::Ready { .. } => return,
        };
        let delay = self.dice.millis(0, 200);
        let boot = self.nodes[place.node].boot;
        let event = Event::Asked {
            place,
            boot,
            question,
        };
        self.queue.push(self.now + delay, event);
    }

    /// The store answers a host.
    pub(crate) fn on_asked(&mut self, place: Place, boot: u64, question: Question) {
        if let Some(held) = &mut self.nodes[place.node].paused {
            return held.push(Event::Asked {
                place,
                boot,
                question,
            });
        }
        match question {
            Question::Bind { call, claim } => {
                let outcome = self.bind(&claim);
                self.tell_asker(place, boot, Input::Bound { call, outcome });
            }
            Question::Destroy { asked } => {
                let identity = asked.identity;
                let keys = (!self.store.is_down).then(|| self.store.remove(identity.0));
                let gone = keys.clone().unwrap_or_default();
                self.tell_asker(place, boot, Input::Destroyed { asked, keys });
                self.revoke_each(place.node, identity, &gone);
            }
            Question::Drop { call, perm, except } => {
                let reply = if self.store.is_down {
                    Reply::Error(RpcError {
                        code: 500,
                        message: "RPC_CALL_FAIL".to_owned(),
                    })
                } else {
                    let gone = self.store.remove_bound(perm, &except);
                    let identity = call.identity;
                    let keys = gone.clone();
                    let revoked = Input::Revoked { identity, keys };
                    self.tell_owner(place.node, identity, &revoked);
                    self.revoke_each(place.node, identity, &gone);
                    Reply::Result(Bytes::from_static(&BOOL_TRUE))
                };
                let answer = PreparedAnswer::new(reply);
                self.tell_asker(place, boot, Input::Answer { call, answer });
            }
        }
        self.arm_node(place.node);
    }

    fn bind(&mut self, claim: &Claim) -> Result<KeyFacts, Error> {
        if self.store.is_down {
            return Err(Error::Unavailable);
        }
        let perm = self
            .store
            .records
            .get(&claim.perm())
            .ok_or(Error::Invalid)?;
        let expires_at = binding::verify(claim, perm, self.clock(0).unix.seconds())?;
        let record = self.store.records.get(&claim.key()).ok_or(Error::Invalid)?;
        let facts = record.facts.bind(claim.perm(), expires_at);
        let facts = facts.ok_or(Error::Taken)?;
        self.store.set_facts(facts);
        self.checks.wire.bound(claim.key(), claim.perm());
        self.coverage.fault("temporary key bound");
        Ok(facts)
    }

    fn hand_over(&mut self, place: Place, handover: Box<Handover>) {
        self.coverage
            .fault("sessions handed over to a permanent key");
        let to = handover.to();
        let part = self.nodes[place.node].parts.get(&place.partition);
        let from = part.map_or(Term(0), |part| part.host.term());
        self.checks.wire.handed_over(handover.key().id, from);
        self.tell_owner(place.node, to, &Input::TakeOver(handover));
    }

    fn forward(&mut self, node: usize, to: Identity, input: &Input) {
        if let Input::Frame(frame) = input {
            self.coverage
                .fault("frame forwarded to the owner of a bound key");
            let facts = *frame.key();
            self.tell_edges(&keys::Input::Bound { facts });
        }
        self.tell_owner(node, to, input);
    }

    /// Has the owner of an identity know a link; `false` if the link is gone.
    fn touch(&mut self, to: Identity, link: LinkId) -> bool {
        let partition = partition_of(to);
        let node = self.ring.owners[partition].node;
        let Some(edge) = self.net.get(Network::of_link(link)).map(|it| it.edge) else {
            return false;
        };
        if self.stream(edge, node).is_none() {
            self.close_link(edge, link);
            return false;
        }
        if let Some(part) = self.nodes[node].parts.get_mut(&partition) {
            part.knows(link);
        }
        self.edges[edge].touched(link, node, partition)
    }

    fn tell_asker(&mut self, place: Place, boot: u64, input: Input) {
        if self.nodes[place.node].boot == boot {
            self.step_host(place.node, place.partition, input);
        }
    }

    /// Has a node tell the owner of an identity something: as bytes, wherever that is.
    fn tell_owner(&mut self, node: usize, to: Identity, input: &Input) {
        match wire::encode(input, self.node_now(node)) {
            Some(bytes) => self.carry(to, bytes, 0),
            None => self
                .checks
                .fail("what an owner has for another can cross", ""),
        }
    }

    /// Brings bytes to the owner of an identity, again and again until there is one.
    pub(crate) fn carry(&mut self, to: Identity, bytes: Vec<u8>, tries: u32) {
        let partition = partition_of(to);
        let node = self.ring.owners[partition].node;
        let state = &self.nodes[node];
        if state.paused.is_none() && state.parts.contains_key(&partition) {
            return self.tell_now(to, &bytes);
        }
        if tries < TRIES_MAX {
            let tries = tries + 1;
            let delay = self.dice.millis(50, 150);
            self.queue
                .push(self.now + delay, Event::ToOwner { to, bytes, tries });
        }
    }

    /// Tells an owner something; connections that are gone are left out.
    fn tell_now(&mut self, to: Identity, bytes: &[u8]) {
        let partition = partition_of(to);
        let node = self.ring.owners[partition].node;
        let now = self.node_now(node);
        let links = &mut |link| self.touch(to, link).then_some(link);
        let input = match wire::decode(bytes, now, links) {
            Ok(input) => input,
            Err(wire::Error::LinkGone) => return,
            Err(error) => {
                let rule = "what an owner has for another is read as it was written";
                return self.checks.fail(rule, error.to_string());
            }
        };
        if let Input::TakeOver(handover) = &input {
            let part = self.nodes[node].parts.get(&partition);
            let term = part.map(|it| it.host.term()).unwrap_or_default();
            for session in handover.sessions() {
                let key = handover.key().id;
                self.checks.wire.taken_over(key, session, term);
            }
        }
        self.step_host(node, partition, input);
        self.arm_node(node);
    }

    /// Tells all but the owner of `identity` that keys are no more.
    fn revoke_each(&mut self, node: usize, identity: Identity, gone: &[AuthKeyId]) {
        for &id in gone {
            let own = Identity(id);
            if own != identity {
                let keys = vec![id];
                let input = Input::Revoked {
                    identity: own,
                    keys,
                };
                self.tell_owner(node, own, &input);
            }
            self.tell_edges(&keys::Input::Revoked { id });
        }
    }

    /// Tells the edges something of a key. They may miss it.
    fn tell_edges(&mut self, input: &keys::Input) {
        for edge in 0..self.edges.len() {
            if self.edges[edge].is_up && !self.dice.chance(200) {
                self.step_cache(edge, input.clone());
            }
        }
    }

    /// Tells whether a key may be used by an honest client.
    pub(crate) fn is_good(&self, id: AuthKeyId) -> bool {
        let now_s = self.clock(0).unix.seconds();
        let record = self.store.records.get(&id);
        record.is_some_and(|it| match it.facts.kind {
            KeyKind::Permanent => true,
            // Clocks differ.
            KeyKind::Temporary { .. } => !it.facts.is_expired(now_s + SKEW_S),
        })
    }
}

const BOOL_TRUE: [u8; 4] = 0x9972_75b5_u32.to_le_bytes();
/// After so many tries an owner is not told any more.
const TRIES_MAX: u32 = 600;
/// By which a host's clock may be ahead.
const SKEW_S: u64 = 3;
