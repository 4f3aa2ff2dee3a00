//! What a run is like: how many clients, how bad the network, what breaks how often. Drawn from the seed.

use core::time::Duration;

use crate::dice::Dice;

/// The parameters of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    /// For how long clients want something, in virtual time.
    pub(crate) busy: Duration,
    /// Between two wishes of a client, in milliseconds.
    pub(crate) pause_ms: (u64, u64),
    /// Of one piece on a connection, in milliseconds.
    pub(crate) delay_ms: (u64, u64),
    /// Of one item between an edge and a node, in milliseconds.
    pub(crate) hop_ms: (u64, u64),
    pub(crate) split_per_mille: u64,
    /// Between two faults, in milliseconds; `None`: nothing breaks.
    pub(crate) fault_ms: Option<(u64, u64)>,
    /// Hosts crash, are taken over, paused, cut off.
    pub(crate) hosts_fail: bool,
    /// So many of a thousand clients use temporary keys.
    pub(crate) pfs_per_mille: u64,
    /// Clients destroy their keys and begin anew.
    pub(crate) keys_end: bool,
    /// Clocks of clients are wrong by up to so many seconds.
    pub(crate) skew_s: u64,
    /// Between two acts of the stranger on the wire, in milliseconds; `None`: there is none.
    pub(crate) attack_ms: Option<(u64, u64)>,
}

impl Plan {
    /// Draws a plan.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, PURPOSE);
        let kind = seed % KINDS;
        let is_fast = dice.chance(700);
        Self {
            clients: dice.index(6) + 2,
            busy: Duration::from_secs(if is_fast {
                dice.between(20, 90)
            } else {
                dice.between(200, 4_000)
            }),
            pause_ms: if is_fast { (1, 400) } else { (100, 20_000) },
            delay_ms: dice.pick(&[(0, 0), (1, 40), (20, 200), (0, 3_000)], (0, 0)),
            hop_ms: dice.pick(&[(0, 0), (0, 2), (0, 100)], (0, 0)),
            split_per_mille: dice.pick(&[0, 100, 600], 0),
            fault_ms: (kind > 0).then(|| dice.pick(&[(200, 4_000), (2_000, 30_000)], (1, 1))),
            hosts_fail: kind > 1,
            keys_end: dice.chance(400),
            pfs_per_mille: dice.pick(&[0, 500, 1000], 0),
            skew_s: if kind > 2 {
                dice.pick(&[0, 20, 600], 0)
            } else {
                0
            },
            attack_ms: dice.chance(700).then_some((100, 4_000)),
        }
    }

    /// Tells whether no call may run twice and no client may begin anew.
    pub(crate) const fn is_calm(&self) -> bool {
        !self.hosts_fail && self.skew_s == 0
    }
}

/// Calm; connections fail; hosts fail, too; clocks are wrong, too.
const KINDS: u64 = 4;
const PURPOSE: u64 = 1;
