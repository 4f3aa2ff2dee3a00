//! What this process is: a node, by a lease, and an owner, by claims.

use std::sync::Arc;

use bytes::Bytes;
use heliogram_ports::discovery::Node;
use heliogram_ports::random;
use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;
use rand_core::Rng as _;
use tokio_stream::StreamExt as _;

use super::client::Refused;
use super::keys::{Key, owner_value, read_owner};
use super::{ANOTHER_STORE, Inner, is_name};
use crate::generated::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::generated::etcd::kv_client::KvClient;
use crate::generated::etcd::lease_client::LeaseClient;
use crate::generated::etcd::request_op::Request as Op;
use crate::generated::etcd::response_op::Response as Done;
use crate::generated::etcd::{
    Compare, DeleteRangeRequest, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
};

/// Prolongs the lease, and brings the node back once it has lost it, for ever.
pub(super) async fn keep(inner: Arc<Inner>) {
    loop {
        if let Err(refused) = inner.keep_once().await {
            tracing::debug!(?refused, "the lease could not be prolonged");
        }
        tokio::select! {
            () = tokio::time::sleep(inner.lease / 3) => {}
            () = inner.wake.notified() => {}
        }
    }
}

impl Inner {
    pub(super) async fn join(&self, node: Node) -> Result<(), Refused> {
        if !is_name(&node.name) {
            return Err(Refused::Said(format!("{:?} can't be a name", node.name)));
        }
        let _turn = self.turn.lock().await;
        for _ in 0..JOIN_ATTEMPTS_MAX {
            self.end_predecessors(&node).await?;
            if self.put_node(&node).await? {
                let mut member = self.member.lock();
                (member.node, member.leaving) = (Some(node), None);
                return Ok(());
            }
        }
        // Somebody else joins by the same name, again and again.
        Err(Refused::Unreachable)
    }

    pub(super) async fn claim(&self, partition: Partition) -> Result<Option<Term>, Refused> {
        let (node, lease) = {
            let member = self.member.lock();
            let (Some(node), Some(lease)) = (member.node.clone(), member.lease) else {
                return Ok(None);
            };
            (node, lease)
        };
        let key = self.keys.partition(partition);
        let txn = TxnRequest {
            compare: vec![is_absent(&key), is_of(&self.keys.node(&node.name), lease)],
            success: vec![put(&key, &owner_value(&node), lease)],
            failure: vec![range(&key)],
        };
        let answer = match self.txn(txn).await {
            Ok(answer) => answer,
            Err(Refused::Absent) => {
                self.wake.notify_one();
                return Ok(None);
            }
            Err(refused) => return Err(refused),
        };
        let revision = if answer.succeeded {
            answer.header.map_or(0, |header| header.revision)
        } else {
            // An attempt before this one may have been carried out, and its answer lost.
            match found(&answer) {
                Some(pair) if pair.lease == lease => pair.create_revision,
                Some(_) | None => return Ok(None),
            }
        };
        let term = Term(u64::try_from(revision).unwrap_or(0));
        let mut member = self.member.lock();
        // Of a lease that has ended meanwhile nothing is left.
        let is_news =
            member.lease == Some(lease) && member.told.insert(partition, term) != Some(term);
        Ok(is_news.then_some(term))
    }

    pub(super) async fn release(&self, partition: Partition, term: Term) -> Result<(), Refused> {
        let Some(lease) = self.member.lock().lease else {
            return Ok(());
        };
        let key = self.keys.partition(partition);
        let revision = i64::try_from(term.0).unwrap_or(i64::MAX);
        let txn = TxnRequest {
            compare: vec![is_made_at(&key, revision), is_of(&key, lease)],
            success: vec![delete(&key)],
            failure: Vec::new(),
        };
        self.txn(txn).await.map(drop)
    }

