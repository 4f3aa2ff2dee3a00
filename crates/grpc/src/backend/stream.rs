//! The session host's end of a stream of calls, opened anew whenever it ends.
//!
//! A stream that ends takes the calls with it that were sent on it: whether they have run nobody knows, and they are not
//! sent again. Those that wait to be sent go on the next one.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use heliogram_ports::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::generated::backend::backend_client::BackendClient;
use crate::generated::backend::calls_request::Request;
use crate::generated::backend::{CallReply, CallRequest, CallsReply, CallsRequest};
use crate::retry::Pause;

type Answered = Result<CallReply, Status>;

/// Calls on their way, and those that wait for their answers.
pub(super) struct Stream {
    shared: Arc<Shared>,
}

struct Shared {
    next_id: AtomicU64,
    /// Room is bounded by the permits: each call sends at most two items, and holds its permit until both are gone.
    outgoing: mpsc::UnboundedSender<Outgoing>,
    pending: Mutex<HashMap<u64, Pending>>,
}

struct Pending {
    answer: oneshot::Sender<Answered>,
    is_sent: bool,
}

/// What is to be sent.
enum Outgoing {
    Call(u64, Box<CallRequest>),
    Cancel(u64, OwnedSemaphorePermit),
}

impl Stream {
    /// Opens the stream, for as long as this or one of its calls lives. Within a tokio runtime.
    pub(super) fn open(client: BackendClient<Channel>) -> Self {
        let (outgoing, incoming) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            next_id: AtomicU64::new(1),
            outgoing,
            pending: Mutex::default(),
        });
        tokio::spawn(keep_open(client, Arc::downgrade(&shared), incoming));
        Self { shared }
    }

    /// Sends a call; the future is its answer, and dropped it cancels the call.
    pub(super) fn call(
        &self,
        call: CallRequest,
        permit: OwnedSemaphorePermit,
    ) -> BoxFuture<'static, Answered> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let pending = Pending {
            answer,
            is_sent: false,
        };
        self.shared.pending.lock().insert(id, pending);
        let waiting = Waiting {
            shared: Arc::clone(&self.shared),
            id,
            permit: Some(permit),
        };
        // The other end lives as long as `shared`.
        let _ = self
            .shared
            .outgoing
            .send(Outgoing::Call(id, Box::new(call)));
        Box::pin(async move {
            let answered = answered.await;
            drop(waiting);
            answered.unwrap_or_else(|_| Err(Status::unavailable("the stream of calls ended")))
        })
    }
}

/// A call whose answer somebody waits for.
struct Waiting {
    shared: Arc<Shared>,
    id: u64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let pending = self.shared.pending.lock().remove(&self.id);
        // One that was never sent, or has its answer, needs no cancellation.
        if let (Some(Pending { is_sent: true, .. }), Some(permit)) = (pending, self.permit.take()) {
            let _ = self.shared.outgoing.send(Outgoing::Cancel(self.id, permit));
        }
    }
}

async fn keep_open(
    mut client: BackendClient<Channel>,
    shared: Weak<Shared>,
    incoming: mpsc::UnboundedReceiver<Outgoing>,
) {
    let queue = Arc::new(Queue {
        state: Mutex::new(QueueState {
            incoming,
            stream: 0,
        }),
        is_over: Notify::new(),
    });
    let mut pause = Pause::default();
    loop {
        let requests = Requests {
            shared: Weak::clone(&shared),
            queue: Arc::clone(&queue),
            stream: queue.state.lock().stream,
        };
        let opened = async {
            match client.calls(requests).await {
                Ok(replies) => {
                    read(&shared, replies.into_inner()).await;
                    true
                }
                Err(status) => {
                    tracing::debug!(code = ?status.code(), "no stream of calls");
                    false
                }
            }
        };
        let has_opened = tokio::select! {
            has_opened = opened => has_opened,
            () = queue.is_over.notified() => return,
        };
        if has_opened {
            pause = Pause::default();
        }
        // First of all: what the old stream has not taken by now it never takes.
        queue.state.lock().stream += 1;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.pending.lock().retain(|_, pending| !pending.is_sent);
        drop(shared);
        pause.wait().await;
    }
}

/// What is to be sent, and the stream that takes it.
struct Queue {
    state: Mutex<QueueState>,
    /// Nothing will ever come again.
    is_over: Notify,
}

struct QueueState {
    incoming: mpsc::UnboundedReceiver<Outgoing>,
    /// Number of the stream.
    stream: u64,
}

/// Takes requests out of the queue when the connection takes them: many backends say nothing, not even that the stream is
/// open, before their first answer, and what waits while there is no connection goes on the next stream.
struct Requests {
    shared: Weak<Shared>,
    queue: Arc<Queue>,
    /// Number of this stream.
    stream: u64,
}

impl tokio_stream::Stream for Requests {
    type Item = CallsRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CallsRequest>> {
        let mut state = self.queue.state.lock();
        if state.stream != self.stream {
            return Poll::Ready(None);
        }
        loop {
            let Some(outgoing) = ready!(state.incoming.poll_recv(cx)) else {
                self.queue.is_over.notify_one();
                return Poll::Ready(None);
            };
            match outgoing {
                Outgoing::Call(id, call) if self.is_wanted(id) => {
                    return Poll::Ready(Some(request(id, Request::Call(*call))));
                }
                Outgoing::Call(..) => {}
                Outgoing::Cancel(id, _permit) => {
                    return Poll::Ready(Some(request(id, Request::Cancel(true))));
                }
            }
        }
    }
}

impl Requests {
    /// Tells whether somebody waits for the answer to a call, which counts as sent from now on.
    fn is_wanted(&self, id: u64) -> bool {
        let Some(shared) = self.shared.upgrade() else {
            return false;
        };
        let mut pending = shared.pending.lock();
        let pending = pending.get_mut(&id);
        pending.is_some_and(|pending| {
            pending.is_sent = true;
            true
        })
    }
}

async fn read(shared: &Weak<Shared>, mut replies: Streaming<CallsReply>) {
    loop {
        let reply = match replies.message().await {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of calls broke");
                return;
            }
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let pending = shared.pending.lock().remove(&reply.id);
        if let Some(Pending { answer, .. }) = pending {
            let reply = reply
                .reply
                .ok_or_else(|| Status::unknown("the call failed"));
            // Whoever has gone meanwhile needs no answer.
            let _ = answer.send(reply);
        }
    }
}

const fn request(id: u64, request: Request) -> CallsRequest {
    CallsRequest {
        id,
        request: Some(request),
    }
}
