//! The lines of a client: one to each data centre for calls and updates, and beside it a few that carry files.
//!
//! ```text
//!  data centre 2   main line   permanent key, made here        calls, updates
//!                  file line 0 the same key, its own session   parts of files
//!                  file line 1 …                               begun by need, ended when idle
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use heliogram_proto::client::Saved;
use heliogram_proto::dc::Purpose;
use tokio::time::Instant;

use crate::client::Client;
use crate::dial::Route;
use crate::error::{InvokeError, Lost};
use crate::introduction::Introduction;
use crate::limits::FILE_LINE_IDLE_MAX;
use crate::line::{Line, Listener, Plan};

/// The lines of a client.
#[derive(Default)]
pub(crate) struct Lines {
    main: BTreeMap<i32, Line>,
    files: BTreeMap<(i32, usize), FileLine>,
    /// The client was shut down: none is begun any more.
    is_closed: bool,
}

/// Which of the lines to a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The one for calls and updates.
    Main,
    /// One of those for files.
    #[cfg_attr(
        not(feature = "layer-222"),
        expect(dead_code, reason = "files are of the API")
    )]
    Files(usize),
}

struct FileLine {
    line: Line,
    listener: Arc<FileListener>,
    used: Instant,
}

/// Hears nothing but that the key is gone.
#[derive(Default)]
struct FileListener {
    is_keyless: AtomicBool,
}

impl Lines {
    /// Begins no line any more, and returns those that there are.
    pub(crate) fn close(&mut self) -> Vec<Line> {
        self.is_closed = true;
        let files = self.files.values().map(|it| &it.line);
        self.main.values().chain(files).cloned().collect()
    }

    /// Ends lines for files that nobody has used for a while.
    pub(crate) fn prune(&mut self) {
        self.files.retain(|_, it| {
            let is_idle = it.used.elapsed() >= FILE_LINE_IDLE_MAX && it.line.is_idle();
            !is_idle && it.is_good()
        });
    }

    /// Says anew where data centres are.
    pub(crate) fn reroute(&self, route: impl Fn(i32, Purpose) -> Option<Route>) {
        for (&dc, line) in &self.main {
            if let Some(route) = route(dc, Purpose::Main) {
                line.reroute(route);
            }
        }
        // Those for files are begun anew soon enough.
    }
}

impl FileLine {
    fn is_good(&self) -> bool {
        !self.line.has_failed() && !self.listener.is_keyless.load(Ordering::Relaxed)
    }
}

impl Client {
    /// Returns the main line to a data centre, begun if it is not there, or if the one that was there has given up.
    pub(crate) fn line(&self, dc: i32) -> Result<Line, InvokeError> {
        let inner = &self.inner;
        let mut lines = inner.lines.lock();
        let known = lines.main.get(&dc);
        if let Some(line) = known.filter(|it| lines.is_closed || !it.has_failed()) {
            return Ok(line.clone());
        }
        let saved = inner.shared.kept.lock().keys.get(&dc).cloned();
        let introduction = Arc::clone(&inner.introduction);
        let listener = Arc::<_>::clone(&inner.shared);
        let plan = self.plan(dc, Purpose::Main, (saved, introduction, listener))?;
        if lines.is_closed {
            return Err(InvokeError::ConnectionLost(Lost::ShutDown));
        }
        let line = Line::start(plan);
        lines.main.insert(dc, line.clone());
        Ok(line)
    }

    /// As [`Client::line`], or one of the lines for files: they use the key of the main one, which is waited for.
    pub(crate) async fn reach_by(
        &self,
        lane: Lane,
        dc: i32,
        due: Instant,
    ) -> Result<Line, InvokeError> {
        let main = self.reach(dc, due).await?;
        let Lane::Files(number) = lane else {
            return Ok(main);
        };
        let ready = tokio::time::timeout_at(due, main.ready()).await;
        ready
            .map_err(|_| InvokeError::TimedOut)?
            .map_err(InvokeError::ConnectionLost)?;
        let saved = self.inner.shared.kept.lock().keys.get(&dc).cloned();
        // A key that is lost just now is being made anew: the main line takes the call once there is one.
        saved.map_or(Ok(main), |saved| self.file_line(dc, number, saved))
    }

