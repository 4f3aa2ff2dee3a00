//! `heliogram serve`, and `gateway` and `session`, with a collector of traces and a backend in another process: both are this one.

#![cfg(unix)]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method};
use heliogram_grpc::collector::any_value::Value;
use heliogram_grpc::collector::trace_service_server::{TraceService, TraceServiceServer};
use heliogram_grpc::collector::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, Resource, Span, SpanKind,
};
use heliogram_grpc::{Address, BackendService};
use heliogram_ports::{Answer, Backend, Call, Reply, Trace};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use support::cluster::Cluster;
use support::server::Server;

#[tokio::test]
async fn a_call_is_one_trace_from_its_frame_over_the_session_node_to_the_backend() {
    let data = tempfile::tempdir().unwrap();
    let (mut spans, collector) = collector().await;
    let mut calls = backend(&data.path().join("calls")).await;
    let server = serve(data.path(), &collector, 1.0).await;
    call(&server).await;
    let traceparent = in_time(calls.recv()).await.unwrap().unwrap();

    let services = services_of_call(&mut spans, traceparent).await;
    assert_eq!(services, ["heliogram"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_one_trace_across_the_processes_of_gateway_session_node_and_backend() {
    let data = tempfile::tempdir().unwrap();
    let (mut spans, collector) = collector().await;
    let socket = data.path().join("calls");
    let mut calls = backend(&socket).await;
    let more = settings(socket, &collector, 1.0);
    let start = move || {
        let cluster = Cluster::with(&more);
        let session = cluster.session("s1");
        let gateway = cluster.gateway("g1", cluster.gateways[0]);
        (cluster, session, gateway)
    };
    let (_cluster, _session, gateway) = tokio::task::spawn_blocking(start).await.unwrap();
    call(&gateway).await;
    let traceparent = in_time(calls.recv()).await.unwrap().unwrap();

    let services = services_of_call(&mut spans, traceparent).await;
    assert_eq!(
        services,
        [
            "heliogram-gateway",
            "heliogram-session",
            "heliogram-session"
        ]
    );
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

/// Waits for the spans of a call that has reached the backend under `traceparent`: its frame, the session node that answers it, and
/// what that asks of the backend. Returns which service each is of.
async fn services_of_call(
    spans: &mut mpsc::UnboundedReceiver<Taken>,
    traceparent: Trace,
) -> [String; 3] {
    // Of different processes they come in any order.
    let mut of_trace = Vec::new();
    while of_trace.len() < 3 {
        let taken = in_time(spans.recv()).await.unwrap();
        if taken.span.trace_id == traceparent.trace_id.to_vec() {
            of_trace.push(taken);
        }
    }
    let find = |name: &str, kind| {
        let is_it = |it: &&Taken| it.span.name == name && it.span.kind() == kind;
        of_trace.iter().find(is_it).unwrap()
    };
    let frame = find("frame", SpanKind::Server);
    let answers = find("unknown method", SpanKind::Server);
    let asks = find("unknown method", SpanKind::Client);
    assert!(frame.span.parent_span_id.is_empty());
    assert_eq!(answers.span.parent_span_id, frame.span.span_id);
    assert_eq!(asks.span.parent_span_id, answers.span.span_id);
    assert_eq!(traceparent.span_id.to_vec(), asks.span.span_id);
    assert!(of_trace.iter().all(|it| it.span.status.is_none()));
    [frame, answers, asks].map(|it| it.service.clone())
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
    let text = settings(data.join("calls"), collector, sample);
    std::fs::write(&config, text).unwrap();
    let start = move || {
        let options = ["--through-grpc", "--config", config.to_str().unwrap()];
        Server::start(&data, &options)
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

fn settings(calls: PathBuf, collector: &str, sample: f64) -> String {
    let calls = Address::Unix(calls);
    format!(
        "[backend]\naddress = '{calls}'\n[traces]\nendpoint = '{collector}'\nsample = {sample:?}\n"
    )
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
async fn collector() -> (mpsc::UnboundedReceiver<Taken>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (taken, spans) = mpsc::unbounded_channel();
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(Takes(taken)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (spans, url)
}

/// A span, and what kind of process it is of.
struct Taken {
    service: String,
    span: Span,
}

struct Takes(mpsc::UnboundedSender<Taken>);

#[tonic::async_trait]
impl TraceService for Takes {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for process in request.into_inner().resource_spans {
            let service = service(process.resource);
            for span in process.scope_spans.into_iter().flat_map(|it| it.spans) {
                let service = service.clone();
                // The test may have seen enough.
                let _ = self.0.send(Taken { service, span });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service(process: Option<Resource>) -> String {
    let mut attributes = process.unwrap().attributes.into_iter();
    let name = attributes.find(|it| it.key == "service.name").unwrap();
    match name.value.unwrap().value {
        Some(Value::StringValue(name)) => name,
        Some(Value::IntValue(_)) | None => panic!("no name"),
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
