//! What every place for users must do.

use crate::conformance::record;
use crate::{AuthKeys, Inserted, KeyKind, Users};
use heliogram_proto::ids::{AuthKeyId, Identity};

/// Runs every rule of [`Users`], on users and keys of the same store.
///
/// # Panics
///
/// When a rule is broken.
pub async fn users(users: &dyn Users, keys: &dyn AuthKeys) {
    let key = record(50, KeyKind::Permanent);
    let id = key.facts.id;
    let identity = Identity(id);

    // Nothing is kept of a key that is not there.
    assert_eq!(users.find_user(identity).await, Ok(None));
    assert_eq!(users.keep_user(identity, Some(1)).await, Ok(()));
    assert_eq!(users.find_user(identity).await, Ok(None));

    assert_eq!(keys.insert(key.clone()).await, Ok(Inserted::Stored));
    assert_eq!(users.find_user(identity).await, Ok(None));
    for user in [Some(i64::MAX), Some(2), Some(2), None, None, Some(-3)] {
        assert_eq!(users.keep_user(identity, user).await, Ok(()));
        assert_eq!(users.find_user(identity).await, Ok(user));
    }
    let other = Identity(AuthKeyId(!id.0));
    assert_eq!(users.find_user(other).await, Ok(None));

    // A user goes with the key.
    assert_eq!(keys.remove(id).await, Ok(vec![id]));
    assert_eq!(users.find_user(identity).await, Ok(None));
    assert_eq!(keys.insert(key).await, Ok(Inserted::Stored));
    assert_eq!(users.find_user(identity).await, Ok(None));
}
