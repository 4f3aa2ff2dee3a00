//! A stranger's first minute with grammers: make a key, call, wait at a gate while the server may go and come, call
//! under the same key, and in a new pool with the saved key.
//!
//! usage: calls ADDRESS
//!
//! Says `@ step` where it has come to a step; at `@ gate` it waits for a line on its standard input.

use std::error::Error;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use grammers_mtsender::{InvocationError, SenderPool, SenderPoolFatHandle};
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use grammers_session::{Session as _, SessionData};
use grammers_tl_types::{enums, functions, types};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddrV4 = std::env::args()
        .nth(1)
        .ok_or("usage: calls ADDRESS")?
        .parse()?;
    let session = Arc::new(session_at(address));

    let (handle, running) = start(&session);
    check_calls(&handle).await?;
    check_many_at_once(&handle).await?;
    let key = key_of(&session)?;
    println!("@ gate");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    // The first call may be the one by which the pool learns that its connection is gone.
    let _ = nearest_dc(&handle).await;
    check_calls(&handle).await?;
    handle.quit();
    running.await?;

    let (handle, running) = start(&session);
    check_calls(&handle).await?;
    handle.quit();
    running.await?;
    if key_of(&session)? != key {
        return Err("it came back with another key".into());
    }
    println!("@ done");
    Ok(())
}

fn start(session: &Arc<MemorySession>) -> (SenderPoolFatHandle, tokio::task::JoinHandle<()>) {
    let SenderPool { runner, handle, .. } = SenderPool::new(Arc::clone(session), API_ID);
    (handle, tokio::spawn(runner.run()))
}

fn session_at(address: SocketAddrV4) -> MemorySession {
    let mut data = SessionData::default();
    data.home_dc = DC;
    let ipv6 = SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0);
    let option = DcOption {
        id: DC,
        ipv4: address,
        ipv6,
        auth_key: None,
    };
    data.dc_options.insert(DC, option);
    data.into()
}

fn key_of(session: &MemorySession) -> Result<[u8; 256], Box<dyn Error>> {
    let option = session.dc_option(DC)?;
    Ok(option.and_then(|it| it.auth_key).ok_or("no key")?)
}

async fn check_calls(handle: &SenderPoolFatHandle) -> Result<(), Box<dyn Error>> {
    let enums::Config::Config(config) = handle
        .invoke_in_dc(DC, &functions::help::GetConfig {})
        .await?;
    if config.this_dc != DC || config.test_mode {
        return Err(format!("not the data centre that was dialled: {}", config.this_dc).into());
    }
    if nearest_dc(handle).await?.this_dc != DC {
        return Err("the nearest data centre is another".into());
    }
    let users = functions::users::GetUsers {
        id: vec![enums::InputUser::UserSelf],
    };
    // Not signed in: this exact error is what clients take for "sign in first".
    match handle.invoke_in_dc(DC, &users).await {
        Err(InvocationError::Rpc(error)) if error.is("AUTH_KEY_UNREGISTERED") => Ok(()),
        other => Err(format!("users.getUsers before signing in: {other:?}").into()),
    }
}

async fn check_many_at_once(handle: &SenderPoolFatHandle) -> Result<(), Box<dyn Error>> {
    let calls: Vec<_> = (0..MANY)
        .map(|_| {
            let handle = handle.clone();
            tokio::spawn(async move { nearest_dc(&handle).await })
        })
        .collect();
    for call in calls {
        call.await??;
    }
    Ok(())
}

async fn nearest_dc(handle: &SenderPoolFatHandle) -> Result<types::NearestDc, InvocationError> {
    let method = functions::help::GetNearestDc {};
    let enums::NearestDc::Dc(nearest) = handle.invoke_in_dc(DC, &method).await?;
    Ok(nearest)
}

/// The published example of Telegram's own clients.
const API_ID: i32 = 4;
const DC: i32 = 2;
const MANY: usize = 200;
