//! Sessions of several nodes.

use std::sync::{Arc, Mutex};

use heliogram_crypto::SecretBytes;
use heliogram_grpc::{Gateways, RingSessions, Server, SessionsService};
use heliogram_ports::conformance::{self, TERM};
use heliogram_ports::{SessionPort, ToHost};
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, Term};
use heliogram_session::LocalPort;
use tokio::runtime::Handle;

use crate::discovery::Said;
use crate::process::{Process, in_time};
use crate::sessions::{LINK, OTHER, Scripted, Woken, bodies, close, frame_of, until, words};

#[tokio::test]
async fn sessions_of_three_nodes_conform() {
    let processes = Mutex::new(Vec::new());
    in_time(conformance::session_port(async |keys, backend| {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let config = Config::new(TERM, SecretBytes::new([1; 32]));
            let port = LocalPort::new(
                &config,
                4,
                Arc::clone(&keys),
                Arc::clone(&backend),
                Handle::current(),
            );
            let service = SessionsService::new(Arc::new(port), Gateways::new());
            nodes.push(Process::start(Server::new().sessions(service)).await);
        }
        let said = Said::new(&[]);
        let ring = RingSessions::new(Arc::<Said>::clone(&said) as Arc<_>, None);
        assert_eq!(ring.term_of(AuthKeyId(1)), None);
        said.say(&[
            (&nodes[0].address, 0..4, TERM),
            (&nodes[1].address, 4..6, TERM),
            (&nodes[2].address, 6..64, TERM),
        ]);
        until(|| ring.is_whole()).await;
        assert_eq!(ring.term_of(AuthKeyId(1)), Some(TERM));
        processes.lock().unwrap().extend(nodes);
        Arc::new(ring) as Arc<_>
    }))
    .await;
}

#[tokio::test]
async fn frames_go_to_their_owners_and_a_connection_is_closed_when_its_partition_has_moved() {
    let (ports, nodes) = two_nodes().await;
    let said = Said::new(&[]);
    let (old, new) = (Term(5), Term(6));
    said.say(&[
        (&nodes[0].address, 0..32, old),
        (&nodes[1].address, 32..64, old),
    ]);
    let ring = RingSessions::new(Arc::<Said>::clone(&said) as Arc<_>, None);
    let (a, b) = (Woken::attach(&ring, LINK), Woken::attach(&ring, OTHER));
    ring.submit(&mut vec![frame_of(1, LINK, 1), frame_of(40, OTHER, 2)]);
    a.until(&ring, |got| bodies(got) == [words(1)]).await;
    b.until(&ring, |got| bodies(got) == [words(2)]).await;
    assert_eq!(
        (ports[0].terms(), ports[1].terms()),
        (vec![Some(old)], vec![Some(old)])
    );

    said.say(&[
        (&nodes[1].address, 0..32, new),
        (&nodes[1].address, 32..64, old),
    ]);
    a.until(&ring, |got| got.contains(&close(LINK))).await;
    ring.submit(&mut vec![ToHost::Detach { link: LINK }]);
    let again = Woken::attach(&ring, LINK);
    ring.submit(&mut vec![frame_of(1, LINK, 3), frame_of(40, OTHER, 4)]);
    again.until(&ring, |got| bodies(got) == [words(3)]).await;
    b.until(&ring, |got| bodies(got) == [words(2), words(4)])
        .await;
    assert_eq!(ports[1].terms(), [Some(old), Some(new), Some(old)]);
}

#[tokio::test]
async fn keys_are_doubted_when_a_stream_opens_and_when_their_partition_moves() {
    let (_, nodes) = two_nodes().await;
    let said = Said::new(&[]);
    let ring = RingSessions::new(Arc::<Said>::clone(&said) as Arc<_>, None);
    let edge = Arc::new(Doubts::default());
    let weak: std::sync::Weak<Doubts> = Arc::downgrade(&edge);
    ring.open(weak);
    said.say(&[(&nodes[0].address, 0..3, TERM)]);
    // By the view, and by the stream.
    until(|| edge.times(2) == 2).await;
    assert_eq!(edge.times(3), 0);
    said.say(&[
        (&nodes[0].address, 0..2, TERM),
        (&nodes[1].address, 2..4, TERM),
    ]);
    until(|| edge.times(2) == 4 && edge.times(3) == 2).await;
    assert_eq!(edge.times(1), 2, "it has stayed where it was");
}

/// Counts how often each partition was doubted.
#[derive(Default)]
struct Doubts(Mutex<Vec<u8>>);

impl Doubts {
    fn times(&self, number: u8) -> usize {
        let doubted = self.0.lock().unwrap();
        doubted.iter().filter(|&&it| it == number).count()
    }
}

impl heliogram_ports::Edge for Doubts {
    fn bound(&self, _: heliogram_ports::KeyFacts) {}

    fn fan_out(self: Arc<Self>, _: Vec<heliogram_proto::ids::LinkId>) {}

    fn revoke(&self, _: AuthKeyId) {}

    fn doubt(&self, partitions: &[heliogram_proto::ring::Partition]) {
        let numbers = partitions.iter().map(|it| it.number());
        self.0.lock().unwrap().extend(numbers);
    }
}

async fn two_nodes() -> ([Arc<Scripted>; 2], [Process; 2]) {
    let ports = [Arc::new(Scripted::default()), Arc::new(Scripted::default())];
    let service = |port: &Arc<Scripted>| {
        let service = SessionsService::new(Arc::<Scripted>::clone(port), Gateways::new());
        Server::new().sessions(service)
    };
    let nodes = [
        Process::start(service(&ports[0])).await,
        Process::start(service(&ports[1])).await,
    ];
    (ports, nodes)
}
