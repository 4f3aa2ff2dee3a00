//! Spans on their way to a collector of OpenTelemetry: OTLP over gRPC.
//!
//! Nobody waits for a span. What has no room, or is not taken, is counted and forgotten: a collector that is down costs
//! nothing but traces.

use std::fmt;
use std::sync::Arc;

use heliogram_ports::metrics::{Count, Measured, Meter, Metric};
use heliogram_ports::trace::{Note, Span, SpanSide, Spans};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Request;
use tonic::transport::Channel;

use crate::generated::opentelemetry as wire;
use crate::generated::opentelemetry::any_value::Value;
use crate::generated::opentelemetry::trace_service_client::TraceServiceClient;
use crate::limits::{COLLECTOR_PATIENCE, SPAN_PAUSE, SPANS_PER_BATCH_MAX, SPANS_WAITING_MAX};
use crate::net::dial_plainly;

/// Takes spans to a collector.
pub struct TraceExporter {
    waiting: mpsc::Sender<Item>,
    counts: Arc<Counts>,
}

/// What a collector is told of the process whose spans it gets.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a process is known by")]
pub struct TracedProcess {
    /// What it is: the same for all of its kind.
    pub service: &'static str,
    /// Which one it is, among those of its kind.
    pub instance: String,
}

/// What was given is no URL of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointError;

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a collector is named as http://host:port, such as http://127.0.0.1:4317")
    }
}

impl std::error::Error for EndpointError {}

#[derive(Debug, Default)]
struct Counts {
    sent: Count,
    dropped: Count,
    failed: Count,
}

enum Item {
    Span(Box<Span>),
    /// Whoever waits wants nothing to wait before.
    Flush(oneshot::Sender<()>),
}

impl TraceExporter {
    /// Takes spans to the collector at `url`, for as long as this lives. Plain HTTP: spans name nobody, and collectors are
    /// near by. Within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If it is no URL of plain HTTP.
    pub fn start(url: &str, process: TracedProcess) -> Result<Self, EndpointError> {
        if !url.starts_with("http://") {
            return Err(EndpointError);
        }
        let channel = dial_plainly(url).map_err(|_| EndpointError)?;
        let (waiting, spans) = mpsc::channel(SPANS_WAITING_MAX);
        let counts = Arc::<Counts>::default();
        let export = Export {
            client: TraceServiceClient::new(channel),
            process,
            counts: Arc::clone(&counts),
        };
        tokio::spawn(export.run(spans));
        Ok(Self { waiting, counts })
    }

    /// Waits until everything before this was sent or given up.
    pub async fn flush(&self) {
        let (flushed, done) = oneshot::channel();
        if self.waiting.send(Item::Flush(flushed)).await.is_ok() {
            // A task that is gone has nothing left to send.
            let _ = done.await;
        }
    }
}

impl Spans for TraceExporter {
    fn take(&self, span: Span) {
        if self.waiting.try_send(Item::Span(Box::new(span))).is_err() {
            self.counts.dropped.add_one();
        }
    }
}

impl Measured for TraceExporter {
    fn measure(&self, meter: &mut dyn Meter) {
        let outcomes = [
            ("sent", self.counts.sent.load()),
            ("dropped", self.counts.dropped.load()),
            ("failed", self.counts.failed.load()),
        ];
        meter.counts(SPANS, "outcome", &outcomes);
    }
}

impl fmt::Debug for TraceExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceExporter").finish_non_exhaustive()
    }
}

struct Export {
    client: TraceServiceClient<Channel>,
    process: TracedProcess,
    counts: Arc<Counts>,
}

impl Export {
    async fn run(mut self, mut spans: mpsc::Receiver<Item>) {
        while let Some(first) = spans.recv().await {
            let (batch, flushed) = gather(first, &mut spans).await;
            self.send(batch).await;
            if let Some(flushed) = flushed {
                // Whoever waited may have gone.
                let _ = flushed.send(());
            }
        }
    }

    async fn send(&mut self, batch: Vec<wire::Span>) {
        if batch.is_empty() {
            return;
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let request = Request::new(self.message(batch));
        let failed = match timeout(COLLECTOR_PATIENCE, self.client.export(request)).await {
            Ok(Ok(reply)) => {
                let partial = reply.into_inner().partial_success.unwrap_or_default();
                u64::try_from(partial.rejected_spans).unwrap_or(0)
            }
            Ok(Err(status)) => {
                tracing::debug!(code = ?status.code(), "a collector takes no spans");
                count
            }
            Err(_) => count,
        };
        self.counts.failed.add(failed.min(count));
        self.counts.sent.add(count.saturating_sub(failed));
    }

    fn message(&self, spans: Vec<wire::Span>) -> wire::ExportTraceServiceRequest {
        let attributes = vec![
            text("service.name", self.process.service),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &self.process.instance),
        ];
        let scope = wire::Scope {
            name: "heliogram".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let scope_spans = wire::ScopeSpans {
            scope: Some(scope),
            spans,
        };
        wire::ExportTraceServiceRequest {
            resource_spans: vec![wire::ResourceSpans {
                resource: Some(wire::Resource { attributes }),
                scope_spans: vec![scope_spans],
            }],
        }
    }
}

/// Gathers spans until there are enough of them, a moment is over, or somebody wants them sent.
async fn gather(
    first: Item,
    spans: &mut mpsc::Receiver<Item>,
) -> (Vec<wire::Span>, Option<oneshot::Sender<()>>) {
    let (mut batch, mut next) = (Vec::new(), Some(first));
    let until = Instant::now() + SPAN_PAUSE;
    while let Some(item) = next {
        match item {
            Item::Span(span) => batch.push(to_wire(*span)),
            Item::Flush(flushed) => return (batch, Some(flushed)),
        }
        if batch.len() >= SPANS_PER_BATCH_MAX {
            break;
        }
        next = timeout_at(until, spans.recv()).await.ok().flatten();
    }
    (batch, None)
}

fn to_wire(span: Span) -> wire::Span {
    let kind = match span.side {
        SpanSide::Answers => wire::SpanKind::Server,
        SpanSide::Asks => wire::SpanKind::Client,
    };
    let attributes = span.notes.into_iter().map(|(key, note)| match note {
        Note::Text(word) => text(key, &word),
        Note::Number(number) => attribute(key, Value::IntValue(number)),
    });
    wire::Span {
        trace_id: span.trace.trace_id.to_vec().into(),
        span_id: span.trace.span_id.to_vec().into(),
        parent_span_id: span.parent.map(|id| id.to_vec().into()).unwrap_or_default(),
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: span.began_unix_ns,
        end_time_unix_nano: span.ended_unix_ns,
        attributes: attributes.collect(),
        status: span.failure.map(|failure| wire::Status {
            message: failure.to_owned(),
            code: wire::StatusCode::Error.into(),
        }),
    }
}

fn text(key: &str, value: &str) -> wire::KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> wire::KeyValue {
    wire::KeyValue {
        key: key.to_owned(),
        value: Some(wire::AnyValue { value: Some(value) }),
    }
}

const SPANS: Metric = Metric {
    name: "traces_spans",
    help: "What became of spans: taken by the collector, dropped because too many waited, or not taken",
};
