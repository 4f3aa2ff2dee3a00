//! What session nodes have for each other, and its numbers.

use std::sync::{Arc, Mutex, mpsc};

use heliogram_grpc::{Address, Gateways, OwnersService, RemoteOwners, Server};
use heliogram_ports::metrics::Readings;
use heliogram_ports::{
    Frame, KeyKind, Owners as _, OwnersHere, Push, PushRefused, Target, conformance,
};
use heliogram_proto::host::{Input, PreparedFrame};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::ring::PARTITIONS;

use crate::discovery::Said;
use crate::process::Process;
use crate::sessions::until;

#[tokio::test]
async fn what_waits_for_owners_at_other_nodes_and_what_is_lost_on_the_way_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let there = Address::Unix(dir.path().join("socket"));
    let said = Said::new(&[]);
    said.say(&[(&there, 0..PARTITIONS, Term(7))]);
    let owners = RemoteOwners::new(Arc::clone(&said) as _, "here".into(), None, Gateways::new());
    let reads = |names: [&str; 2]| {
        let readings = Readings::of(&owners).0;
        names.map(|name| readings[&format!("owners_{name}")])
    };

    assert!(owners.send(IDENTITY, frame()).is_err());
    owners.push(push());
    assert_eq!(reads(["nodes", "streams"]), [1, 0]);
    assert_eq!(reads(["refused_inputs", "missed_targets"]), [1, 2]);

    let (permit, permits) = mpsc::channel();
    let here = OwnersService::new(Arc::new(Gate(permits.into())), Gateways::new());
    let address = there.to_string();
    let process = Process::start_at(Server::new().owners(here), &address, None).await;
    until(|| reads(["streams", "missed_targets"]) == [1, 0]).await;
    assert!(owners.send(IDENTITY, frame()).is_ok());
    assert!(reads(["waiting_bytes", "nodes"])[0] > 0);
    permit.send(()).unwrap();
    until(|| reads(["waiting_bytes", "lost_connections"]) == [0, 0]).await;

    // The frame is behind what is not confirmed.
    owners.push(push());
    assert!(owners.send(IDENTITY, frame()).is_ok());
    said.say(&[]);
    until(|| reads(["nodes", "lost_connections"]) == [0, 1]).await;
    assert_eq!(reads(["waiting_bytes", "refused_inputs"]), [0, 1]);
    drop(permit);
    drop(process);
}

/// Owners that take a push for each permit, and all once there will be no more.
struct Gate(Mutex<mpsc::Receiver<()>>);

impl OwnersHere for Gate {
    fn deliver(&self, _: Identity, _: Term, _: Input) {
        unreachable!("no gateway brings the frame's connection here")
    }

    fn deliver_push(&self, _: Push) -> Result<(), PushRefused> {
        let _ = self.0.lock().unwrap().recv();
        Ok(())
    }
}

fn push() -> Push {
    Push {
        targets: vec![Target::User(1), Target::User(2)],
        except: None,
        body: vec![0; 4].into(),
    }
}

fn frame() -> Input {
    Input::Frame(PreparedFrame::new(Frame {
        link: LinkId(1),
        key: conformance::record(1, KeyKind::Permanent).facts,
        peer: ([192, 0, 2, 1], 443).into(),
        salt: Salt(1),
        session_id: SessionId(1),
        msg_id: MsgId(4),
        seqno: SeqNo(1),
        body: vec![0; 4].into(),
        quick_ack: None,
        is_http: false,
        term: None,
        trace: None,
    }))
}

const IDENTITY: Identity = Identity(AuthKeyId(1));
