//! Creation of an authorization key, both roles side by side.
//!
//! Each state is a struct that holds only what is true there; the step that leaves it consumes it. Heavy arithmetic
//! (RSA, factoring, modular exponentiation) is a value of its own with a `run` method, `Send`, so that a shell can move
//! it to a pool of workers and bring the result back.
//!
//! ```text
//! client                                                    server
//! AwaitResPq       -- req_pq_multi ----------------------->
//!                  <-------------------------- resPQ ------  AwaitReqDh
//! SolveJob
//! AwaitDhParams    -- req_DH_params ---------------------->  RsaJob, Agreed
//!                  <------------- server_DH_params_ok -----  AwaitClientDh
//! GroupJob, Round
//! AwaitDhGen       -- set_client_DH_params --------------->  DhJob, Derived
//!                  <-- dh_gen_ok | dh_gen_retry | dh_gen_fail
//! ```
//!
//! Knows nothing of sockets, stores, repeats of a query or time limits: [`crate::edge::exchanges`] keeps the servers'
//! running exchanges, and a connection limits how long it waits.
//!
//! An error is final: the state is gone with it. It says how to react, never which check failed.
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>. Open points: `docs/adr/0006-exchange-limits.md`.

pub mod binding;
pub mod client;
mod inner;
mod params;
pub mod plain;
pub mod server;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use params::Nonce;
