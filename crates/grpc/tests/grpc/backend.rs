//! Calls to a backend of another process, and its pushes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use heliogram_grpc::contract::backend_client::BackendClient;
use heliogram_grpc::contract::backend_server::BackendServer;
use heliogram_grpc::contract::call_reply::{Effect, Outcome};
use heliogram_grpc::contract::push_client::PushClient;
use heliogram_grpc::contract::push_server::PushServer;
use heliogram_grpc::{
    BackendService, Form, PushService, RemoteBackend, RemotePushes, Role, Server, contract, dial,
};
use heliogram_ports::{
    Answer, Backend, Call, LoggedIn, Push, PushRefused, Pushes, Reply, Target, conformance,
};
use heliogram_proto::ids::{AuthKeyId, Identity};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::process::{Process, in_time};

#[tokio::test]
async fn a_backend_that_is_asked_call_by_call_conforms() {
    conforms(Form::Unary).await;
}

#[tokio::test]
async fn a_backend_that_is_asked_on_one_stream_conforms() {
    conforms(Form::Streaming).await;
}

async fn conforms(form: Form) {
    // Both live as long as the test.
    let processes = Mutex::new(Vec::new());
    in_time(conformance::backend(async |backend, pushes| {
        let push = PushService::new(Arc::clone(&pushes));
        let session_node = Process::start(Server::new().push(push)).await;
        let downwards = Arc::new(RemotePushes::new(session_node.channel()));
        let service = BackendService::new(backend, Some(downwards));
        let backend_process = Process::start(Server::new().backend(service)).await;
        let remote = RemoteBackend::new(backend_process.channel(), form);
        remote.start(pushes);
        processes
            .lock()
            .unwrap()
            .extend([session_node, backend_process]);
        Arc::new(remote) as Arc<dyn Backend>
    }))
    .await;
}

#[tokio::test]
async fn a_call_whose_backend_is_gone_fails_and_the_next_one_reaches_its_successor() {
    for form in [Form::Unary, Form::Streaming] {
        let process = Process::start(echo()).await;
        let remote = RemoteBackend::new(process.channel(), form);
        assert_eq!(ask(&remote, 1).await, Reply::Result(word(1)));

        let address = process.address.to_string();
        drop(process);
        // A stream waits for the successor with what it has not sent.
        if form == Form::Unary {
            assert!(matches!(ask(&remote, 2).await, Reply::Error(error) if error.code == 500));
        }

        let _process = Process::start_at(echo(), &address, None).await;
        let mut reply = ask(&remote, 3).await;
        while reply != Reply::Result(word(3)) {
            // The old connection's end may not have been noticed yet.
            reply = ask(&remote, 3).await;
        }
    }
}

#[tokio::test]
async fn one_call_more_than_may_run_is_refused_at_once() {
    for form in [Form::Unary, Form::Streaming] {
        let process = Process::start(echo()).await;
        let patience = std::time::Duration::from_secs(60);
        let remote = RemoteBackend::with_limits(process.channel(), form, patience, 1);
        let first = remote.call(call(0));
        assert!(matches!(
            remote.call(call(1)),
            Answer::Now(Reply::Error(error)) if error.code == 500
        ));
        assert_eq!(in_time(reply(first)).await, Reply::Result(word(0)));
        assert_eq!(ask(&remote, 2).await, Reply::Result(word(2)));
    }
}

#[tokio::test]
async fn a_backend_that_takes_too_long_is_not_waited_for() {
    for form in [Form::Unary, Form::Streaming] {
        let process =
            Process::start(Server::new().backend(BackendService::new(Arc::new(Never), None))).await;
        let patience = std::time::Duration::from_millis(20);
        let remote = RemoteBackend::with_limits(process.channel(), form, patience, 1);
        for _ in 0..2 {
            assert!(matches!(ask(&remote, 1).await, Reply::Error(error) if error.code == 500));
        }
    }
}

#[tokio::test]
async fn a_call_says_what_it_is_a_part_of_who_asks_and_how_long_its_answer_is_waited_for() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (trace, user) in [(None, None), (Some(traceparent), Some(-4))] {
        let (said, mut heard) = mpsc::unbounded_channel();
        let (channel, serving) = serve_foreign(BackendServer::new(Listener(said))).await;
        let patience = std::time::Duration::from_millis(12_345);
        let remote = RemoteBackend::with_limits(channel, Form::Unary, patience, 1);
        let call = Call {
            user,
            trace: trace.map(|trace| trace.parse().unwrap()),
            ..call(1)
        };
        assert_eq!(
            in_time(reply(remote.call(call))).await,
            Reply::Result(word(1))
        );
        let (metadata, request) = in_time(heard.recv()).await.unwrap();
        assert_eq!(metadata.as_deref(), trace);
        assert_eq!(request.traceparent.as_deref(), trace);
        assert_eq!((request.user, request.timeout_ms), (user, 12_345));
        serving.abort();
    }
}

