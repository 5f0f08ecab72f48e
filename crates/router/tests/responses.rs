//! What handlers may return.

use coracle_router::{Bytes, Cbor, Changed, Created, Deleted, IntoResponse, Json, Rejection, Response};
use coracle_wire::{ContentFormat, OptionNumber, OptionsBuf, Status};

#[test]
fn text_is_plain_text() {
    for response in ["a".into_response(), String::from("a").into_response()] {
        assert_eq!(response.status, Status::CONTENT);
        assert_eq!(response.content_format(), Some(ContentFormat::TEXT));
        assert_eq!(response.payload, "a");
    }
}

#[test]
fn bytes_do_not_say_their_format() {
    for response in [
        Bytes::from_static(b"a").into_response(),
        vec![b'a'].into_response(),
        (&b"a"[..]).into_response(),
    ] {
        assert_eq!(
            (response.status, response.content_format()),
            (Status::CONTENT, None)
        );
        assert_eq!(response.payload, "a");
    }
}

#[test]
fn a_status_goes_before_the_one_of_the_body() {
    let response = (Status::CREATED, "a").into_response();
    assert_eq!(
        (response.status, response.content_format()),
        (Status::CREATED, Some(ContentFormat::TEXT))
    );
    assert_eq!(Status::FORBIDDEN.into_response().status, Status::FORBIDDEN);
}

#[test]
fn the_text_of_an_error_is_a_diagnostic_message() {
    let response = (Status::BAD_REQUEST, "why").into_response();
    assert_eq!(
        (response.status, response.content_format()),
        (Status::BAD_REQUEST, None)
    );
    assert_eq!(response.payload, "why");
    let problem = (Status::BAD_REQUEST, Json(1)).into_response();
    assert_eq!(problem.content_format(), Some(ContentFormat::JSON));
}

#[test]
fn options_are_added() {
    let mut options = OptionsBuf::new();
    options.push_uint(OptionNumber::MAX_AGE, 5);
    let response = (Status::CHANGED, options, "a").into_response();
    assert_eq!(response.status, Status::CHANGED);
    assert_eq!(response.options.as_options().max_age(), 5);
    assert_eq!(response.content_format(), Some(ContentFormat::TEXT));
}

#[test]
fn values_are_written_in_their_format() {
    let json = Json([1, 2]).into_response();
    assert_eq!(
        (json.content_format(), &json.payload[..]),
        (Some(ContentFormat::JSON), &b"[1,2]"[..])
    );
    let cbor = Cbor(true).into_response();
    assert_eq!(
        (cbor.content_format(), &cbor.payload[..]),
        (Some(ContentFormat::CBOR), &b"\xf5"[..])
    );
    let senml = (ContentFormat::SENML_JSON, Json([1])).into_response();
    assert_eq!(senml.content_format(), Some(ContentFormat::SENML_JSON));
}

#[test]
fn a_value_that_cannot_be_written_is_a_server_error() {
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(
        Json(unwritable).into_response().status,
        Status::INTERNAL_SERVER_ERROR
    );
}

#[test]
fn created_says_where() {
    let response = Created::at("/store/a b?id=7&x").with_etag(b"1").into_response();
    assert_eq!(response.status, Status::CREATED);
    let path: Vec<_> = response
        .options
        .as_options()
        .get_all(OptionNumber::LOCATION_PATH)
        .collect();
    let query: Vec<_> = response
        .options
        .as_options()
        .get_all(OptionNumber::LOCATION_QUERY)
        .collect();
    assert_eq!(path, [&b"store"[..], b"a b"]);
    assert_eq!(query, [&b"id=7"[..], b"x"]);
    assert_eq!(response.options.get(OptionNumber::ETAG), Some(&b"1"[..]));
}

#[test]
fn changed_and_deleted_are_their_codes() {
    assert_eq!(Changed.into_response().status, Status::CHANGED);
    assert_eq!(Deleted.into_response().status, Status::DELETED);
}

#[test]
fn a_result_is_whichever_it_is() {
    let answer = |ok: bool| {
        if ok {
            Ok(Changed)
        } else {
            Err((Status::CONFLICT, "busy"))
        }
    };
    assert_eq!(answer(true).into_response().status, Status::CHANGED);
    assert_eq!(answer(false).into_response().status, Status::CONFLICT);
}

#[test]
fn a_body_that_is_too_long_is_told_the_limit() {
    let response = Rejection::BodyTooLong { limit: 100 }.into_response();
    assert_eq!(response.status, Status::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(response.options.get_uint(OptionNumber::SIZE1), Some(100));
}

#[test]
fn setters_replace_what_was_there() {
    let response = Response::success("a")
        .with_content_format(ContentFormat::TEXT)
        .with_content_format(ContentFormat::CBOR)
        .with_etag(b"1")
        .with_etag(b"2")
        .with_max_age(1)
        .with_max_age(2);
    assert_eq!(response.content_format(), Some(ContentFormat::CBOR));
    assert_eq!(response.options.get(OptionNumber::ETAG), Some(&b"2"[..]));
    assert_eq!(response.options.iter().count(), 3);
}
