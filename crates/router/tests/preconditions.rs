//! If-Match and If-None-Match (RFC 7252 §5.10.8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coracle_router::{
    Changed, Created, IntoResponse, Preconditions, Rejection, Request, Response, Router, State, get, put,
};
use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};

#[derive(Clone, Default)]
struct Writes(Arc<AtomicUsize>);

async fn write(State(writes): State<Writes>) -> Changed {
    writes.0.fetch_add(1, Ordering::Relaxed);
    Changed
}

async fn present() -> Response {
    "text".into_response().with_etag(b"v1")
}

async fn absent() -> Status {
    Status::NOT_FOUND
}

/// The status, and whether the handler ran.
async fn put_to(path: &str, number: OptionNumber, value: &[u8]) -> (Status, bool) {
    let writes = Writes::default();
    let app = Router::new()
        .route("/present", get(present).put(write))
        .route("/absent", get(absent).put(write))
        .route("/blind", put(write))
        .route("/broken", get(async || Status::UNAUTHORIZED).put(write))
        .with_state(writes.clone());
    let response = app.oneshot(Request::put(path).with_option(number, value)).await;
    (response.status, writes.0.load(Ordering::Relaxed) == 1)
}

const DONE: (Status, bool) = (Status::CHANGED, true);
const REFUSED: (Status, bool) = (Status::PRECONDITION_FAILED, false);

#[tokio::test]
async fn if_match_holds_for_the_etag_that_get_tells() {
    assert_eq!(put_to("/present", OptionNumber::IF_MATCH, b"v1").await, DONE);
    assert_eq!(put_to("/present", OptionNumber::IF_MATCH, b"v2").await, REFUSED);
    assert_eq!(put_to("/absent", OptionNumber::IF_MATCH, b"v1").await, REFUSED);
}

#[tokio::test]
async fn an_empty_if_match_holds_for_whatever_exists() {
    assert_eq!(put_to("/present", OptionNumber::IF_MATCH, b"").await, DONE);
    assert_eq!(put_to("/absent", OptionNumber::IF_MATCH, b"").await, REFUSED);
}

#[tokio::test]
async fn if_none_match_holds_for_what_does_not_exist() {
    assert_eq!(
        put_to("/present", OptionNumber::IF_NONE_MATCH, b"").await,
        REFUSED
    );
    assert_eq!(put_to("/absent", OptionNumber::IF_NONE_MATCH, b"").await, DONE);
}

#[tokio::test]
async fn conditions_fail_where_nobody_can_tell() {
    for path in ["/blind", "/broken"] {
        assert_eq!(put_to(path, OptionNumber::IF_MATCH, b"").await, REFUSED, "{path}");
        assert_eq!(
            put_to(path, OptionNumber::IF_NONE_MATCH, b"").await,
            REFUSED,
            "{path}"
        );
    }
}

#[tokio::test]
async fn one_of_several_etags_is_enough() {
    let app = Router::new()
        .route("/a", get(present).put(write))
        .with_state(Writes::default());
    let request = Request::put("/a")
        .with_option(OptionNumber::IF_MATCH, b"v0")
        .with_option(OptionNumber::IF_MATCH, b"v1");
    assert_eq!(app.oneshot(request).await.status, Status::CHANGED);
}

#[tokio::test]
async fn a_get_is_held_against_its_own_response() {
    let app: Router = Router::new()
        .route("/present", get(present))
        .route("/absent", get(absent));
    let get = |path: &str, value: &[u8]| Request::get(path).with_option(OptionNumber::IF_MATCH, value);
    assert_eq!(app.oneshot(get("/present", b"v1")).await.status, Status::CONTENT);
    assert_eq!(
        app.oneshot(get("/present", b"v2")).await.status,
        Status::PRECONDITION_FAILED
    );
    assert_eq!(app.oneshot(get("/absent", b"v1")).await.status, Status::NOT_FOUND);
}

/// RFC 8132 §2: the conditions of a FETCH are about the resource, not about what it selects.
#[tokio::test]
async fn a_fetch_is_held_against_the_resource() {
    async fn select() -> Response {
        "a part".into_response().with_etag(b"part")
    }
    let app: Router = Router::new().route("/a", get(present).fetch(select));
    for (etag, status) in [
        (&b"v1"[..], Status::CONTENT),
        (b"part", Status::PRECONDITION_FAILED),
    ] {
        let request = Request::to(Method::FETCH, "/a").with_option(OptionNumber::IF_MATCH, etag);
        assert_eq!(app.oneshot(request).await.status, status);
    }
}

#[tokio::test]
async fn any_declared_representation_can_match() {
    async fn read(options: OptionsBuf) -> Response {
        let format = options.as_options().accept().unwrap_or(ContentFormat::TEXT);
        (format, "x")
            .into_response()
            .with_etag(&[format.0.to_be_bytes()[1]])
    }
    let route = get(read)
        .put(write)
        .content_format(ContentFormat::TEXT)
        .content_format(ContentFormat::CBOR);
    let app = Router::new().route("/a", route).with_state(Writes::default());
    let put = |etag: u8| Request::put("/a").with_option(OptionNumber::IF_MATCH, &[etag]);
    assert_eq!(app.oneshot(put(60)).await.status, Status::CHANGED);
    assert_eq!(app.oneshot(put(0)).await.status, Status::CHANGED);
    assert_eq!(app.oneshot(put(50)).await.status, Status::PRECONDITION_FAILED);
}

#[tokio::test]
async fn the_question_for_the_representation_carries_nothing_of_the_change() {
    async fn read(request: Request) -> Response {
        let foreign = [
            OptionNumber::CONTENT_FORMAT,
            OptionNumber::IF_MATCH,
            OptionNumber::BLOCK1,
        ];
        let clean =
            request.payload.is_empty() && !foreign.iter().any(|number| request.options.contains(*number));
        let etag: &[u8] = if clean && request.options.get_str(OptionNumber::URI_QUERY) == Some("q") {
            b"v1"
        } else {
            b""
        };
        "x".into_response().with_etag(etag)
    }
    let app = Router::new()
        .route("/a", get(read).put(write))
        .with_state(Writes::default());
    let request = Request::put("/a?q")
        .with_content_format(ContentFormat::CBOR)
        .with_option(OptionNumber::IF_MATCH, b"v1")
        .with_option(OptionNumber::BLOCK1, &[])
        .with_payload("new");
    assert_eq!(app.oneshot(request).await.status, Status::CHANGED);
}

#[tokio::test]
async fn a_conditional_route_decides_by_itself() {
    async fn create(conditions: Preconditions) -> Result<Created, Rejection> {
        conditions.check(false, None)?;
        Ok(Created::new())
    }
    let app: Router = Router::new().route("/a", put(create).conditional());
    let put = |number| Request::put("/a").with_option(number, b"");
    assert_eq!(
        app.oneshot(put(OptionNumber::IF_NONE_MATCH)).await.status,
        Status::CREATED
    );
    assert_eq!(
        app.oneshot(put(OptionNumber::IF_MATCH)).await.status,
        Status::PRECONDITION_FAILED
    );
    assert_eq!(app.oneshot(Request::put("/a")).await.status, Status::CREATED);
}
