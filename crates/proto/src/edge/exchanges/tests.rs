//! The table, driven by real clients.

use core::time::Duration;

use heliogram_tl::{Deserialize, Serialize, mtproto};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::cx::Now;
use crate::exchange::client::{self, AwaitDhGen, AwaitDhParams, AwaitResPq, Error, Outcome};
use crate::exchange::testing::{Script, client_config, now, random, server_config};
use crate::limits::DH_RETRIES_MAX;

const LIFE: Duration = Duration::from_mins(10);
const NANOSECOND: Duration = Duration::from_nanos(1);

#[test]
fn key_is_stored_before_the_client_hears_of_it() {
    let mut table = Table::new();
    let (client, query) = table.up_to_client_dh(LINK);

    let worked = table.work(LINK, &query);
    let [Effect::Store { ticket, record }] = &worked[..] else {
        panic!("the key is to be stored, and nothing answered yet: {worked:?}");
    };
    let answer = table
        .stored(*ticket, StoreOutcome::Stored)
        .only_answer(LINK);
    let Outcome::Made(made) = client.handle(&answer).unwrap() else {
        panic!("dh_gen_ok makes a key");
    };
    assert_eq!(made.key, record.key);
}

#[test]
fn every_query_repeated_on_another_link_gets_the_identical_answer() {
    let mut table = Table::new();
    let (client, first) = AwaitResPq::begin(client_config(), &mut table.rng);
    let answer = table.request(LINK, &first).only_answer(LINK);
    assert_eq!(table.request(OTHER, &first).only_answer(OTHER), answer);

    let (client, second) = client.handle(&answer).unwrap().run(&mut table.rng).unwrap();
    let answer = table.work(LINK, &second).only_answer(LINK);
    assert_eq!(table.request(OTHER, &second).only_answer(OTHER), answer);

    let job = client.handle(&answer, table.now).unwrap();
    let (_, third) = job.run(&mut table.rng).unwrap();
    let answer = table
        .work_and_store(OTHER, &third, StoreOutcome::Stored)
        .only_answer(OTHER);
    assert_eq!(table.request(LINK, &third).only_answer(LINK), answer);
    assert_eq!(table.request(LINK, &third).only_answer(LINK), answer);

    table.detach(LINK);
    table.detach(OTHER);
    let later = LinkId(77);
    assert_eq!(table.request(later, &third).only_answer(later), answer);
}

#[test]
fn identical_query_while_a_job_runs_waits_for_its_answer() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let job = table.request(LINK, &query).only_job();
    assert_eq!(table.request(OTHER, &query).len(), 0);
    assert_eq!(table.request(LINK, &query).len(), 0);

    let effects = table.finish(job);
    let answers: Vec<_> = effects.iter().map(Effect::answer).collect();
    let [Some((LINK, first)), Some((OTHER, second))] = &answers[..] else {
        panic!("each waiting link gets one answer: {effects:?}");
    };
    assert_eq!(first, second);
}

#[test]
fn identical_query_while_the_store_works_waits_for_its_answer() {
    let mut table = Table::new();
    let (_, query) = table.up_to_client_dh(LINK);
    let ticket = table.work(LINK, &query).only_store();
    assert_eq!(table.request(OTHER, &query).len(), 0);
    assert_eq!(table.stored(ticket, StoreOutcome::Stored).len(), 2);
}

#[test]
fn as_many_links_as_the_limit_wait_and_one_more_is_refused() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let job = table.request(LINK, &query).only_job();
    let waiters_max = u64::try_from(limits::EXCHANGE_WAITERS_MAX).unwrap();
    for link in 1..waiters_max {
        assert_eq!(table.request(LinkId(100 + link), &query).len(), 0);
    }
    assert_eq!(table.request(OTHER, &query).only_refusal(OTHER), -429);
    assert_eq!(table.finish(job).len(), limits::EXCHANGE_WAITERS_MAX);
}

#[test]
fn another_query_while_a_job_runs_ends_the_exchange_for_all_who_wait() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let job = table.request(LINK, &query).only_job();
    let mut another = query.clone();
    *another.last_mut().unwrap() ^= 1;

    let effects = table.request(OTHER, &another);
    assert_eq!(effects.refusals(), [(LINK, -404), (OTHER, -404)]);
    assert!(table.finish(job).is_empty());
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
}

#[test]
fn older_query_that_arrives_late_gets_its_answer_and_disturbs_nothing() {
    let mut table = Table::new();
    let (client, older) = table.up_to_req_dh(LINK);
    let answer = table.work(LINK, &older).only_answer(LINK);
    let job = client.handle(&answer, table.now).unwrap();
    let (client, query) = job.run(&mut table.rng).unwrap();
    let job = table.request(LINK, &query).only_job();

    assert_eq!(table.request(OTHER, &older).only_answer(OTHER), answer);
    let ticket = table.finish(job).only_store();
    let answer = table.stored(ticket, StoreOutcome::Stored).only_answer(LINK);
    assert!(matches!(client.handle(&answer), Ok(Outcome::Made(_))));
}

