use heliogram_crypto::AuthKey;
use rand_core::{Infallible, TryCryptoRng, TryRng};

use super::*;
use crate::cx::{Now, Unix};
use crate::port::{KeyFacts, KeyKind};

#[test]
fn a_key_is_looked_up_once_however_many_links_want_it() {
    let mut cache = Cache::new();
    assert!(matches!(cache.want(1, ID), [Effect::Load { id: ID }]));
    assert!(cache.want(2, ID).is_empty());

    let outcomes = cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Present(permanent()),
    });
    assert!(matches!(
        outcomes,
        [
            Effect::Outcome {
                link: LinkId(1),
                outcome: KeyOutcome::Present(_),
                ..
            },
            Effect::Outcome {
                link: LinkId(2),
                outcome: KeyOutcome::Present(_),
                ..
            },
        ]
    ));
    assert!(is_present(cache.want(3, ID)));
}

#[test]
fn a_key_is_held_while_used_and_60_s_after() {
    let mut cache = Cache::with(permanent());
    assert!(is_present(cache.want(1, ID)));
    cache.advance(Duration::from_secs(3600));
    assert_eq!(cache.cache.next_deadline(), None);
    assert_eq!(cache.cache.len(), 1);

    cache.release(1);
    cache.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(cache.cache.len(), 1);
    cache.advance(Duration::from_nanos(1));
    assert!(cache.cache.is_empty());
}

#[test]
fn a_key_used_by_two_links_is_not_let_go_by_the_first() {
    let mut cache = Cache::with(permanent());
    cache.want(1, ID);
    cache.want(2, ID);
    cache.release(1);
    assert_eq!(cache.cache.next_deadline(), None);
    cache.release(2);
    assert!(cache.cache.next_deadline().is_some());
}

#[test]
fn that_a_key_is_absent_is_believed_for_2_s() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Absent,
    });
    cache.advance(Duration::from_secs(2) - Duration::from_nanos(1));
    assert!(matches!(
        cache.want(2, ID),
        [Effect::Outcome {
            outcome: KeyOutcome::Absent,
            ..
        }]
    ));
    cache.advance(Duration::from_nanos(1));
    assert!(matches!(cache.want(3, ID), [Effect::Load { .. }]));
}

#[test]
fn that_the_store_is_unavailable_is_not_remembered() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    let outcomes = cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Unavailable,
    });
    assert!(matches!(
        outcomes,
        [Effect::Outcome {
            outcome: KeyOutcome::Unavailable,
            ..
        }]
    ));
    assert!(matches!(cache.want(2, ID), [Effect::Load { .. }]));
}

#[test]
fn an_expired_key_is_absent() {
    let mut cache = Cache::with(temporary(START_S + 10));
    cache.advance(Duration::from_secs(9));
    assert!(is_present(cache.want(1, ID)));
    cache.advance(Duration::from_secs(1));
    assert!(matches!(
        cache.want(2, ID),
        [Effect::Outcome {
            outcome: KeyOutcome::Absent,
            ..
        }]
    ));
}

#[test]
fn a_key_that_was_made_is_found_without_a_look_up_even_if_it_was_absent_just_now() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Absent,
    });
    cache.handle(Input::Made(permanent()));
    assert!(is_present(cache.want(2, ID)));
}

#[test]
fn as_many_look_ups_run_as_may_and_no_more() {
    let mut cache = Cache::new();
    cache.cache.config.loads_max = 2;
    assert!(matches!(cache.want(1, AuthKeyId(1)), [Effect::Load { .. }]));
    assert!(matches!(cache.want(1, AuthKeyId(2)), [Effect::Load { .. }]));
    let refused = cache.want(1, AuthKeyId(3));
    assert!(matches!(
        refused,
        [Effect::Outcome {
            outcome: KeyOutcome::Unavailable,
            ..
        }]
    ));
    cache.handle(Input::Loaded {
        id: AuthKeyId(1),
        outcome: KeyOutcome::Absent,
    });
    assert!(matches!(cache.want(1, AuthKeyId(3)), [Effect::Load { .. }]));
}

#[test]
fn what_nobody_uses_makes_room_in_the_order_of_its_end() {
    let mut cache = Cache::with(permanent());
    cache.cache.config.unused_max = 2;
    for id in [AuthKeyId(1), AuthKeyId(2)] {
        cache.want(1, id);
        cache.handle(Input::Loaded {
            id,
            outcome: KeyOutcome::Absent,
        });
    }
    assert_eq!(cache.cache.len(), 2);
    assert!(is_present(cache.want(1, ID)));
    assert!(matches!(cache.want(1, AuthKeyId(1)), [Effect::Load { .. }]));
}

