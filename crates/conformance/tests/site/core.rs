//! `TD_COAP_CORE`.

use std::time::Duration;

use super::*;

const LOCATION: [&str; 3] = ["location1", "location2", "location3"];

#[tokio::test]
async fn test_answers_all_methods_again_and_again() {
    let site = site();
    for _ in 0..2 {
        assert_eq!(status(&site, Request::delete("/test")).await, Status::DELETED);
        let put = text(Request::put("/test"), "x");
        assert_eq!(status(&site, put).await, Status::CHANGED);
        let created = site.oneshot(text(Request::post("/test"), "x")).await;
        assert_eq!(created.status, Status::CREATED);
        assert_eq!(texts(&created, OptionNumber::LOCATION_PATH), LOCATION);
        let read = site.oneshot(Request::get("/test")).await;
        assert_eq!(read.status, Status::CONTENT);
        assert_eq!(read.content_format(), Some(ContentFormat::TEXT));
        assert_eq!(read.payload, "CON GET /test");
    }
    let non = Request::get("/test").with_confirmable(false);
    assert_eq!(ask(&site, non).await.1, "NON GET /test");
    let once = text(Request::put("/test"), "x").with_option(OptionNumber::IF_NONE_MATCH, b"");
    assert_eq!(status(&site, once).await, Status::PRECONDITION_FAILED);
}

#[tokio::test]
async fn what_is_posted_is_found_at_its_location_until_it_is_deleted() {
    let site = site();
    let location = "/location1/location2/location3";
    for factory in ["/test", "/create2"] {
        assert_eq!(status(&site, Request::get(location)).await, Status::NOT_FOUND);
        let created = site.oneshot(text(Request::post(factory), "made")).await;
        assert_eq!(created.status, Status::CREATED);
        assert_eq!(texts(&created, OptionNumber::LOCATION_PATH), LOCATION);
        let read = site.oneshot(Request::get(location)).await;
        assert_eq!(read.content_format(), Some(ContentFormat::TEXT));
        assert_eq!(read.payload, "made");
        assert_eq!(status(&site, Request::delete(location)).await, Status::DELETED);
    }
}

/// RFC 7252 §5.2.2: later than an acknowledgement can wait.
#[tokio::test(start_paused = true)]
async fn separate_resources_answer_after_a_while() {
    let site = site();
    for path in ["/separate", "/large-separate"] {
        let begin = tokio::time::Instant::now();
        let answer = site.oneshot(Request::get(path)).await;
        assert_eq!(answer.status, Status::CONTENT);
        assert_eq!(answer.content_format(), Some(ContentFormat::TEXT));
        let took = begin.elapsed();
        assert!(
            Duration::from_secs(1) < took && took < Duration::from_secs(2),
            "{took:?}"
        );
    }
}

