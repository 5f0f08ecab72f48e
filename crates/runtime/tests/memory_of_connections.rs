//! What connections at rest cost, counted by the allocator: those of the server, whose peers are plain sockets.
// An allocator that counts can only be written with `unsafe`; it passes everything on to the system's.
#![allow(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it measured"
)]

mod connected;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use connected::raw::{csm, get as get_frame};
use connected::{Server, affordable};
use coracle_router::{Router, get};

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// tidy: an allocator that counts has no safe form
// SAFETY: every call goes to the system's allocator unchanged; counting touches one number only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `ptr` came from the system's allocator with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many connections are open, if there are descriptors for both ends of all.
const MANY: usize = 10_000;

/// The most that one may take, in bytes.
const BOUND: usize = 4096;

/// A connection on which a request was answered.
fn open(server: &Server, asked: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(asked).unwrap();
    let mut came = [0; 64];
    let mut len = 0;
    while !came[..len].ends_with(b"world") {
        let read = stream.read(&mut came[len..]).unwrap();
        assert!(read > 0, "it was closed");
        len += read;
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_at_rest_takes_less_than_four_kilobytes() {
    let server = Server::start(Router::new().route("/hello", get(|| async { "world" })));
    let many = affordable(MANY);
    let asked = [csm(), get_frame("hello", b"t")].concat();
    let mut open_ones = Vec::with_capacity(many);
    open_ones.push(open(&server, &asked));
    let before = LIVE.load(Ordering::Relaxed);
    tokio::task::block_in_place(|| {
        for _ in 1..many {
            open_ones.push(open(&server, &asked));
        }
    });
    let statistics = server.statistics.read().await;
    assert_eq!(
        (statistics.connections, statistics.engine.requests),
        (many as u64, many as u64)
    );
    let each = (LIVE.load(Ordering::Relaxed) - before) / (many - 1);
    println!("{each} bytes for each of {many} connections at rest");
    assert!(each <= BOUND, "{each} bytes for each of {many}");

    // What they took is given back, but for what the system's poller keeps.
    drop(open_ones);
    connected::bounded(async {
        while server.statistics.read().await.connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let left = LIVE.load(Ordering::Relaxed).saturating_sub(before);
    println!("{left} bytes are left of them");
    assert!(left < (256 << 10) + 100 * many, "{left} bytes are left of {many}");
    server.shut_down().await;
}
