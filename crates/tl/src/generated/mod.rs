//! @generated: the modules here are made by `cargo xtask gen` from the schemas.

/// Types and methods of the API that the protocol layer itself needs: wrappers, configuration, authorisation.
pub mod api;
pub(crate) mod layer;
/// Service types and methods of MTProto.
pub mod mtproto;
