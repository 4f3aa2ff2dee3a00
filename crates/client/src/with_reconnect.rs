//! A policy of reconnection around anything that can fail.

use std::future::Future;
use std::ops::ControlFlow;

use heliogram_ports::random;
use heliogram_proto::reconnect::{Attempts, Policy};

/// Does something again and again until it succeeds, or the policy allows no further try: then its last error is the
/// outcome. Between two tries it waits as long as the policy says.
///
/// ```
/// use std::time::Duration;
///
/// use heliogram_client::{Reconnect, with_reconnect};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = Reconnect {
///     first: Duration::from_millis(1),
///     attempts_max: Some(5),
///     ..Reconnect::default()
/// };
/// let mut tries = 0;
/// let outcome = with_reconnect(policy, || {
///     tries += 1;
///     async move { if tries < 3 { Err("not yet") } else { Ok(tries) } }
/// });
/// assert_eq!(outcome.await, Ok(3));
/// # }
/// ```
///
/// # Errors
///
/// The last error of `operation`.
pub async fn with_reconnect<T, E, F>(
    policy: Policy,
    mut operation: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let tried = || {
        let running = operation();
        async { running.await.map_err(ControlFlow::Continue) }
    };
    with_reconnect_if(policy, tried).await
}

/// Does the same, but an error within [`ControlFlow::Break`] is the outcome at once: one that waiting does not mend.
///
/// # Errors
///
/// The last error of `operation`.
pub async fn with_reconnect_if<T, E, F>(
    policy: Policy,
    mut operation: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, ControlFlow<E, E>>>,
{
    let mut attempts = Attempts::new(policy);
    loop {
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(ControlFlow::Break(error)) => return Err(error),
            Err(ControlFlow::Continue(error)) => error,
        };
        let pause = attempts.next_pause(&mut random::lend());
        let Some(pause) = pause else {
            return Err(error);
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn as_many_tries_are_made_as_the_policy_allows_and_the_last_error_is_the_outcome() {
        for (allowed, outcome) in [(2, Err(3)), (3, Ok(4))] {
            let mut tries = 0;
            let tried = with_reconnect(policy(allowed), || {
                tries += 1;
                async move { if tries == 4 { Ok(tries) } else { Err(tries) } }
            });
            assert_eq!(tried.await, outcome);
        }
    }

    #[tokio::test]
    async fn what_waiting_does_not_mend_is_the_outcome_at_once() {
        let mut tries = 0;
        let tried = with_reconnect_if(policy(5), || {
            tries += 1;
            async move {
                match tries {
                    1 => Err(ControlFlow::Continue("it rains")),
                    2 => Err(ControlFlow::Break("closed for good")),
                    _ => Ok(()),
                }
            }
        });
        assert_eq!(tried.await, Err("closed for good"));
    }

    #[tokio::test(start_paused = true)]
    async fn between_tries_it_waits_as_the_policy_says() {
        let start = tokio::time::Instant::now();
        let policy = Policy {
            jitter_percent: 0,
            attempts_max: Some(3),
            ..Policy::default()
        };
        let tried = with_reconnect(policy, || async { Err::<(), _>(()) });
        assert_eq!(tried.await, Err(()));
        // 1, 1.5 and 2.25 s.
        assert_eq!(start.elapsed(), Duration::from_millis(4750));
    }

    #[tokio::test]
    async fn it_can_be_a_task_of_its_own() {
        let task = tokio::spawn(with_reconnect(policy(1), || async { Ok::<_, ()>(7) }));
        assert_eq!(task.await.unwrap(), Ok(7));
    }

    fn policy(attempts_max: u32) -> Policy {
        Policy {
            first: Duration::from_millis(1),
            max: Duration::from_millis(1),
            attempts_max: Some(attempts_max),
            ..Policy::default()
        }
    }
}
