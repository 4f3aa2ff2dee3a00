//! A session node, as a gateway sees it: what waits for its stream, and what is on its way there.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use heliogram_ports::Frame;
use heliogram_proto::ids::{LinkId, SessionId};
use tokio::sync::Notify;

use crate::generated::cluster as wire;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::BATCH_BYTES;
use crate::sessions::ITEM_BYTES;
use crate::wire::frame_to;

/// A session node.
pub(super) struct Peer {
    waiting: VecDeque<Up>,
    /// Of the frames among them.
    bytes: usize,
    /// Frames that went out on this stream, and were not confirmed.
    sent: VecDeque<(LinkId, SessionId)>,
    taken: u64,
    /// Frames that were handed in since the stream is open: what a probe is about.
    frames: u64,
    /// A probe is on its way.
    is_probing: bool,
    /// How many frames there had been when the node was found quiet.
    quiet_at: Option<u64>,
    pub(super) is_open: bool,
    /// The last view knows it.
    pub(super) is_listed: bool,
    /// Something is to be sent, or nothing ever will be.
    pub(super) news: Arc<Notify>,
}

enum Up {
    Frame(Frame),
    Other(UpItem),
}

/// What a stream leaves behind that has broken.
pub(super) struct Remains {
    /// Whose frames may be lost.
    pub(super) unconfirmed: HashSet<LinkId>,
    /// What was not sent.
    pub(super) waiting: Vec<Frame>,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            sent: VecDeque::new(),
            taken: 0,
            frames: 0,
            is_probing: false,
            quiet_at: None,
            is_open: false,
            is_listed: true,
            news: Arc::new(Notify::new()),
        }
    }

    /// Returns what the frames cost that wait.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many frames are not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn push_frame(&mut self, frame: Frame) {
        self.bytes += cost(&frame);
        self.frames += 1;
        self.put(Up::Frame(frame));
    }

    pub(super) fn push(&mut self, item: UpItem) {
        self.put(Up::Other(item));
    }

    fn put(&mut self, up: Up) {
        self.waiting.push_back(up);
        self.news.notify_one();
    }

    /// Takes a batch of what waits; its frames count as sent.
    pub(super) fn batch(&mut self) -> Vec<wire::Up> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(up) = self.waiting.pop_front()
        {
            let item = match up {
                Up::Frame(frame) => {
                    self.bytes -= cost(&frame);
                    bytes += cost(&frame);
                    self.sent.push_back((frame.link, frame.session_id));
                    UpItem::Frame(frame_to(frame))
                }
                Up::Other(item) => {
                    bytes += ITEM_BYTES;
                    item
                }
            };
            items.push(wire::Up { item: Some(item) });
        }
        items
    }

    /// Takes note that hosts have taken so many frames of the stream; returns those that are news.
    pub(super) fn confirm(&mut self, taken: u64) -> Vec<(LinkId, SessionId)> {
        let mut confirmed = Vec::new();
        while self.taken < taken
            && let Some(frame) = self.sent.pop_front()
        {
            self.taken += 1;
            confirmed.push(frame);
        }
        confirmed
    }

    /// Tells whether no call is running, as far as the node has said; if not, asks it.
    pub(super) fn is_quiet(&mut self) -> bool {
        let is_quiet = self.quiet_at == Some(self.frames);
        if !is_quiet && !self.is_probing {
            self.is_probing = true;
            self.push(UpItem::Probe(self.frames));
        }
        is_quiet
    }

    /// Takes the answer to a probe.
    pub(super) fn probed(&mut self, probed: wire::Probed) {
        self.is_probing = false;
        if probed.is_quiet {
            self.quiet_at = Some(probed.id);
        }
    }

    /// Ends the stream: the next one begins with nothing.
    pub(super) fn close(&mut self) -> Remains {
        let new = Self {
            news: Arc::clone(&self.news),
            is_listed: self.is_listed,
            ..Self::new()
        };
        let old = std::mem::replace(self, new);
        let frame = |up| match up {
            Up::Frame(frame) => Some(frame),
            Up::Other(_) => None,
        };
        Remains {
            unconfirmed: old.sent.iter().map(|&(link, _)| link).collect(),
            waiting: old.waiting.into_iter().filter_map(frame).collect(),
        }
    }
}

/// Returns what a frame counts against what may wait.
pub(super) fn cost(frame: &Frame) -> usize {
    frame.body.len() + ITEM_BYTES
}
