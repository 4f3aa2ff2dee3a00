//! What is refused, how, and what is left of it.

use super::*;

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
