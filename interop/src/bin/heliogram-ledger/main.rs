//! A backend as a process of its own whose business is to be counted: every execution is in a file before it is answered.
//!
//! ```text
//! ledger.append#7e570003 entry:long = ledger.Entry     every eighth entry pushes an update to the caller's user
//! ledger.entry#7e570004 entry:long = ledger.Entry
//! ledger.signIn#7e570005 user:long = ledger.Entry
//! ledger.pushed#7e570006 = ledger.Entry                how many updates the caller's user was pushed
//! ```
//!
//! An update is `updateShort` of `updatePtsChanged`; its date is its number, from 1 for each user. `ledger.pushed` is the
//! difference: who knows how many there are has missed none.
//!
//! usage: heliogram-ledger --data DIRECTORY --listen ADDRESS [--push ADDRESS]... [--tls AUTHORITY CERTIFICATE KEY]

mod book;
mod news;

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use heliogram_grpc::{Address, BackendService, Server, Tls, TlsFiles};
use heliogram_ports::{Answer, Backend, Call, LoggedIn, Reply, RpcError};
use heliogram_proto::ids::Identity;

use crate::book::Book;
use crate::news::News;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let options = Options::parse(std::env::args().skip(1)).ok_or(USAGE)?;
    let tls = options.tls.map(Tls::load).transpose()?;
    let book = Arc::new(Book::open(&options.data)?);
    let nodes = options.push.into_iter();
    let news = News::new(nodes.map(|node| news::dial(node, tls.clone())));
    // What it had taken note of and not yet pushed when it was killed, nobody can tell any more.
    for user in book.users() {
        news.everything_missed(user);
    }
    let backend = Arc::new(Ledger { book, news });
    let server = Server::new().backend(BackendService::new(backend, None));
    let bound = server.bind(&options.listen, tls).await?;
    std::fs::write(options.data.join("ready"), bound.address()?.to_string())?;
    Ok(bound.serve(pending()).await?)
}

/// Writes down what it is asked to.
struct Ledger {
    book: Arc<Book>,
    news: News,
}

impl Backend for Ledger {
    fn call(&self, call: Call) -> Answer {
        let Some((method, argument)) = parse(&call.body) else {
            // What clients take for "sign in first", and go on.
            return Answer::Now(error(401, "AUTH_KEY_UNREGISTERED"));
        };
        let (book, news) = (Arc::clone(&self.book), self.news.clone());
        Answer::Later(Box::pin(async move {
            let done = match method {
                Method::Append => append(&book, &news, &call, argument).await,
                Method::SignIn => sign_in(&book, &news, &call, argument).await,
                Method::Pushed => Ok(book.pushed_to(call.identity)),
            };
            match done {
                Ok(entry) => {
                    let result = [&ENTRY.to_le_bytes()[..], &entry.to_le_bytes()].concat();
                    Reply::Result(result.into())
                }
                Err(_) => error(500, "LEDGER_UNAVAILABLE"),
            }
        }))
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        LoggedIn::Now(self.book.user(identity))
    }
}

async fn append(book: &Book, news: &News, call: &Call, entry: i64) -> io::Result<i64> {
    book.ran(entry, call)?;
    if entry % PUSH_EVERY == 0
        && let Some((user, number)) = book.next_update(call.identity)?
    {
        news.update(user, number);
    }
    // As if another server had been asked: a crash now leaves the entry written and the call unanswered.
    tokio::time::sleep(Duration::from_millis(entry.unsigned_abs() % 32)).await;
    Ok(entry)
}

async fn sign_in(book: &Book, news: &News, call: &Call, user: i64) -> io::Result<i64> {
    book.signed_in(call, user)?;
    news.signed_in(call.identity, user).await;
    Ok(user)
}

#[derive(Clone, Copy)]
enum Method {
    Append,
    SignIn,
    Pushed,
}

/// Reads one of its methods; `None` if it is anything else.
fn parse(body: &[u8]) -> Option<(Method, i64)> {
    let (id, rest) = body.split_first_chunk()?;
    let argument = || rest.try_into().ok().map(i64::from_le_bytes);
    match u32::from_le_bytes(*id) {
        0x7e57_0003 => Some((Method::Append, argument()?)),
        0x7e57_0005 => Some((Method::SignIn, argument()?)),
        0x7e57_0006 => Some((Method::Pushed, 0)),
        _ => None,
    }
}

fn error(code: i32, message: &str) -> Reply {
    Reply::Error(RpcError {
        code,
        message: message.to_owned(),
    })
}

struct Options {
    data: PathBuf,
    listen: Address,
    push: Vec<Address>,
    tls: Option<TlsFiles>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut data, mut listen, mut push, mut tls) = (None, None, Vec::new(), None);
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match option.as_str() {
                "--data" => data = Some(value.into()),
                "--listen" => listen = Some(value.parse().ok()?),
                "--push" => push.push(value.parse().ok()?),
                "--tls" => {
                    tls = Some(TlsFiles {
                        authority: value.into(),
                        certificate: arguments.next()?.into(),
                        key: arguments.next()?.into(),
                    });
                }
                _ => return None,
            }
        }
        Some(Self {
            data: data?,
            listen: listen?,
            push,
            tls,
        })
    }
}

const USAGE: &str = "usage: heliogram-ledger --data DIRECTORY --listen ADDRESS [--push ADDRESS]... [--tls AUTHORITY CERTIFICATE KEY]";
const ENTRY: u32 = 0x7e57_0004;
const PUSH_EVERY: i64 = 8;
