//! `heliogram call METHOD`: one call to a server, and its answer as JSON.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use heliogram_client::{Client, Raw, Reconnect, RpcError};
use heliogram_tl::dynamic::{Object, Value};
use heliogram_tl::schema::{Declaration, Type};
use heliogram_tl::{Reader, Serialize as _};
use serde_json::json;

use crate::json::{BytesForm, Shown, Taker, hex, merge, unhex};
use crate::logging;
use crate::remote::{ConnectOptions, Failure, Known, SchemaOptions};

/// One call.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct CallOptions {
    /// The method: help.getConfig. With --raw its bytes, in hex, as base64:…, in @FILE, or - for standard input.
    method: String,
    /// Arguments: name=value, name:=JSON, name@=FILE, {JSON}, @FILE of JSON, or - for JSON on standard input.
    #[arg(value_name = "ARG")]
    arguments: Vec<String>,
    /// Prints what the schema says about the method, the constructor or the type of that name, and calls nothing.
    #[arg(long)]
    describe: bool,
    /// Prints the call as bytes, and calls nothing.
    #[arg(long)]
    dry_run: bool,
    /// The method is given as bytes.
    #[arg(long, conflicts_with_all = ["describe"])]
    raw: bool,
    /// How the answer is printed [default: json; hex with --raw]
    #[arg(long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// How bytes are shown within JSON.
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    bytes: BytesForm,
    #[command(flatten)]
    schema: SchemaOptions,
    #[command(flatten)]
    connection: ConnectOptions,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// JSON of several lines: docs/json.md describes it.
    Json,
    /// JSON of one line.
    Compact,
    /// The answer's bytes, in hex.
    Hex,
    /// The answer's bytes, in Base64.
    Base64,
    /// The answer's bytes.
    Binary,
}

/// Calls, and prints the answer or what went wrong. Returns the exit code that says which.
pub(crate) fn run(options: &CallOptions) -> ExitCode {
    match call(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn call(options: &CallOptions) -> Result<(), Failure> {
    logging::start_quietly().map_err(Failure::Local)?;
    let mut text = String::new();
    let needs_schema =
        !options.raw || matches!(options.output, Some(Output::Json | Output::Compact));
    let known = options.schema.load(&mut text, needs_schema)?;
    if options.describe {
        return describe(&known, &options.method);
    }
    let call = Written::new(options, &known)?;
    if options.dry_run {
        return print(options, &call.body, None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(error.into()))?;
    let body = call.body.clone();
    let answered = runtime.block_on(async {
        let tries = Reconnect {
            attempts_max: Some(0),
            ..Reconnect::default()
        };
        let client = options.connection.connect(known.layer, tries).await?;
        invoke(&client, body).await
    });
    match answered {
        Ok(answer) => call.print_answer(options, &known, &answer),
        Err(failure) => {
            if let Failure::Refused(error) = &failure {
                print_refusal(options, error)?;
            }
            Err(failure)
        }
    }
}

async fn invoke(client: &Client, body: Bytes) -> Result<Bytes, Failure> {
    let answer = client.invoke(&Raw(body)).await;
    client.shutdown().await;
    Ok(answer?)
}

/// A call as it goes out, and the type of its answer if that is known.
struct Written<'c> {
    body: Bytes,
    answer: Option<Type<'c>>,
}

impl<'c> Written<'c> {
    fn new(options: &CallOptions, known: &'c Known<'c>) -> Result<Self, Failure> {
        if options.raw {
            let body = raw(&options.method)?;
            // Whatever the schema makes of it: it is called in any case.
            let call = known.catalog.read_any(&mut Reader::new(&body)).ok();
            let answer = call.as_ref().and_then(Object::answer);
            let body = body.into();
            return Ok(Self { body, answer });
        }
        let call = named(known, &options.method, &options.arguments)?;
        Ok(Self {
            body: call.to_bytes().into(),
            answer: call.answer(),
        })
    }

    fn print_answer(
        &self,
        options: &CallOptions,
        known: &Known<'_>,
        answer: &[u8],
    ) -> Result<(), Failure> {
        if !output(options).is_json() {
            return print(options, answer, None);
        }
        let catalog = &known.catalog;
        let read = match self.answer {
            Some(ty) => catalog.read_all(answer, ty),
            None => catalog
                .read_any(&mut Reader::new(answer))
                .map(Value::Object),
        };
        let value = read.map_err(|error| {
            let ty = self.answer.map_or("object", |ty| ty.text());
            let start = hex(answer.get(..4).unwrap_or(answer));
            Failure::Unreadable(anyhow!(
                "the answer is no {ty} of this schema: {error} (it has {} bytes and begins with {start}); --output hex shows it, --schema FILE --layer N reads it by another schema",
                answer.len()
            ))
        })?;
        print(options, answer, Some(&value))
    }
}

/// Makes a call of a method's name and the arguments on the command line.
pub(super) fn named<'c>(
    known: &'c Known<'c>,
    method: &str,
    arguments: &[String],
) -> Result<Object<'c>, Failure> {
    let taker = Taker::new(&known.catalog);
    let method = taker
        .method(method)
        .map_err(|error| Failure::Usage(error.into()))?;
    let arguments = merge(arguments, read).map_err(Failure::Usage)?;
    let call = taker.call(method, &arguments);
    call.map_err(|error| Failure::Usage(error.into()))
}