    pub(super) async fn leave(&self) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        {
            let mut member = self.member.lock();
            if let Some(node) = member.node.take() {
                member.leaving = Some(node);
            }
        }
        self.end_leaving().await
    }

    /// Removes the node's key if it has to go. If that fails who keeps the lease tries again.
    async fn end_leaving(&self) -> Result<(), Refused> {
        let (node, lease) = {
            let member = self.member.lock();
            (member.leaving.clone(), member.lease)
        };
        if let (Some(node), Some(lease)) = (node, lease) {
            let key = self.keys.node(&node.name);
            let txn = TxnRequest {
                compare: vec![is_of(&key, lease)],
                success: vec![delete(&key)],
                failure: Vec::new(),
            };
            self.txn(txn).await?;
        }
        self.member.lock().leaving = None;
        Ok(())
    }

    async fn keep_once(&self) -> Result<(), Refused> {
        let Some(lease) = self.member.lock().lease else {
            return self.come_back().await;
        };
        if self.prolong(lease).await? {
            return self.come_back().await;
        }
        tracing::warn!("the lease has ended: all that this node owned is others' now");
        self.counts.leases_lost.add_one();
        self.forget(lease);
        self.come_back().await
    }

    /// Makes this process known again, if it is to be known and is not.
    async fn come_back(&self) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        self.end_leaving().await?;
        let (node, lease) = {
            let member = self.member.lock();
            (member.node.clone(), member.lease)
        };
        let Some(node) = node else {
            return Ok(());
        };
        let view = Arc::clone(&self.view.borrow());
        let is_known = view.nodes.iter().any(|it| it.name == node.name);
        if lease.is_some() && is_known {
            return Ok(());
        }
        if !self.put_node(&node).await? {
            tracing::error!("another process has this node's name");
        }
        Ok(())
    }

    /// Writes the node's key unless there is one; tells whether it is ours then.
    async fn put_node(&self, node: &Node) -> Result<bool, Refused> {
        let birth = self.birth().await?;
        let lease = self.lease().await?;
        let key = self.keys.node(&node.name);
        let txn = TxnRequest {
            compare: vec![is_absent(&key), is_value(&self.keys.birth(), birth)],
            success: vec![put(&key, &node.address, lease)],
            failure: vec![range(&key)],
        };
        match self.txn(txn).await {
            Ok(answer) if answer.succeeded => Ok(true),
            Ok(answer) => match found(&answer) {
                Some(pair) => Ok(pair.lease == lease),
                None => Err(Refused::Said(ANOTHER_STORE.to_owned())),
            },
            Err(refused) => {
                if refused == Refused::Absent {
                    self.forget(lease);
                }
                Err(refused)
            }
        }
    }

    /// Ends what processes before this one had under the node's name, so that nobody need wait for the end of their leases.
    async fn end_predecessors(&self, node: &Node) -> Result<(), Refused> {
        let (key, range_end) = self.keys.range();
        let request = RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
        };
        let ask = async |channel, request| KvClient::new(channel).range(request).await;
        let all = self.client.ask(request, ask).await?;
        let own = self.member.lock().lease;
        let is_of_name = |pair: &&KeyValue| match self.keys.read(&pair.key) {
            Some(Key::Node(name)) => *name == *node.name,
            Some(Key::Partition(_)) => {
                read_owner(&pair.value).is_some_and(|(name, _)| *name == *node.name)
            }
            None => false,
        };
        let mut leases: Vec<_> = all
            .kvs
            .iter()
            .filter(is_of_name)
            .map(|it| it.lease)
            .collect();
        leases.sort_unstable();
        leases.dedup();
        for lease in leases.into_iter().filter(|&it| Some(it) != own) {
            let request = LeaseRevokeRequest { id: lease };
            let ask =
                async |channel, request| LeaseClient::new(channel).lease_revoke(request).await;
            match self.client.ask(request, ask).await {
                // It has ended by itself.
                Ok(_) | Err(Refused::Absent) => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }

    /// Returns what the store is known by; makes it known if it is new.
    async fn birth(&self) -> Result<Bytes, Refused> {
        if let Some(birth) = self.birth.lock().clone() {
            return Ok(birth);
        }
        let key = self.keys.birth();
        let new = format!("{:016x}", random::lend().next_u64());
        let txn = TxnRequest {
            compare: vec![is_absent(&key)],
            success: vec![put(&key, &new, NO_LEASE)],
            failure: vec![range(&key)],
        };
        let answer = self.txn(txn).await?;
        let birth = found(&answer).map_or_else(|| new.into(), |pair| pair.value.clone());
        // The first word counts, be it this or a snapshot's.
        Ok(self.birth.lock().get_or_insert(birth).clone())
    }

    /// Returns this process's lease; asks for one if there is none.
    async fn lease(&self) -> Result<i64, Refused> {
        if let Some(lease) = self.member.lock().lease {
            return Ok(lease);
        }
        let request = LeaseGrantRequest {
            ttl: i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX),
            id: 0,
        };
        let ask = async |channel, request| LeaseClient::new(channel).lease_grant(request).await;
        let granted = self.client.ask(request, ask).await?;
        self.member.lock().lease = Some(granted.id);
        // There is something to prolong.
        self.wake.notify_one();
        Ok(granted.id)
    }

    /// Tells whether the lease is still there, longer again.
    async fn prolong(&self, lease: i64) -> Result<bool, Refused> {
        let request = LeaseKeepAliveRequest { id: lease };
        let ask = async |channel, request: tonic::Request<LeaseKeepAliveRequest>| {
            let request = request.map(tokio_stream::once);
            let answers = LeaseClient::new(channel).lease_keep_alive(request).await?;
            let (metadata, mut answers, extensions) = answers.into_parts();
            let first = answers
                .next()
                .await
                .ok_or_else(|| tonic::Status::unavailable("the lease was not heard of"))??;
            Ok(tonic::Response::from_parts(metadata, first, extensions))
        };
        Ok(self.client.ask(request, ask).await?.ttl > 0)
    }

    fn forget(&self, lease: i64) {
        let mut member = self.member.lock();
        if member.lease == Some(lease) {
            member.lease = None;
            member.told.clear();
        }
    }

    async fn txn(&self, txn: TxnRequest) -> Result<TxnResponse, Refused> {
        let ask = async |channel, request| KvClient::new(channel).txn(request).await;
        self.client.ask(txn, ask).await
    }
}

