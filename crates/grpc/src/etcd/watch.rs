//! The view: a snapshot, then what a watch says, then a snapshot again once the watch has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Inner;
use super::keys::Known;
use crate::generated::etcd::event::EventType;
use crate::generated::etcd::kv_client::KvClient;
use crate::generated::etcd::watch_client::WatchClient;
use crate::generated::etcd::watch_request::RequestUnion;
use crate::generated::etcd::{
    Event, RangeRequest, RangeResponse, ResponseHeader, WatchCreateRequest, WatchRequest,
};
use crate::retry::Pause;

/// Keeps the view up to date, for ever.
pub(super) async fn follow(inner: Arc<Inner>) {
    let mut seen = Seen::default();
    let (mut pause, mut is_told) = (Pause::default(), false);
    loop {
        let (at, before) = (inner.client.at(), seen.snapshots);
        let Err(status) = inner.follow_once(&mut seen).await;
        inner.is_watching.store(false, Ordering::Relaxed);
        if seen.snapshots > before {
            (pause, is_told) = (Pause::default(), false);
        }
        let (code, why) = (status.code(), status.message());
        if is_told {
            tracing::debug!(?code, why, "etcd is still not there");
        } else {
            tracing::warn!(?code, why, "etcd is not there; the last view is kept");
            is_told = true;
        }
        inner.client.turn_from(at);
        pause.wait().await;
    }
}

/// What was seen of etcd so far.
#[derive(Default)]
struct Seen {
    snapshots: u64,
    /// What etcd calls itself: no other is believed.
    store: Option<u64>,
}

impl Inner {
    /// Follows one member until it is lost.
    async fn follow_once(&self, seen: &mut Seen) -> Result<Infallible, Status> {
        let snapshot = self.snapshot().await?;
        let header = snapshot.header.unwrap_or_default();
        self.believe(header, seen)?;
        let mut known = Known::new(u64::try_from(header.revision).unwrap_or(0));
        for pair in &snapshot.kvs {
            known.put(&self.keys, pair);
        }
        // Whoever is woken by the view may ask.
        self.is_watching.store(true, Ordering::Relaxed);
        self.publish(&known);
        self.counts.snapshots.add_one();
        seen.snapshots += 1;

        let (key, range_end) = self.keys.range();
        let create = WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision: header.revision.saturating_add(1),
        };
        let union = RequestUnion::CreateRequest(create);
        let (requests, stream) = mpsc::channel(1);
        let request = WatchRequest {
            request_union: Some(union),
        };
        // It holds one.
        let _ = requests.try_send(request);
        let opened = self
            .client
            .open(ReceiverStream::new(stream), async |channel, request| {
                WatchClient::new(channel).watch(request).await
            });
        let mut responses = opened.await?;
        while let Some(response) = responses.message().await? {
            if response.canceled {
                return Err(Status::aborted(response.cancel_reason));
            }
            self.take(&mut known, &response.events);
        }
        // What is watched ends when nobody asks any more.
        drop(requests);
        Err(Status::unavailable("the watch has ended"))
    }

    async fn snapshot(&self) -> Result<RangeResponse, Status> {
        let (key, range_end) = self.keys.range();
        let range = RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
        };
        let ask = async |channel, request| KvClient::new(channel).range(request).await;
        self.client.open(range, ask).await
    }

    /// An etcd that has forgotten what it said, or is another one, would give terms anew that were given before.
    fn believe(&self, header: ResponseHeader, seen: &mut Seen) -> Result<(), Status> {
        let revision = u64::try_from(header.revision).unwrap_or(0);
        let store = *seen.store.get_or_insert(header.cluster_id);
        if store != header.cluster_id || revision < self.view.borrow().revision {
            let why =
                "it is not the etcd that was there before: start this node again if that is meant";
            return Err(Status::failed_precondition(why));
        }
        Ok(())
    }

    fn take(&self, known: &mut Known, events: &[Event]) {
        for event in events {
            let Some(pair) = &event.kv else {
                continue;
            };
            match event.r#type() {
                EventType::Put => known.put(&self.keys, pair),
                EventType::Delete => known.delete(&self.keys, &pair.key),
            }
            // The header's may be ahead of the events.
            let revision = u64::try_from(pair.mod_revision).unwrap_or(0);
            known.revision = known.revision.max(revision);
        }
        if !events.is_empty() {
            self.publish(known);
        }
    }

    fn publish(&self, known: &Known) {
        self.view.send_replace(Arc::new(known.view()));
    }
}
