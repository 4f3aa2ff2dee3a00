//! The admin address: `GET /live`, `GET /ready` and `GET /metrics` over HTTP/1.1.
//!
//! *Live* is that the process answers. *Ready* is that every listener is bound, that it is not shutting down, and that
//! what it depends on is there; if not, the answer says what is missing. The numbers are for whoever [may see them](access).

mod access;
mod exposition;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use heliogram_ports::metrics::Measured;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(crate) use self::access::Access;

/// Whether the server wants new clients.
#[derive(Clone, Default)]
pub(crate) struct Readiness {
    is_open: Arc<AtomicBool>,
    checks: Arc<[Check]>,
}

/// Something that a process depends on.
pub(crate) struct Check {
    what: &'static str,
    is_there: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Check {
    /// Asks `is_there` whether `what` is there, whenever somebody wants to know.
    pub(crate) fn new(
        what: &'static str,
        is_there: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let is_there = Box::new(is_there);
        Self { what, is_there }
    }
}

impl Readiness {
    /// Not ready yet; and ready only while all of this is there.
    pub(crate) fn new(checks: Vec<Check>) -> Self {
        Self {
            is_open: Arc::default(),
            checks: checks.into(),
        }
    }

    /// Sets whether the process wants clients from now on.
    pub(crate) fn set(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
    }

    /// Tells whether all is there that the process depends on.
    pub(crate) fn has_all(&self) -> bool {
        self.checks.iter().all(|check| (check.is_there)())
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let missing = self.checks.iter().filter(|check| !(check.is_there)());
        let missing: Vec<_> = missing.map(|check| check.what).collect();
        if !self.is_open.load(Ordering::Acquire) {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
        }
        if missing.is_empty() {
            return plain(StatusCode::OK, "ready\n");
        }
        let text = format!("not ready: {} is not there\n", missing.join(", "));
        plain(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

/// What the admin address shows.
pub(crate) struct Shown {
    /// Whether new clients are wanted.
    pub(crate) readiness: Readiness,
    /// Who may see the numbers.
    pub(crate) access: Access,
    /// Who has numbers.
    pub(crate) measured: Vec<Arc<dyn Measured>>,
}

/// A bound admin address.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// If it can't be bound.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Returns the address, with the port that the system chose.
    ///
    /// # Errors
    ///
    /// If the system won't tell.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, shown: Shown) {
        let shown = Arc::new(shown);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shown = Arc::clone(&shown);
                    tokio::spawn(async move {
                        connection(stream, shown).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin address accepts no connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, shown: Arc<Shown>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let path = request.uri().path();
        let response = respond(request.method(), path, request.headers(), &shown);
        async move { Ok::<_, Infallible>(response) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

fn respond(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    shown: &Shown,
) -> Response<Full<Bytes>> {
    if !matches!(path, "/live" | "/ready" | "/metrics") {
        return plain(
            StatusCode::NOT_FOUND,
            "expected /live, /ready or /metrics\n",
        );
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match path {
        "/live" => plain(StatusCode::OK, "live\n"),
        "/ready" => shown.readiness.answer(),
        _ => metrics(headers, shown),
    }
}

fn metrics(headers: &HeaderMap, shown: &Shown) -> Response<Full<Bytes>> {
    if let Err(status) = shown.access.check(headers) {
        let mut response = plain(status, refusal(status));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        return response;
    }
    let mut response = Response::new(Full::new(exposition::render(&shown.measured).into()));
    let media_type = HeaderValue::from_static(exposition::MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

fn refusal(status: StatusCode) -> &'static str {
    if status == StatusCode::UNAUTHORIZED {
        "expected `Authorization: Bearer TOKEN`, with the token of admin.token_file\n"
    } else if status == StatusCode::FORBIDDEN {
        "not for pages: the request has an origin\n"
    } else {
        "expected an address, localhost or a name without a dot as host\n"
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Connections at a time: probes, not users.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEADER_BYTES_MAX: usize = 16 * 1024;

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// After `accept` failed, most likely because there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use hyper::header::HOST;

    use super::*;

    fn shown(readiness: Readiness) -> Shown {
        Shown {
            readiness,
            access: Access::default(),
            measured: Vec::new(),
        }
    }

    fn status(method: &Method, path: &str, is_ready: bool) -> StatusCode {
        let readiness = Readiness::default();
        readiness.set(is_ready);
        respond(method, path, &HeaderMap::new(), &shown(readiness)).status()
    }

    #[test]
    fn ready_depends_on_the_state_and_live_does_not() {
        assert_eq!(status(&Method::GET, "/ready", true), StatusCode::OK);
        assert_eq!(
            status(&Method::GET, "/ready", false),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(status(&Method::GET, "/live", false), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_process_is_ready_only_while_all_is_there_that_it_depends_on() {
        use http_body_util::BodyExt as _;

        let is_up = Arc::new(AtomicBool::new(false));
        let database = Arc::clone(&is_up);
        let readiness = Readiness::new(vec![
            Check::new("the ring", || true),
            Check::new("the database", move || database.load(Ordering::Acquire)),
        ]);
        readiness.set(true);

        let answer = readiness.answer();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "not ready: the database is not there\n");

        assert!(!readiness.has_all());

        is_up.store(true, Ordering::Release);
        assert!(readiness.has_all());
        assert_eq!(readiness.answer().status(), StatusCode::OK);
        readiness.set(false);
        let answer = readiness.answer();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(status(&Method::GET, "/", true), StatusCode::NOT_FOUND);
        assert_eq!(
            status(&Method::POST, "/ready", true),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }

    #[test]
    fn numbers_are_only_for_those_who_may_see_them() {
        // No host is named.
        assert_eq!(
            status(&Method::GET, "/metrics", true),
            StatusCode::MISDIRECTED_REQUEST
        );
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("127.0.0.1"))]);
        let response = respond(
            &Method::GET,
            "/metrics",
            &headers,
            &shown(Readiness::default()),
        );
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_probe_gets_its_answer_over_a_socket() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let admin = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = admin.address().unwrap();
        let readiness = Readiness::default();
        let serving = tokio::spawn(admin.serve(shown(readiness.clone())));
        let mut answers = Vec::new();
        for ready in [false, true] {
            readiness.set(ready);
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push(answer);
        }
        serving.abort();

        assert!(answers[0].starts_with("HTTP/1.1 503"), "{}", answers[0]);
        assert!(answers[1].starts_with("HTTP/1.1 200"), "{}", answers[1]);
    }
}
