//! Updates are numbered, so that whoever missed one notices it and asks for the difference.
//!
//! ```text
//!  common box     pts            private chats and basic groups
//!  channel box    pts, each      channels and supergroups
//!  secondary      qts            secret chats, some of what bots get
//!  containers     seq            whatever is in no box
//! ```
//!
//! [`client`] keeps to the order and closes gaps; [`server`] gives numbers and answers for the difference. Nothing here reads the API's objects: whoever does says where an update
//! stands.
//!
//! Source: <https://core.telegram.org/api/updates>.

pub mod client;
pub mod server;
mod state;

pub use state::UpdateState;