#[test]
fn a_link_that_is_gone_gets_no_outcome() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.want(2, ID);
    cache.handle(Input::Forget {
        link: LinkId(1),
        id: ID,
    });
    let outcomes = cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Absent,
    });
    assert!(matches!(
        outcomes,
        [Effect::Outcome {
            link: LinkId(2),
            ..
        }]
    ));
}

#[test]
fn a_link_that_goes_while_its_outcome_is_on_its_way_holds_the_key_no_longer() {
    let mut at_hand = Cache::with(permanent());
    assert!(is_present(at_hand.want(1, ID)));
    at_hand.handle(Input::Forget {
        link: LinkId(1),
        id: ID,
    });
    at_hand.advance(Duration::from_secs(60));
    assert!(at_hand.cache.is_empty());

    let mut loaded = Cache::new();
    loaded.want(1, ID);
    loaded.want(2, ID);
    loaded.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Present(permanent()),
    });
    loaded.handle(Input::Forget {
        link: LinkId(1),
        id: ID,
    });
    loaded.advance(Duration::from_secs(60));
    assert_eq!(loaded.cache.len(), 1, "the other link uses it");
    loaded.release(2);
    loaded.advance(Duration::from_secs(60));
    assert!(loaded.cache.is_empty());
}

#[test]
fn a_key_whose_links_are_all_gone_before_it_came_is_let_go_after_60_s() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.handle(Input::Forget {
        link: LinkId(1),
        id: ID,
    });
    cache.handle(Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Present(permanent()),
    });
    cache.advance(Duration::from_secs(60));
    assert!(cache.cache.is_empty());
}

#[test]
fn each_link_that_holds_a_key_hears_once_that_it_is_bound_and_later_links_find_it_so() {
    let mut cache = Cache::with(temporary(START_S + 10));
    cache.want(1, ID);
    cache.want(2, ID);
    let bound = Input::Bound { facts: bound() };
    let told = perms(cache.handle(bound.clone()));
    assert_eq!(told, [(LinkId(1), Some(PERM)), (LinkId(2), Some(PERM))]);
    assert!(cache.handle(bound).is_empty(), "they know");
    assert_eq!(perms(cache.want(3, ID)), [(LinkId(3), Some(PERM))]);
}

#[test]
fn a_key_that_is_bound_or_revoked_while_the_store_is_asked_is_found_so() {
    let loaded = || Input::Loaded {
        id: ID,
        outcome: KeyOutcome::Present(temporary(START_S + 10)),
    };
    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.handle(Input::Bound { facts: bound() });
    assert_eq!(perms(cache.handle(loaded())), [(LinkId(1), Some(PERM))]);

    let mut cache = Cache::new();
    cache.want(1, ID);
    cache.handle(Input::Revoked { id: ID });
    cache.handle(Input::Bound { facts: bound() });
    assert!(matches!(
        cache.handle(loaded()),
        [Effect::Outcome {
            outcome: KeyOutcome::Absent,
            ..
        }]
    ));
}

#[test]
fn a_revoked_key_is_held_by_nobody_and_looked_up_anew() {
    let mut cache = Cache::with(permanent());
    cache.want(1, ID);
    let told = cache.handle(Input::Revoked { id: ID });
    assert!(matches!(
        told,
        [Effect::Revoked {
            link: LinkId(1),
            id: ID
        }]
    ));
    assert!(cache.cache.is_empty());
    cache.release(1);
    assert!(matches!(cache.want(2, ID), [Effect::Load { .. }]));
}

#[test]
fn keys_of_doubted_partitions_are_held_by_nobody_and_looked_up_anew_and_others_are_not() {
    let of = |id| Partition::of(Identity(id));
    // By its own id, by the key that it is bound to, or by neither.
    for (doubted, is_doubted) in [(of(ID), true), (of(PERM), true), (of(AuthKeyId(1)), false)] {
        let mut cache = Cache::with(temporary(u32::MAX));
        cache.want(1, ID);
        cache.handle(Input::Bound { facts: bound() });
        let partitions = vec![doubted];
        let told = cache.handle(Input::Doubted { partitions });
        let expected = [(LinkId(1), ID)];
        let doubts = told.iter().filter_map(|it| match it {
            Effect::Doubted { link, id } => Some((*link, *id)),
            Effect::Load { .. } | Effect::Outcome { .. } | Effect::Revoked { .. } => None,
        });
        let doubts: Vec<_> = doubts.collect();
        assert_eq!(doubts, expected[..usize::from(is_doubted)]);
        let told = cache.want(1, ID);
        assert_eq!(matches!(told, [Effect::Load { .. }]), is_doubted);
    }
}

