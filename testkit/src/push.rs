//! Updates: the backend pushes them to sessions, keys and users.

use bytes::Bytes;
use heliogram_proto::host::{Input, Learned, PreparedPush, wire};
use heliogram_proto::ids::Identity;
use heliogram_proto::port::{Push, Target};

use crate::body::Update;
use crate::queue::Event;
use crate::ring::partition_of;
use crate::world::World;

impl World {
    /// Pushes something, and again after a pause.
    pub(crate) fn push(&mut self) {
        if self.now > self.busy_until {
            return;
        }
        let (low, high) = self.plan.pause_ms;
        let pause = self.dice.millis(low, high);
        self.queue.push(self.now + pause, Event::Push);
        let client = self.dice.index(self.clients.len());
        let count = self.dice.pick(&[1, 1, 1, 2, 40], 1);
        let is_flood = self.dice.chance(2);
        for _ in 0..if is_flood { FLOOD } else { count } {
            let target = self.any_target(client);
            self.push_to(client, target);
        }
    }

    fn any_target(&mut self, client: usize) -> Target {
        let state = &self.clients[client];
        let (identity, session_id) = (state.identity(), state.session.id());
        match self.dice.below(10) {
            0..5 => Target::Session {
                identity,
                session_id,
            },
            5..8 => Target::Key(identity),
            _ => Target::User(user_of(client)),
        }
    }

    fn push_to(&mut self, client: usize, target: Target) {
        self.pushes += 1;
        let number = self.pushes;
        let bytes = self.dice.pick(&[100, 100, 100, 3_000, 3_000], 100);
        let bytes = if self.dice.chance(10) { 60_000 } else { bytes };
        let filler = self.dice.index(bytes);
        let body = Bytes::from(Update::write(number, filler, &mut self.dice));
        let identity = self.clients[client].identity();
        let session_id = self.clients[client].session.id();
        let except = self.dice.chance(20).then_some((identity, session_id));
        let push = Push {
            targets: vec![target],
            except,
            body,
        };
        let Ok(push) = PreparedPush::new(push) else {
            return self
                .checks
                .fail("an update can be pushed", format!("{target:?}"));
        };
        let owner = self.ring.owners[partition_of(identity)];
        if except.is_none() && self.clients[client].is_sure_of(target, owner) {
            self.checks.pushes.owed(client, number);
            if self.is_traced {
                eprintln!(
                    "{:?} client {client} is to get {number:x} by {target:?}",
                    self.now
                );
            }
        }
        self.coverage.fault(match target {
            Target::Key(_) => "push to a key",
            Target::Session { .. } => "push to a session",
            Target::User(_) => "push to a user",
        });
        let partition = partition_of(identity);
        let now = self.node_now(owner.node);
        let bytes = wire::encode(&Input::Push(push), now);
        match bytes.map(|it| wire::decode(&it, now, &mut |_| None)) {
            Some(Ok(push)) => self.step_host(owner.node, partition, push),
            failed => self
                .checks
                .fail("a push crosses to its owner", format!("{failed:?}")),
        }
        self.arm_node(owner.node);
    }

    /// Answers a host that wants to know who has logged in with a key: at once, or late.
    pub(crate) fn find_user(&mut self, node: usize, partition: usize, identity: Identity) {
        let user = self.clients.iter().position(|it| it.identity() == identity);
        let user = user.map(user_of);
        if self.dice.chance(500) {
            let learned = Learned::Found;
            let input = Input::User {
                identity,
                user,
                learned,
            };
            return self.step_host(node, partition, input);
        }
        let delay = self.dice.millis(1, 2_000);
        let boot = self.nodes[node].boot;
        let event = Event::User {
            node,
            boot,
            identity,
            user,
        };
        self.queue.push(self.now + delay, event);
    }

    /// Takes the backend's late word of who has logged in with a key.
    pub(crate) fn on_user(
        &mut self,
        node: usize,
        boot: u64,
        identity: Identity,
        user: Option<i64>,
    ) {
        if self.nodes[node].boot != boot {
            return;
        }
        self.coverage.fault("login learned late");
        let learned = Learned::FoundLate;
        let input = Input::User {
            identity,
            user,
            learned,
        };
        self.step_host(node, partition_of(identity), input);
        self.arm_node(node);
    }
}

fn user_of(client: usize) -> i64 {
    i64::try_from(client).unwrap_or(0) + 1
}

/// More than a session's queue holds.
const FLOOD: usize = 3_000;
