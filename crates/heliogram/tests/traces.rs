//! `heliogram serve` with a collector of traces, and a backend in another process: both are this one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method};
use heliogram_grpc::collector::trace_service_server::{TraceService, TraceServiceServer};
use heliogram_grpc::collector::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, Span, SpanKind,
};
use heliogram_grpc::{Address, BackendService};
use heliogram_ports::{Answer, Backend, Call, Reply, Trace};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use support::server::Server;

#[tokio::test]
async fn a_call_is_one_trace_from_its_frame_over_the_session_node_to_the_backend() {
    let data = tempfile::tempdir().unwrap();
    let (mut spans, collector) = collector().await;
    let mut calls = backend(&data.path().join("calls")).await;
    let server = serve(data.path(), &collector, 1.0).await;
    call(&server).await;
    let traceparent = in_time(calls.recv()).await.unwrap().unwrap();

    // The frame ends last: its answer is on its way by then.
    let of_trace = async {
        let mut of_trace: Vec<Span> = Vec::new();
        while !of_trace.iter().any(|span| span.name == "frame") {
            let span: Span = spans.recv().await.unwrap();
            if span.trace_id == traceparent.trace_id.to_vec() {
                of_trace.push(span);
            }
        }
        of_trace
    };
    let of_trace = in_time(of_trace).await;
    let find = |name: &str, kind| {
        let is_it = |span: &&Span| span.name == name && span.kind() == kind;
        of_trace.iter().find(is_it).unwrap()
    };
    let frame = find("frame", SpanKind::Server);
    let answers = find("unknown method", SpanKind::Server);
    let asks = find("unknown method", SpanKind::Client);
    assert_eq!(of_trace.len(), 3);
    assert!(frame.parent_span_id.is_empty());
    assert_eq!(answers.parent_span_id, frame.span_id);
    assert_eq!(asks.parent_span_id, answers.span_id);
    assert_eq!(traceparent.span_id.to_vec(), asks.span_id);
    assert!(of_trace.iter().all(|span| span.status.is_none()));
}

#[tokio::test]
async fn nothing_is_traced_of_a_share_of_zero() {
    let data = tempfile::tempdir().unwrap();
    let (mut spans, collector) = collector().await;
    let mut calls = backend(&data.path().join("calls")).await;
    let mut server = serve(data.path(), &collector, 0.0).await;
    call(&server).await;
    assert_eq!(in_time(calls.recv()).await.unwrap(), None);
    // Its end sends what there is.
    let pid = server.child.id().to_string();
    let killed = std::process::Command::new("kill").arg(pid).status();
    assert!(killed.unwrap().success());
    server.child.wait().unwrap();
    assert!(spans.try_recv().is_err());
}

/// Calls the backend once, by a real client.
async fn call(server: &Server) {
    let client = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(server.public_key())
        .data_centre(DataCentre::new(2, [server.tcp()]));
    let client = in_time(client.connect()).await.unwrap();
    assert_eq!(in_time(client.invoke(&Raw)).await.unwrap(), CALL[..]);
    client.shutdown().await;
}

/// Serves through gRPC, so that the frame crosses as it does in a cluster.
async fn serve(data: &Path, collector: &str, sample: f64) -> Server {
    let (config, data) = (data.join("heliogram.toml"), data.to_owned());
    let calls = Address::Unix(data.join("calls"));
    let text = format!(
        "[backend]\naddress = '{calls}'\n[traces]\nendpoint = '{collector}'\nsample = {sample:?}\n"
    );
    std::fs::write(&config, text).unwrap();
    let start = move || {
        let options = ["--through-grpc", "--config", config.to_str().unwrap()];
        Server::start(&data, &options)
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// Returns the traces of calls that reach the backend.
async fn backend(socket: &Path) -> mpsc::UnboundedReceiver<Option<Trace>> {
    let (seen, traces) = mpsc::unbounded_channel();
    let service = BackendService::new(Arc::new(Echo(seen)), None);
    let server = heliogram_grpc::Server::new().backend(service);
    let bound = server.bind(&Address::Unix(socket.to_owned()), None).await;
    tokio::spawn(bound.unwrap().serve(std::future::pending()));
    traces
}

struct Echo(mpsc::UnboundedSender<Option<Trace>>);

impl Backend for Echo {
    fn call(&self, call: Call) -> Answer {
        if call.body == CALL[..] {
            self.0.send(call.trace).unwrap();
        }
        Answer::Now(Reply::Result(call.body))
    }
}

/// Returns the spans that reach a collector, and its URL.
async fn collector() -> (mpsc::UnboundedReceiver<Span>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (taken, spans) = mpsc::unbounded_channel();
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(Takes(taken)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (spans, url)
}

struct Takes(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Takes {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let processes = request.into_inner().resource_spans.into_iter();
        let scopes = processes.flat_map(|process| process.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            // The test may have seen enough.
            let _ = self.0.send(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A method of bytes, whose answer is bytes.
struct Raw;

impl Method for Raw {
    type Return = Bytes;

    fn to_body(&self) -> Bytes {
        Bytes::from_static(&CALL)
    }

    fn read_result(result: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(result))
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_secs(60), future).await;
    in_time.unwrap()
}

const CALL: [u8; 8] = [0x11; 8];