#[tokio::test]
async fn what_an_answer_says_of_its_user_is_known_before_the_answer() {
    let (channel, serving) = serve_foreign(BackendServer::new(Foreign)).await;
    let remote = RemoteBackend::new(channel, Form::Unary);
    let told = Arc::new(Told::default());
    remote.start(Arc::<Told>::clone(&told));

    assert_eq!(ask(&remote, 5).await, Reply::Result(word(5)));
    assert_eq!(
        *told.0.lock().unwrap(),
        [(Identity(AuthKeyId(7)), Some(-9))]
    );
    // It has no answer to this, and no outcome to that.
    assert!(matches!(ask(&remote, 6).await, Reply::Error(error) if error.code == 500));
    let LoggedIn::Later(user) = remote.user(Identity(AuthKeyId(7))) else {
        panic!("it has to be asked")
    };
    assert_eq!(in_time(user).await, None);
    serving.abort();
}

#[tokio::test]
async fn a_stream_is_used_before_its_backend_has_said_anything() {
    let (channel, serving) = serve_foreign(BackendServer::new(Silent)).await;
    let remote = RemoteBackend::new(channel, Form::Streaming);
    let (first, second) = (remote.call(call(1)), remote.call(call(2)));
    assert_eq!(in_time(reply(first)).await, Reply::Result(word(1)));
    assert_eq!(in_time(reply(second)).await, Reply::Result(word(2)));
    serving.abort();
}

