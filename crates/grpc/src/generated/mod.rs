//! @generated: the modules here are made by `cargo xtask gen` from the contracts.

#[allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "made by a machine"
)]
/// The contract between Heliogram and a backend.
pub mod backend;
#[allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "made by a machine"
)]
/// The contracts between Heliogram's own nodes.
pub(crate) mod cluster;
#[allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "made by a machine"
)]
/// What collectors of traces take.
pub mod opentelemetry;

#[allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "made by a machine"
)]
/// What is said to etcd.
pub(crate) mod etcd;

/// What reflection serves.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("descriptors.binpb");
