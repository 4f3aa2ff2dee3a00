//! What a process is, by its certificate.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::metrics::ServerCounts;

/// What a process is in the cluster. Its certificate names it by a DNS name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each service names who may call it"
)]
pub enum Role {
    /// Holds clients' connections: may ask for keys, and carry messages of sessions.
    Gateway,
    /// Holds sessions: may change keys, and call backends.
    Session,
    /// Answers calls: may push updates.
    Backend,
}

impl Role {
    /// Returns the DNS name by which a certificate says that its owner has this role.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway.heliogram.internal",
            Self::Session => "session.heliogram.internal",
            Self::Backend => "backend.heliogram.internal",
        }
    }

    pub(super) const ALL: [Self; 3] = [Self::Gateway, Self::Session, Self::Backend];
}

/// Who has connected: a process of this machine, or the owner of a certificate.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// By loopback or a Unix socket, without a certificate: whoever may do that is trusted.
    Local,
    /// With a certificate of these roles.
    Certified(Vec<Role>),
}

impl Peer {
    fn is(&self, role: Role) -> bool {
        match self {
            Self::Local => true,
            Self::Certified(roles) => roles.contains(&role),
        }
    }
}

/// Lets requests of one role through.
#[derive(Clone, Debug)]
pub(super) struct Only {
    pub(super) role: Role,
    pub(super) counts: Arc<ServerCounts>,
}

impl Interceptor for Only {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        // A request without a peer has not come through our listener.
        let may = request
            .extensions()
            .get::<Peer>()
            .is_some_and(|peer| peer.is(self.role));
        if may {
            Ok(request)
        } else {
            self.counts.refused_requests.add_one();
            Err(Status::permission_denied(
                "the certificate does not name the role that this service is for",
            ))
        }
    }
}
