//! `/.well-known/core` (RFC 6690 §4, RFC 7252 §7).

use std::sync::{Arc, Mutex};

use coracle_formats::link_format::Link;
use coracle_router::{Changed, Request, Router, from_fn, get, put};
use coracle_wire::{ContentFormat, Status};

fn app() -> Router {
    let sensors = Router::new()
        .route(
            "/temp",
            get(async || "21")
                .rt("temperature-c")
                .interface("sensor")
                .observable(),
        )
        .route(
            "/light",
            get(async || "9")
                .rt("light-lux")
                .rt("core.s")
                .interface("sensor")
                .size(64),
        );
    Router::new()
        .route(
            "/",
            get(async || "")
                .title("Index")
                .content_format(ContentFormat::TEXT)
                .content_format(ContentFormat::JSON),
        )
        .nest("/sensors", sensors)
        .route("/led/{n}", put(async || Changed))
        .route("/secret", get(async || "").hidden())
        .route(
            "/store/{*path}",
            get(async || "").links(|base| vec![Link::new(format!("{base}/x")).attr("ct", "42")]),
        )
}

async fn list(app: &Router, query: &str) -> String {
    let response = app
        .oneshot(Request::get(&format!("/.well-known/core{query}")))
        .await;
    assert_eq!(response.status, Status::CONTENT);
    assert_eq!(response.content_format(), Some(ContentFormat::LINK_FORMAT));
    String::from_utf8_lossy(&response.payload).into_owned()
}

#[tokio::test]
async fn routes_are_listed_with_their_attributes_in_their_order() {
    let expected = concat!(
        r#"</>;title="Index";ct="0 50","#,
        r#"</sensors/temp>;rt="temperature-c";if="sensor";obs,"#,
        r#"</sensors/light>;rt="light-lux core.s";if="sensor";sz=64,"#,
        "</store/x>;ct=42",
    );
    assert_eq!(list(&app(), "").await, expected);
}

#[tokio::test]
async fn a_query_filters_the_list() {
    let app = app();
    assert_eq!(
        list(&app, "?rt=core.s").await,
        r#"</sensors/light>;rt="light-lux core.s";if="sensor";sz=64"#
    );
    assert_eq!(list(&app, "?href=/store*").await, "</store/x>;ct=42");
    assert_eq!(
        list(&app, "?obs&if=sensor").await,
        r#"</sensors/temp>;rt="temperature-c";if="sensor";obs"#
    );
    assert_eq!(list(&app, "?rt=none").await, "");
}

#[tokio::test]
async fn a_group_hears_nothing_where_nothing_matches() {
    let app = app();
    let to_group = |path: &str| {
        let mut request = Request::get(path);
        request.path.multicast = true;
        request
    };
    let silent = app.oneshot(to_group("/.well-known/core?rt=none")).await;
    assert_eq!((silent.status, silent.payload.len()), (Status::NOT_FOUND, 0));
    assert_eq!(
        app.oneshot(to_group("/.well-known/core?rt=core.s")).await.status,
        Status::CONTENT
    );
}

#[tokio::test]
async fn targets_are_percent_encoded() {
    let app: Router = Router::new().route("/a b/ö", get(async || ""));
    assert_eq!(list(&app, "").await, "</a%20b/%C3%B6>");
}

#[tokio::test]
async fn links_that_change_stand_where_their_route_was_added() {
    let changing = Arc::new(Mutex::new(vec![
        Link::new("/b/1").attr("rt", "b"),
        Link::new("/b/2"),
    ]));
    let links = changing.clone();
    let app: Router = Router::new()
        .route("/a", get(async || ""))
        .route(
            "/b/{n}",
            get(async || "").links(move |_| links.lock().unwrap().clone()),
        )
        .route("/c", get(async || "").rt("c"));
    assert_eq!(list(&app, "").await, r#"</a>,</b/1>;rt="b",</b/2>,</c>;rt="c""#);
    assert_eq!(list(&app, "?rt=*").await, r#"</b/1>;rt="b",</c>;rt="c""#);
    changing.lock().unwrap().clear();
    assert_eq!(list(&app, "").await, r#"</a>,</c>;rt="c""#);
}

#[tokio::test]
async fn links_that_cannot_be_expressed_are_left_out() {
    let links = |_: &str| vec![Link::new("/a\nb"), Link::new("/c")];
    let app: Router = Router::new().route("/{x}", get(async || "").links(links));
    assert_eq!(list(&app, "").await, "</c>");
}

#[tokio::test]
async fn discovery_is_behind_layers_and_obeys_accept_and_method() {
    let locked = app().layer(from_fn(async |_: Request, _: coracle_router::Next| {
        Status::UNAUTHORIZED
    }));
    assert_eq!(
        locked.oneshot(Request::get("/.well-known/core")).await.status,
        Status::UNAUTHORIZED
    );
    let json = Request::get("/.well-known/core").with_accept(ContentFormat::JSON);
    assert_eq!(app().oneshot(json).await.status, Status::NOT_ACCEPTABLE);
    assert_eq!(
        app().oneshot(Request::post("/.well-known/core")).await.status,
        Status::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_route_of_ones_own_takes_the_place_of_the_list() {
    let app: Router = Router::new().route("/.well-known/core", get(async || "own"));
    assert_eq!(
        app.oneshot(Request::get("/.well-known/core")).await.payload,
        "own"
    );
}

#[test]
#[should_panic(expected = "cannot be listed")]
fn attributes_that_cannot_be_expressed_are_found_when_the_route_is_added() {
    let _: Router = Router::new().route("/a", get(async || "").title("two\nlines"));
}
