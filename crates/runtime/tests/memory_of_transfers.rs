//! Long bodies that go and come in parts take memory for some blocks, whatever their length; counted by the allocator,
//! client and server together, over sockets on loopback.
// An allocator that counts can only be written with `unsafe`; it passes everything on to the system's.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use coracle_engine::Window;
use coracle_router::{BodyStream, Response, Router, get};
use coracle_runtime::{Body, Client, Config, Endpoint};
use coracle_wire::{OptionNumber, OptionsBuf, Status};
use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn grows(by: usize) {
    let live = LIVE.fetch_add(by, Ordering::Relaxed) + by;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// tidy: an allocator that counts has no safe form
// SAFETY: every call goes to the system's allocator unchanged; counting touches two numbers only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grows(layout.size());
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

/// The length of the long bodies. One of 64 MB has more blocks than there are message IDs, and its rest would wait for
/// EXCHANGE_LIFETIME (RFC 7252 §4.4). Without optimisation a sixth shows the same in a sixth of the time.
const LONG: u64 = if cfg!(debug_assertions) {
    10_000_000
} else {
    60_000_000
};

/// How many transfers go at once, in each direction.
const MANY: usize = 300;

/// The length of their bodies.
const SHORT: u64 = 40_000;

fn byte(at: u64) -> u8 {
    u8::try_from((at * 7 + at / 256) & 255).unwrap()
}

/// A body of a length that is nowhere kept.
struct Source {
    at: u64,
    length: u64,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.at < self.length && buf.remaining() > 0 {
            buf.put_slice(&[byte(self.at)]);
            self.at += 1;
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes that body and keeps nothing of it.
#[derive(Default)]
struct Sink(u64);

impl Sink {
    fn take(&mut self, bytes: &[u8]) {
        for byte_there in bytes {
            assert_eq!(*byte_there, byte(self.0));
            self.0 += 1;
        }
    }
}

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The length is the last segment of the path.
async fn read(coracle_router::Path(total): coracle_router::Path<u64>, options: OptionsBuf) -> Response {
    let offset = match options.as_options().block2() {
        Some(Ok(block)) => block.offset(),
        _ => 0,
    };
    let part: Vec<u8> = (offset..total.min(offset + 1024)).map(byte).collect();
    Response::success(part)
        .with_window(Window { offset, total })
        .with_etag(b"1")
}

async fn write(mut body: BodyStream) -> Response {
    let mut sink = Sink::default();
    while let Some(part) = body.next().await {
        match part {
            Ok(part) => sink.take(&part),
            Err(_) => return Response::new(Status::INTERNAL_SERVER_ERROR),
        }
    }
    Response::success(sink.0.to_string())
}

async fn download(client: &Client, uri: &str, length: u64) {
    let mut answer = client.get(format!("{uri}/{length}")).stream().await.unwrap();
    assert_eq!(answer.status(), Status::CONTENT);
    let mut sink = Sink::default();
    answer.write_to(&mut sink).await.unwrap();
    assert_eq!(sink.0, length);
}

async fn upload(client: &Client, uri: &str, length: u64) {
    let source = Source { at: 0, length };
    let answer = client
        .post(format!("{uri}/{length}"))
        .option_uint(OptionNumber::CONTENT_FORMAT, 42)
        .body(Body::from_reader(source, Some(length)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), Status::CHANGED);
    assert_eq!(answer.text().unwrap(), length.to_string());
}

/// How many bytes more than before were in use at the most.
async fn growth(work: impl Future<Output = ()>) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work.await;
    PEAK.load(Ordering::Relaxed) - before
}

/// One test, so that nothing else is counted.
#[tokio::test]
async fn transfers_take_memory_for_blocks_and_not_for_bodies() {
    let router = Router::new().route("/{length}", get(read).post(write));
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let uri = format!("coap://{}", endpoint.local_addrs().first().unwrap());
    tokio::spawn(async move { endpoint.serve(router).await });
    // Each with a socket and message IDs of its own.
    let client = || {
        let mut config = Config::default();
        config.transmission = config.transmission.with_nstart(64);
        Client::with_config(config).unwrap()
    };

    let down = growth(async { download(&client(), &uri, LONG).await }).await;
    let up = growth(async { upload(&client(), &uri, LONG).await }).await;
    let many = growth(async {
        let client = client();
        let downloads = join_all((0..MANY).map(|_| download(&client, &uri, SHORT)));
        let uploads = join_all((0..MANY).map(|_| upload(&client, &uri, SHORT)));
        tokio::join!(downloads, uploads);
    })
    .await;
    println!("{LONG} bytes down: {down} bytes, up: {up}; {MANY} of {SHORT} each way at once: {many}");
    assert!(down < 4_000_000, "{down} bytes for a download");
    assert!(up < 4_000_000, "{up} bytes for an upload");
    assert!(many < 2 * MANY * (24 << 10), "{many} bytes for many at once");
}
