//! The client against a real server: gateway, session host and store in this process, sockets between.

#![cfg(test)]

mod backend;
mod calls;
mod channel_updates;
mod clocks;
mod elsewhere;
mod ends;
mod faults;
mod file_faults;
mod files;
mod key_file;
mod keys;
mod mtproxy;
mod order;
mod proxy;
mod reach;
mod remedies;
mod server;
mod setup;
mod updates;
mod world;
