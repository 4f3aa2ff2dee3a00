//! A small pool of threads for the arithmetic of handshakes, with a bounded queue.
//!
//! RSA and Diffie-Hellman take a fraction of a millisecond to milliseconds: too long for a thread that serves
//! thousands of connections. Several together take less than one after the other, so a step waits for company, at most
//! [`COMPANY_MAX`]. When nothing waits, a thread works ahead. When the queue is full a step is handed back, and its peer
//! is told to come later.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use heliogram_ports::clock::Clock;
use heliogram_proto::cx::Mono;
use parking_lot::{Condvar, Mutex};

/// What the threads of a pool do, each with an own value of this.
pub(crate) trait Bench: Send + 'static {
    /// One step.
    type Step: Send;

    /// Which of the two kinds of steps it is.
    fn kind(step: &Self::Step) -> Kind;

    /// Steps of one kind that are best done together.
    fn company(&self) -> usize;

    /// Does steps of one kind.
    fn work(&mut self, steps: Vec<Self::Step>);

    /// Does something ahead, for about as long as a step; `false` if there is nothing.
    fn prepare(&mut self) -> bool;
}

/// Steps of one kind are done together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    First,
    Second,
}

/// The pool. Its threads end, after the steps at hand, when it is dropped.
pub(crate) struct Pool<S> {
    queue: Arc<Queue<S>>,
}

impl<S: Send + 'static> Pool<S> {
    /// Starts `workers` threads, at least one.
    pub(crate) fn start<B: Bench<Step = S>>(
        workers: usize,
        queue_max: usize,
        bench: impl Fn() -> B,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            clock: Clock::start(),
            queue_max,
        });
        let pool = Self { queue };
        for number in 0..workers.max(1) {
            let (queue, mut bench) = (Arc::clone(&pool.queue), bench());
            thread::Builder::new()
                .name(format!("handshake-{number}"))
                .spawn(move || queue.work(&mut bench))?;
        }
        Ok(pool)
    }

    /// Returns how many steps wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.state.lock().waiting.len()
    }

    /// Queues a step; hands it back if the queue is full.
    pub(crate) fn submit(&self, step: S) -> Result<(), S> {
        let since = self.queue.clock.now().mono;
        let mut state = self.queue.state.lock();
        if state.waiting.len() >= self.queue.queue_max {
            return Err(step);
        }
        state.waiting.push_back(Waiting { step, since });
        drop(state);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

struct Queue<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
    clock: Clock,
    queue_max: usize,
}

struct State<S> {
    /// Oldest first.
    waiting: VecDeque<Waiting<S>>,
    closed: bool,
}

struct Waiting<S> {
    step: S,
    since: Mono,
}

impl<S> Queue<S> {
    fn work<B: Bench<Step = S>>(&self, bench: &mut B) {
        while let Some(steps) = self.next(bench) {
            // A step tells whom it works for, when it is dropped, that nothing comes.
            if catch_unwind(AssertUnwindSafe(|| bench.work(steps))).is_err() {
                tracing::error!("a step of a handshake panicked");
            }
        }
    }

    /// Waits for steps of one kind: of that of the oldest, until it has enough company or has waited long enough.
    fn next<B: Bench<Step = S>>(&self, bench: &mut B) -> Option<Vec<S>> {
        let mut has_more_to_prepare = true;
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(until) = state.patience::<B>(bench.company()) {
                if self.clock.now().mono >= until {
                    return Some(state.take::<B>(bench.company()));
                }
                self.changed
                    .wait_until(&mut state, self.clock.instant(until));
            } else if has_more_to_prepare {
                drop(state);
                has_more_to_prepare = self.prepare(bench);
                state = self.state.lock();
            } else {
                self.changed.wait(&mut state);
            }
        }
    }

    fn prepare<B: Bench<Step = S>>(&self, bench: &mut B) -> bool {
        let prepared = catch_unwind(AssertUnwindSafe(|| bench.prepare()));
        if prepared.is_err() {
            tracing::error!("preparing handshakes panicked");
        }
        prepared.unwrap_or(false)
    }
}

impl<S> State<S> {
    /// Until when the oldest step waits for company; `None` if there is none.
    fn patience<B: Bench<Step = S>>(&self, company: usize) -> Option<Mono> {
        let oldest = self.waiting.front()?;
        let kind = B::kind(&oldest.step);
        let of_its_kind = self
            .waiting
            .iter()
            .filter(|other| B::kind(&other.step) == kind);
        let is_full = of_its_kind.take(company).count() == company;
        Some(if is_full {
            oldest.since
        } else {
            oldest.since + COMPANY_MAX
        })
    }

    /// Takes the oldest step and its company.
    fn take<B: Bench<Step = S>>(&mut self, company: usize) -> Vec<S> {
        let mut taken: Vec<S> = Vec::new();
        for waiting in core::mem::take(&mut self.waiting) {
            let is_company = taken
                .first()
                .is_none_or(|first| B::kind(first) == B::kind(&waiting.step));
            if is_company && taken.len() < company {
                taken.push(waiting.step);
            } else {
                self.waiting.push_back(waiting);
            }
        }
        taken
    }
}

