//! One file per command.

pub(crate) mod call;
pub(crate) mod config_show;
pub(crate) mod fingerprint;
pub(crate) mod keygen;
pub(crate) mod migrate;
pub(crate) mod ready;
pub(crate) mod serve;
pub(crate) mod watch;
