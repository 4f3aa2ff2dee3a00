//! The socket of a line: being dialled, open, or not there.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::dial::Route;

/// Where it stands.
pub(super) enum Socket {
    Closed,
    Dialling(JoinHandle<io::Result<TcpStream>>),
    Open(Open),
}

/// What it brings.
pub(super) enum Brought {
    Connected,
    /// So many bytes lie in the buffer.
    Bytes(usize),
    Disconnected(io::Error),
}

pub(super) struct Open {
    stream: TcpStream,
    /// What the system did not take yet.
    waiting: Vec<u8>,
}

impl Socket {
    /// Begins to open a connection.
    pub(super) fn dial(&mut self, route: &Route) {
        self.close();
        let route = route.clone();
        *self = Self::Dialling(tokio::spawn(async move { route.dial().await }));
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
                    Ok(stream) => {
                        let waiting = Vec::new();
                        *self = Self::Open(Open { stream, waiting });
                        Brought::Connected
                    }
                    Err(error) => {
                        *self = Self::Closed;
                        Brought::Disconnected(error)
                    }
                }
            }
            Self::Open(open) => match open.next(buffer).await {
                Ok(count) => Brought::Bytes(count),
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
    async fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
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
                    Ok(count) => return Ok(count),
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

/// How long an ending line waits for its last bytes to leave.
const FLUSH_MAX: Duration = Duration::from_secs(1);
