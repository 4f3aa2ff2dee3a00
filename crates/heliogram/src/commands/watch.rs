//! `heliogram watch`: what a server sends unasked, as lines of JSON.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use heliogram_client::{Client, InvokeError, Notice, Raw, Reconnect};
use heliogram_tl::dynamic::{Catalog, Value};
use heliogram_tl::{Reader, Serialize as _};
use serde_json::json;

use super::call::named;
use crate::json::{BytesForm, Shown, hex};
use crate::logging;
use crate::remote::{ConnectOptions, Failure, SchemaOptions};

/// What to wait for.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct WatchOptions {
    /// The method that is called first, so that the server knows who listens.
    #[arg(default_value = "updates.getState")]
    method: String,
    /// Its arguments, as `heliogram call` takes them.
    #[arg(value_name = "ARG")]
    arguments: Vec<String>,
    /// Ends after so many updates.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How bytes are shown within JSON.
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    bytes: BytesForm,
    #[command(flatten)]
    schema: SchemaOptions,
    #[command(flatten)]
    connection: ConnectOptions,
}

/// Prints until Ctrl-C, or as many as are asked for. Returns the exit code.
pub(crate) fn run(options: &WatchOptions) -> ExitCode {
    match watch(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn watch(options: &WatchOptions) -> Result<(), Failure> {
    logging::start_quietly().map_err(Failure::Local)?;
    let mut text = String::new();
    let known = options.schema.load(&mut text, true)?;
    let first = named(&known, &options.method, &options.arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(error.into()))?;
    runtime.block_on(async {
        let connecting = options
            .connection
            .connect(known.layer, Reconnect::default());
        let client = connecting.await?;
        let watching = async {
            let called = client.invoke(&Raw(first.to_bytes().into())).await;
            introduced(called.map(drop))?;
            print(&client, options, &known.catalog).await
        };
        let ended = tokio::select! {
            ended = watching => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("Ctrl-C can't be handled").map_err(Failure::Local)
            }
        };
        client.shutdown().await;
        ended
    })
}

/// A server that refuses the first call knows all the same who listens: some updates are for those who have not
/// signed in.
fn introduced(called: Result<(), InvokeError>) -> Result<(), Failure> {
    match called {
        Err(InvokeError::Rpc(error)) => {
            eprintln!("the first call was refused: {}", Failure::Refused(error));
            Ok(())
        }
        called => Ok(called?),
    }
}

/// Prints updates on standard output, and everything else on standard error.
async fn print(
    client: &Client,
    options: &WatchOptions,
    catalog: &Catalog<'_>,
) -> Result<(), Failure> {
    let mut notices = client.notices();
    let mut left = options.count;
    // Each try that fails says so; once is enough.
    let mut was_connected = None;
    let mut is_beginning = true;
    while left != Some(0) {
        match notices.next().await {
            Notice::Update { object, .. } => {
                let line = line(&object, options.bytes, catalog);
                let mut out = io::stdout().lock();
                let written = writeln!(out, "{line}").and_then(|()| out.flush());
                written.map_err(|error| Failure::Local(error.into()))?;
                left = left.map(|it| it - 1);
            }
            Notice::Connection { is_connected, .. } if was_connected == Some(is_connected) => {}
            Notice::Connection { is_connected, .. } => {
                was_connected = Some(is_connected);
                let state = if is_connected {
                    "connected"
                } else {
                    "not connected: trying again"
                };
                eprintln!("{state}");
            }
            Notice::KeyLost { .. } => {
                eprintln!("the server does not know our key any more: a new one is made");
            }
            // Every session begins so.
            Notice::Missed { .. } if is_beginning => is_beginning = false,
            Notice::Missed { .. } => {
                eprintln!("updates may have been lost: updates.getDifference tells which");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Shows one object; as its bytes, if the schema has it not.
fn line(object: &[u8], bytes: BytesForm, catalog: &Catalog<'_>) -> String {
    let mut r = Reader::new(object);
    let read = catalog
        .read_any(&mut r)
        .and_then(|it| r.finish().map(|()| it));
    let shown = read.ok().and_then(|object| {
        let value = Value::Object(object);
        serde_json::to_string(&Shown::new(&value, bytes)).ok()
    });
    shown.unwrap_or_else(|| json!({ "$unknown": format!("hex:{}", hex(object)) }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_shown_as_json_and_one_that_the_schema_has_not_as_its_bytes() {
        let catalog = Catalog::of_layer();
        let line = |object: &[u8]| line(object, BytesForm::Base64, &catalog);
        let too_long = 0xe317_af7e_u32.to_le_bytes();
        assert_eq!(line(&too_long), r#"{"_":"updatesTooLong"}"#);
        assert_eq!(line(&[1, 2, 3, 4]), r#"{"$unknown":"hex:01020304"}"#);
        let followed = [too_long, [0; 4]].concat();
        assert_eq!(line(&followed), r#"{"$unknown":"hex:7eaf17e300000000"}"#);
    }
}