#[tokio::test]
async fn segments_and_arguments_are_told_in_their_order() {
    let site = site();
    let segments = ask(&site, Request::get("/seg1/seg2/seg3")).await;
    assert_eq!(segments, (Status::CONTENT, "/seg1/seg2/seg3".into()));
    assert_eq!(status(&site, Request::get("/seg1/seg2")).await, Status::NOT_FOUND);
    let query = "/query?first=1&second=2&third=3";
    let query = site.oneshot(Request::get(query)).await;
    assert_eq!(query.payload, "?first=1&second=2&third=3");
    assert_eq!(query.content_format(), Some(ContentFormat::TEXT));
    assert_eq!(ask(&site, Request::get("/query")).await.1, "no Uri-Query");
    let options = ask(&site, Request::get("/uri-query-options?b&a=1")).await.1;
    assert_eq!(options, r#"["b","a=1"]"#);
}

#[tokio::test]
async fn a_location_may_be_a_query() {
    let created = site().oneshot(text(Request::post("/location-query"), "x")).await;
    assert_eq!(created.status, Status::CREATED);
    assert_eq!(
        texts(&created, OptionNumber::LOCATION_QUERY),
        ["first=1", "second=2"]
    );
    assert!(texts(&created, OptionNumber::LOCATION_PATH).is_empty());
}

#[tokio::test]
async fn formats_are_chosen_by_accept() {
    let site = site();
    for (accept, format) in [
        (None, ContentFormat::TEXT),
        (Some(ContentFormat::TEXT), ContentFormat::TEXT),
        (Some(ContentFormat::XML), ContentFormat::XML),
    ] {
        let request = Request::get("/multi-format");
        let request = match accept {
            Some(accept) => request.with_accept(accept),
            None => request,
        };
        let answer = site.oneshot(request).await;
        assert_eq!(
            (answer.status, answer.content_format()),
            (Status::CONTENT, Some(format))
        );
    }
    let other = Request::get("/multi-format").with_accept(ContentFormat::CBOR);
    assert_eq!(status(&site, other).await, Status::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_representation_is_validated_and_changed_if_it_is_still_the_same() {
    let site = site();
    for _ in 0..2 {
        let first = site.oneshot(Request::get("/validate")).await;
        assert_eq!(first.payload, "validate");
        assert_eq!(first.options.as_options().max_age(), 30);
        let known = Request::get("/validate").with_option(OptionNumber::ETAG, &etag(&first));
        let valid = site.oneshot(known).await;
        assert_eq!((valid.status, valid.payload.len()), (Status::VALID, 0));
        assert_eq!(etag(&valid), etag(&first));

        let put = |payload| text(Request::put("/validate"), payload);
        let matching = put("new").with_option(OptionNumber::IF_MATCH, &etag(&first));
        let changed = site.oneshot(matching).await;
        assert_eq!(changed.status, Status::CHANGED);
        let second = site.oneshot(Request::get("/validate")).await;
        assert_eq!(second.payload, "new");
        assert_eq!(etag(&second), etag(&changed));
        assert_ne!(etag(&second), etag(&first));
        // The same content, but another version.
        assert_eq!(status(&site, put("new")).await, Status::CHANGED);
        let late = put("third").with_option(OptionNumber::IF_MATCH, &etag(&second));
        assert_eq!(status(&site, late).await, Status::PRECONDITION_FAILED);
        assert_eq!(ask(&site, Request::get("/validate")).await.1, "new");
        assert_eq!(status(&site, Request::delete("/validate")).await, Status::DELETED);
    }
}

#[tokio::test]
async fn what_is_not_there_is_created_once() {
    let site = site();
    for path in ["/create1", "/create2", "/create3"] {
        for _ in 0..2 {
            assert_eq!(status(&site, Request::get(path)).await, Status::NOT_FOUND);
            let once = || text(Request::put(path), "x").with_option(OptionNumber::IF_NONE_MATCH, b"");
            assert_eq!(status(&site, once()).await, Status::CREATED);
            assert_eq!(status(&site, once()).await, Status::PRECONDITION_FAILED);
            let again = text(Request::put(path), "y");
            assert_eq!(status(&site, again).await, Status::CHANGED);
            assert_eq!(ask(&site, Request::get(path)).await.1, "y");
            assert_eq!(status(&site, Request::delete(path)).await, Status::DELETED);
        }
    }
}

#[tokio::test]
async fn the_root_names_what_is_there() {
    let root = ask(&site(), Request::get("/")).await;
    assert_eq!(root.0, Status::CONTENT);
    for path in ["/test", "/obs-pumping-non", "/config"] {
        assert!(root.1.contains(path), "{path}");
    }
}

#[tokio::test]
async fn echo_gives_back_payload_and_format() {
    let site = site();
    for (method, status) in [(Method::POST, Status::CHANGED), (Method::FETCH, Status::CONTENT)] {
        let request = Request::to(method, "/echo").with_payload("{}");
        let echoed = site
            .oneshot(request.with_content_format(ContentFormat::JSON))
            .await;
        assert_eq!((echoed.status, &echoed.payload[..]), (status, &b"{}"[..]));
        assert_eq!(echoed.content_format(), Some(ContentFormat::JSON));
    }
    assert_eq!(ask(&site, Request::get("/hello")).await.1, "Hello World!");
    assert_eq!(ask(&site, Request::get("/whoami")).await.1, "127.0.0.1:5683");
}

#[tokio::test(start_paused = true)]
async fn slow_takes_as_long_as_it_is_told() {
    for (location, expected) in [
        ("/slow", Some(1000)),
        ("/slow?ms=0", Some(0)),
        ("/slow?ms=60000", Some(60_000)),
        ("/slow?ms=60001", None),
        ("/slow?ms=-1", None),
    ] {
        let begin = tokio::time::Instant::now();
        let answer = site().oneshot(Request::get(location)).await;
        match expected {
            Some(ms) => {
                assert_eq!(answer.payload, "slow", "{location}");
                let late = begin.elapsed().saturating_sub(Duration::from_millis(ms));
                assert!(late < Duration::from_millis(10), "{location}: {late:?}");
            }
            None => assert_eq!(answer.status, Status::BAD_REQUEST, "{location}"),
        }
    }
}
