//! Makes the Rust side of the gRPC contracts under `schema/heliogram`, without protoc.
//!
//! `heliogram-grpc-gen ROOT OUT` writes one file for each package, and the descriptors that reflection serves. A program of
//! its own, so that whoever runs xtask need not build a compiler of protocol buffers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use prost::Message as _;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(root), Some(out), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        bail!("usage: heliogram-grpc-gen ROOT OUT")
    };
    generate(&root.join("schema"), &out)
}

fn generate(schema: &Path, out: &Path) -> Result<()> {
    let descriptors = protox::compile(CONTRACTS.map(|it| schema.join(it)), [schema])
        .context("the contracts don't compile")?;
    fs::create_dir_all(out)?;
    // Reflection has no use for the positions of comments, and they would be most of the file.
    let mut lean = descriptors.clone();
    // Nor for what others have defined, whose services are not ours.
    lean.file
        .retain(|file| file.name().starts_with("heliogram/"));
    for file in &mut lean.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.binpb"), lean.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .skip_debug(REDACTED)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .context("no code for the contracts")?;
    Ok(())
}

/// The contracts, below `schema/`.
const CONTRACTS: [&str; 6] = [
    "etcd/rpc.proto",
    "heliogram/backend/v1/backend.proto",
    "heliogram/cluster/v1/keys.proto",
    "heliogram/cluster/v1/owners.proto",
    "heliogram/cluster/v1/sessions.proto",
    "opentelemetry/trace.proto",
];

/// Messages that hold keys, salts or passwords: `heliogram-grpc` writes their `Debug` by hand.
const REDACTED: [&str; 7] = [
    ".etcdserverpb.AuthenticateRequest",
    ".etcdserverpb.AuthenticateResponse",
    ".heliogram.cluster.v1.FirstSalt",
    ".heliogram.cluster.v1.Frame",
    ".heliogram.cluster.v1.KeyRecord",
    ".heliogram.cluster.v1.OwnerInput",
    ".heliogram.cluster.v1.Seal",
];
