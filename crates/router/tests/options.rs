//! Critical options that are not understood, and formats (RFC 7252 §5.4, §5.10.3, §5.10.4).

use coracle_router::{Bytes, Changed, IntoResponse, Request, Response, Router, from_fn, get, put};
use coracle_wire::{ContentFormat, Method, OptionNumber, Status};

const CRITICAL: OptionNumber = OptionNumber(65_001);
const ELECTIVE: OptionNumber = OptionNumber(65_000);

async fn status(app: &Router, request: Request) -> Status {
    app.oneshot(request).await.status
}

#[tokio::test]
async fn a_critical_option_that_nobody_declared_is_a_bad_option() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    let refused = app.oneshot(Request::get("/a").with_option(CRITICAL, b"x")).await;
    assert_eq!(refused.status, Status::BAD_OPTION);
    assert_eq!(refused.payload, "option 65001 is not supported here");
    assert_eq!(
        status(&app, Request::get("/none").with_option(CRITICAL, b"x")).await,
        Status::BAD_OPTION
    );
}

#[tokio::test]
async fn an_elective_option_that_nobody_knows_is_ignored() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    assert_eq!(
        status(&app, Request::get("/a").with_option(ELECTIVE, b"x")).await,
        Status::CONTENT
    );
}

#[tokio::test]
async fn a_route_understands_only_the_options_it_declares_itself() {
    let app: Router = Router::new()
        .route("/a", get(async || "a").option(CRITICAL))
        .route("/b", get(async || "b"));
    assert_eq!(
        status(&app, Request::get("/a").with_option(CRITICAL, b"x")).await,
        Status::CONTENT
    );
    assert_eq!(
        status(&app, Request::get("/b").with_option(CRITICAL, b"x")).await,
        Status::BAD_OPTION
    );
    assert_eq!(app.declared_options(), [CRITICAL]);
}

#[tokio::test]
async fn a_layer_can_take_away_an_option_that_routes_do_not_know() {
    let app: Router = Router::new()
        .route("/a", get(async || "a"))
        .layer_option(CRITICAL)
        .layer(from_fn(
            async |mut request: Request, next: coracle_router::Next| {
                request.options.remove(CRITICAL);
                next.run(request).await
            },
        ));
    assert_eq!(
        status(&app, Request::get("/a").with_option(CRITICAL, b"x")).await,
        Status::CONTENT
    );
    assert_eq!(app.declared_options(), [CRITICAL]);
}

#[tokio::test]
async fn options_that_ask_for_a_proxy_are_told_that_there_is_none() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    let request = Request::get("/a").with_option(OptionNumber::PROXY_SCHEME, b"coap");
    assert_eq!(status(&app, request).await, Status::PROXYING_NOT_SUPPORTED);
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_a_bad_option() {
    let app: Router = Router::new().fallback(async || "any");
    let path = Request::get("/").with_option(OptionNumber::URI_PATH, b"\xff");
    let query = Request::get("/").with_option(OptionNumber::URI_QUERY, b"\xff");
    assert_eq!(status(&app, path).await, Status::BAD_OPTION);
    assert_eq!(status(&app, query).await, Status::BAD_OPTION);
}

#[tokio::test]
async fn an_option_that_may_come_once_is_bad_when_it_comes_twice() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    let twice = Request::get("/a")
        .with_option(OptionNumber::ACCEPT, &[])
        .with_option(OptionNumber::ACCEPT, &[]);
    assert_eq!(status(&app, twice).await, Status::BAD_OPTION);
}

#[tokio::test]
async fn an_option_of_a_length_it_cannot_have_is_bad() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    let long = Request::get("/a").with_option(OptionNumber::ACCEPT, &[1, 2, 3]);
    assert_eq!(status(&app, long).await, Status::BAD_OPTION);
}

