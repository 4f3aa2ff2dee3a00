//! A gateway on real sockets: keys in memory, and a session host that echoes.

#![cfg(test)]

mod bad_input;
mod changes;
mod client;
mod connections;
mod exchange;
mod fanout;
mod http;
mod limits;
mod logs;
mod server;
mod shutdown;
mod transports;