fn is_absent(key: &str) -> Compare {
    is_made_at(key, 0)
}

fn is_made_at(key: &str, revision: i64) -> Compare {
    compare(
        key,
        CompareTarget::Create,
        TargetUnion::CreateRevision(revision),
    )
}

fn is_of(key: &str, lease: i64) -> Compare {
    compare(key, CompareTarget::Lease, TargetUnion::Lease(lease))
}

fn is_value(key: &str, value: Bytes) -> Compare {
    compare(key, CompareTarget::Value, TargetUnion::Value(value))
}

fn compare(key: &str, target: CompareTarget, to: TargetUnion) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: key.to_owned().into(),
        target_union: Some(to),
    }
}

fn put(key: &str, value: &str, lease: i64) -> RequestOp {
    op(Op::RequestPut(PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
    }))
}

fn range(key: &str) -> RequestOp {
    op(Op::RequestRange(RangeRequest {
        key: key.to_owned().into(),
        range_end: Bytes::new(),
    }))
}

fn delete(key: &str) -> RequestOp {
    op(Op::RequestDeleteRange(DeleteRangeRequest {
        key: key.to_owned().into(),
    }))
}

const fn op(request: Op) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

/// Returns what the only question of a transaction has found.
fn found(answer: &TxnResponse) -> Option<&KeyValue> {
    match answer.responses.first()?.response.as_ref()? {
        Done::ResponseRange(range) => range.kvs.first(),
        Done::ResponsePut(_) | Done::ResponseDeleteRange(_) => None,
    }
}

/// Each time somebody else has come in between.
const JOIN_ATTEMPTS_MAX: usize = 3;

/// Of a key that stays.
const NO_LEASE: i64 = 0;
