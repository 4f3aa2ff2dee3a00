//! The keys that a cluster's clients have used, temporary ones too: asked of a session node, as a gateway asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use heliogram_grpc::{RemoteKeys, Role, Tls, TlsFiles, dial};
use heliogram_ports::{AuthKeys as _, KeyRecord};
use heliogram_proto::ids::AuthKeyId;
use tokio::runtime::Runtime;

use crate::logs::Secrets;

/// Those that were asked for, with their bytes.
pub(crate) struct Keys {
    runtime: Runtime,
    tls: Tls,
    known: BTreeMap<i64, Arc<KeyRecord>>,
}

impl Keys {
    /// Takes a gateway's authority, certificate and key.
    pub(crate) fn new([authority, certificate, key]: [String; 3]) -> Self {
        let files = TlsFiles {
            authority: authority.into(),
            certificate: certificate.into(),
            key: key.into(),
        };
        Self {
            runtime: Runtime::new().unwrap(),
            tls: Tls::load(files).unwrap(),
            known: BTreeMap::new(),
        }
    }

    /// Asks a node for those that are not known yet; returns those that are not there.
    pub(crate) fn learn(
        &mut self,
        node: SocketAddr,
        ids: impl IntoIterator<Item = i64>,
    ) -> BTreeSet<i64> {
        let node = node.to_string().parse().unwrap();
        let _entered = self.runtime.enter();
        let keys = RemoteKeys::new(dial(node, Role::Session, Some(self.tls.clone())));
        let mut absent = BTreeSet::new();
        for id in ids {
            if self.known.contains_key(&id) {
                continue;
            }
            let found = self.runtime.block_on(keys.find(AuthKeyId(id))).unwrap();
            match found {
                Some(record) => drop(self.known.insert(id, record)),
                None => drop(absent.insert(id)),
            }
        }
        absent
    }

    /// Tells their bytes, and the salts that their exchanges made.
    pub(crate) fn tell_secrets(&self, secrets: &mut Secrets) {
        for record in self.known.values() {
            secrets.key(record.key.expose());
            if let Some(first) = record.facts.first_salt {
                secrets.salt(first.salt.0);
            }
        }
    }
}
