//! Service types: `tl_service.json`, each sample read as the type it names and written again.

use heliogram_tl::mtproto::{self, *};
use heliogram_tl::{Bare, Deserialize, Error, Serialize, Vector, peek_id};

use crate::vectors::{bytes, hex, list, parse, text};

/// Reads `bytes` as the one type of the list whose id they begin with and writes it again.
macro_rules! rewrite {
    ($bytes:expr, $($($segment:ident)::+),*) => {
        match peek_id($bytes).unwrap() {
            $($($segment)::+::ID => $($segment)::+::from_bytes($bytes).map(|value| value.to_bytes()),)*
            id => Err(Error::UnexpectedId { id }),
        }
    };
}

pub(crate) use rewrite;

#[test]
fn every_sample_is_read_as_its_type_and_written_back_the_same() {
    let vectors = parse(SERVICE);
    for case in list(&vectors, "samples") {
        let (name, sample) = (text(case, "name"), bytes(case, "hex"));
        assert_eq!(rewrite_service(&sample), Ok(sample.clone()), "{name}");
        let named = name.split([' ', '(']).next();
        assert_eq!(peek_id(&sample).and_then(mtproto::name), named);
    }
}

#[test]
fn every_sample_cut_at_any_word_is_refused() {
    let vectors = parse(SERVICE);
    for case in list(&vectors, "samples") {
        let sample = bytes(case, "hex");
        // What an rpc_result holds is anybody's object, of any length.
        let ends_open = text(case, "name").starts_with("rpc_result");
        let cuts = if ends_open { 12 } else { sample.len() };
        for len in 4..cuts {
            assert_eq!(
                rewrite_service(&sample[..len]),
                Err(Error::UnexpectedEnd),
                "{case}"
            );
        }
    }
}

#[test]
fn every_sample_followed_by_a_word_is_refused() {
    let vectors = parse(SERVICE);
    for case in list(&vectors, "samples") {
        let longer = [bytes(case, "hex"), vec![0; 4]].concat();
        let ends_open = text(case, "name").starts_with("rpc_result");
        assert_eq!(rewrite_service(&longer).is_ok(), ends_open, "{case}");
    }
}

#[test]
fn a_res_pq_has_its_fields_in_order() {
    let vectors = parse(SERVICE);
    let case = list(&vectors, "samples")
        .iter()
        .find(|case| text(case, "name") == "resPQ");
    let sample = bytes(case.unwrap(), "hex");
    let res_pq = ResPq::from_bytes(&sample).unwrap();
    assert_eq!(res_pq.nonce[..4], [0xc0, 0xfd, 0xd8, 0xcb]);
    assert_eq!(res_pq.server_nonce[..4], [0x19, 0xda, 0xad, 0x30]);
    assert_eq!(res_pq.pq, hex("17ed48941a08f981"));
    let fingerprints = res_pq.server_public_key_fingerprints;
    assert_eq!(fingerprints.iter().collect::<Vec<_>>(), [1, -2]);
}

#[test]
fn an_enum_takes_each_of_its_constructors_and_no_other() {
    let ok = ServerDhParamsOk {
        nonce: [1; 16],
        server_nonce: [2; 16],
        encrypted_answer: &[3; 16],
    };
    let read = ServerDhParams::from_bytes(&ok.to_bytes()).map(|value| value.to_bytes());
    assert_eq!(read, Ok(ok.to_bytes()));
    let fail = ServerDhParamsFail {
        nonce: [1; 16],
        server_nonce: [2; 16],
        new_nonce_hash: [4; 16],
    };
    let encoded = fail.to_bytes();
    assert_eq!(ServerDhParams::from_bytes(&encoded), Ok(fail.into()));
    let other = Ping { ping_id: 1 }.to_bytes();
    assert_eq!(
        ServerDhParams::from_bytes(&other),
        Err(Error::UnexpectedId { id: Ping::ID })
    );
    assert_eq!(ServerDhParams::from_bytes(&[]), Err(Error::UnexpectedEnd));
}

#[test]
fn future_salts_are_bare_in_a_bare_vector() {
    let salts = [Bare(FutureSalt {
        valid_since: 1,
        valid_until: 2,
        salt: 3,
    })];
    let message = FutureSalts {
        req_msg_id: 4,
        now: 5,
        salts: Vector::from(&salts),
    };
    let encoded = message.to_bytes();
    assert_eq!(
        encoded,
        hex("950850ae0400000000000000050000000100000001000000020000000300000000000000")
    );
    assert_eq!(FutureSalts::from_bytes(&encoded), Ok(message));
}

#[test]
fn the_new_nonce_of_an_exchange_never_shows_in_a_log() {
    let inner = PQInnerDataDc {
        new_nonce: [0xab; 32],
        dc: 2,
        ..PQInnerDataDc::default()
    };
    let shown = format!("{inner:?} {:?}", AnyPQInnerData::from(inner));
    assert!(
        shown.contains("dc: 2") && shown.contains("[redacted]"),
        "{shown}"
    );
    assert!(!shown.contains("171"), "{shown}");
}

#[test]
fn a_public_key_is_bare_because_it_is_only_hashed() {
    let key = RsaPublicKey {
        n: &[1, 2, 3],
        e: &[1, 0, 1],
    };
    assert_eq!(key.to_bytes(), hex("0301020303010001"));
    assert_eq!(RsaPublicKey::from_bytes(&hex("0301020303010001")), Ok(key));
}

fn rewrite_service(sample: &[u8]) -> Result<Vec<u8>, Error> {
    rewrite!(
        sample,
        ReqPq,
        ReqPqMulti,
        ResPq,
        PQInnerData,
        PQInnerDataDc,
        PQInnerDataTemp,
        PQInnerDataTempDc,
        ServerDhParamsOk,
        ServerDhParamsFail,
        DhGenOk,
        DhGenRetry,
        DhGenFail,
        BindAuthKeyInner,
        MsgsStateReq,
        MsgResendReq,
        MsgResendAnsReq,
        MsgsStateInfo,
        MsgsAllInfo,
        MsgDetailedInfo,
        MsgNewDetailedInfo,
        BadMsgNotification,
        BadServerSalt,
        NewSessionCreated,
        Ping,
        PingDelayDisconnect,
        Pong,
        GetFutureSalts,
        RpcDropAnswer,
        RpcAnswerUnknown,
        RpcAnswerDroppedRunning,
        RpcAnswerDropped,
        DestroySession,
        DestroySessionOk,
        DestroySessionNone,
        DestroyAuthKey,
        DestroyAuthKeyOk,
        DestroyAuthKeyNone,
        DestroyAuthKeyFail,
        HttpWait,
        RpcError,
        FutureSalts,
        RpcResult,
        ReqDhParams,
        SetClientDhParams,
        ServerDhInnerData,
        ClientDhInnerData,
        MsgsAck
    )
}

const SERVICE: &str = include_str!("../../../../testdata/vectors/tl_service.json");