#[test]
fn a_store_that_was_asked_before_the_doubt_is_asked_again_and_then_believed() {
    let mut cache = Cache::new();
    cache.want(1, ID);
    let partitions = Partition::all().collect();
    assert!(cache.handle(Input::Doubted { partitions }).is_empty());
    let outcome = || KeyOutcome::Present(permanent());
    let loaded = |outcome| Input::Loaded { id: ID, outcome };
    assert!(matches!(
        cache.handle(loaded(outcome())),
        [Effect::Load { id: ID }]
    ));
    assert!(is_present(cache.handle(loaded(outcome()))));
}

#[test]
fn what_is_said_of_a_key_that_is_not_held_changes_nothing() {
    let mut cache = Cache::new();
    assert!(cache.handle(Input::Bound { facts: bound() }).is_empty());
    assert!(cache.handle(Input::Revoked { id: ID }).is_empty());
    assert!(cache.cache.is_empty());
}

const ID: AuthKeyId = AuthKeyId(77);
const PERM: AuthKeyId = AuthKeyId(78);
const START_S: u32 = 1_700_000_000;

struct Cache {
    cache: KeyCache,
    now: Now,
    effects: Vec<Effect>,
}

impl Cache {
    fn new() -> Self {
        let now = Now {
            mono: Mono(1),
            unix: Unix::from_seconds(START_S.into()),
        };
        Self {
            cache: KeyCache::new(Config::default()),
            now,
            effects: Vec::new(),
        }
    }

    fn with(record: Arc<KeyRecord>) -> Self {
        let mut cache = Self::new();
        cache.handle(Input::Made(record));
        cache
    }

    fn want(&mut self, link: u64, id: AuthKeyId) -> &[Effect] {
        self.handle(Input::Want {
            link: LinkId(link),
            id,
        })
    }

    fn release(&mut self, link: u64) {
        self.handle(Input::Release {
            link: LinkId(link),
            id: ID,
        });
    }

    fn handle(&mut self, input: Input) -> &[Effect] {
        self.effects.clear();
        let mut cx = Cx {
            now: self.now,
            rng: &mut NoRng,
            out: &mut self.effects,
        };
        self.cache.handle(input, &mut cx);
        &self.effects
    }

    fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono + by;
        self.now.unix = Unix(self.now.unix.0 + u64::try_from(by.as_nanos()).unwrap());
        self.cache.handle_deadline(self.now.mono);
    }
}

fn is_present(effects: &[Effect]) -> bool {
    matches!(
        effects,
        [Effect::Outcome {
            outcome: KeyOutcome::Present(_),
            ..
        }]
    )
}

/// Returns which links get the key, and to what it is bound.
fn perms(effects: &[Effect]) -> Vec<(LinkId, Option<AuthKeyId>)> {
    let perms = effects.iter().filter_map(|effect| {
        let Effect::Outcome { link, outcome, .. } = effect else {
            return None;
        };
        let KeyOutcome::Present(record) = outcome else {
            return None;
        };
        Some((*link, record.facts.perm))
    });
    perms.collect()
}

/// Returns the facts of the key once it is bound.
fn bound() -> KeyFacts {
    temporary(START_S + 10)
        .facts
        .bind(PERM, START_S + 9)
        .unwrap()
}

fn permanent() -> Arc<KeyRecord> {
    record(KeyKind::Permanent)
}

fn temporary(expires_at_unix_s: u32) -> Arc<KeyRecord> {
    record(KeyKind::Temporary { expires_at_unix_s })
}

fn record(kind: KeyKind) -> Arc<KeyRecord> {
    let facts = KeyFacts {
        id: ID,
        kind,
        perm: None,
        dc: None,
        first_salt: None,
    };
    Arc::new(KeyRecord {
        facts,
        key: AuthKey::new([7; 256]),
        created_at_unix_s: START_S.into(),
    })
}

/// A cache draws nothing.
struct NoRng;

impl TryRng for NoRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!()
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!()
    }
}

impl TryCryptoRng for NoRng {}
