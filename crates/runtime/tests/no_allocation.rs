//! A request that is answered at once takes one small allocation, that of the handler's future: in the engine none, and
//! none in the driver.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../../engine/tests/common/allocator.rs"]
mod allocator;

use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocator::{allocations, held};
use coracle_engine::{Config, Endpoint as Engine, Instant, Path, Received, ResponseRef, limits};
use coracle_router::{Request, Response, Router, State, get};
use coracle_runtime::Endpoint;
use coracle_wire::{Code, ContentFormat, Message, OptionNumber, Status};

/// Requests that are counted, and those before, after which tables have their size.
const COUNTED: u16 = 1_000;
const WARM_UP: u16 = 30_000;

/// What is remembered of messages: so little that it is full, and forgotten from its front, before requests are counted.
const SEEN_BYTES: usize = 64 * 1024;

/// Peers that ask in turn.
const PEERS: u16 = 7;

/// How often tables may grow while requests are counted.
const GROWTH: usize = 8;

/// The most bytes that the future of such a handler takes.
const SMALL: usize = 512;

fn config() -> Config {
    let mut config = Config::default();
    config.seen_bytes = SEEN_BYTES;
    config
}

/// A confirmable GET of `/sensors/temp` with a token of two bytes, under this message ID.
fn request(id: u16) -> [u8; 19] {
    let mut datagram = *b"\x42\x01..tk\xb7sensors\x04temp";
    datagram[2..4].copy_from_slice(&id.to_be_bytes());
    datagram
}

/// What answers it; the response has a Content-Format of the route and a Max-Age of the handler.
fn router() -> Router {
    async fn read(State(reading): State<Arc<AtomicUsize>>) -> Response {
        reading.fetch_add(1, Ordering::Relaxed);
        Response::success("21.5").with_max_age(5)
    }
    let temp = get(read).content_format(ContentFormat::TEXT).observable();
    Router::new()
        .route("/sensors/temp", temp)
        .with_state(Arc::default())
}

fn poll_once(mut future: impl Future<Output = Response> + Unpin) -> Response {
    match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("the handler has nothing to wait for"),
    }
}

#[test]
fn the_router_takes_one_small_allocation() {
    let router = router();
    let ask = |location: &str| {
        let request = Request::get(location);
        let before = allocations();
        let response = poll_once(router.call(request));
        (response.status, allocations() - before)
    };
    assert_eq!(ask("/sensors/temp").0, Status::CONTENT);
    assert_eq!(ask("/sensors/temp"), (Status::CONTENT, 1));
    assert_eq!(ask("/sensors/rain"), (Status::NOT_FOUND, 0));
    assert_eq!(ask("/.well-known/core").0, Status::CONTENT);
    assert_eq!(ask("/.well-known/core"), (Status::CONTENT, 0));

    let before = held();
    let future = router.call(Request::get("/sensors/temp"));
    let taken = held() - before;
    assert!((1..=SMALL).contains(&taken), "{taken} bytes");
    drop(future);
}

/// Takes a request through an engine and a router, as a driver does.
fn exchange(engine: &mut Engine, router: &Router, now: Instant, peer: u16, id: u16) {
    let path = Path::to(SocketAddr::from(([10, 0, 0, 1], 10_000 + peer)));
    let datagram = request(id);
    let Received::Request(exchange, request) = engine.handle_datagram(now, path, &datagram) else {
        panic!("request {id} of peer {peer} was not heard");
    };
    let response = poll_once(router.call(Request::from(request)));
    let answer = ResponseRef::new(response.status, response.options.as_options(), &response.payload);
    engine.respond(now, exchange, answer).unwrap();
    let mut buf = [0; limits::MAX_DATAGRAM];
    let sent = engine.poll_transmit(now, &mut buf).unwrap();
    assert_eq!(buf.get(..sent.len).unwrap(), answer_to(id));
    assert!(engine.poll_transmit(now, &mut buf).is_none() && engine.poll_event().is_none());
}

/// 2.05, acknowledging: Content-Format 0, Max-Age 5, `21.5`.
fn answer_to(id: u16) -> [u8; 14] {
    let mut datagram = *b"\x62\x45..tk\xc0\x21\x05\xff21.5";
    datagram[2..4].copy_from_slice(&id.to_be_bytes());
    datagram
}

#[test]
fn engine_and_router_take_one_small_allocation_together() {
    let router = router();
    let mut engine = Engine::new(config(), [7; 32]);
    let mut run = |ids: std::ops::Range<u16>| {
        for id in ids {
            let now = Instant::from_micros(u64::from(id) * 1_000);
            exchange(&mut engine, &router, now, id % PEERS, id);
        }
    };
    run(0..WARM_UP);
    let before = allocations();
    run(WARM_UP..WARM_UP + COUNTED);
    let taken = allocations() - before;
    let expected = usize::from(COUNTED);
    assert!((expected..=expected + GROWTH).contains(&taken), "{taken}");
}

/// One peer of a server.
struct Peer(UdpSocket);

impl Peer {
    fn of(server: SocketAddr) -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Peer(socket)
    }

    fn ask<'b>(&self, datagram: &[u8], buf: &'b mut [u8]) -> &'b [u8] {
        self.0.send(datagram).unwrap();
        let len = self.0.recv(buf).unwrap();
        buf.get(..len).unwrap()
    }

    /// What the thread of the server has allocated so far.
    fn allocations(&self, id: u16) -> usize {
        let mut datagram = *b"\x40\x01..\xbballocations";
        datagram[2..4].copy_from_slice(&id.to_be_bytes());
        let mut buf = [0; 64];
        let answer = Message::parse(self.ask(&datagram, &mut buf)).unwrap();
        assert_eq!(answer.code, Code::from(Status::CONTENT));
        assert!(!answer.options.contains(OptionNumber::BLOCK2));
        std::str::from_utf8(answer.payload).unwrap().parse().unwrap()
    }
}

/// Serves in a thread of its own, which ends with the test; returns the address.
fn serve(router: Router) -> SocketAddr {
    let (tell, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
            let endpoint = endpoint.with_config(config());
            tell.send(*endpoint.local_addrs().first().unwrap()).unwrap();
            endpoint.serve(router).await.unwrap();
        });
    });
    address.recv().unwrap()
}

#[test]
fn a_server_takes_one_small_allocation_for_a_request() {
    let server = serve(router().route("/allocations", get(async || allocations().to_string())));
    let peers: Vec<Peer> = (0..PEERS).map(|_| Peer::of(server)).collect();
    let run = |ids: std::ops::Range<u16>| {
        for id in ids {
            let peer = &peers[usize::from(id % PEERS)];
            assert_eq!(peer.ask(&request(id), &mut [0; 64]), answer_to(id));
        }
    };
    run(0..WARM_UP);
    let before = peers[0].allocations(u16::MAX - 1);
    run(WARM_UP..WARM_UP + COUNTED);
    let taken = peers[0].allocations(u16::MAX) - before;
    let expected = usize::from(COUNTED);
    // The question how many there are takes some too.
    assert!((expected..=expected + GROWTH + 4).contains(&taken), "{taken}");
}