#[test]
fn set_client_dh_params_before_req_dh_params_is_refused_and_ends_the_exchange() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let early = mtproto::SetClientDhParams {
        nonce: query[4..20].try_into().unwrap(),
        server_nonce: query[20..36].try_into().unwrap(),
        encrypted_data: &[0; 336],
    };
    assert_eq!(
        table.request(LINK, &early.to_bytes()).only_refusal(LINK),
        -404
    );
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
    assert!(table.exchanges.is_empty());
}

#[test]
fn sixteen_bytes_of_encrypted_data_are_refused_and_end_the_exchange() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let honest = mtproto::ReqDhParams::from_bytes(&query).unwrap();
    let short = mtproto::ReqDhParams {
        encrypted_data: &[0; 16],
        ..honest
    };
    assert_eq!(
        table.request(LINK, &short.to_bytes()).only_refusal(LINK),
        -404
    );
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);

    let (_, query) = table.up_to_client_dh(LINK);
    let honest = mtproto::SetClientDhParams::from_bytes(&query).unwrap();
    let short = mtproto::SetClientDhParams {
        encrypted_data: &[0; 16],
        ..honest
    };
    assert_eq!(
        table.request(LINK, &short.to_bytes()).only_refusal(LINK),
        -404
    );
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
}

#[test]
fn unknown_server_nonce_is_refused_and_leaves_the_exchange_alone() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let mut guess = query.clone();
    guess[20] ^= 1;
    assert_eq!(table.request(OTHER, &guess).only_refusal(OTHER), -404);
    table.work(LINK, &query).only_answer(LINK);
}

#[test]
fn data_centre_that_is_not_served_is_refused_with_444() {
    let mut table = Table::new();
    let config = client::Config {
        dc: Some(3),
        ..client_config()
    };
    let (_, query) = table.up_to_req_dh_with(LINK, config);
    assert_eq!(table.work(LINK, &query).only_refusal(LINK), -444);
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
}

#[test]
fn acknowledgement_is_ignored_and_anything_else_refused() {
    let mut table = Table::new();
    let ack = mtproto::MsgsAck {
        msg_ids: (&[1_i64]).into(),
    };
    assert!(table.request(LINK, &ack.to_bytes()).is_empty());
    let ping = mtproto::Ping { ping_id: 1 };
    assert_eq!(
        table.request(LINK, &ping.to_bytes()).only_refusal(LINK),
        -404
    );
    assert_eq!(table.request(LINK, &[]).only_refusal(LINK), -404);
}

#[test]
fn product_to_factor_is_new_for_each_exchange() {
    let mut table = Table::new();
    let products: BTreeSet<_> = (0..4)
        .map(|seed| {
            let (_, query) = AwaitResPq::begin(client_config(), &mut random(seed));
            let answer = table.request(LINK, &query).only_answer(LINK);
            mtproto::ResPq::from_bytes(&answer).unwrap().pq.to_vec()
        })
        .collect();
    assert_eq!(products.len(), 4);
}

#[test]
fn used_new_nonce_is_refused_until_ten_minutes_have_passed() {
    for (after, accepted) in [(LIFE - NANOSECOND, false), (LIFE, true)] {
        let mut table = Table::new();
        let (_, query) = table.up_to_req_dh_with_new_nonce(LINK, [9; 32]);
        table.work(LINK, &query).only_answer(LINK);

        table.now = now(after);
        let (_, query) = table.up_to_req_dh_with_new_nonce(OTHER, [9; 32]);
        let effects = table.work(OTHER, &query);
        assert_eq!(
            matches!(effects[..], [Effect::Answer { .. }]),
            accepted,
            "{effects:?}"
        );
        if !accepted {
            assert_eq!(effects.only_refusal(OTHER), -404);
        }
    }
}

#[test]
fn fifth_exchange_of_a_link_drops_its_oldest() {
    let mut table = Table::new();
    let (_, others) = table.up_to_req_dh(OTHER);
    let queries: Vec<_> = (0..4).map(|_| table.up_to_req_dh(LINK).1).collect();
    assert_eq!(table.exchanges.len(), 5);

    table.up_to_req_dh(LINK);
    assert_eq!(table.exchanges.len(), 5);
    assert_eq!(table.request(LINK, &queries[0]).only_refusal(LINK), -404);
    table.work(LINK, &queries[1]).only_answer(LINK);
    table.work(OTHER, &others).only_answer(OTHER);
}

