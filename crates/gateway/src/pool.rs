//! A small pool of threads for the arithmetic of handshakes, with a bounded queue.
//!
//! RSA and Diffie-Hellman take a fraction of a millisecond to milliseconds: too long for a thread that serves
//! thousands of connections. When the queue is full a task is handed back, and its peer is told to come later.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// One piece of work.
pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// The pool. Its threads end, after the task at hand, when it is dropped.
pub(crate) struct Pool {
    queue: Arc<Queue>,
}

impl Pool {
    /// Starts `workers` threads, at least one.
    pub(crate) fn start(workers: usize, queue_max: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            queue_max,
        });
        let pool = Self { queue };
        for number in 0..workers.max(1) {
            let queue = Arc::clone(&pool.queue);
            thread::Builder::new()
                .name(format!("handshake-{number}"))
                .spawn(move || queue.work())?;
        }
        Ok(pool)
    }

    /// Queues a task; hands it back if the queue is full.
    pub(crate) fn submit(&self, task: Task) -> Result<(), Full> {
        let mut state = self.queue.state.lock();
        if state.tasks.len() >= self.queue.queue_max {
            return Err(Full);
        }
        state.tasks.push_back(task);
        drop(state);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

/// As many tasks wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    queue_max: usize,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl Queue {
    fn work(&self) {
        while let Some(task) = self.next() {
            // A task tells whom it works for, when it is dropped, that nothing comes.
            if catch_unwind(AssertUnwindSafe(task)).is_err() {
                tracing::error!("a step of a handshake panicked");
            }
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            self.changed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_many_tasks_wait_as_may_and_no_more() {
        let pool = Pool::start(1, 2).unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let busy = Box::new(move || {
            begun.send(()).unwrap();
            may_go.recv().unwrap();
        });
        pool.submit(busy).unwrap();
        has_begun.recv_timeout(PATIENCE).unwrap();

        assert_eq!(pool.submit(Box::new(|| ())), Ok(()));
        assert_eq!(pool.submit(Box::new(|| ())), Ok(()));
        assert_eq!(pool.submit(Box::new(|| ())), Err(Full));
        go.send(()).unwrap();
    }

    #[test]
    fn a_task_that_panics_does_not_end_its_thread() {
        let pool = Pool::start(1, 8).unwrap();
        let (done, is_done) = mpsc::channel();
        pool.submit(Box::new(|| panic!("on purpose"))).unwrap();
        pool.submit(Box::new(move || done.send(()).unwrap()))
            .unwrap();
        is_done.recv_timeout(PATIENCE).unwrap();
    }

    const PATIENCE: Duration = Duration::from_secs(10);
}
