//! What a client's session does, told by a server that says whatever a test has it say.

mod acks;
mod alone;
mod asks;
mod calls;
mod clock;
mod left;
mod messages;
mod order;
mod reconnect;
mod refusals;
