//! What becomes of an exchange: a key, a retry, a failure, or an unavailable store.

use super::*;

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
