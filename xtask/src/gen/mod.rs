//! `cargo xtask gen`: makes the checked-in code from the schemas, or checks that it is current.
//!
//! The service types come from `schema/`; the table of the API layer from the schema that a published package carries;
//! the gRPC contracts from `schema/heliogram`; the dashboard from the page of the metrics.

mod dashboard;
mod grpc;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use heliogram_tl::schema;
use heliogram_tl_gen::{Options, layer, types};
use serde_json::Value;

use crate::process;

/// Writes the generated files; with `check`, compares them instead.
///
/// # Errors
///
/// When a source is missing or wrong, and with `check` when a file is not what its source gives.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = process::root();
    for options in SCHEMAS {
        let text = read(&root.join(options.source))?;
        let schema = schema::parse(&text).context(options.source)?;
        let code = types(&schema, options).context(options.source)?;
        put_module(&root, options.module, &code, check)?;
    }
    let text = read(&layer_source()?)?;
    let first_line = text.lines().next().unwrap_or_default();
    let number = first_line
        .strip_prefix("// LAYER ")
        .context("the layer's schema doesn't begin with its number")?;
    let schema = schema::parse(&text).context(LAYER_PACKAGE)?;
    let source = format!("tl/api.tl of the package {LAYER_PACKAGE} {LAYER_PACKAGE_VERSION}");
    let code = layer(&schema, number.parse()?, &source);
    put_module(&root, "layer", &code, check)?;
    dashboard::run(&root, check)?;
    grpc::run(&root, check)
}

/// Writes or compares a module of the TL types.
fn put_module(root: &Path, module: &str, code: &str, check: bool) -> Result<()> {
    let path = root.join(GENERATED).join(module).with_extension("rs");
    put(root, &path, &rustfmt(code)?, check)
}

/// Writes or compares a file.
fn put(root: &Path, path: &Path, code: &str, check: bool) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|current| current == code) {
        return Ok(());
    }
    let shown = path.strip_prefix(root).unwrap_or(path).display();
    if check {
        bail!("{shown} is not what its source gives: run `cargo xtask gen`");
    }
    fs::write(path, code).with_context(|| format!("{shown} can't be written"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
}

/// Finds the schema in the package, wherever cargo keeps it.
fn layer_source() -> Result<PathBuf> {
    let arguments = ["metadata", "--format-version", "1", "--locked"];
    let metadata = serde_json::from_str::<Value>(&process::output(process::cargo(&arguments))?)?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let is_it = |package: &&Value| {
        let is = |field, value: &str| package.get(field).is_some_and(|found| found == value);
        is("name", LAYER_PACKAGE) && is("version", LAYER_PACKAGE_VERSION)
    };
    let package = packages.and_then(|packages| packages.iter().find(is_it));
    let manifest = package.and_then(|package| package.get("manifest_path")?.as_str());
    let manifest = manifest.with_context(|| format!("cargo doesn't know {LAYER_PACKAGE}"))?;
    Ok(Path::new(manifest).with_file_name("tl").join("api.tl"))
}

/// Formats `code` as `cargo fmt` would.
fn rustfmt(code: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(process::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt can't be started: `rustup component add rustfmt`")?;
    let mut stdin = child.stdin.take().context("rustfmt has no input")?;
    let input = code.as_bytes().to_owned();
    // It may begin to write before it has read everything.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "rustfmt refuses the generated code"
    );
    feeder.join().ok().context("rustfmt's input broke")??;
    Ok(String::from_utf8(output.stdout)?)
}

const GENERATED: &str = "crates/tl/src/generated";
const LAYER_PACKAGE: &str = "grammers-tl-types";
const LAYER_PACKAGE_VERSION: &str = "0.9.0";

const SCHEMAS: [Options<'static>; 2] = [
    Options {
        module: "mtproto",
        source: "schema/mtproto.tl",
        bounds: &[
            ("msg_container", "messages", "CONTAINER_MESSAGES_MAX"),
            ("msgs_ack", "msg_ids", "MSG_IDS_MAX"),
            ("msgs_state_req", "msg_ids", "MSG_IDS_MAX"),
            ("msgs_all_info", "msg_ids", "MSG_IDS_MAX"),
            ("msg_resend_req", "msg_ids", "MSG_IDS_MAX"),
            ("msg_resend_ans_req", "msg_ids", "MSG_IDS_MAX"),
        ],
        by_hand: &[("message", "crate::message::Message")],
    },
    Options {
        module: "api",
        source: "schema/api.tl",
        bounds: &[],
        by_hand: &[],
    },
];
