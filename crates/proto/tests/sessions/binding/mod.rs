//! Temporary keys that are bound: what their sessions become, and what is sent meanwhile.

mod asking;
mod crossing;
mod moving;
mod rig;