#[tokio::test]
async fn a_call_that_breaks_the_contract_is_refused() {
    let process = Process::start(echo()).await;
    let mut client = BackendClient::new(process.channel());
    let refused = in_time(client.call(contract::CallRequest::default())).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_push_that_breaks_the_rules_is_refused_and_ends_its_stream() {
    let told = Arc::new(Told::default());
    let process = Process::start(Server::new().push(PushService::new(told))).await;
    let mut client = PushClient::new(process.channel());
    let bad = contract::PushRequest {
        body: vec![1; 3].into(),
        ..Default::default()
    };
    let refused = in_time(client.push(bad.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let request = |push| contract::PushesRequest {
        request: Some(contract::pushes_request::Request::Push(push)),
    };
    let good = contract::PushRequest {
        body: vec![1; 4].into(),
        ..Default::default()
    };
    let requests = [request(good.clone()), request(bad), request(good)];
    let replies = client.pushes(tokio_stream::iter(requests)).await.unwrap();
    let mut replies = replies.into_inner();
    assert_eq!(in_time(replies.message()).await.unwrap().unwrap().done, 1);
    let refused = in_time(replies.message()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn pushes_that_were_under_way_when_a_node_went_become_updates_too_long() {
    let (went, mut pushed) = mpsc::unbounded_channel();
    let node = Forgetful {
        pushed: went,
        is_first: AtomicBool::new(true),
    };
    let (channel, serving) = serve_foreign(PushServer::new(node)).await;
    let pushes = RemotePushes::new(channel);
    let push = |user| Push {
        targets: vec![Target::User(user)],
        except: None,
        body: word(5),
    };

    // The node takes it, and its stream ends before it says so.
    pushes.push(push(1)).unwrap();
    let first = in_time(pushed.recv()).await.unwrap();
    assert_eq!(
        (first.targets, first.body),
        (vec![Target::User(1)], word(5))
    );
    let second = in_time(pushed.recv()).await.unwrap();
    assert_eq!(
        (second.targets, second.body),
        (vec![Target::User(1)], word(0xe317_af7e))
    );
    pushes.push(push(2)).unwrap();
    assert_eq!(in_time(pushed.recv()).await.unwrap().body, word(5));
    serving.abort();
}

/// Serves what is none of ours on a free port.
async fn serve_foreign<S>(service: S) -> (Channel, JoinHandle<Result<(), tonic::transport::Error>>)
where
    S: tower::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + tonic::server::NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let channel = dial(address.parse().unwrap(), Role::Backend, None);
    (channel, tokio::spawn(server))
}

pub(crate) fn echo() -> Server {
    Server::new().backend(BackendService::new(Arc::new(Echo), None))
}

async fn ask(backend: &dyn Backend, at: u32) -> Reply {
    in_time(reply(backend.call(call(at)))).await
}

pub(crate) async fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Now(reply) => reply,
        Answer::Later(reply) => reply.await,
    }
}

pub(crate) fn call(at: u32) -> Call {
    let id = AuthKeyId(7);
    let mut call = conformance::call(word(at));
    call.identity = Identity(id);
    call.key.id = id;
    call
}

fn word(word: u32) -> bytes::Bytes {
    word.to_le_bytes().to_vec().into()
}

struct Echo;

impl Backend for Echo {
    fn call(&self, call: Call) -> Answer {
        Answer::Now(Reply::Result(call.body))
    }
}

struct Never;

impl Backend for Never {
    fn call(&self, _: Call) -> Answer {
        Answer::Later(Box::pin(std::future::pending()))
    }
}

/// Takes note of users.
#[derive(Default)]
struct Told(Mutex<Vec<(Identity, Option<i64>)>>);

impl Pushes for Told {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        let is_object = !push.body.is_empty() && push.body.len().is_multiple_of(4);
        is_object.then_some(()).ok_or(PushRefused::NotAnObject)
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        self.0.lock().unwrap().push((identity, user));
    }
}

/// A session node whose first stream ends after one request that it has not confirmed.
struct Forgetful {
    pushed: mpsc::UnboundedSender<Push>,
    is_first: AtomicBool,
}

#[tonic::async_trait]
impl contract::push_server::Push for Forgetful {
    async fn push(
        &self,
        _: Request<contract::PushRequest>,
    ) -> Result<Response<contract::PushReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn set_user(
        &self,
        _: Request<contract::SetUserRequest>,
    ) -> Result<Response<contract::SetUserReply>, Status> {
        Err(Status::unimplemented(""))
    }

    type PushesStream = ReceiverStream<Result<contract::PushesReply, Status>>;

    async fn pushes(
        &self,
        request: Request<Streaming<contract::PushesRequest>>,
    ) -> Result<Response<Self::PushesStream>, Status> {
        let is_first = self.is_first.swap(false, Ordering::SeqCst);
        let pushed = self.pushed.clone();
        let (replies, sent) = mpsc::channel(8);
        tokio::spawn(async move {
            let mut requests = request.into_inner();
            let mut done = 0;
            while let Ok(Some(request)) = requests.message().await {
                let Some(contract::pushes_request::Request::Push(push)) = request.request else {
                    panic!("only pushes come")
                };
                let targets = push.targets.into_iter().map(|it| match it.target {
                    Some(contract::target::Target::User(user)) => Target::User(user),
                    other => panic!("{other:?}"),
                });
                let (targets, body) = (targets.collect(), push.body);
                let except = None;
                pushed
                    .send(Push {
                        targets,
                        except,
                        body,
                    })
                    .unwrap();
                if is_first {
                    return;
                }
                done += 1;
                replies
                    .send(Ok(contract::PushesReply { done }))
                    .await
                    .unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

/// A backend that tells what it is asked, and what the metadata say of a trace.
struct Listener(mpsc::UnboundedSender<(Option<String>, contract::CallRequest)>);

#[tonic::async_trait]
impl contract::backend_server::Backend for Listener {
    async fn call(
        &self,
        request: Request<contract::CallRequest>,
    ) -> Result<Response<contract::CallReply>, Status> {
        let traceparent = request.metadata().get("traceparent");
        let traceparent = traceparent.map(|it| it.to_str().unwrap().to_owned());
        let request = request.into_inner();
        let outcome = Some(Outcome::Result(request.body.clone()));
        self.0.send((traceparent, request)).unwrap();
        let effect = None;
        Ok(Response::new(contract::CallReply { outcome, effect }))
    }

    type CallsStream = tokio_stream::Empty<Result<contract::CallsReply, Status>>;

    async fn calls(
        &self,
        _: Request<Streaming<contract::CallsRequest>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn find_user(
        &self,
        _: Request<contract::FindUserRequest>,
    ) -> Result<Response<contract::FindUserReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A backend that opens its stream of answers when it has read two calls: as many libraries do with the first answer.
struct Silent;

#[tonic::async_trait]
impl contract::backend_server::Backend for Silent {
    async fn call(
        &self,
        _: Request<contract::CallRequest>,
    ) -> Result<Response<contract::CallReply>, Status> {
        Err(Status::unimplemented(""))
    }

    type CallsStream = ReceiverStream<Result<contract::CallsReply, Status>>;

    async fn calls(
        &self,
        request: Request<Streaming<contract::CallsRequest>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let mut requests = request.into_inner();
        let (replies, sent) = mpsc::channel(2);
        for _ in 0..2 {
            let contract::CallsRequest { id, request } = requests.message().await?.unwrap();
            let Some(contract::calls_request::Request::Call(call)) = request else {
                panic!("only calls come")
            };
            let reply = Some(contract::CallReply {
                outcome: Some(Outcome::Result(call.body)),
                effect: None,
            });
            let reply = contract::CallsReply { id, reply };
            replies.send(Ok(reply)).await.unwrap();
        }
        // Until the other end ends it.
        tokio::spawn(async move { while let Ok(Some(_)) = requests.message().await {} });
        Ok(Response::new(ReceiverStream::new(sent)))
    }

    async fn find_user(
        &self,
        _: Request<contract::FindUserRequest>,
    ) -> Result<Response<contract::FindUserReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A backend that is none of ours.
struct Foreign;

#[tonic::async_trait]
impl contract::backend_server::Backend for Foreign {
    async fn call(
        &self,
        request: Request<contract::CallRequest>,
    ) -> Result<Response<contract::CallReply>, Status> {
        let body = request.into_inner().body;
        let outcome = (body != word(6)).then(|| Outcome::Result(body));
        let effect = outcome.is_some().then_some(Effect::LogIn(-9));
        Ok(Response::new(contract::CallReply { outcome, effect }))
    }

    type CallsStream = tokio_stream::Empty<Result<contract::CallsReply, Status>>;

    async fn calls(
        &self,
        _: Request<Streaming<contract::CallsRequest>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn find_user(
        &self,
        _: Request<contract::FindUserRequest>,
    ) -> Result<Response<contract::FindUserReply>, Status> {
        Err(Status::unimplemented(""))
    }
}