#[test]
fn exchange_that_is_at_work_is_not_dropped_for_another_of_its_link() {
    let mut table = Table::new();
    let queries: Vec<_> = (0..4).map(|_| table.up_to_req_dh(LINK).1).collect();
    let jobs: Vec<_> = queries
        .iter()
        .map(|query| table.request(LINK, query).only_job())
        .collect();

    let (_, fifth) = AwaitResPq::begin(client_config(), &mut table.rng);
    assert_eq!(table.request(LINK, &fifth).only_refusal(LINK), -429);
    for job in jobs {
        table.finish(job).only_answer(LINK);
    }
    table.request(LINK, &fifth).only_answer(LINK);
}

#[test]
fn finished_exchanges_do_not_count_against_a_link() {
    let mut table = Table::new();
    let mut last_queries = Vec::new();
    for _ in 0..6 {
        let (_, query) = table.up_to_client_dh(LINK);
        table
            .work_and_store(LINK, &query, StoreOutcome::Stored)
            .only_answer(LINK);
        last_queries.push(query);
    }
    for query in last_queries {
        table.request(LINK, &query).only_answer(LINK);
    }
}

#[test]
fn one_exchange_more_than_the_maximum_drops_the_oldest() {
    let limits = Limits {
        exchanges_max: 3,
        ..Limits::default()
    };
    let mut table = Table::with(limits);
    let queries: Vec<_> = (0..3)
        .map(|link| table.up_to_req_dh(LinkId(link)).1)
        .collect();
    let job = table.request(LinkId(0), &queries[0]).only_job();

    let (_, fourth) = AwaitResPq::begin(client_config(), &mut table.rng);
    let effects = table.request(OTHER, &fourth);
    assert_eq!(effects.refusals(), [(LinkId(0), -404)], "who waits is told");
    assert!(matches!(
        effects.last(),
        Some(Effect::Answer { link: OTHER, .. })
    ));
    assert_eq!(table.exchanges.len(), 3);
    assert!(table.finish(job).is_empty());
    table.work(LINK, &queries[1]).only_answer(LINK);
}

#[test]
fn exchange_is_remembered_for_ten_minutes() {
    for (after, remembered) in [(LIFE - NANOSECOND, true), (LIFE, false)] {
        let mut table = Table::new();
        let (_, query) = table.up_to_client_dh(LINK);
        let answer = table
            .work_and_store(LINK, &query, StoreOutcome::Stored)
            .only_answer(LINK);
        assert_eq!(table.exchanges.next_deadline(), Some(Mono(0) + LIFE));

        table.now = now(after);
        let effects = table.request(LINK, &query);
        if remembered {
            assert_eq!(effects.only_answer(LINK), answer);
        } else {
            assert_eq!(effects.only_refusal(LINK), -404);
            assert_eq!(table.exchanges.next_deadline(), None);
        }
    }
}

#[test]
fn who_waits_at_the_end_of_an_exchanges_life_is_refused() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let job = table.request(LINK, &query).only_job();
    table.now = now(LIFE);
    let mut out = Vec::new();
    table.exchanges.handle_deadline(&mut Cx {
        now: table.now,
        rng: &mut table.rng,
        out: &mut out,
    });
    assert_eq!(out.only_refusal(LINK), -404);
    assert!(table.finish(job).is_empty());
}

#[test]
fn taken_key_id_is_answered_with_retry_five_times_and_then_with_fail() {
    let mut table = Table::new();
    let (mut client, mut query) = table.up_to_client_dh(LINK);
    for _ in 0..DH_RETRIES_MAX {
        let effects = table.work_and_store(LINK, &query, StoreOutcome::Duplicate);
        let answer = effects.only_answer(LINK);
        assert_eq!(table.request(OTHER, &query).only_answer(OTHER), answer);
        let Outcome::Again(round) = client.handle(&answer).unwrap() else {
            panic!("dh_gen_retry asks for another round");
        };
        (client, query) = round.run(&mut table.rng).unwrap();
    }
    let effects = table.work_and_store(LINK, &query, StoreOutcome::Duplicate);
    let answer = effects.only_answer(LINK);
    assert_eq!(table.request(OTHER, &query).only_answer(OTHER), answer);
    assert_eq!(client.handle(&answer).unwrap_err(), Error::Failed);
}

