//! Requests to whichever member of etcd answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_ports::Unavailable;
use heliogram_ports::metrics::{Count, Meter, Metric, SharedTimes};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::{EtcdConfig, EtcdError};
use crate::generated::etcd::auth_client::AuthClient;
use crate::generated::etcd::{AuthenticateRequest, AuthenticateResponse};
use crate::limits::{ETCD_ATTEMPT, ETCD_PATIENCE, RETRY_PAUSE_MAX};
use crate::net::{Tls, dial_host};
use crate::retry::Pause;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// What was asked for is not there: a lease, most of all.
    Absent,
    /// etcd does not want it: another attempt is of no use.
    Said(String),
    /// Nobody has answered in time.
    Unreachable,
}

impl Refused {
    pub(super) fn unavailable(self) -> Unavailable {
        if let Self::Said(why) = self {
            tracing::error!(why, "etcd refuses what is asked of it");
        }
        Unavailable
    }
}

/// The way to all members.
pub(super) struct Client {
    members: Vec<Channel>,
    /// The one that has answered last.
    at: AtomicUsize,
    user: Option<(String, String)>,
    /// Short beside a lease, so that one is prolonged in time once somebody answers again.
    pause_max: Duration,
    token: Mutex<Option<MetadataValue<Ascii>>>,
    answered: Count,
    failed: Count,
    times: SharedTimes,
}

impl Client {
    pub(super) fn new(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let (endpoints, tls) = (&config.endpoints, config.tls.as_ref());
        let members = endpoints.iter().map(|endpoint| member(endpoint, tls));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        if members.is_empty() {
            return Err(EtcdError::NoEndpoint);
        }
        Ok(Self {
            members,
            at: AtomicUsize::new(0),
            user: config.user.clone(),
            pause_max: RETRY_PAUSE_MAX.min(config.lease / 6),
            token: Mutex::new(None),
            answered: Count::default(),
            failed: Count::default(),
            times: SharedTimes::default(),
        })
    }

    /// Asks one member after another until one answers, within [`ETCD_PATIENCE`]. What is asked may be carried out twice.
    pub(super) async fn ask<Q: Clone, A>(
        &self,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Refused> {
        let begin = Instant::now();
        let mut pause = Pause::up_to(self.pause_max);
        loop {
            let at = self.at.load(Ordering::Relaxed);
            let attempt = self.attempt(at, request.clone(), &send);
            let status = match timeout(ETCD_ATTEMPT, attempt).await {
                Ok(Ok(answer)) => {
                    self.answered.add_one();
                    self.times.add(begin.elapsed());
                    return Ok(answer);
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            if let Some(refused) = self.judge(&status, at) {
                return Err(refused);
            }
            if begin.elapsed() >= ETCD_PATIENCE {
                return Err(Refused::Unreachable);
            }
            pause.wait().await;
        }
    }

    /// Opens what goes on after its first answer: on the member that has answered last.
    pub(super) async fn open<Q, A>(
        &self,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let at = self.at.load(Ordering::Relaxed);
        let opened = timeout(ETCD_ATTEMPT, self.attempt(at, request, &send)).await;
        let opened = opened.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        if let Err(status) = &opened {
            self.judge(status, at);
        }
        opened
    }

    /// Asks another member the next time, if this is still the one that is asked.
    pub(super) fn turn_from(&self, at: usize) {
        let next = (at + 1) % self.members.len().max(1);
        // Another has turned already, otherwise.
        let _ = self
            .at
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns which member is asked now.
    pub(super) fn at(&self) -> usize {
        self.at.load(Ordering::Relaxed)
    }

    pub(super) fn measure(&self, meter: &mut dyn Meter) {
        let outcomes = [
            ("answered", self.answered.load()),
            ("failed", self.failed.load()),
        ];
        meter.counts(REQUESTS, "outcome", &outcomes);
        meter.times(TIMES, &self.times.load());
    }

    async fn attempt<Q, A>(
        &self,
        at: usize,
        request: Q,
        send: &impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let Some(channel) = self.members.get(at) else {
            return Err(Status::unavailable("there is no such member"));
        };
        let mut request = Request::new(request);
        let metadata = request.metadata_mut();
        // A member that has lost the others says so, rather than answering from what it last heard.
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = self.token(channel).await? {
            metadata.insert("token", token);
        }
        Ok(send(channel.clone(), request).await?.into_inner())
    }

    async fn token(&self, channel: &Channel) -> Result<Option<MetadataValue<Ascii>>, Status> {
        let Some((name, password)) = &self.user else {
            return Ok(None);
        };
        if let Some(token) = &*self.token.lock() {
            return Ok(Some(token.clone()));
        }
        let request = AuthenticateRequest {
            name: name.clone(),
            password: password.clone(),
        };
        let mut client = AuthClient::new(channel.clone());
        let answer = client.authenticate(request).await?.into_inner();
        let token = answer
            .token
            .parse()
            .map_err(|_| Status::invalid_argument("the token of etcd can't be sent"))?;
        Ok(Some(self.token.lock().insert(token).clone()))
    }

    /// Decides what a failure means: `None` if another attempt may succeed.
    fn judge(&self, status: &Status, at: usize) -> Option<Refused> {
        self.failed.add_one();
        tracing::debug!(code = ?status.code(), why = status.message(), "etcd has not answered");
        // A token that has aged is told in two ways.
        let had_token = self.user.is_some() && self.token.lock().take().is_some();
        match status.code() {
            Code::NotFound => Some(Refused::Absent),
            Code::Unauthenticated | Code::InvalidArgument if had_token => None,
            Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Some(Refused::Said(status.message().to_owned())),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => {
                self.turn_from(at);
                None
            }
        }
    }
}

fn member(endpoint: &str, tls: Option<&Tls>) -> Result<Channel, EtcdError> {
    let bad = || EtcdError::BadEndpoint(endpoint.to_owned());
    let whole = endpoint.strip_suffix('/').unwrap_or(endpoint);
    let (at, tls) = if let Some(at) = whole.strip_prefix("https://") {
        let tls = tls.ok_or_else(|| EtcdError::NoTls(endpoint.to_owned()))?;
        (at, Some(tls.clone()))
    } else {
        (whole.strip_prefix("http://").ok_or_else(bad)?, None)
    };
    let is_address = !at.contains('/') && at.parse::<crate::Address>().is_ok();
    if !is_address || at.starts_with("unix:") {
        return Err(bad());
    }
    dial_host(at, tls).map_err(|_| bad())
}

impl std::fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthenticateRequest(…)")
    }
}

impl std::fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthenticateResponse(…)")
    }
}

const REQUESTS: Metric = Metric {
    name: "discovery_requests",
    help: "Attempts at requests to etcd by what became of them",
};
const TIMES: Metric = Metric {
    name: "discovery_request_seconds",
    help: "How long etcd took to answer, with all attempts",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_not_shown() {
        let request = AuthenticateRequest {
            name: "root".into(),
            password: "hunter2".into(),
        };
        let response = AuthenticateResponse {
            token: "abc.1".into(),
            ..Default::default()
        };
        let shown = format!("{request:?} {response:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("abc.1"));
    }
}
