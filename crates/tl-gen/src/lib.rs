//! Code generator for the TL service types; used by `xtask` alone.
