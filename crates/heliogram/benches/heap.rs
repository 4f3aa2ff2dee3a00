//! Heap that a server holds per idle authorised connection: socket, link, key and session, with one call behind it.
//!
//! Sketch: a task of some hundred bytes, the link's codec, one cached key (256 bytes), a session with its memory of
//! what it received and has not had acknowledged, the tables' entries. Some 2 to 4 KiB, and no buffer.
//!
//! The reference is a plain TCP echo that holds the smallest buffer it can: none while idle.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark may panic"
)]
#![allow(unsafe_code, reason = "an allocator can't be written without")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use heliogram_tl::Serialize;
use heliogram_tl::api::help::GetConfig;
use support::client::RawClient;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(async { support::start() });
    let ours = grown_per_connection(|| {
        let mut client = RawClient::connect(server.address, &server.key, None).unwrap();
        assert!(client.call(&GetConfig.to_bytes()).is_ok());
        client.frames.stream
    });
    let echo = runtime.block_on(start_echo());
    let reference = grown_per_connection(|| TcpStream::connect(echo).unwrap());
    println!("heap per idle authorised connection     {ours:10} bytes");
    println!("  beside: a tokio task and its socket   {reference:10} bytes");
}

/// Opens connections and lets them rest; the client's side keeps a descriptor of each and nothing else.
fn grown_per_connection(connect: impl Fn() -> TcpStream) -> isize {
    let mut kept = Vec::with_capacity(WARM_UP + CONNECTIONS);
    for _ in 0..WARM_UP {
        kept.push(connect());
    }
    std::thread::sleep(REST);
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    for _ in 0..CONNECTIONS {
        kept.push(connect());
    }
    std::thread::sleep(REST);
    let grown = LIVE_BYTES.load(Ordering::Relaxed) - before;
    grown / isize::try_from(CONNECTIONS).unwrap()
}

async fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.readable().await;
            });
        }
    });
    address
}

/// The system's allocator, with a count of the bytes that are in use.
struct Counting;

static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `pointer` came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed());
        // SAFETY: `pointer` came from `System`, with this layout.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

fn count(bytes: isize) {
    LIVE_BYTES.fetch_add(bytes, Ordering::Relaxed);
}

/// Tables that double have done so once or twice.
const WARM_UP: usize = 100;

const CONNECTIONS: usize = 2_000;

/// For the server to let go of what it does not need.
const REST: Duration = Duration::from_secs(3);
