//! The table, driven by real clients.

mod bounds;
mod outcomes;
mod refusals;
mod repeats;
mod together;

use core::time::Duration;

use heliogram_tl::{Deserialize, Serialize, mtproto};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::cx::Now;
use crate::exchange::client::{self, AwaitDhGen, AwaitDhParams, AwaitResPq, Error, Outcome};
use crate::exchange::testing::{Script, client_config, now, random, server_config};
use crate::limits::DH_RETRIES_MAX;

const LINK: LinkId = LinkId(1);
const OTHER: LinkId = LinkId(2);

struct Table {
    exchanges: Exchanges,
    rng: ChaCha8Rng,
    now: Now,
}

impl Table {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            exchanges: Exchanges::new(server_config(), limits),
            rng: random(0),
            now: now(Duration::ZERO),
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut out,
        };
        self.exchanges.handle(input, &mut cx);
        out
    }

    fn request(&mut self, link: LinkId, body: &[u8]) -> Vec<Effect> {
        self.input(Input::Request { link, body })
    }

    fn detach(&mut self, link: LinkId) {
        assert!(self.input(Input::Detach { link }).is_empty());
    }

    fn stored(&mut self, ticket: Ticket, outcome: StoreOutcome) -> Vec<Effect> {
        self.input(Input::Stored { ticket, outcome })
    }

    fn finish(&mut self, job: Job) -> Vec<Effect> {
        let worked = job.run(&mut self.rng);
        self.input(Input::Worked(worked))
    }

    /// Makes a request that takes a job, and does the job.
    fn work(&mut self, link: LinkId, body: &[u8]) -> Vec<Effect> {
        let job = self.request(link, body).only_job();
        self.finish(job)
    }

    fn work_and_store(&mut self, link: LinkId, body: &[u8], outcome: StoreOutcome) -> Vec<Effect> {
        let ticket = self.work(link, body).only_store();
        self.stored(ticket, outcome)
    }

    fn up_to_req_dh(&mut self, link: LinkId) -> (AwaitDhParams, Vec<u8>) {
        self.up_to_req_dh_with(link, client_config())
    }

    fn up_to_req_dh_with(
        &mut self,
        link: LinkId,
        config: client::Config,
    ) -> (AwaitDhParams, Vec<u8>) {
        let (client, query) = AwaitResPq::begin(config, &mut self.rng);
        let answer = self.request(link, &query).only_answer(link);
        client.handle(&answer).unwrap().run(&mut self.rng).unwrap()
    }

    fn up_to_req_dh_with_new_nonce(
        &mut self,
        link: LinkId,
        new_nonce: [u8; 32],
    ) -> (AwaitDhParams, Vec<u8>) {
        let (client, query) = AwaitResPq::begin(client_config(), &mut self.rng);
        let answer = self.request(link, &query).only_answer(link);
        client
            .handle(&answer)
            .unwrap()
            .run(&mut Script::new(&[&new_nonce]))
            .unwrap()
    }

    fn up_to_client_dh(&mut self, link: LinkId) -> (AwaitDhGen, Vec<u8>) {
        let (client, query) = self.up_to_req_dh(link);
        let answer = self.work(link, &query).only_answer(link);
        client
            .handle(&answer, self.now)
            .unwrap()
            .run(&mut self.rng)
            .unwrap()
    }
}

impl Effect {
    fn answer(&self) -> Option<(LinkId, Bytes)> {
        match self {
            Self::Answer { link, body } => Some((*link, body.clone())),
            Self::Close { .. } | Self::Refuse { .. } | Self::Store { .. } | Self::Work(_) => None,
        }
    }
}

/// What a test expects of effects.
trait Effects: Sized {
    fn all(self) -> Vec<Effect>;

    fn only(self) -> Effect {
        let mut effects = self.all();
        assert_eq!(effects.len(), 1, "{effects:?}");
        effects.remove(0)
    }

    fn only_answer(self, to: LinkId) -> Bytes {
        let effect = self.only();
        let Some((link, body)) = effect.answer() else {
            panic!("not an answer: {effect:?}");
        };
        assert_eq!(link, to);
        body
    }

    fn answer_to(self, to: LinkId) -> Bytes {
        let mut answers = self
            .all()
            .iter()
            .filter_map(Effect::answer)
            .collect::<Vec<_>>();
        answers.retain(|(link, _)| *link == to);
        answers.remove(0).1
    }

    fn only_refusal(self, to: LinkId) -> i32 {
        let effects = self.all();
        let refusals = effects.refusals();
        assert_eq!((effects.len(), refusals.len()), (1, 1), "{effects:?}");
        assert_eq!(refusals[0].0, to);
        refusals[0].1
    }

    fn only_job(self) -> Job {
        match self.only() {
            Effect::Work(job) => job,
            effect @ (Effect::Answer { .. }
            | Effect::Close { .. }
            | Effect::Refuse { .. }
            | Effect::Store { .. }) => panic!("not a job: {effect:?}"),
        }
    }

    fn only_store(self) -> Ticket {
        let effect = self.only();
        let Effect::Store { ticket, .. } = effect else {
            panic!("nothing to store: {effect:?}");
        };
        ticket
    }
}

impl Effects for Vec<Effect> {
    fn all(self) -> Vec<Effect> {
        self
    }
}

trait Refusals {
    fn refusals(&self) -> Vec<(LinkId, i32)>;
}

impl Refusals for Vec<Effect> {
    fn refusals(&self) -> Vec<(LinkId, i32)> {
        let refusal = |effect: &Effect| match effect {
            Effect::Refuse { link, code } => Some((*link, *code)),
            Effect::Answer { .. }
            | Effect::Close { .. }
            | Effect::Store { .. }
            | Effect::Work(_) => None,
        };
        self.iter().filter_map(refusal).collect()
    }
}
