//! What other stacks were brought down by, as requests to a router: each class with the answer that it gets.

use coracle_router::{Cbor, Json, Path, Query, Request, Response, Router, get, post};
use coracle_wire::{ContentFormat, OptionNumber, Status};

fn app() -> Router {
    Router::new()
        .route("/a/{n}", get(async |Path(n): Path<u8>| n.to_string()).rt("a"))
        .route(
            "/q",
            get(async |Query(all): Query<Vec<(String, String)>>| all.len().to_string()),
        )
        .route(
            "/json",
            post(async |Json(value): Json<serde_json::Value>| value.is_array().to_string()),
        )
        .route(
            "/cbor",
            post(async |Cbor(value): Cbor<ciborium::Value>| value.is_array().to_string()),
        )
        .route("/temp", get(async || "21").rt("temperature").title("Temperature"))
}

async fn ask(request: Request) -> Response {
    app().oneshot(request).await
}

/// Options that a handler of `/.well-known/core` copies into its answer, CVE-2026-27703: they are as long and as many
/// as a datagram takes, and what is listed is still only what passes.
#[tokio::test]
async fn discovery_holds_any_query() {
    let long = [b"rt=", &[b'a'; 252][..]].concat();
    let listed = ask(Request::get("/.well-known/core").with_option(OptionNumber::URI_QUERY, &long)).await;
    assert_eq!((listed.status, listed.payload.len()), (Status::CONTENT, 0));
    let mut request = Request::get("/.well-known/core");
    for _ in 0..500 {
        request = request.with_option(OptionNumber::URI_QUERY, b"rt=temp*");
    }
    let listed = ask(request).await;
    assert_eq!(listed.payload, r#"</temp>;rt="temperature";title="Temperature""#);
    let accept = Request::get("/.well-known/core").with_accept(ContentFormat(65535));
    assert_eq!(ask(accept).await.status, Status::NOT_ACCEPTABLE);
    let too_long = Request::get("/.well-known/core").with_option(OptionNumber::URI_QUERY, &[b'a'; 256]);
    assert_eq!(ask(too_long).await.status, Status::BAD_OPTION);
}

/// Paths and queries without end: nothing of them is kept or nested.
#[tokio::test]
async fn a_path_may_have_any_number_of_segments() {
    let deep = "/a".repeat(10_000);
    assert_eq!(ask(Request::get(&deep)).await.status, Status::NOT_FOUND);
    let queries = format!("/q?{}", vec!["a=b"; 10_000].join("&"));
    assert_eq!(ask(Request::get(&queries)).await.payload, "10000");
    let name = Request::get("/a").with_option(OptionNumber::URI_PATH, &[b'9'; 255]);
    assert_eq!(ask(name).await.status, Status::NOT_FOUND);
    let name = Request::get("/a").with_option(OptionNumber::URI_PATH, b"\xff");
    assert_eq!(ask(name).await.status, Status::BAD_OPTION);
}

/// Payloads that nest without end, or announce more than they hold: 4.00, with no stack and no memory spent on it.
#[tokio::test]
async fn a_payload_that_nests_or_boasts_is_refused() {
    for (path, payload) in [
        ("/json", "[".repeat(100_000).into_bytes()),
        ("/json", "{\"a\":".repeat(100_000).into_bytes()),
        ("/cbor", vec![0x81; 100_000]),
        ("/cbor", vec![0xc1; 100_000]),
        // An array, a map, bytes and text of 2^63 items.
        ("/cbor", b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("/cbor", b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("/cbor", b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("/cbor", b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
    ] {
        let refused = ask(Request::post(path).with_payload(payload)).await;
        assert_eq!(refused.status, Status::BAD_REQUEST, "{path}");
    }
    assert_eq!(
        ask(Request::post("/cbor").with_payload(&b"\x81\x01"[..]))
            .await
            .payload,
        "true"
    );
}
