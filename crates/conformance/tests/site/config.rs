//! `/config` (RFC 8132).

use super::*;

const INITIAL: &str = r#"{"interval":5,"name":"coracle","tags":["a","b"]}"#;

fn payload(method: Method, format: ContentFormat, payload: &'static str) -> Request {
    Request::to(method, "/config")
        .with_payload(payload)
        .with_content_format(format)
}

fn merge(method: Method, patch: &'static str) -> Request {
    payload(method, ContentFormat::MERGE_PATCH_JSON, patch)
}

fn fetch(names: &'static str) -> Request {
    payload(Method::FETCH, ContentFormat::JSON, names)
}

async fn state(site: &Router) -> String {
    ask(site, Request::get("/config")).await.1
}

/// RFC 8132 §2.7.
#[tokio::test]
async fn fetch_gives_the_members_that_are_named() {
    let site = site();
    let answer = site.oneshot(fetch(r#"["name","none"]"#)).await;
    assert_eq!(answer.status, Status::CONTENT);
    assert_eq!(answer.content_format(), Some(ContentFormat::JSON));
    assert_eq!(answer.payload, r#"{"name":"coracle"}"#);
    assert!(answer.observe.is_some());
    assert_eq!(state(&site).await, INITIAL);
}

/// RFC 8132 §2.2, §2.3.1.
#[tokio::test]
async fn fetch_is_refused_for_what_is_wrong_with_its_payload() {
    let site = site();
    assert_eq!(status(&site, fetch(r#"["name"#)).await, Status::BAD_REQUEST);
    assert_eq!(
        status(&site, fetch(r#"{"name":1}"#)).await,
        Status::UNPROCESSABLE_ENTITY
    );
    let unsaid = Request::to(Method::FETCH, "/config").with_payload("[]");
    assert_eq!(status(&site, unsaid).await, Status::BAD_REQUEST);
    let other = payload(Method::FETCH, ContentFormat::TEXT, "[]");
    assert_eq!(status(&site, other).await, Status::UNSUPPORTED_CONTENT_FORMAT);
}

/// RFC 8132 §2: conditions are about the resource, not about what is selected of it.
#[tokio::test]
async fn a_conditional_fetch_asks_for_the_state_of_the_resource() {
    let site = site();
    let current = etag(&site.oneshot(Request::get("/config")).await);
    let matching = fetch(r#"["name"]"#).with_option(OptionNumber::IF_MATCH, &current);
    assert_eq!(status(&site, matching).await, Status::CONTENT);
    let other = fetch(r#"["name"]"#).with_option(OptionNumber::IF_MATCH, b"other");
    assert_eq!(status(&site, other).await, Status::PRECONDITION_FAILED);
}

/// RFC 8132 §3, RFC 7396 §2.
#[tokio::test]
async fn patches_are_merged() {
    for method in [Method::PATCH, Method::IPATCH] {
        let site = site();
        let patch = r#"{"interval":45,"tags":null,"more":{"a":null,"b":{"c":1}}}"#;
        for _ in 0..2 {
            let patched = site.oneshot(merge(method, patch)).await;
            assert_eq!(patched.status, Status::CHANGED);
            assert_eq!(etag(&patched), etag(&site.oneshot(Request::get("/config")).await));
            assert_eq!(
                state(&site).await,
                r#"{"interval":45,"more":{"b":{"c":1}},"name":"coracle"}"#
            );
        }
        assert_eq!(status(&site, Request::delete("/config")).await, Status::DELETED);
        assert_eq!(state(&site).await, INITIAL);
    }
}

/// RFC 8132 §3.4; and §3: nothing is changed when there is an error.
#[tokio::test]
async fn a_patch_that_cannot_be_applied_changes_nothing() {
    let site = site();
    let patch = |text| merge(Method::IPATCH, text);
    let json_patch = payload(Method::PATCH, ContentFormat::JSON_PATCH_JSON, "[]");
    let stale = patch(r#"{"interval":6}"#).with_option(OptionNumber::IF_MATCH, b"other");
    let none = patch(r#"{"interval":6}"#).with_option(OptionNumber::IF_NONE_MATCH, b"");
    let unsaid = Request::to(Method::PATCH, "/config").with_payload("{}");
    for (request, expected) in [
        (patch(r#"{"interval":"#), Status::BAD_REQUEST),
        (unsaid, Status::BAD_REQUEST),
        (patch("[1]"), Status::UNPROCESSABLE_ENTITY),
        (patch(r#"{"interval":0,"name":"x"}"#), Status::CONFLICT),
        (patch(r#"{"name":null}"#), Status::CONFLICT),
        (json_patch, Status::UNSUPPORTED_CONTENT_FORMAT),
        (stale, Status::PRECONDITION_FAILED),
        (none, Status::PRECONDITION_FAILED),
    ] {
        let told = format!("{request:?}");
        assert_eq!(status(&site, request).await, expected, "{told}");
        assert_eq!(state(&site).await, INITIAL);
    }
}

#[tokio::test]
async fn the_object_does_not_grow_without_bound() {
    let site = site();
    let mut refused = 0;
    for member in 0..100 {
        let patch = format!(r#"{{"member{member}":"{}"}}"#, "x".repeat(100));
        let request = Request::to(Method::PATCH, "/config")
            .with_payload(patch)
            .with_content_format(ContentFormat::MERGE_PATCH_JSON);
        match status(&site, request).await {
            Status::CHANGED => assert_eq!(refused, 0),
            other => {
                assert_eq!(other, Status::REQUEST_ENTITY_TOO_LARGE);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    assert!(state(&site).await.len() <= 4096);
}

#[tokio::test]
async fn it_is_replaced_as_a_whole_by_put() {
    let site = site();
    let put = |text| payload(Method::PUT, ContentFormat::JSON, text);
    let replaced = status(&site, put(r#"{"name":"x","interval":1}"#)).await;
    assert_eq!(replaced, Status::CHANGED);
    assert_eq!(state(&site).await, r#"{"interval":1,"name":"x"}"#);
    assert_eq!(status(&site, put("{}")).await, Status::CONFLICT);
    assert_eq!(status(&site, put("{")).await, Status::BAD_REQUEST);
}
