//! Traces: what became of a few operations, across processes.
//!
//! ```text
//!  gateway: frame, from its arrival to its answer            begins the trace, or not
//!  └─ session node: call, from the backend's being asked     Frame.trace
//!     └─ backend in another process                          Call.trace, `traceparent`
//! ```
//!
//! A gateway chooses which frames are traced; everybody after it follows. A process without a [`Tracer`] passes on what it
//! was given. Spans name methods and codes, and never who called: no address, no key, no user.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use heliogram_proto::ids::Identity;
use heliogram_tl::layer;
use rand_core::Rng as _;

use crate::clock::unix_now;
use crate::{Answer, Backend, Call, LoggedIn, Pushes, Reply, Trace, random};

/// Takes finished spans. Nothing here waits.
pub trait Spans: Send + Sync + 'static {
    /// Takes one; it may be lost.
    fn take(&self, span: Span);
}

/// A finished part of a traced operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what is known of a part")]
pub struct Span {
    /// The whole, and this part of it.
    pub trace: Trace,
    /// The part that has caused this one; the first has none.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: Cow<'static, str>,
    /// On which side.
    pub side: SpanSide,
    /// Unix time in nanoseconds.
    pub began_unix_ns: u64,
    /// Unix time in nanoseconds, never before it began.
    pub ended_unix_ns: u64,
    /// What else is known.
    pub notes: Vec<(&'static str, Note)>,
    /// What went wrong here, if anything.
    pub failure: Option<&'static str>,
}

/// On which side of a question a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "somebody asks, and somebody answers"
)]
pub enum SpanSide {
    /// Whoever answers.
    Answers,
    /// Whoever asks.
    Asks,
}

/// Something that is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must break every exporter"
)]
pub enum Note {
    /// A word.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// Makes spans of this process. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    spans: Arc<dyn Spans>,
    /// Of 2^64.
    share: u128,
}

