//! Spans on their way to a collector.

use std::sync::Arc;

use heliogram_grpc::collector::trace_service_server::{TraceService, TraceServiceServer};
use heliogram_grpc::collector::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse, SpanKind,
    StatusCode,
};
use heliogram_grpc::limits::{SPANS_PER_BATCH_MAX, SPANS_WAITING_MAX};
use heliogram_grpc::{EndpointError, TraceExporter, TracedProcess};
use heliogram_ports::metrics::Readings;
use heliogram_ports::trace::{Note, SpanSide, Tracer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::process::in_time;

#[tokio::test]
async fn a_collector_gets_spans_as_they_were_with_who_has_made_them() {
    let mut collector = Collector::start(0).await;
    let (exporter, tracer) = exporter(&collector.url);
    let mut whole = tracer.begin("whole").unwrap();
    whole.note("rpc.error_code", Note::Number(-503));
    whole.note("word", Note::Text("x".into()));
    let of_whole = whole.trace().unwrap();
    let mut part = tracer.part_of(of_whole, SpanSide::Asks, "part");
    part.fail(Some("cancelled"));
    drop((part, whole));
    in_time(exporter.flush()).await;

    let [message] = collector.messages().try_into().unwrap();
    let [spans] = message.resource_spans.try_into().unwrap();
    let resource = spans.resource.unwrap();
    let who: Vec<_> = resource.attributes.iter().map(|it| &*it.key).collect();
    assert_eq!(
        who,
        ["service.name", "service.version", "service.instance.id"]
    );
    let [scope] = spans.scope_spans.try_into().unwrap();
    let [part, whole] = scope.spans.try_into().unwrap();
    assert_eq!(part.trace_id, of_whole.trace_id.to_vec());
    assert_eq!(part.parent_span_id, of_whole.span_id.to_vec());
    assert_eq!((&*part.name, part.kind()), ("part", SpanKind::Client));
    let status = part.status.unwrap();
    assert_eq!(
        (&*status.message, status.code()),
        ("cancelled", StatusCode::Error)
    );
    assert_eq!(whole.span_id, of_whole.span_id.to_vec());
    assert_eq!((&*whole.name, whole.kind()), ("whole", SpanKind::Server));
    assert!(whole.parent_span_id.is_empty() && whole.status.is_none());
    assert!(whole.start_time_unix_nano <= part.start_time_unix_nano);
    assert!(part.end_time_unix_nano <= whole.end_time_unix_nano + 1_000_000_000);
    let notes = whole.attributes.iter().map(|it| &*it.key);
    assert!(notes.eq(["rpc.error_code", "word"]));
    assert_eq!(read(&exporter), [2, 0, 0]);
}

#[tokio::test]
async fn what_a_collector_does_not_take_is_given_up_and_counted() {
    let collector = Collector::start(2).await;
    let (exporter, tracer) = exporter(&collector.url);
    (0..5).for_each(|_| drop(tracer.begin("x")));
    in_time(exporter.flush()).await;
    assert_eq!(read(&exporter), [3, 0, 2]);

    let url = collector.url.clone();
    collector.end().await;
    let (exporter, tracer) = self::exporter(&url);
    drop(tracer.begin("x"));
    in_time(exporter.flush()).await;
    assert_eq!(read(&exporter), [0, 0, 1]);
}

/// On this runtime's one thread nothing is sent before the test waits.
#[tokio::test]
async fn as_many_spans_wait_as_may_and_one_more_is_dropped() {
    let mut collector = Collector::start(0).await;
    let (exporter, tracer) = exporter(&collector.url);
    (0..SPANS_WAITING_MAX).for_each(|_| drop(tracer.begin("x")));
    assert_eq!(read(&exporter), [0, 0, 0]);
    drop(tracer.begin("x"));
    assert_eq!(read(&exporter), [0, 1, 0]);
    in_time(exporter.flush()).await;

    let sent = u64::try_from(SPANS_WAITING_MAX).unwrap();
    assert_eq!(read(&exporter), [sent, 1, 0]);
    let lengths = collector.messages().into_iter().map(|message| {
        let of_process = &message.resource_spans[0].scope_spans[0];
        of_process.spans.len()
    });
    assert!(lengths.eq([SPANS_PER_BATCH_MAX; SPANS_WAITING_MAX / SPANS_PER_BATCH_MAX]));
}

#[tokio::test]
async fn only_a_url_of_plain_http_names_a_collector() {
    for (url, is_one) in [
        ("http://127.0.0.1:4317", true),
        ("http://collector:4317", true),
        ("https://collector:4317", false),
        ("collector:4317", false),
        ("http://", false),
        ("", false),
    ] {
        let started = TraceExporter::start(url, process());
        assert_eq!(started.err(), (!is_one).then_some(EndpointError), "{url}");
    }
}

/// A collector that keeps what it is told.
struct Collector {
    url: String,
    messages: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
    serving: tokio::task::JoinHandle<()>,
}

impl Collector {
    /// Starts one that says of each message that it has not taken so many spans.
    async fn start(rejected_spans: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (taken, messages) = mpsc::unbounded_channel();
        let service = TraceServiceServer::new(Takes {
            taken,
            rejected_spans,
        });
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            url,
            messages,
            serving,
        }
    }

    fn messages(&mut self) -> Vec<ExportTraceServiceRequest> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }

    async fn end(self) {
        self.serving.abort();
        self.serving.await.unwrap_err();
    }
}

struct Takes {
    taken: mpsc::UnboundedSender<ExportTraceServiceRequest>,
    rejected_spans: i64,
}

#[tonic::async_trait]
impl TraceService for Takes {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.taken.send(request.into_inner()).unwrap();
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans: self.rejected_spans,
            error_message: String::new(),
        });
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success,
        }))
    }
}

fn exporter(url: &str) -> (Arc<TraceExporter>, Tracer) {
    let exporter = Arc::new(TraceExporter::start(url, process()).unwrap());
    let tracer = Tracer::new(Arc::<TraceExporter>::clone(&exporter) as Arc<_>, 1.0);
    (exporter, tracer)
}

fn process() -> TracedProcess {
    TracedProcess {
        service: "heliogram",
        instance: "one".to_owned(),
    }
}

fn read(exporter: &TraceExporter) -> [u64; 3] {
    let readings = Readings::of(exporter).0;
    ["sent", "dropped", "failed"].map(|outcome| {
        let name = format!("traces_spans{{outcome=\"{outcome}\"}}");
        *readings.get(&name).unwrap()
    })
}