#[test]
fn retry_may_lead_to_a_key() {
    let mut table = Table::new();
    let (client, query) = table.up_to_client_dh(LINK);
    let effects = table.work_and_store(LINK, &query, StoreOutcome::Duplicate);
    let Ok(Outcome::Again(round)) = client.handle(&effects.only_answer(LINK)) else {
        panic!("dh_gen_retry asks for another round");
    };
    let (client, query) = round.run(&mut table.rng).unwrap();
    let effects = table.work_and_store(LINK, &query, StoreOutcome::Stored);
    assert!(matches!(
        client.handle(&effects.only_answer(LINK)),
        Ok(Outcome::Made(_))
    ));
}

#[test]
fn unavailable_store_closes_the_link_and_the_same_query_may_come_again() {
    let mut table = Table::new();
    let (client, query) = table.up_to_client_dh(LINK);
    let effects = table.work_and_store(LINK, &query, StoreOutcome::Unavailable);
    assert!(
        matches!(effects[..], [Effect::Close { link: LINK }]),
        "{effects:?}"
    );

    let effects = table.work_and_store(OTHER, &query, StoreOutcome::Stored);
    assert!(matches!(
        client.handle(&effects.only_answer(OTHER)),
        Ok(Outcome::Made(_))
    ));
}

#[test]
fn dropped_job_is_refused_as_busy_and_ends_the_exchange() {
    let mut table = Table::new();
    let (_, query) = table.up_to_req_dh(LINK);
    let ticket = table.request(LINK, &query).only_job().ticket();
    assert_eq!(
        table.input(Input::Dropped { ticket }).only_refusal(LINK),
        -429
    );
    assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
    assert!(table.input(Input::Dropped { ticket }).is_empty());
}

#[test]
fn one_job_more_than_the_maximum_is_refused_as_busy_and_may_be_asked_for_again() {
    let limits = Limits {
        jobs_max: 1,
        ..Limits::default()
    };
    let mut table = Table::with(limits);
    let (_, first) = table.up_to_req_dh(LINK);
    let (_, second) = table.up_to_req_dh(OTHER);
    let job = table.request(LINK, &first).only_job();

    assert_eq!(table.request(OTHER, &second).only_refusal(OTHER), -429);
    table.finish(job).only_answer(LINK);
    table.work(OTHER, &second).only_answer(OTHER);
}

#[test]
fn job_of_a_forgotten_exchange_counts_until_it_is_done() {
    let limits = Limits {
        jobs_max: 1,
        exchanges_max: 1,
        ..Limits::default()
    };
    let mut table = Table::with(limits);
    let (_, first) = table.up_to_req_dh(LINK);
    let job = table.request(LINK, &first).only_job();
    let (client, query) = AwaitResPq::begin(client_config(), &mut table.rng);
    let answer = table.request(OTHER, &query).answer_to(OTHER);
    let (_, second) = client.handle(&answer).unwrap().run(&mut table.rng).unwrap();

    assert_eq!(table.request(OTHER, &second).only_refusal(OTHER), -429);
    assert!(table.finish(job).is_empty());
    table.work(OTHER, &second).only_answer(OTHER);
}

#[test]
fn second_answer_of_the_store_changes_nothing() {
    let mut table = Table::new();
    let (_, query) = table.up_to_client_dh(LINK);
    let ticket = table.work(LINK, &query).only_store();
    let answer = table.stored(ticket, StoreOutcome::Stored).only_answer(LINK);
    for outcome in [
        StoreOutcome::Duplicate,
        StoreOutcome::Stored,
        StoreOutcome::Unavailable,
    ] {
        assert!(table.stored(ticket, outcome).is_empty());
    }
    assert_eq!(table.request(LINK, &query).only_answer(LINK), answer);
}

#[test]
fn finished_exchange_refuses_other_queries_but_still_repeats_its_last_answer() {
    let mut table = Table::new();
    let (_, older) = table.up_to_req_dh(LINK);
    let (_, query) = table.up_to_client_dh(LINK);
    let answer = table
        .work_and_store(LINK, &query, StoreOutcome::Stored)
        .only_answer(LINK);
    let mut another = query.clone();
    *another.last_mut().unwrap() ^= 1;

    assert_eq!(table.request(LINK, &another).only_refusal(LINK), -404);
    assert_eq!(table.request(LINK, &query).only_answer(LINK), answer);
    table.work(LINK, &older).only_answer(LINK);
}

#[test]
fn refused_queries_leave_nothing_behind() {
    let mut table = Table::new();
    for _ in 0..10 {
        let (_, mut query) = table.up_to_req_dh(LINK);
        query[40] ^= 1;
        assert_eq!(table.request(LINK, &query).only_refusal(LINK), -404);
    }
    let Exchanges {
        exchanges,
        nonces,
        begun,
        jobs,
        ..
    } = &table.exchanges;
    assert!(exchanges.is_empty() && nonces.is_empty() && begun.is_empty() && jobs.is_empty());
}

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
