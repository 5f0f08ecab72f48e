//! What drivers rely on: handlers begin when they are called, and a request is made another one in its place.
#![allow(clippy::panic, reason = "helpers of tests")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use coracle_engine::{Config, Endpoint, Instant, Path, Received};
use coracle_router::{Bytes, FromRequest, Identity, Request, Response, Router, State, from_fn, get, post};
use coracle_wire::{Method, OptionNumber, Status};

fn poll(future: &mut (impl Future<Output = Response> + Unpin)) -> Poll<Response> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts how often it was begun, and is ready when it is polled for the second time.
async fn slow(State(begun): State<Arc<AtomicU32>>) -> &'static str {
    begun.fetch_add(1, Ordering::Relaxed);
    tokio::task::yield_now().await;
    "done"
}

fn slow_router() -> (Router, Arc<AtomicU32>) {
    let begun = Arc::new(AtomicU32::new(0));
    let router = Router::new().route("/slow", get(slow));
    (router.with_state(begun.clone()), begun)
}

#[test]
fn what_is_ready_at_once_needs_no_poll() {
    let router: Router = Router::new().route("/now", get(async || "now"));
    let future = router.begin(&mut Request::get("/now"));
    let response = future.response().unwrap();
    assert_eq!(
        (response.status, &response.payload[..]),
        (Status::CONTENT, &b"now"[..])
    );
    let mut future = router.begin(&mut Request::get("/nowhere"));
    assert_eq!(future.response().unwrap().status, Status::NOT_FOUND);
    assert!(matches!(poll(&mut future), Poll::Ready(response) if response.status == Status::NOT_FOUND));
}

#[tokio::test]
async fn what_is_not_ready_has_begun_and_goes_on_when_it_is_polled() {
    let (router, begun) = slow_router();
    let future = router.begin(&mut Request::get("/slow"));
    assert!(future.response().is_none());
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    assert_eq!(future.await.payload, "done");
    assert_eq!(begun.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_nobody_polls_does_not_begin_by_a_call() {
    let (router, begun) = slow_router();
    let future = router.call(Request::get("/slow"));
    assert_eq!(
        (begun.load(Ordering::Relaxed), future.response().is_some()),
        (0, false)
    );
    assert_eq!(future.await.payload, "done");
}

#[tokio::test]
async fn behind_a_layer_a_handler_begins_when_the_layer_polls_it() {
    let (router, begun) = slow_router();
    let seen = begun.clone();
    let router = router.layer(from_fn(move |request, next: coracle_router::Next| {
        let seen = seen.clone();
        async move {
            let answer = next.run(request);
            let before = seen.load(Ordering::Relaxed);
            let payload = answer.await.payload;
            format!("{before} {}", String::from_utf8_lossy(&payload))
        }
    }));
    let future = router.begin(&mut Request::get("/slow"));
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    assert_eq!(future.await.payload, "0 done");
}

#[test]
fn a_panic_of_what_is_begun_is_caught() {
    async fn fails(_: Bytes) -> &'static str {
        panic!("on purpose")
    }
    let router: Router = Router::new().route("/", post(fails));
    let future = router.begin(&mut Request::post("/"));
    let response = future.response().unwrap();
    assert_eq!(response.status, Status::INTERNAL_SERVER_ERROR);
}

/// Says that it is at hand, and is not.
struct Liar;

impl<S: Sync> FromRequest<S> for Liar {
    type Rejection = Status;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_extractor_that_waits_though_it_said_that_it_does_not_is_a_fault_of_the_program() {
    let router: Router = Router::new().route("/", get(async |_: Liar| "unheard"));
    let response = router.oneshot(Request::get("/")).await;
    assert_eq!(response.status, Status::INTERNAL_SERVER_ERROR);
    assert_eq!(response.payload, "the request cannot be handled");
}

/// A request as the engine hands it out.
fn heard(datagram: &[u8]) -> coracle_engine::Request<'_> {
    let mut engine = Endpoint::new(Config::default(), [7; 32]);
    let path = Path::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)));
    match engine.handle_datagram(Instant::ZERO, path, datagram) {
        Received::Request(_, request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_left_of_the_request_that_was_in_a_place() {
    let router: Router = Router::new().route("/a", get(async || "a"));
    let mut place = Request::get("/a")
        .with_payload("body")
        .with_notification(true)
        .with_identity(Some(Identity::psk("gateway")))
        .with_part_len(16);
    place.extensions.insert(7_u8);
    assert!(router.begin(&mut place).response().is_some());
    assert_eq!(place.route(), Some("/a"));

    // A non-confirmable POST with Accept: 60.
    let request = heard(b"\x50\x02\x00\x01\xd1\x04\x3c");
    place.refill(&request);
    let fresh = Request::from(request);
    assert_eq!((place.method, place.confirmable), (Method::POST, false));
    assert_eq!((place.path, place.path.remote.port()), (fresh.path, 7));
    assert_eq!(place.options.get(OptionNumber::ACCEPT), Some(&[60][..]));
    assert_eq!((&place.options, &place.payload[..]), (&fresh.options, &b""[..]));
    assert_eq!((place.part_len, place.notification), (fresh.part_len, false));
    assert_eq!(place.identity, None);
    assert_eq!((place.extensions.get::<u8>(), place.route()), (None, None));
}

#[tokio::test]
async fn a_request_that_was_kept_is_whole_and_its_place_can_be_used_again() {
    let echo = async |request: Request| {
        tokio::task::yield_now().await;
        request.payload.clone()
    };
    let router: Router = Router::new().route("/", post(echo));
    let mut place = Request::post("/").with_payload("first");
    let first = router.begin(&mut place);
    place.refill(&heard(b"\x40\x02\x00\x01\xffsecond"));
    let second = router.begin(&mut place);
    assert_eq!(
        (first.await.payload, second.await.payload),
        ("first".into(), "second".into())
    );
}