#[tokio::test]
async fn a_format_that_is_not_declared_is_refused_before_the_handler_runs() {
    async fn never() -> Response {
        unreachable!("the handler must not run")
    }
    let app: Router = Router::new().route("/a", get(never).put(never).content_format(ContentFormat::CBOR));
    for method in [Method::GET, Method::PUT] {
        let request = Request::to(method, "/a").with_accept(ContentFormat::JSON);
        assert_eq!(status(&app, request).await, Status::NOT_ACCEPTABLE);
    }
}

#[tokio::test]
async fn content_in_another_format_than_accepted_is_refused_after_the_handler() {
    let app: Router = Router::new()
        .route("/text", get(async || "text"))
        .route("/unknown", get(async || Bytes::from_static(b"bytes")))
        .route("/gone", get(async || Status::NOT_FOUND));
    let accept = |path: &str, format| Request::get(path).with_accept(format);
    assert_eq!(
        status(&app, accept("/text", ContentFormat::TEXT)).await,
        Status::CONTENT
    );
    assert_eq!(
        status(&app, accept("/text", ContentFormat::JSON)).await,
        Status::NOT_ACCEPTABLE
    );
    assert_eq!(
        status(&app, accept("/unknown", ContentFormat::JSON)).await,
        Status::NOT_ACCEPTABLE
    );
    assert_eq!(
        status(&app, accept("/gone", ContentFormat::JSON)).await,
        Status::NOT_FOUND
    );
}

#[tokio::test]
async fn content_that_does_not_say_its_format_gets_the_only_one_declared() {
    let bytes = async || Bytes::from_static(b"\x01");
    let app: Router = Router::new()
        .route("/one", get(bytes).content_format(ContentFormat::CBOR))
        .route(
            "/two",
            get(bytes)
                .content_format(ContentFormat::CBOR)
                .content_format(ContentFormat::JSON),
        );
    let one = app
        .oneshot(Request::get("/one").with_accept(ContentFormat::CBOR))
        .await;
    assert_eq!(
        (one.status, one.content_format()),
        (Status::CONTENT, Some(ContentFormat::CBOR))
    );
    assert_eq!(app.oneshot(Request::get("/two")).await.content_format(), None);
}

#[tokio::test]
async fn a_payload_in_a_format_that_is_not_consumed_is_refused() {
    let app: Router = Router::new().route(
        "/a",
        put(async || Changed)
            .get(async || "a")
            .consumes(ContentFormat::CBOR),
    );
    let put = |format| Request::put("/a").with_content_format(format).with_payload("x");
    assert_eq!(status(&app, put(ContentFormat::CBOR)).await, Status::CHANGED);
    assert_eq!(
        status(&app, put(ContentFormat::JSON)).await,
        Status::UNSUPPORTED_CONTENT_FORMAT
    );
    assert_eq!(
        status(&app, Request::put("/a").with_payload("x")).await,
        Status::CHANGED
    );
    assert_eq!(
        status(&app, Request::get("/a").with_content_format(ContentFormat::JSON)).await,
        Status::CONTENT
    );
}

#[tokio::test]
async fn an_etag_that_the_peer_has_is_answered_valid() {
    let app: Router = Router::new().route(
        "/a",
        get(async || "a".into_response().with_etag(b"v1").with_max_age(5)),
    );
    let valid = app
        .oneshot(
            Request::get("/a")
                .with_option(OptionNumber::ETAG, b"v0")
                .with_option(OptionNumber::ETAG, b"v1"),
        )
        .await;
    assert_eq!(valid.status, Status::VALID);
    assert!(valid.payload.is_empty());
    assert_eq!(valid.options.get(OptionNumber::ETAG), Some(&b"v1"[..]));
    assert_eq!(valid.options.as_options().max_age(), 5);
    assert_eq!(valid.content_format(), None);
    let other = app
        .oneshot(Request::get("/a").with_option(OptionNumber::ETAG, b"v2"))
        .await;
    assert_eq!((other.status, &other.payload[..]), (Status::CONTENT, &b"a"[..]));
}
