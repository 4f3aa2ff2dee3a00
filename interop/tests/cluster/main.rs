//! Whole deployments of real processes under load of real clients, with faults, and every call and update accounted for.

#![cfg(test)]
mod bench;
mod certificates;
mod check;
mod cut;
mod faults;
mod javascript;
mod keys;
mod load;
mod logs;
mod member;
mod methods;
mod pfs;
mod round;
mod serve;
mod stores;
mod telethon;
mod whole;
