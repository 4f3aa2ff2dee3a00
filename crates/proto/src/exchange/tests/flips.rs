//! No byte of a message may be changed on its way: one byte after the other is.

use core::time::Duration;
use std::sync::Arc;

use super::pair;
use crate::exchange::client::{AwaitDhParams, AwaitResPq, Error};
use crate::exchange::server::{AwaitReqDh, Query, Refusal, Step};
use crate::exchange::testing::{client_config, now, random, server_config};

#[test]
fn changed_req_dh_params_is_refused() {
    let (_, _, query) = up_to_req_dh();
    for at in (0..query.len()).filter(|at| !TL_PADDING.contains(at)) {
        let mut changed = query.clone();
        changed[at] ^= 0x10;
        assert!(refuse_req_dh(&changed).is_some(), "byte {at}");
    }
    assert_eq!(refuse_req_dh(&query), None);
}

#[test]
fn changed_set_client_dh_params_is_refused() {
    let (_, query, _) = pair::up_to_client_dh(client_config());
    // One in seven: a state costs an RSA operation, and no block of 16 is skipped.
    for at in (0..query.len()).step_by(7) {
        let (_, _, server) = pair::up_to_client_dh(client_config());
        let mut changed = query.clone();
        changed[at] ^= 0x10;
        let refusal = match Query::parse(&changed) {
            Ok((Query::Step(Step::SetClientDhParams(query)), _)) => server.handle(&query).err(),
            Ok(_) => panic!("byte {at} made another query of it"),
            Err(refusal) => Some(refusal),
        };
        assert_eq!(refusal, Some(Refusal::NotFound), "byte {at}");
    }
}

#[test]
fn changed_server_dh_params_ok_is_not_trusted() {
    let (_, server, query) = up_to_req_dh();
    let (_, answer) = pair::agree(server, &query, &Arc::new(server_config()));
    for at in 0..answer.len() {
        let (client, _, _) = up_to_req_dh();
        let mut changed = answer.clone();
        changed[at] ^= 0x10;
        let error = client.handle(&changed, now(Duration::ZERO)).err();
        assert_eq!(error, Some(Error::Untrusted), "byte {at}");
    }
    let (client, _, _) = up_to_req_dh();
    assert!(client.handle(&answer, now(Duration::ZERO)).is_ok());
}

#[test]
fn changed_dh_gen_ok_is_not_trusted() {
    let (_, query, server) = pair::up_to_client_dh(client_config());
    let answer = pair::derive(server, &query).accept();
    for at in 0..answer.len() {
        let (client, _, _) = pair::up_to_client_dh(client_config());
        let mut changed = answer.clone();
        changed[at] ^= 0x10;
        let error = client.handle(&changed).err();
        assert_eq!(error, Some(Error::Untrusted), "byte {at}");
    }
    let (client, _, _) = pair::up_to_client_dh(client_config());
    assert!(client.handle(&answer).is_ok());
}

/// Runs the same exchange each time, until the client has made `req_DH_params`.
fn up_to_req_dh() -> (AwaitDhParams, AwaitReqDh, Vec<u8>) {
    let mut rng = random(4);
    let (client, query) = AwaitResPq::begin(client_config(), &mut rng);
    let server = pair::begin(&query);
    let answer = server.res_pq(&server_config().keys);
    let (client, query) = client.handle(&answer).unwrap().run(&mut rng).unwrap();
    (client, server, query)
}

fn refuse_req_dh(query: &[u8]) -> Option<Refusal> {
    let (_, server, _) = up_to_req_dh();
    match Query::parse(query) {
        Ok((Query::Step(Step::ReqDhParams(query)), _)) => {
            match server.handle(&query, &Arc::new(server_config())) {
                Ok(job) => job.run(&mut random(2)).err(),
                Err(refusal) => Some(refusal),
            }
        }
        Ok(_) => panic!("made another query of it"),
        Err(refusal) => Some(refusal),
    }
}

/// Bytes of `req_DH_params` behind p and q that fill a word and mean nothing.
const TL_PADDING: [usize; 6] = [41, 42, 43, 49, 50, 51];
