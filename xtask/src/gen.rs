//! `cargo xtask gen`: makes the checked-in code from the schemas, or checks that it is current.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use heliogram_tl::schema;
use heliogram_tl_gen::{Options, types};

/// Writes the generated files; with `check`, compares them instead.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = root()?;
    for options in SCHEMAS {
        let text = fs::read_to_string(root.join(options.source)).context(options.source)?;
        let schema =
            schema::parse(&text).with_context(|| format!("{} can't be parsed", options.source))?;
        let code = rustfmt(&types(&schema, options).context(options.source)?)?;
        let path = root
            .join(GENERATED)
            .join(options.module)
            .with_extension("rs");
        put(&path, &code, check)?;
    }
    Ok(())
}

fn put(path: &Path, code: &str, check: bool) -> Result<()> {
    let current = fs::read_to_string(path).unwrap_or_default();
    if current == code {
        return Ok(());
    }
    if check {
        bail!(
            "{} is not what its source gives: run `cargo xtask gen`",
            path.display()
        );
    }
    fs::write(path, code).with_context(|| format!("{} can't be written", path.display()))
}

/// Formats `code` as `cargo fmt` would.
fn rustfmt(code: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt can't be run: `rustup component add rustfmt`")?;
    let mut stdin = child.stdin.take().context("rustfmt has no input")?;
    let input = code.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "rustfmt refuses the generated code"
    );
    feeder.join().ok().context("rustfmt's input broke")??;
    Ok(String::from_utf8(output.stdout)?)
}

/// The workspace's root: the parent of this package.
fn root() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(package
        .parent()
        .context("xtask lies in the workspace")?
        .to_owned())
}

const GENERATED: &str = "crates/tl/src/generated";

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
