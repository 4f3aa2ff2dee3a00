//! Requests for differences, under way.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use grammers_tl_types::{enums, functions, types};
use heliogram_proto::remedy::Remedy;
use heliogram_proto::updates::client::Request;
use tokio::task::{Id, JoinSet};

use crate::Client;
use crate::error::InvokeError;
use crate::limits::{CHANNEL_DIFFERENCE_EVENTS, CHANNEL_REQUESTS_MAX};

/// What the server has answered.
#[derive(Debug)]
pub(super) enum Answer {
    Channel(Box<enums::updates::ChannelDifference>),
    Difference(enums::updates::Difference),
    State(enums::updates::State),
}

/// A request, and what became of it; no outcome if the task that made it has died.
pub(super) type Done = (Request, Option<Result<Answer, InvokeError>>);

/// Requests that are under way, and those that wait for their turn. Dropping this gives them up.
#[derive(Debug, Default)]
pub(super) struct Requests {
    tasks: JoinSet<Result<Answer, InvokeError>>,
    running: HashMap<Id, Request>,
    /// Of channels: one for each at most.
    waiting: VecDeque<Request>,
    channels_running: usize,
}

impl Requests {
    /// Takes a request on.
    pub(super) fn add(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Returns a request whose turn it is.
    pub(super) fn turn(&mut self) -> Option<Request> {
        let has_room = self.channels_running < CHANNEL_REQUESTS_MAX;
        let is_next = |it: &Request| has_room || !is_of_channel(*it);
        let at = self.waiting.iter().position(is_next)?;
        self.waiting.remove(at)
    }

    /// Makes a request. `access_hash` is what its channel is called upon with.
    pub(super) fn start(&mut self, client: Client, request: Request, access_hash: i64) {
        let task = self.tasks.spawn(async move {
            let outcome = ask(&client, request, access_hash).await;
            tokio::time::sleep(pause_after(&outcome)).await;
            outcome
        });
        self.channels_running += usize::from(is_of_channel(request));
        self.running.insert(task.id(), request);
    }

    /// Waits for an answer; for ever if there is none to wait for. May be dropped at any time: nothing is lost.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            let (id, outcome) = match self.tasks.join_next_with_id().await {
                Some(Ok((id, outcome))) => (id, Some(outcome)),
                Some(Err(died)) => (died.id(), None),
                None => std::future::pending().await,
            };
            if let Some(request) = self.running.remove(&id) {
                self.channels_running -= usize::from(is_of_channel(request));
                return (request, outcome);
            }
        }
    }
}

async fn ask(client: &Client, request: Request, access_hash: i64) -> Result<Answer, InvokeError> {
    match request {
        Request::State => {
            let method = functions::updates::GetState {};
            client.invoke(&method).await.map(Answer::State)
        }
        Request::Difference { state } => {
            let method = functions::updates::GetDifference {
                pts: state.pts,
                pts_limit: None,
                pts_total_limit: None,
                date: state.date,
                qts: state.qts,
                qts_limit: None,
            };
            client.invoke(&method).await.map(Answer::Difference)
        }
        Request::ChannelDifference { channel_id, pts } => {
            let channel = types::InputChannel {
                channel_id,
                access_hash,
            };
            let method = functions::updates::GetChannelDifference {
                force: false,
                channel: channel.into(),
                filter: enums::ChannelMessagesFilter::Empty,
                pts,
                limit: CHANNEL_DIFFERENCE_EVENTS,
            };
            let answer = client.invoke(&method).await;
            answer.map(|it| Answer::Channel(Box::new(it)))
        }
    }
}

/// Returns how long the server wants to be left alone: longer than the client waits by itself.
fn pause_after<T>(outcome: &Result<T, InvokeError>) -> Duration {
    let Err(InvokeError::Rpc(error)) = outcome else {
        return Duration::ZERO;
    };
    match error.remedy() {
        Remedy::Wait(time) => time,
        Remedy::Bind | Remedy::Introduce | Remedy::Migrate(_) | Remedy::None | Remedy::Retry => {
            Duration::ZERO
        }
    }
}

const fn is_of_channel(request: Request) -> bool {
    matches!(request, Request::ChannelDifference { .. })
}

#[cfg(test)]
mod tests {
    use heliogram_proto::port;

    use crate::RpcError;

    use super::*;

    #[test]
    fn the_accounts_own_request_does_not_wait_for_those_of_channels() {
        let mut requests = Requests {
            channels_running: CHANNEL_REQUESTS_MAX - 1,
            ..Requests::default()
        };
        let channel = |channel_id| Request::ChannelDifference { channel_id, pts: 1 };
        for request in [channel(7), channel(8), Request::State] {
            requests.add(request);
        }
        assert_eq!(requests.turn(), Some(channel(7)));
        requests.channels_running += 1;
        assert_eq!(requests.turn(), Some(Request::State));
        assert_eq!(requests.turn(), None, "as many channels as may be");
        requests.channels_running -= 1;
        assert_eq!(requests.turn(), Some(channel(8)));
    }

    #[test]
    fn a_server_that_wants_to_be_left_alone_is_and_any_other_is_not() {
        let refused = |code, message: &str| {
            let message = message.to_owned();
            let error = RpcError::from(port::RpcError { code, message });
            pause_after::<()>(&Err(error.into()))
        };
        assert_eq!(refused(420, "FLOOD_WAIT_300"), Duration::from_secs(300));
        assert_eq!(refused(500, "HISTORY_GET_FAILED"), Duration::ZERO);
        assert_eq!(pause_after(&Ok(())), Duration::ZERO);
        let late = pause_after::<()>(&Err(InvokeError::TimedOut));
        assert_eq!(late, Duration::ZERO);
    }
}
