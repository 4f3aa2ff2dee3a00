//! Real servers for tests: MariaDB, Redis and etcd, each with a private directory and a free port of the loopback interface.
//!
//! A server ends with the test program that started it, however that ends, and takes its directory along. It can be
//! killed, started again with its data, and stopped and let go on (`SIGSTOP`, `SIGCONT`). [`Server`] is any other program
//! that is to end so.
//!
//! ```no_run
//! use heliogram_testservices::{MariaDb, Redis};
//!
//! let mut mariadb = MariaDb::start()?;
//! let redis = Redis::start()?;
//! println!("{} {}", mariadb.url(), redis.url());
//! mariadb.kill()?;
//! mariadb.start_again()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Installs nothing: `cargo xtask test` does. What is missing is named with the command that installs it.

mod etcd;
mod mariadb;
mod redis;
mod server;

pub use crate::etcd::{Etcd, EtcdTls};
pub use crate::mariadb::MariaDb;
pub use crate::redis::Redis;
pub use crate::server::{Server, free_port};