    fn file_line(&self, dc: i32, number: usize, saved: Saved) -> Result<Line, InvokeError> {
        let inner = &self.inner;
        let mut lines = inner.lines.lock();
        if lines.is_closed {
            return Err(InvokeError::ConnectionLost(Lost::ShutDown));
        }
        if let Some(known) = lines.files.get_mut(&(dc, number))
            && known.is_good()
        {
            known.used = Instant::now();
            return Ok(known.line.clone());
        }
        let introduction = Arc::new(Introduction {
            without_updates: true,
            ..Introduction::clone(&inner.introduction)
        });
        let listener = Arc::new(FileListener::default());
        let heard = Arc::<FileListener>::clone(&listener);
        let plan = self.plan(dc, Purpose::Media, (Some(saved), introduction, heard))?;
        let line = Line::start(plan);
        let file_line = FileLine {
            line: line.clone(),
            listener,
            used: Instant::now(),
        };
        lines.files.insert((dc, number), file_line);
        Ok(line)
    }

    fn plan(
        &self,
        dc: i32,
        purpose: Purpose,
        (saved, introduction, listener): (Option<Saved>, Arc<Introduction>, Arc<dyn Listener>),
    ) -> Result<Plan, InvokeError> {
        let setup = &self.inner.setup;
        let route = setup.route(dc, purpose);
        let route = route.ok_or(InvokeError::UnknownDataCentre(dc))?;
        Ok(Plan {
            dc,
            config: setup.engine(dc, &route),
            clock: setup.clock,
            route,
            saved,
            introduction,
            listener,
        })
    }
}

impl Listener for FileListener {
    /// The main line keeps keys; a temporary one is not kept, and a permanent one is not made here to stay.
    fn keep(&self, _: i32, _: Saved) {}

    fn key_lost(&self, _: i32) {
        self.is_keyless.store(true, Ordering::Relaxed);
    }

    fn update(&self, _: i32, _: Bytes) {}

    /// Results of parts have no updates in them.
    #[cfg(feature = "layer-222")]
    fn result(&self, _: i32, _: &Bytes, _: &Bytes) {}

    fn missed(&self, _: i32) {}

    fn connected(&self, _: i32, _: bool) {}
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::builder::Builder;
    use crate::reach::DataCentre;

    #[tokio::test(start_paused = true)]
    async fn a_file_line_ends_once_it_was_idle_for_half_a_minute_and_not_before() {
        let mut lines = lines_with(file_line());
        tokio::time::advance(FILE_LINE_IDLE_MAX - Duration::from_millis(1)).await;
        lines.prune();
        assert_eq!(lines.files.len(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        lines.prune();
        assert_eq!(lines.files.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_line_that_carries_a_part_stays_however_long_it_takes() {
        let file_line = file_line();
        let line = file_line.line.clone();
        let mut lines = lines_with(file_line);
        let due = Instant::now() + FILE_LINE_IDLE_MAX * 10;
        let call = tokio::spawn(async move { line.call(Bytes::from_static(&[0; 4]), due).await });
        tokio::task::yield_now().await;
        tokio::time::advance(FILE_LINE_IDLE_MAX * 2).await;
        lines.prune();
        assert_eq!(lines.files.len(), 1);
        call.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_line_whose_key_is_gone_ends_at_once() {
        let file_line = file_line();
        let listener = Arc::clone(&file_line.listener);
        let mut lines = lines_with(file_line);
        lines.prune();
        assert_eq!(lines.files.len(), 1);
        listener.key_lost(2);
        lines.prune();
        assert_eq!(lines.files.len(), 0);
    }

    fn lines_with(file_line: FileLine) -> Lines {
        let mut lines = Lines::default();
        lines.files.insert((2, 0), file_line);
        lines
    }

    /// One that nobody listens at the other end of: it tries again for ever.
    fn file_line() -> FileLine {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let builder = Builder::default().telegram().api_id(4).api_hash("hash");
        let builder = builder.data_centre(DataCentre::new(2, [nobody]));
        let setup = builder.into_setup().unwrap();
        let route = setup.route(2, Purpose::Media).unwrap();
        let listener = Arc::new(FileListener::default());
        let plan = Plan {
            dc: 2,
            config: setup.engine(2, &route),
            clock: setup.clock,
            route,
            saved: None,
            introduction: Arc::new(setup.introduction),
            listener: Arc::<FileListener>::clone(&listener),
        };
        FileLine {
            line: Line::start(plan),
            listener,
            used: Instant::now(),
        }
    }
}
