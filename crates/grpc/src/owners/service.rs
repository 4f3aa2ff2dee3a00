//! The end that has the owners.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_ports::OwnersHere;
use heliogram_ports::clock::Clock;
use heliogram_proto::host::wire as crossing;
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, Term};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::generated::backend::PushRequest;
use crate::generated::cluster as wire;
use crate::generated::cluster::owners_item::Item;
use crate::generated::cluster::owners_server::Owners as Contract;
use crate::sessions::{Gateways, LinkName};
use crate::wire::push_from;

/// Takes what the owners at other session nodes have for those of this one.
pub struct OwnersService {
    taking: Arc<Taking>,
}

struct Taking {
    owners: Arc<dyn OwnersHere>,
    gateways: Gateways,
    clock: Clock,
}

impl OwnersService {
    /// Hands to `owners` what comes. Connections are found in `gateways`: those of this node's
    /// [`SessionsService`](crate::SessionsService).
    #[must_use]
    pub fn new(owners: Arc<dyn OwnersHere>, gateways: Gateways) -> Self {
        Self {
            taking: Arc::new(Taking {
                owners,
                gateways,
                clock: Clock::start(),
            }),
        }
    }
}

impl std::fmt::Debug for OwnersService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnersService").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl Contract for OwnersService {
    type ConnectStream = ReceiverStream<Result<wire::OwnersTaken, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<wire::ToOwners>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (confirmed, confirmations) = mpsc::channel(CONFIRMATIONS_AHEAD);
        let taking = Arc::clone(&self.taking);
        tokio::spawn(read(taking, request.into_inner(), confirmed));
        Ok(Response::new(ReceiverStream::new(confirmations)))
    }
}

async fn read(
    taking: Arc<Taking>,
    mut batches: Streaming<wire::ToOwners>,
    confirmed: mpsc::Sender<Result<wire::OwnersTaken, Status>>,
) {
    let mut taken = 0;
    // Whoever is not there for a confirmation has another stream, and sends again.
    while let Ok(Some(batch)) = batches.message().await
        && !confirmed.is_closed()
    {
        for item in batch.items {
            taking.take(item);
            taken += 1;
        }
        if confirmed
            .send(Ok(wire::OwnersTaken { taken }))
            .await
            .is_err()
        {
            return;
        }
    }
}

impl Taking {
    fn take(&self, item: wire::OwnersItem) {
        let outcome = match item.item {
            Some(Item::Input(input)) => self.input(&input),
            Some(Item::Push(push)) => self.push(push),
            None => Err("it is nothing"),
        };
        if let Err(why) = outcome {
            tracing::warn!(why, "a session node breaks the contract");
        }
    }

    fn input(&self, input: &wire::OwnerInput) -> Result<(), &'static str> {
        let named = input.links.iter().filter_map(|it| {
            let name = LinkName {
                gateway: it.gateway,
                number: it.number,
            };
            Some((LinkId(it.link), self.gateways.link(name)?))
        });
        let links: HashMap<_, _> = named.collect();
        let mut find = |link| links.get(&link).copied();
        match crossing::decode(&input.input, self.clock.now(), &mut find) {
            Ok(decoded) => {
                let to = Identity(AuthKeyId(input.to));
                self.owners.deliver(to, Term(input.term), decoded);
                Ok(())
            }
            Err(crossing::Error::LinkGone) => Ok(()),
            Err(_) => {
                // Who waits for it must not wait for ever.
                links
                    .into_values()
                    .for_each(|link| self.gateways.close(link));
                Err("what is for an owner is of another release, or none")
            }
        }
    }

    fn push(&self, push: Bytes) -> Result<(), &'static str> {
        let push = PushRequest::decode(push).map_err(|_| "a push that is none")?;
        let push = push_from(push).map_err(|malformed| malformed.0)?;
        let refused = |_| "a push that its own node should have refused";
        self.owners.deliver_push(push).map_err(refused)
    }
}

/// Confirmations between here and the connection.
const CONFIRMATIONS_AHEAD: usize = 4;
