//! `TD_COAP_BLOCK`. How bodies are cut is the engine's; here they are whole.

use super::*;

#[tokio::test]
async fn large_is_more_than_a_block_and_never_changes() {
    let site = site();
    let first = site.oneshot(Request::get("/large")).await;
    let second = site.oneshot(Request::get("/large")).await;
    assert_eq!(first.payload.len(), 1280);
    assert_eq!(first.content_format(), Some(ContentFormat::TEXT));
    assert_eq!((&first.payload, etag(&first)), (&second.payload, etag(&second)));
}

#[tokio::test]
async fn a_large_representation_is_replaced_by_either_name() {
    let site = site();
    assert_eq!(ask(&site, Request::get("/large-update")).await.1.len(), 1280);
    let body = "x".repeat(2000);
    for (put, get) in [
        ("/large-update", "/large_update"),
        ("/large_update", "/large-update"),
    ] {
        let request = Request::put(put)
            .with_payload(body.clone())
            .with_content_format(ContentFormat::JSON);
        assert_eq!(status(&site, request).await, Status::CHANGED);
        let read = site.oneshot(Request::get(get)).await;
        assert_eq!(read.payload, body);
        assert_eq!(read.content_format(), Some(ContentFormat::JSON));
    }
}

/// `TD_COAP_BLOCK_04`: the location begins with the name of the factory.
#[tokio::test]
async fn large_resources_are_made_and_deleted() {
    let site = site();
    for factory in ["large-create", "large_create"] {
        let post = text(Request::post(&format!("/{factory}")), "made");
        let created = site.oneshot(post).await;
        assert_eq!(created.status, Status::CREATED);
        let location = texts(&created, OptionNumber::LOCATION_PATH);
        assert_eq!((location.len(), &location[0][..]), (2, factory));
        let location = format!("/{}", location.join("/"));
        let read = site.oneshot(Request::get(&location)).await;
        assert_eq!(
            (&read.payload[..], read.content_format()),
            (&b"made"[..], Some(ContentFormat::TEXT))
        );
        assert_eq!(status(&site, Request::delete(&location)).await, Status::DELETED);
        assert_eq!(status(&site, Request::get(&location)).await, Status::NOT_FOUND);
    }
}

#[tokio::test]
async fn of_what_is_made_the_oldest_is_forgotten() {
    let site = site();
    for _ in 0..40 {
        let created = status(&site, Request::post("/large-create")).await;
        assert_eq!(created, Status::CREATED);
    }
    let (_, kept) = ask(&site, Request::get("/large-create")).await;
    let expected: Vec<String> = (9..=40).map(|id| id.to_string()).collect();
    assert_eq!(kept, format!("made: {}", expected.join(" ")));
    assert_eq!(
        status(&site, Request::get("/large-create/8")).await,
        Status::NOT_FOUND
    );
}

#[tokio::test]
async fn a_large_request_gets_a_large_response() {
    let post = Request::post("/large-post").with_payload("abc ".repeat(500));
    let answer = site().oneshot(post).await;
    assert_eq!(answer.status, Status::CHANGED);
    assert_eq!(answer.payload, "ABC ".repeat(500));
    assert_eq!(answer.content_format(), Some(ContentFormat::TEXT));
}

/// Whatever takes a body takes a bounded one (RFC 7252 §5.9.2.9).
#[tokio::test]
async fn bodies_are_bounded() {
    use coracle::engine::{Body, BodyPolicy};
    let site = site();
    for (method, path) in [
        (Method::PUT, "test"),
        (Method::POST, "test"),
        (Method::PUT, "validate"),
        (Method::PUT, "create1"),
        (Method::POST, "create2"),
        (Method::PUT, "large-update"),
        (Method::POST, "large-create"),
        (Method::POST, "large-post"),
        (Method::PUT, "obs"),
        (Method::PUT, "obs-non"),
        (Method::FETCH, "echo"),
        (Method::PATCH, "config"),
        (Method::PUT, "counter"),
        (Method::POST, "location-query"),
        (Method::POST, "obs-reset"),
    ] {
        let request = Request::to(method, path);
        match site.body(method, request.options.as_options()) {
            Body::Collect { limit } => assert!(limit <= 64 << 10, "{path}: {limit}"),
            Body::Stream => panic!("{path} is not taken"),
        }
    }
}
