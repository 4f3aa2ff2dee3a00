//! What becomes of a call until it has its outcome: waits, other data centres, further tries.
//!
//! ```text
//!  invoke_body: which data centre, whether anybody is signed in there     (migrations, AUTH_KEY_UNREGISTERED)
//!    └─ steady: one line, as often as it helps                            (FLOOD_WAIT, 500, introductions)
//!         └─ Line::call: once
//! ```

use bytes::Bytes;
use heliogram_ports::random;
use heliogram_proto::dc::{Migration, Moves};
use heliogram_proto::remedy::Remedy;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::InvokeError;
use crate::limits::CALL_TIME_MAX;
use crate::line::Line;
use crate::lines::Lane;
use crate::passes::{Way, is_unregistered};
use crate::retry::Tries;

/// How far a call may go: shared by all that is done for its sake.
pub(crate) struct Course {
    pub(crate) due: Instant,
    tries: Tries,
}

impl Client {
    /// Returns when a call that begins now is to have its answer.
    pub(crate) fn due(&self) -> Instant {
        Instant::now() + self.inner.setup.call_time_max.min(CALL_TIME_MAX)
    }

    pub(crate) fn course(&self) -> Course {
        Course {
            due: self.due(),
            tries: Tries::new(self.inner.setup.flood_wait_max),
        }
    }

    /// Makes a call at a data centre, or at home, and whatever helps it.
    pub(crate) async fn invoke_body(
        &self,
        dc: Option<i32>,
        body: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let mut dc = dc;
        self.invoke_on(Lane::Main, &mut dc, body).await
    }

    /// As [`Client::invoke_body`], on any kind of line. `dc` is where the call has got to.
    pub(crate) async fn invoke_on(
        &self,
        lane: Lane,
        dc: &mut Option<i32>,
        body: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let mut course = self.course();
        let mut old_home = None;
        loop {
            let at = dc.unwrap_or_else(|| self.home());
            let seen = self.inner.passes.count(at);
            let line = self.reach_by(lane, at, course.due).await?;
            let error = match self.steady(&line, &body, &mut course).await {
                Err(InvokeError::Rpc(error)) => error,
                outcome => return outcome,
            };
            if let Remedy::Migrate(to) = error.remedy() {
                let allowed = course.tries.allow(error.remedy(), &mut random::lend());
                if allowed.is_none() {
                    return Err(InvokeError::Rpc(error));
                }
                let home = self.home();
                *dc = self.follow(to, course.due).await?;
                old_home = old_home.or((self.home() != home).then_some(home));
                continue;
            }
            let home = self.home();
            let from = if at == home { old_home } else { Some(home) };
            match from.filter(|_| is_unregistered(&error) && course.tries.allow_pass()) {
                Some(from) => {
                    let way = Way { from, to: at, seen };
                    self.pass(way, error, &mut course).await?;
                }
                None => return Err(InvokeError::Rpc(error)),
            }
        }
    }

    /// Makes a call on one line, again if that helps and the course allows it.
    pub(crate) async fn steady(
        &self,
        line: &Line,
        body: &Bytes,
        course: &mut Course,
    ) -> Result<Bytes, InvokeError> {
        loop {
            let error = match line.call(body.clone(), course.due).await {
                Err(InvokeError::Rpc(error)) => error,
                outcome => return outcome,
            };
            let remedy = error.remedy();
            if matches!(remedy, Remedy::Migrate(_)) {
                return Err(InvokeError::Rpc(error));
            }
            let wait = course.tries.allow(remedy, &mut random::lend());
            // What would be made again after its time is the caller's to make.
            let Some(wait) = wait.filter(|it| Instant::now() + *it < course.due) else {
                return Err(InvokeError::Rpc(error));
            };
            if remedy == Remedy::Introduce {
                line.introduce();
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Goes where an error says. Returns where the call belongs; `None` for home, which may be another one now.
    async fn follow(&self, to: Migration, due: Instant) -> Result<Option<i32>, InvokeError> {
        self.reach(to.dc, due).await?;
        if to.moves == Moves::Account {
            let shared = &self.inner.shared;
            shared.keep_with(|kept| kept.home = Some(to.dc));
        }
        Ok((to.moves == Moves::Request).then_some(to.dc))
    }
}