/// How long a step waits for others, to be done together with them.
const COMPANY_MAX: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_many_steps_wait_as_may_and_one_more_is_handed_back() {
        let Setup { pool, events, go } = busy(2);
        assert_eq!(pool.submit(Step::First(1)), Ok(()));
        assert_eq!(pool.submit(Step::First(2)), Ok(()));
        assert_eq!(pool.submit(Step::First(3)), Err(Step::First(3)));

        go.send(()).unwrap();
        assert_eq!(
            next(&events),
            Event::Worked(vec![Step::First(1), Step::First(2)])
        );
    }

    #[test]
    fn steps_of_one_kind_are_done_together_and_no_more_than_fit() {
        let Setup { pool, events, go } = busy(16);
        for number in 0..5 {
            pool.submit(Step::First(number)).unwrap();
            pool.submit(Step::Second(number)).unwrap();
        }

        go.send(()).unwrap();
        // The oldest first: with four of a kind a set is full, and the fifth of each has nobody to wait for.
        assert_eq!(
            next(&events),
            Event::Worked([0, 1, 2, 3].map(Step::First).to_vec())
        );
        assert_eq!(
            next(&events),
            Event::Worked([0, 1, 2, 3].map(Step::Second).to_vec())
        );
        assert_eq!(next(&events), Event::Worked(vec![Step::First(4)]));
        assert_eq!(next(&events), Event::Worked(vec![Step::Second(4)]));
    }

    #[test]
    fn a_step_without_company_is_done_all_the_same() {
        let Setup { pool, events, go } = busy(16);
        go.send(()).unwrap();
        pool.submit(Step::Second(7)).unwrap();
        assert_eq!(next(&events), Event::Worked(vec![Step::Second(7)]));
    }

    #[test]
    fn an_idle_thread_works_ahead_until_nothing_is_left_to_prepare() {
        let (events, happened) = mpsc::channel();
        let pool = Pool::start(1, 8, || Fake {
            events: events.clone(),
            go: None,
            to_prepare: 3,
        })
        .unwrap();
        for left in [2, 1, 0] {
            assert_eq!(next(&happened), Event::Prepared { left });
        }
        pool.submit(Step::First(1)).unwrap();
        assert_eq!(next(&happened), Event::Worked(vec![Step::First(1)]));
    }

    #[test]
    fn a_step_that_panics_does_not_end_its_thread() {
        let Setup { pool, events, go } = busy(8);
        go.send(()).unwrap();
        pool.submit(Step::Panics).unwrap();
        pool.submit(Step::Second(1)).unwrap();
        assert_eq!(next(&events), Event::Worked(vec![Step::Second(1)]));
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Step {
        First(u8),
        Second(u8),
        /// Of the first kind.
        Panics,
        /// Of the first kind: says that it has begun, and ends when it may.
        Busy,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Event {
        Began,
        Prepared { left: usize },
        Worked(Vec<Step>),
    }

    struct Fake {
        events: Sender<Event>,
        go: Option<Receiver<()>>,
        to_prepare: usize,
    }

    impl Bench for Fake {
        type Step = Step;

        fn kind(step: &Step) -> Kind {
            match step {
                Step::First(_) | Step::Panics | Step::Busy => Kind::First,
                Step::Second(_) => Kind::Second,
            }
        }

        fn company(&self) -> usize {
            4
        }

        fn work(&mut self, steps: Vec<Step>) {
            assert_ne!(steps, [Step::Panics], "on purpose");
            if steps == [Step::Busy] {
                self.events.send(Event::Began).unwrap();
                self.go.take().unwrap().recv().unwrap();
                return;
            }
            // Nobody listens any more at a test's end.
            let _ = self.events.send(Event::Worked(steps));
        }

        fn prepare(&mut self) -> bool {
            let Some(left) = self.to_prepare.checked_sub(1) else {
                return false;
            };
            self.to_prepare = left;
            self.events.send(Event::Prepared { left }).unwrap();
            true
        }
    }

    struct Setup {
        pool: Pool<Step>,
        events: Receiver<Event>,
        go: Sender<()>,
    }

    /// A pool whose only thread is at work until it may go on.
    fn busy(queue_max: usize) -> Setup {
        let (sender, events) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let bench = Mutex::new(Some(Fake {
            events: sender,
            go: Some(may_go),
            to_prepare: 0,
        }));
        let pool = Pool::start(1, queue_max, || bench.lock().take().unwrap()).unwrap();
        pool.submit(Step::Busy).unwrap();
        assert_eq!(next(&events), Event::Began);
        Setup { pool, events, go }
    }

    fn next(events: &Receiver<Event>) -> Event {
        events.recv_timeout(PATIENCE).unwrap()
    }

    const PATIENCE: Duration = Duration::from_secs(10);
}
