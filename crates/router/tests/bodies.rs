//! How bodies are taken: whole up to a limit, or part by part (RFC 7959 §2).

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use coracle_engine::{Body, BodyPolicy};
use coracle_router::{
    BodySender, BodyStream, Bytes, Changed, DEFAULT_BODY_LIMIT, Demand, Request, Response, Router, put,
};
use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};

async fn count(mut body: BodyStream) -> String {
    let mut sizes = Vec::new();
    loop {
        match body.next().await {
            Some(Ok(part)) => sizes.push(part.len()),
            Some(Err(error)) => return format!("{sizes:?} {error}"),
            None => return format!("{sizes:?}"),
        }
    }
}

fn app() -> Router {
    Router::new()
        .route(
            "/whole",
            put(async |body: Bytes| body.len().to_string())
                .body_limit(5)
                .get(async || "x"),
        )
        .route("/default", put(async || Changed))
        .route(
            "/stream",
            put(count).post(async |body: Bytes| body.len().to_string()),
        )
        .route(
            "/maybe",
            put(async |body: Option<BodyStream>| body.is_some().to_string()),
        )
        .route("/cbor", put(async || Changed).consumes(ContentFormat::CBOR))
        .route("/early", put(async |_: BodyStream| Status::FORBIDDEN))
}

fn policy(method: Method, path: &str) -> Body {
    app().body(method, Request::to(method, path).options.as_options())
}

#[test]
fn the_handler_and_its_route_say_how_a_body_is_taken() {
    assert_eq!(policy(Method::PUT, "/whole"), Body::Collect { limit: 5 });
    assert_eq!(
        policy(Method::PUT, "/default"),
        Body::Collect {
            limit: DEFAULT_BODY_LIMIT
        }
    );
    assert_eq!(policy(Method::PUT, "/stream"), Body::Stream);
    assert_eq!(
        policy(Method::POST, "/stream"),
        Body::Collect {
            limit: DEFAULT_BODY_LIMIT
        }
    );
    assert_eq!(policy(Method::PUT, "/maybe"), Body::Stream);
}

#[test]
fn what_will_be_refused_is_not_assembled() {
    assert_eq!(policy(Method::PUT, "/none"), Body::Stream);
    assert_eq!(policy(Method::DELETE, "/whole"), Body::Stream);
    let mut options: OptionsBuf = Request::put("/cbor").options;
    options.push_uint(OptionNumber::CONTENT_FORMAT, u64::from(ContentFormat::JSON.0));
    assert_eq!(app().body(Method::PUT, options.as_options()), Body::Stream);
}

#[tokio::test]
async fn a_whole_body_is_a_stream_of_one_part() {
    assert_eq!(
        app()
            .oneshot(Request::put("/stream").with_payload("abc"))
            .await
            .payload,
        "[3]"
    );
    assert_eq!(app().oneshot(Request::put("/stream")).await.payload, "[]");
}

/// Plays the driver: hands in `parts` as they are demanded, then finishes unless told to break off.
async fn drive(path: &str, first: &'static str, parts: &[&'static str], finish: bool) -> (Response, usize) {
    let (sender, stream) = BodyStream::new(Bytes::from_static(first.as_bytes()));
    let mut sender: Option<BodySender> = Some(sender);
    let mut parts = parts.iter();
    let mut demanded = 0;
    let mut call = pin!(app().call(Request::put(path).with_body(stream)));
    let response = poll_fn(|cx| {
        loop {
            if let Poll::Ready(response) = call.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            let Some(mut driver) = sender.take() else {
                return Poll::Pending;
            };
            match driver.poll_demand(cx) {
                Poll::Pending => {
                    sender = Some(driver);
                    return Poll::Pending;
                }
                Poll::Ready(Demand::Closed) => {}
                Poll::Ready(Demand::Next) => {
                    demanded += 1;
                    match parts.next() {
                        Some(part) => {
                            driver.send(Bytes::from_static(part.as_bytes()));
                            sender = Some(driver).filter(|_| finish || parts.len() > 0);
                        }
                        None if finish => driver.finish(),
                        None => drop(driver),
                    }
                }
            }
        }
    })
    .await;
    (response, demanded)
}

#[tokio::test]
async fn parts_are_asked_for_one_by_one() {
    let (response, demanded) = drive("/stream", "1234", &["56", "7"], true).await;
    assert_eq!(response.payload, "[4, 2, 1]");
    assert_eq!(demanded, 3);
}

#[tokio::test]
async fn a_handler_learns_that_the_body_broke_off() {
    let (response, _) = drive("/stream", "1234", &["56"], false).await;
    assert_eq!(response.payload, "[4, 2] the body broke off before its end");
}

#[tokio::test]
async fn a_streamed_body_is_collected_for_who_wants_it_whole() {
    let (response, _) = drive("/whole", "12", &["34", "5"], true).await;
    assert_eq!(response.payload, "5");
    let (response, demanded) = drive("/whole", "12", &["34", "56", "78"], true).await;
    assert_eq!(response.status, Status::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(response.options.get_uint(OptionNumber::SIZE1), Some(5));
    assert_eq!(demanded, 2);
    let (response, _) = drive("/whole", "12", &["34"], false).await;
    assert_eq!(response.status, Status::REQUEST_ENTITY_INCOMPLETE);
}

#[tokio::test]
async fn a_handler_that_answers_early_asks_for_nothing() {
    let (response, demanded) = drive("/early", "12", &["34"], true).await;
    assert_eq!((response.status, demanded), (Status::FORBIDDEN, 0));
}

#[test]
fn a_dropped_stream_is_told_to_the_driver() {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut sender, stream) = BodyStream::new(Bytes::new());
    assert_eq!(sender.poll_demand(&mut cx), Poll::Pending);
    drop(stream);
    assert_eq!(sender.poll_demand(&mut cx), Poll::Ready(Demand::Closed));
}

#[test]
fn a_part_is_demanded_once() {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut sender, mut stream) = BodyStream::new(Bytes::from_static(b"1"));
    assert_eq!(
        stream.poll_next(&mut cx),
        Poll::Ready(Some(Ok(Bytes::from_static(b"1"))))
    );
    assert_eq!(sender.poll_demand(&mut cx), Poll::Pending);
    assert_eq!(stream.poll_next(&mut cx), Poll::Pending);
    assert_eq!(stream.poll_next(&mut cx), Poll::Pending);
    assert_eq!(sender.poll_demand(&mut cx), Poll::Ready(Demand::Next));
    assert_eq!(sender.poll_demand(&mut cx), Poll::Pending);
    sender.send(Bytes::from_static(b"2"));
    sender.send(Bytes::from_static(b"3"));
    sender.finish();
    assert_eq!(
        stream.poll_next(&mut cx),
        Poll::Ready(Some(Ok(Bytes::from_static(b"23"))))
    );
    assert_eq!(stream.poll_next(&mut cx), Poll::Ready(None));
}

#[tokio::test]
async fn a_stream_can_be_read_in_another_task() {
    let (mut sender, stream) = BodyStream::new(Bytes::from_static(b"12"));
    let reader = tokio::spawn(count(stream));
    assert_eq!(poll_fn(|cx| sender.poll_demand(cx)).await, Demand::Next);
    sender.send(Bytes::from_static(b"3"));
    assert_eq!(poll_fn(|cx| sender.poll_demand(cx)).await, Demand::Next);
    sender.finish();
    assert_eq!(reader.await.unwrap(), "[2, 1]");
}
