//! Who may call what.

use std::io::ErrorKind;
use std::sync::Arc;

use heliogram_grpc::contract::push_client::PushClient;
use heliogram_grpc::{
    Address, BackendService, KeyChangesService, KeysService, PushService, RemoteKeys, Role, Server,
    Tls, contract, dial,
};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, AuthKeys, Backend, Call, KeyKind, Push, PushRefused, Pushes, Reply, Unavailable,
    conformance,
};
use heliogram_proto::ids::{AuthKeyId, Identity};
use tonic::Code;

use crate::certificates::Authority;
use crate::process::{Process, in_time};

#[tokio::test]
async fn each_service_is_for_its_role_alone() {
    let cluster = Authority::new();
    let session_node = process(&cluster, &[Role::Session]).await;
    let gateway = cluster.tls("gateway", &[Role::Gateway]);
    let other_session_node = cluster.tls("session", &[Role::Session]);
    let backend = cluster.tls("backend", &[Role::Backend]);

    for (who, may_ask_for_keys, may_change_keys, may_push) in [
        (&gateway, true, false, false),
        (&other_session_node, false, true, false),
        (&backend, false, false, true),
    ] {
        let channel = dial(
            session_node.address.clone(),
            Role::Session,
            Some(who.clone()),
        );
        let keys = RemoteKeys::new(channel.clone());
        let id = AuthKeyId(4);
        let found = in_time(keys.find(id)).await;
        assert_eq!(matches!(found, Ok(None)), may_ask_for_keys, "{who:?}");
        assert_eq!(
            in_time(keys.remove(id)).await.is_ok(),
            may_change_keys,
            "{who:?}"
        );
        let request = contract::SetUserRequest::default();
        let pushed = in_time(PushClient::new(channel).set_user(request)).await;
        match pushed {
            Ok(_) => assert!(may_push, "{who:?}"),
            Err(status) => {
                assert!(!may_push, "{who:?}: {status}");
                assert_eq!(status.code(), Code::PermissionDenied, "{who:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_may_name_several_roles() {
    let cluster = Authority::new();
    let process = process(&cluster, &[Role::Session, Role::Backend]).await;
    let both = cluster.tls("both", &[Role::Gateway, Role::Session]);
    for role in [Role::Session, Role::Backend] {
        let keys = RemoteKeys::new(dial(process.address.clone(), role, Some(both.clone())));
        in_time(keys.find(AuthKeyId(4))).await.unwrap();
        in_time(keys.remove(AuthKeyId(4))).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_is_to_be_a_session_node_must_have_a_certificate_that_says_so() {
    let cluster = Authority::new();
    let impostor = process(&cluster, &[Role::Backend, Role::Gateway]).await;
    let gateway = cluster.tls("gateway", &[Role::Gateway]);
    let keys = RemoteKeys::new(dial(impostor.address.clone(), Role::Session, Some(gateway)));
    let record = conformance::record(1, KeyKind::Permanent);
    assert_eq!(in_time(keys.insert(record)).await, Err(Unavailable));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_no_certificate() {
    let (cluster, strangers) = (Authority::new(), Authority::new());
    let process = process(&cluster, &[Role::Session]).await;
    let stranger = strangers.tls("gateway", &[Role::Gateway]);
    let keys = RemoteKeys::new(dial(process.address.clone(), Role::Session, Some(stranger)));
    assert!(in_time(keys.find(AuthKeyId(4))).await.is_err());
    // Nor does plaintext get anywhere.
    let keys = RemoteKeys::new(process.channel());
    assert!(in_time(keys.find(AuthKeyId(4))).await.is_err());
}

#[tokio::test]
async fn certificates_are_read_anew_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = old.tls("session", &[Role::Session]);
    let process = Process::start_at(services(), "127.0.0.1:0", Some(tls.clone())).await;
    let of_old = old.tls("gateway", &[Role::Gateway]);
    let of_new = new.tls("gateway", &[Role::Gateway]);
    let find = async |tls: &Tls| {
        let channel = dial(process.address.clone(), Role::Session, Some(tls.clone()));
        in_time(RemoteKeys::new(channel).find(AuthKeyId(4)))
            .await
            .is_ok()
    };
    assert_eq!((find(&of_old).await, find(&of_new).await), (true, false));

    // What can't be used changes nothing.
    let files = old.files("session");
    std::fs::write(&files.key, "no key").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!((find(&of_old).await, find(&of_new).await), (true, false));

    new.issue("session", &[Role::Session]);
    let fresh = new.files("session");
    std::fs::copy(fresh.authority, files.authority).unwrap();
    std::fs::copy(fresh.certificate, files.certificate).unwrap();
    std::fs::copy(fresh.key, files.key).unwrap();
    tls.reload().unwrap();
    assert_eq!((find(&of_old).await, find(&of_new).await), (false, true));
}

#[tokio::test]
async fn without_certificates_only_this_machine_is_served() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        assert!(
            services()
                .bind(&address.parse().unwrap(), None)
                .await
                .is_ok()
        );
    }
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = services().bind(&everywhere, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let tls = Authority::new().tls("session", &[Role::Session]);
    assert!(services().bind(&everywhere, Some(tls)).await.is_ok());
}

#[tokio::test]
async fn a_unix_socket_serves_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", directory.path().join("socket").display());
    let process = Process::start_at(services(), &address, None).await;
    assert!(matches!(process.address, Address::Unix(_)));
    let keys = RemoteKeys::new(process.channel());
    assert!(matches!(in_time(keys.find(AuthKeyId(4))).await, Ok(None)));
}

#[tokio::test]
async fn a_unix_socket_is_bound_again_after_a_crash_and_not_while_somebody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = Address::Unix(path.clone());
    // What it leaves behind stays.
    let first = tokio::net::UnixListener::bind(&path).unwrap();
    let refused = services().bind(&address, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(services().bind(&address, None).await.is_ok());
}

#[tokio::test]
async fn health_and_reflection_answer_every_role() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1 as reflection;

    let cluster = Authority::new();
    let process = process(&cluster, &[Role::Session]).await;
    let backend = cluster.tls("backend", &[Role::Backend]);
    let channel = dial(process.address.clone(), Role::Session, Some(backend));
    for service in [
        "",
        "heliogram.cluster.v1.AuthKeys",
        "heliogram.backend.v1.Push",
    ] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let health = in_time(HealthClient::new(channel.clone()).check(request)).await;
        assert_eq!(
            health.unwrap().into_inner().status(),
            ServingStatus::Serving
        );
    }

    let request = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            reflection::server_reflection_request::MessageRequest::FileContainingSymbol(
                "heliogram.backend.v1.Backend.Call".to_owned(),
            ),
        ),
    };
    let mut client = reflection::server_reflection_client::ServerReflectionClient::new(channel);
    let replies = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await;
    let reply = in_time(replies.unwrap().into_inner().message()).await;
    let reply = reply.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(
        reply,
        reflection::server_reflection_response::MessageResponse::FileDescriptorResponse(_)
    ));
}

/// Serves everything with a certificate of these roles.
async fn process(authority: &Authority, roles: &[Role]) -> Process {
    let tls = authority.tls("process", roles);
    Process::start_at(services(), "127.0.0.1:0", Some(tls)).await
}

fn services() -> Server {
    let keys = Arc::new(MemoryKeys::new());
    Server::new()
        .keys(KeysService::new(Arc::<MemoryKeys>::clone(&keys)))
        .key_changes(KeyChangesService::new(keys))
        .push(PushService::new(Arc::new(Nobody)))
        .backend(BackendService::new(Arc::new(Nobody), None))
}

struct Nobody;

impl Pushes for Nobody {
    fn push(&self, _: Push) -> Result<(), PushRefused> {
        Ok(())
    }

    fn set_user(&self, _: Identity, _: Option<i64>) {}
}

impl Backend for Nobody {
    fn call(&self, call: Call) -> Answer {
        Answer::Now(Reply::Result(call.body))
    }
}
