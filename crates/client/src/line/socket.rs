//! The socket of a line: being dialled, open, or not there.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::dial::Route;
use crate::limits::{FLUSH_MAX, WAITING_BYTES_MAX};

/// Where it stands.
pub(super) enum Socket {
    Closed,
    Dialling(JoinHandle<io::Result<(usize, TcpStream)>>),
    Open(Open),
}

/// What it brings.
pub(super) enum Brought {
    /// With the target of this number.
    Connected(usize),
    /// So many bytes lie in the buffer.
    Bytes(usize),
    Disconnected(io::Error),
    /// There is room again for more to send.
    Room,
}

pub(super) struct Open {
    stream: TcpStream,
    /// What the system did not take yet.
    waiting: Vec<u8>,
    /// There was no room, and nobody has been told yet that there is some.
    is_full: bool,
}

impl Socket {
    /// Returns how many bytes may be sent without too much waiting for the peer.
    pub(super) const fn room(&self) -> usize {
        match self {
            Self::Open(open) => WAITING_BYTES_MAX.saturating_sub(open.waiting.len()),
            Self::Closed | Self::Dialling(_) => WAITING_BYTES_MAX,
        }
    }

    /// Begins to open a connection, to the target of this number if it takes one.
    pub(super) fn dial(&mut self, route: &Route, first: usize) {
        self.close();
        let route = route.clone();
        *self = Self::Dialling(tokio::spawn(async move { route.dial(first).await }));
    }

    /// Closes at once; what the system has taken still leaves.
    pub(super) fn close(&mut self) {
        if let Self::Dialling(task) = &self {
            task.abort();
        }
        *self = Self::Closed;
    }

    /// Writes as much as the system takes; the rest waits.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        let Self::Open(open) = self else {
            return;
        };
        if open.waiting.is_empty() {
            open.waiting = bytes;
        } else {
            open.waiting.extend_from_slice(&bytes);
        }
        // What is wrong will be wrong again at the next read, which reports it.
        let _ = open.write();
        open.is_full |= open.waiting.len() >= WAITING_BYTES_MAX;
    }

    /// Waits for something; for ever if there is no connection. May be dropped at any time and asked again.
    pub(super) async fn next(&mut self, buffer: &mut [u8]) -> Brought {
        match self {
            Self::Closed => std::future::pending().await,
            Self::Dialling(task) => {
                let dialled = task
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)));
                match dialled {
                    Ok((target, stream)) => {
                        *self = Self::Open(Open {
                            stream,
                            waiting: Vec::new(),
                            is_full: false,
                        });
                        Brought::Connected(target)
                    }
                    Err(error) => {
                        *self = Self::Closed;
                        Brought::Disconnected(error)
                    }
                }
            }
            Self::Open(open) => match open.next(buffer).await {
                Ok(Some(count)) => Brought::Bytes(count),
                Ok(None) => Brought::Room,
                Err(error) => {
                    *self = Self::Closed;
                    Brought::Disconnected(error)
                }
            },
        }
    }

    /// Gives what still waits a moment to leave.
    pub(super) async fn flush(&mut self) {
        let Self::Open(open) = self else {
            return;
        };
        // Who does not read now will not read later.
        let _ = tokio::time::timeout(FLUSH_MAX, async {
            while !open.waiting.is_empty() {
                open.stream.writable().await?;
                open.write()?;
            }
            io::Result::Ok(())
        })
        .await;
    }
}

impl Open {
    /// Waits until bytes have come, or else there is room again.
    async fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            if self.is_full && self.waiting.len() <= WAITING_BYTES_MAX / 2 {
                self.is_full = false;
                return Ok(None);
            }
            let interest = if self.waiting.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() {
                self.write()?;
            }
            if ready.is_readable() {
                match self.stream.try_read(buffer) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => return Ok(Some(count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            let Some(rest) = self.waiting.get(written..).filter(|it| !it.is_empty()) else {
                break Ok(());
            };
            match self.stream.try_write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if written >= self.waiting.len() {
            // No room is held while nothing waits.
            self.waiting = Vec::new();
        } else {
            self.waiting.drain(..written);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_does_not_read_leaves_no_room_and_one_that_reads_makes_some() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut socket = Socket::Open(Open {
            stream,
            waiting: Vec::new(),
            is_full: false,
        });
        assert_eq!(socket.room(), WAITING_BYTES_MAX);
        let mut sent = 0;
        while socket.room() > 0 {
            socket.send(vec![7; 300 << 10]);
            sent += 300 << 10;
        }
        let reading = tokio::spawn(async move {
            let mut read = vec![0; sent];
            peer.read_exact(&mut read).await.unwrap();
            peer
        });
        let mut buffer = [0; 16];
        let brought = socket.next(&mut buffer).await;
        assert!(matches!(brought, Brought::Room));
        assert!(socket.room() >= WAITING_BYTES_MAX / 2);
        socket.flush().await;
        assert_eq!(socket.room(), WAITING_BYTES_MAX);
        // Nothing is told twice: what comes next is the end.
        drop(reading.await.unwrap());
        let brought = socket.next(&mut buffer).await;
        assert!(matches!(brought, Brought::Disconnected(_)));
    }
}
