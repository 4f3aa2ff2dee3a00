//! The view: a snapshot, then what a watch says, then a snapshot again once the watch has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::keys::Known;
use super::{ANOTHER_STORE, Inner};
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
    let (mut pause, mut is_told) = (Pause::default(), false);
    loop {
        let (at, before) = (inner.client.at(), inner.counts.snapshots.load());
        let Err(status) = inner.follow_once().await;
        inner.is_watching.store(false, Ordering::Relaxed);
        if inner.counts.snapshots.load() > before {
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

impl Inner {
    /// Follows one member until it is lost.
    async fn follow_once(&self) -> Result<Infallible, Status> {
        let snapshot = self.snapshot().await?;
        let header = self.believe(&snapshot)?;
        let mut known = Known::new(revision_of(header));
        for pair in &snapshot.kvs {
            known.put(&self.keys, pair);
        }
        // Whoever is woken by the view may ask.
        self.is_watching.store(true, Ordering::Relaxed);
        self.publish(&known);
        self.counts.snapshots.add_one();

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

    /// An etcd that has lost its data, or is another one, would give terms anew that were given before.
    fn believe(&self, snapshot: &RangeResponse) -> Result<ResponseHeader, Status> {
        let header = snapshot.header.unwrap_or_default();
        let key = self.keys.birth();
        let birth = snapshot
            .kvs
            .iter()
            .find(|pair| *pair.key == *key.as_bytes());
        let birth = birth.map(|pair| pair.value.clone());
        let mut known = self.birth.lock();
        let is_same = known.is_none() || *known == birth;
        if !is_same || revision_of(header) < self.view.borrow().revision {
            return Err(Status::failed_precondition(ANOTHER_STORE));
        }
        *known = birth;
        Ok(header)
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

fn revision_of(header: ResponseHeader) -> u64 {
    u64::try_from(header.revision).unwrap_or(0)
}
