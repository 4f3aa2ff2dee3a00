//! What a peer has not taken yet.
//!
//! While it is long, nothing more is read from the peer and nothing more is drained for it, so that what a slow reader
//! asks for waits in its own socket. A reader is too slow when it takes nothing at all for the given time, or when
//! more than the given bytes have been waiting for so long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use heliogram_proto::cx::Mono;
use tokio::io::AsyncWrite;

/// Bytes that wait for the socket; no buffer while there are none.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    written: usize,
    bytes_max: usize,
    age_max: Duration,
    /// Since when the reader is slow; `None` while nothing waits.
    slow_since: Option<Mono>,
}

impl Backlog {
    pub(super) const fn new(bytes_max: usize, age_max: Duration) -> Self {
        Self {
            bytes: Vec::new(),
            written: 0,
            bytes_max,
            age_max,
            slow_since: None,
        }
    }

    /// Writes `bytes` behind what waits. What is not taken waits, too.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(super) fn write<W: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut W,
        task: &mut Context<'_>,
        bytes: &mut Vec<u8>,
        now: Mono,
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.is_empty() {
            if self.written >= self.len() {
                // A reader that never quite catches up must not be kept all that it ever got.
                self.bytes.drain(..self.written);
                self.written = 0;
            }
            self.bytes.append(bytes);
            return Ok(());
        }
        let written = write_some(socket, task, bytes)?;
        if let Some(rest) = bytes.get(written..)
            && !rest.is_empty()
        {
            self.bytes = rest.to_vec();
            self.slow_since = Some(now);
        }
        Ok(())
    }

    /// Writes what waits; `false` if there was nothing, or nothing was taken.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(super) fn flush<W: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut W,
        task: &mut Context<'_>,
        now: Mono,
    ) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        let written = write_some(
            socket,
            task,
            self.bytes.get(self.written..).unwrap_or_default(),
        )?;
        self.written += written;
        if self.is_empty() {
            self.bytes = Vec::new();
            self.written = 0;
            self.slow_since = None;
        } else if written > 0 && self.len() <= self.bytes_max {
            self.slow_since = Some(now);
        }
        Ok(written > 0)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether more may be brought about for this peer.
    pub(super) const fn may_grow(&self) -> bool {
        self.len() < GROWS_BELOW_BYTES
    }

    /// Tells whether the reader is too slow.
    pub(super) fn is_overdue(&self, now: Mono) -> bool {
        self.next_deadline().is_some_and(|end| end <= now)
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.slow_since.map(|since| since + self.age_max)
    }

    const fn len(&self) -> usize {
        self.bytes.len() - self.written
    }
}

/// Writes until the socket takes no more; returns how much it took. The task is woken when it takes more again.
fn write_some<W: AsyncWrite + Unpin>(
    socket: &mut W,
    task: &mut Context<'_>,
    bytes: &[u8],
) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..)
        && !rest.is_empty()
    {
        match Pin::new(&mut *socket).poll_write(task, rest) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(taken)) => written += taken,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(written)
}

/// Above this, what the peer asks for waits in its own socket.
const GROWS_BELOW_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_the_socket_does_not_take_waits_in_order() {
        let mut backlog = backlog();
        let mut socket = Socket {
            room: 3,
            taken: Vec::new(),
        };
        write(&mut backlog, &mut socket, b"abcdef", 0);
        write(&mut backlog, &mut socket, b"ghi", 0);
        assert_eq!(socket.taken, b"abc");

        socket.room = 100;
        assert!(flush(&mut backlog, &mut socket, 0));
        assert_eq!(socket.taken, b"abcdefghi");
        assert_eq!((backlog.is_empty(), backlog.bytes.capacity()), (true, 0));
    }

    #[test]
    fn who_takes_nothing_for_30_s_is_too_slow_and_who_takes_a_byte_is_not() {
        let mut backlog = backlog();
        let mut socket = Socket {
            room: 0,
            taken: Vec::new(),
        };
        write(&mut backlog, &mut socket, b"abc", 0);
        assert!(!backlog.is_overdue(at(29)));
        assert!(backlog.is_overdue(at(30)));

        socket.room = 1;
        assert!(flush(&mut backlog, &mut socket, 29));
        assert!(!backlog.is_overdue(at(58)));
        assert!(backlog.is_overdue(at(59)));
    }

    #[test]
    fn who_has_more_than_the_limit_waiting_for_30_s_is_too_slow_though_it_takes_some() {
        let mut backlog = backlog();
        let mut socket = Socket {
            room: 0,
            taken: Vec::new(),
        };
        write(&mut backlog, &mut socket, &[0; 102], 0);
        socket.room = 1;
        assert!(flush(&mut backlog, &mut socket, 20));
        assert!(backlog.is_overdue(at(30)));
        socket.room = 1;
        assert!(flush(&mut backlog, &mut socket, 29));
        assert!(!backlog.is_overdue(at(30)));
    }

    #[test]
    fn more_may_come_below_64_kib() {
        let mut backlog = backlog();
        let mut socket = Socket {
            room: 0,
            taken: Vec::new(),
        };
        write(&mut backlog, &mut socket, &[0; (64 << 10) - 1], 0);
        assert!(backlog.may_grow());
        write(&mut backlog, &mut socket, &[0; 1], 0);
        assert!(!backlog.may_grow());
    }

    #[test]
    fn what_was_taken_makes_room_though_the_reader_never_catches_up() {
        let mut backlog = backlog();
        let mut socket = Socket {
            room: 0,
            taken: Vec::new(),
        };
        write(&mut backlog, &mut socket, &[0; 1000], 0);
        for _ in 0..1000 {
            write(&mut backlog, &mut socket, &[0; 1000], 0);
            socket.room = 1000;
            assert!(flush(&mut backlog, &mut socket, 0));
        }
        assert_eq!((backlog.len(), socket.taken.len()), (1000, 1_000_000));
        assert!(backlog.bytes.capacity() < 10_000);
    }

    #[test]
    fn a_broken_socket_is_an_error() {
        let mut task = Context::from_waker(Waker::noop());
        let mut bytes = b"abc".to_vec();
        assert!(
            backlog()
                .write(&mut Broken, &mut task, &mut bytes, at(0))
                .is_err()
        );
    }

    fn backlog() -> Backlog {
        Backlog::new(100, Duration::from_secs(30))
    }

    fn write(backlog: &mut Backlog, socket: &mut Socket, bytes: &[u8], now_s: u64) {
        let mut task = Context::from_waker(Waker::noop());
        backlog
            .write(socket, &mut task, &mut bytes.to_vec(), at(now_s))
            .unwrap();
    }

    fn flush(backlog: &mut Backlog, socket: &mut Socket, now_s: u64) -> bool {
        let mut task = Context::from_waker(Waker::noop());
        backlog.flush(socket, &mut task, at(now_s)).unwrap()
    }

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    struct Socket {
        room: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