impl Tracer {
    /// Makes one that traces a share of what begins here, from 0 for nothing to 1 for everything.
    #[must_use]
    pub fn new(spans: Arc<dyn Spans>, sample: f64) -> Self {
        // Beyond 2^53 a share is rounded; nobody can tell.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to 2^64"
        )]
        let share = (sample.clamp(0.0, 1.0) * 2_f64.powi(64)) as u128;
        Self { spans, share }
    }

    /// Begins a trace, if this one is of the share.
    #[must_use]
    pub fn begin(&self, name: impl Into<Cow<'static, str>>) -> Option<Running> {
        let mut entropy = random::lend();
        if u128::from(entropy.next_u64()) >= self.share {
            return None;
        }
        let mut trace_id = [0; 16];
        entropy.fill_bytes(&mut trace_id);
        drop(entropy);
        // Zero is no id; a trace of such luck is not made.
        (trace_id != [0; 16]).then(|| self.run(trace_id, None, name.into(), SpanSide::Answers))
    }

    /// Begins a part of what somebody has begun.
    #[must_use]
    pub fn part_of(
        &self,
        whole: Trace,
        side: SpanSide,
        name: impl Into<Cow<'static, str>>,
    ) -> Running {
        self.run(whole.trace_id, Some(whole.span_id), name.into(), side)
    }

    fn run(
        &self,
        trace_id: [u8; 16],
        parent: Option<[u8; 8]>,
        name: Cow<'static, str>,
        side: SpanSide,
    ) -> Running {
        let span_id = random::lend().next_u64().max(1).to_be_bytes();
        let began_unix_ns = unix_now().0;
        Running {
            spans: Arc::clone(&self.spans),
            since: Instant::now(),
            span: Some(Span {
                trace: Trace { trace_id, span_id },
                parent,
                name,
                side,
                began_unix_ns,
                ended_unix_ns: began_unix_ns,
                notes: Vec::new(),
                failure: None,
            }),
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

/// A part of a traced operation that has not ended. Dropped, it ends.
pub struct Running {
    spans: Arc<dyn Spans>,
    since: Instant,
    /// Until it has ended.
    span: Option<Span>,
}

impl Running {
    /// Returns what this part causes is to carry.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.span.as_ref().map(|span| span.trace)
    }

    /// Takes note of something.
    pub fn note(&mut self, name: &'static str, note: Note) {
        if let Some(span) = &mut self.span {
            span.notes.push((name, note));
        }
    }

    /// Takes note of what went wrong; `None` if nothing did after all.
    pub fn fail(&mut self, failure: Option<&'static str>) {
        if let Some(span) = &mut self.span {
            span.failure = failure;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            let took = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            span.ended_unix_ns = span.began_unix_ns.saturating_add(took);
            self.spans.take(span);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// Spans that are kept: for tests.
#[derive(Debug, Default)]
pub struct MemorySpans(Mutex<Vec<Span>>);

impl MemorySpans {
    /// Returns all, in the order in which they have ended.
    #[must_use]
    pub fn all(&self) -> Vec<Span> {
        let spans = self.0.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Spans for MemorySpans {
    fn take(&self, span: Span) {
        let spans = self.0.lock();
        spans.unwrap_or_else(PoisonError::into_inner).push(span);
    }
}

/// A backend whose traced calls are spans.
pub struct TracedBackend {
    backend: Arc<dyn Backend>,
    tracer: Tracer,
    side: SpanSide,
}

impl TracedBackend {
    /// Traces what `backend` is asked: on the side of the session node that answers, or as its question to another process.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, tracer: Tracer, side: SpanSide) -> Self {
        Self {
            backend,
            tracer,
            side,
        }
    }
}

impl fmt::Debug for TracedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedBackend")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl Backend for TracedBackend {
    fn call(&self, mut call: Call) -> Answer {
        let Some(whole) = call.trace else {
            return self.backend.call(call);
        };
        let mut running = self.tracer.part_of(whole, self.side, method(&call.body));
        call.trace = running.trace();
        // Until there is an answer: a call whose future is dropped never gets one.
        running.fail(Some("cancelled"));
        match self.backend.call(call) {
            Answer::Now(reply) => {
                answered(&mut running, &reply);
                Answer::Now(reply)
            }
            Answer::Later(reply) => Answer::Later(Box::pin(async move {
                let reply = reply.await;
                answered(&mut running, &reply);
                reply
            })),
        }
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        self.backend.start(pushes);
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        self.backend.user(identity)
    }
}

/// What a client has done wrong is no failure of the one who says so.
fn answered(running: &mut Running, reply: &Reply) {
    running.fail(None);
    if let Reply::Error(error) = reply {
        running.note("rpc.error_code", Note::Number(error.code.into()));
        if error.code >= 500 || error.code < 0 {
            running.fail(Some("the backend failed"));
        }
    }
}

/// Returns the name of a call's method, as far as the layer has it.
fn method(body: &[u8]) -> Cow<'static, str> {
    let id = body.first_chunk().map(|id| u32::from_le_bytes(*id));
    id.and_then(layer::method)
        .map_or(Cow::Borrowed("unknown method"), |it| it.name().into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::RpcError;

    #[test]
    fn of_what_begins_all_are_traced_or_none_or_a_share() {
        let spans = Arc::new(MemorySpans::default());
        let begun = |sample| {
            let tracer = Tracer::new(Arc::<MemorySpans>::clone(&spans) as Arc<_>, sample);
            (0..1000).filter(|_| tracer.begin("x").is_some()).count()
        };
        assert_eq!((begun(0.0), begun(-1.0)), (0, 0));
        assert_eq!((begun(1.0), begun(2.0)), (1000, 1000));
        assert_eq!(begun(f64::NAN), 0);
        let half = begun(0.5);
        // Six standard deviations.
        assert!((400..600).contains(&half), "{half}");
        assert_eq!(spans.all().len(), 2000 + half);
    }

    #[test]
    fn a_part_is_of_the_same_whole_and_names_what_has_caused_it() {
        let spans = Arc::new(MemorySpans::default());
        let tracer = Tracer::new(Arc::<MemorySpans>::clone(&spans) as Arc<_>, 1.0);
        let whole = tracer.begin("whole").unwrap();
        drop(tracer.part_of(whole.trace().unwrap(), SpanSide::Asks, "part"));
        drop(whole);

        let [part, whole] = spans.all().try_into().unwrap();
        assert_eq!((&*part.name, &*whole.name), ("part", "whole"));
        assert_eq!(part.trace.trace_id, whole.trace.trace_id);
        assert_eq!(part.parent, Some(whole.trace.span_id));
        assert_ne!(part.trace.span_id, whole.trace.span_id);
        assert_eq!(whole.parent, None);
        assert!(whole.began_unix_ns <= part.began_unix_ns);
        assert!(part.began_unix_ns <= part.ended_unix_ns);
    }

    #[tokio::test]
    async fn a_traced_call_is_a_part_that_its_backend_goes_on_from() {
        let spans = Arc::new(MemorySpans::default());
        let traced = traced(&spans, |call| {
            let trace = call.trace.unwrap().to_string();
            Answer::Later(Box::pin(async { Reply::Result(trace.into()) }))
        });
        let Answer::Later(reply) = traced.call(call(Some(WHOLE))) else {
            panic!("it comes later")
        };
        assert_eq!(spans.all(), []);
        let reply = reply.await;

        let [span] = spans.all().try_into().unwrap();
        assert_eq!(reply, Reply::Result(span.trace.to_string().into()));
        assert_eq!(span.trace.trace_id, WHOLE.trace_id);
        assert_eq!(span.parent, Some(WHOLE.span_id));
        assert_eq!((&*span.name, span.failure), ("help.getConfig", None));
    }

    #[test]
    fn a_call_that_is_not_traced_makes_no_span() {
        let spans = Arc::new(MemorySpans::default());
        let traced = traced(&spans, |call| {
            assert_eq!(call.trace, None);
            Answer::Now(Reply::Result(Bytes::new()))
        });
        traced.call(call(None));
        assert_eq!(spans.all(), []);
    }

    #[test]
    fn errors_from_500_on_and_dropped_calls_have_failed_and_those_of_clients_have_not() {
        let spans = Arc::new(MemorySpans::default());
        for code in [-503, 303, 400, 420, 499, 500] {
            let traced = traced(&spans, move |_| {
                let message = "NAMES_NOBODY_42".to_owned();
                Answer::Now(Reply::Error(RpcError { code, message }))
            });
            traced.call(call(Some(WHOLE)));
        }
        let failures: Vec<_> = spans.all().iter().map(|it| it.failure.is_some()).collect();
        assert_eq!(failures, [true, false, false, false, false, true]);
        let note = ("rpc.error_code", Note::Number(420));
        assert_eq!(spans.all()[3].notes, [note]);

        let traced = traced(&spans, |_| Answer::Later(Box::pin(std::future::pending())));
        drop(traced.call(call(Some(WHOLE))));
        assert_eq!(spans.all()[6].failure, Some("cancelled"));
    }

    const WHOLE: Trace = Trace {
        trace_id: [7; 16],
        span_id: [9; 8],
    };

    fn traced(
        spans: &Arc<MemorySpans>,
        answer: impl Fn(Call) -> Answer + Send + Sync + 'static,
    ) -> TracedBackend {
        let tracer = Tracer::new(Arc::<MemorySpans>::clone(spans) as Arc<_>, 0.0);
        TracedBackend::new(Arc::new(Says(answer)), tracer, SpanSide::Answers)
    }

    struct Says<F>(F);

    impl<F: Fn(Call) -> Answer + Send + Sync + 'static> Backend for Says<F> {
        fn call(&self, call: Call) -> Answer {
            (self.0)(call)
        }
    }

    fn call(trace: Option<Trace>) -> Call {
        let method = layer::method_by_name("help.getConfig").unwrap();
        let mut call = crate::conformance::call(method.id().to_le_bytes().to_vec().into());
        call.trace = trace;
        call
    }
}
