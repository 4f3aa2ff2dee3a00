//! Identical queries get identical answers, and wait for them.

use super::*;

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
fn running_exchange_keeps_its_last_two_answers_and_a_finished_one_its_last() {
    let mut table = Table::new();
    let (client, first) = table.up_to_req_dh(LINK);
    let params = table.work(LINK, &first).only_answer(LINK);
    let job = client.handle(&params, table.now).unwrap();
    let (client, second) = job.run(&mut table.rng).unwrap();
    let retry = table
        .work_and_store(LINK, &second, StoreOutcome::Duplicate)
        .only_answer(LINK);
    assert_eq!(table.request(OTHER, &first).only_answer(OTHER), params);
    assert_eq!(table.request(OTHER, &second).only_answer(OTHER), retry);

    let Ok(Outcome::Again(round)) = client.handle(&retry) else {
        panic!("dh_gen_retry asks for another round");
    };
    let (_, third) = round.run(&mut table.rng).unwrap();
    let last = table
        .work_and_store(LINK, &third, StoreOutcome::Stored)
        .only_answer(LINK);
    assert_eq!(table.request(OTHER, &first).only_refusal(OTHER), -404);
    assert_eq!(table.request(OTHER, &second).only_refusal(OTHER), -404);
    assert_eq!(table.request(OTHER, &third).only_answer(OTHER), last);
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
