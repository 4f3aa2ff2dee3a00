//! Methods of no schema but ours, for tests that count what is run.
//!
//! ```text
//! test.count#7e570011 token:long = test.Count;    answered with itself, at once or a few milliseconds later
//! test.never#7e570012 token:long = test.Never;    counted and never answered
//! ```

use std::time::Duration;

use heliogram_ports::{Answer, Call, Reply};

use super::ledger::Ledger;

/// Constructor id of `test.count`.
pub const COUNT: u32 = 0x7e57_0011;

/// Constructor id of `test.never`.
pub const NEVER: u32 = 0x7e57_0012;

/// Writes one of these methods.
#[must_use]
pub fn body(method: u32, token: i64) -> [u8; 12] {
    let mut body = [0; 12];
    body[..4].copy_from_slice(&method.to_le_bytes());
    body[4..].copy_from_slice(&token.to_le_bytes());
    body
}

/// Reads the token out of one of these methods, or out of an answer.
#[must_use]
pub fn token(body: &[u8]) -> Option<i64> {
    let (_, token) = body.split_first_chunk::<4>()?;
    Some(i64::from_le_bytes(token.try_into().ok()?))
}

pub(super) fn run(ledger: &Ledger, method: u32, call: &Call) -> Option<Answer> {
    if method != COUNT && method != NEVER {
        return None;
    }
    let token = token(&call.body)?;
    ledger.run(token);
    if method == NEVER {
        return Some(Answer::Later(Box::pin(std::future::pending())));
    }
    let reply = Reply::Result(call.body.clone());
    let later = Duration::from_millis(token.unsigned_abs() % 7);
    if later.is_zero() {
        return Some(Answer::Now(reply));
    }
    Some(Answer::Later(Box::pin(async move {
        tokio::time::sleep(later).await;
        reply
    })))
}
