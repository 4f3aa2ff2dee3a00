//! Both sides of every bound.

use super::*;

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

const LIFE: Duration = Duration::from_mins(10);
const NANOSECOND: Duration = Duration::from_nanos(1);