fn output(options: &CallOptions) -> Output {
    let default = if options.raw || options.dry_run {
        Output::Hex
    } else {
        Output::Json
    };
    options.output.unwrap_or(default)
}

impl Output {
    const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Compact)
    }
}

/// Prints an answer; `value` is what it says, where JSON is asked for.
fn print(options: &CallOptions, answer: &[u8], value: Option<&Value<'_>>) -> Result<(), Failure> {
    let shown = value.map(|value| Shown::new(value, options.bytes));
    let text = match (output(options), shown) {
        (Output::Json, Some(shown)) => serde_json::to_string_pretty(&shown),
        (Output::Compact, Some(shown)) => serde_json::to_string(&shown),
        (Output::Base64, _) => Ok(STANDARD.encode(answer)),
        (Output::Binary, _) => {
            if io::stdout().is_terminal() {
                return Err(Failure::Usage(anyhow!(
                    "--output binary is not for a terminal: redirect it, or choose hex"
                )));
            }
            let written = io::stdout().write_all(answer);
            return written.map_err(|error| Failure::Local(error.into()));
        }
        (Output::Hex | Output::Json | Output::Compact, _) => Ok(hex(answer)),
    };
    let text = text.map_err(|error| Failure::Local(error.into()))?;
    let written = writeln!(io::stdout(), "{text}");
    written.map_err(|error| Failure::Local(error.into()))
}

/// Prints the server's error as the object that it is, where JSON is asked for.
fn print_refusal(options: &CallOptions, error: &RpcError) -> Result<(), Failure> {
    if !output(options).is_json() {
        return Ok(());
    }
    let message = error.to_string();
    let message = message.split_once(' ').map_or("", |(_, message)| message);
    let object = json!({ "_": "rpc_error", "error_code": error.code, "error_message": message });
    let written = writeln!(io::stdout(), "{object}");
    written.map_err(|error| Failure::Local(error.into()))
}

/// Reads a method's bytes, as `--raw` has them.
fn raw(text: &str) -> Result<Vec<u8>, Failure> {
    let load = |path: &str| {
        let loaded = read(Path::new(path)).with_context(|| format!("{path} can't be read"));
        loaded.map_err(Failure::Local)
    };
    if text == "-" {
        return load(text);
    }
    if let Some(path) = text.strip_prefix('@') {
        return load(path);
    }
    let bytes = match text.strip_prefix("base64:") {
        Some(text) => STANDARD.decode(text).ok(),
        None => unhex(text),
    };
    bytes.ok_or_else(|| {
        Failure::Usage(anyhow!(
            "--raw takes bytes in hex, as base64:…, in @FILE, or - for standard input; found {text}"
        ))
    })
}

/// Reads a file, or standard input for `-`.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut all = Vec::new();
        io::stdin().read_to_end(&mut all)?;
        return Ok(all);
    }
    std::fs::read(path)
}

/// Prints the declarations of a name: a method's, a constructor's, or those of a type.
fn describe(known: &Known<'_>, name: &str) -> Result<(), Failure> {
    let catalog = &known.catalog;
    let mut all: Vec<&Declaration<'_>> = catalog.method(name).into_iter().collect();
    all.extend(catalog.constructor(name));
    all.extend(catalog.constructors_of(name));
    if all.is_empty() {
        // It knows what else there is.
        Taker::new(catalog)
            .method(name)
            .map_err(|error| Failure::Usage(error.into()))?;
    }
    for declaration in all {
        let written = writeln!(io::stdout(), "{declaration};");
        written.map_err(|error| Failure::Local(error.into()))?;
    }
    Ok(())
}
