//! Fan-out: what one push has brought to many links is drained and sealed for those that sleep, in batches.
//!
//! Whoever is busy is only woken, and drains in its own turn. That wire order is the order of ids is the affair of the
//! claim: see [`heliogram_proto::edge::mailbox`].

use std::collections::BTreeMap;
use std::sync::Arc;

use heliogram_ports::{Wake, random};
use heliogram_proto::edge::fanout;
use heliogram_proto::ids::LinkId;
use heliogram_proto::limits::{FANOUT_BATCH_LINKS, FANOUT_LINKS_MIN};

use crate::edge::Edge;
use crate::handle::Claim;

impl Edge {
    /// Sees to it that every link is drained. Takes no time: batches are tasks of their own, so that all cores share
    /// the work and whoever pushes does none of it.
    pub(crate) fn fan_out_to(self: &Arc<Self>, links: &[LinkId]) {
        if links.len() < FANOUT_LINKS_MIN {
            return links.iter().for_each(|&link| self.wake(link));
        }
        for batch in links.chunks(FANOUT_BATCH_LINKS) {
            let (edge, batch) = (Arc::clone(self), batch.to_vec());
            self.spawn(async move { edge.seal_for(&batch) });
        }
    }

    fn wake(&self, link: LinkId) {
        if let Some(handle) = self.links.find(link) {
            handle.wake();
        }
    }

    /// Drains and seals for the links that sleep; wakes all of them.
    fn seal_for(&self, links: &[LinkId]) {
        let mut claims = BTreeMap::new();
        for &link in links {
            let Some(handle) = self.links.find(link) else {
                continue;
            };
            match handle.claim() {
                Some(claim) => {
                    claims.insert(link, claim);
                }
                None => handle.wake(),
            }
        }
        let mut drained = Vec::with_capacity(claims.len());
        for &link in claims.keys() {
            self.sessions.drain(link, &mut drained);
        }
        let now_unix_s = self.clock.now().unix.seconds();
        let find = |id| self.cache.lock().in_use(id, now_unix_s).cloned();
        fanout::seal(&mut drained, find, &mut random::lend(), |link, input| {
            if let Some(Claim { drained, .. }) = claims.get_mut(&link) {
                drained.push(input);
            }
        });
    }
}
