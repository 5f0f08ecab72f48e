//! Which handler a request reaches: paths, methods, nesting, fallbacks (RFC 7252 §5.8, §5.10.1).

use coracle_router::{Changed, Path, Request, Router, any, get, on, put};
use coracle_wire::{Method, OptionNumber, Status};

async fn text(app: &Router, path: &str) -> (Status, String) {
    let response = app.oneshot(Request::get(path)).await;
    (
        response.status,
        String::from_utf8_lossy(&response.payload).into_owned(),
    )
}

fn named(name: &'static str) -> coracle_router::MethodRouter {
    get(async move || name)
}

#[tokio::test]
async fn literal_segments_go_before_captures_and_captures_before_wildcards() {
    let app = Router::new()
        .route("/{*rest}", named("rest"))
        .route("/led/{n}", named("capture"))
        .route("/led/1", named("literal"))
        .route("/", named("root"));
    assert_eq!(text(&app, "/led/1").await.1, "literal");
    assert_eq!(text(&app, "/led/2").await.1, "capture");
    assert_eq!(text(&app, "/led/2/x").await.1, "rest");
    assert_eq!(text(&app, "/").await.1, "root");
}

#[tokio::test]
async fn a_path_without_route_is_not_found() {
    let app = Router::new().route("/a", named("a"));
    for path in ["/", "/b", "/a/", "/a/b", "/A"] {
        assert_eq!(text(&app, path).await.0, Status::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_method_without_handler_is_not_allowed() {
    let app: Router = Router::new().route("/a", get(async || "a").put(async || Changed));
    let refused = app.oneshot(Request::delete("/a")).await;
    assert_eq!(refused.status, Status::METHOD_NOT_ALLOWED);
    assert_eq!(refused.payload, "allowed: GET, PUT");
    assert_eq!(app.oneshot(Request::put("/a")).await.status, Status::CHANGED);
}

#[tokio::test]
async fn an_unregistered_method_is_not_allowed_even_where_there_is_no_route() {
    let app: Router = Router::new().route("/a", get(async || "a"));
    let unregistered: Method = "0.30".parse().unwrap();
    for path in ["/a", "/b"] {
        let refused = app.oneshot(Request::to(unregistered, path)).await;
        assert_eq!(refused.status, Status::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn any_method_can_have_a_handler() {
    let unregistered: Method = "0.30".parse().unwrap();
    let app: Router = Router::new().route("/on", on(unregistered, async || "on")).route(
        "/any",
        get(async || "get").or_any(async |method: Method| method.to_string()),
    );
    assert_eq!(app.oneshot(Request::to(unregistered, "/on")).await.payload, "on");
    assert_eq!(app.oneshot(Request::get("/any")).await.payload, "get");
    assert_eq!(
        app.oneshot(Request::to(Method::IPATCH, "/any")).await.payload,
        "iPATCH"
    );
}

#[tokio::test]
async fn segments_are_compared_as_decoded_bytes() {
    let app = Router::new()
        .route("/a b/ö", named("blank"))
        .route("/a/b", named("two"));
    assert_eq!(text(&app, "/a b/ö").await.1, "blank");
    let slash = Request::get("/").with_option(OptionNumber::URI_PATH, b"a/b");
    assert_eq!(app.oneshot(slash).await.status, Status::NOT_FOUND);
}

#[tokio::test]
async fn a_nested_router_answers_below_its_path() {
    let inner = Router::new()
        .route("/", named("index"))
        .route("/{x}", named("inner"));
    let app = Router::new()
        .nest("/fw", inner)
        .route("/fw/fixed", named("outer"));
    assert_eq!(text(&app, "/fw").await.1, "index");
    assert_eq!(text(&app, "/fw/a").await.1, "inner");
    assert_eq!(text(&app, "/fw/fixed").await.1, "outer");
    assert_eq!(text(&app, "/a").await.0, Status::NOT_FOUND);
}

#[tokio::test]
async fn captures_of_the_outer_path_reach_nested_handlers() {
    let show = async |Path((building, room)): Path<(u8, String)>| format!("{building}:{room}");
    let inner = Router::new().route("/rooms/{room}", get(show));
    let app: Router = Router::new().nest("/buildings/{building}", inner);
    assert_eq!(text(&app, "/buildings/7/rooms/attic").await.1, "7:attic");
}

#[tokio::test]
async fn merged_routers_answer_side_by_side() {
    let app = Router::new()
        .route("/a", named("a"))
        .merge(Router::new().route("/b", named("b")));
    assert_eq!(text(&app, "/a").await.1, "a");
    assert_eq!(text(&app, "/b").await.1, "b");
}

#[tokio::test]
async fn the_fallback_of_the_longest_path_answers_what_has_no_route() {
    let inner = Router::new().route("/x", named("x")).fallback(async || "inner");
    let app: Router = Router::new()
        .nest("/in", inner)
        .fallback(async |method: Method| method.to_string());
    assert_eq!(text(&app, "/in/y").await.1, "inner");
    assert_eq!(text(&app, "/in/x").await.1, "x");
    assert_eq!(app.oneshot(Request::put("/out")).await.payload, "PUT");
}

#[tokio::test]
async fn a_fallback_can_declare_what_it_needs() {
    let option = OptionNumber(65_001);
    let app: Router = Router::new().fallback_route(any(async || "ok").option(option));
    let request = Request::get("/x").with_option(option, b"1");
    assert_eq!(app.oneshot(request).await.status, Status::CONTENT);
    assert_eq!(app.declared_options(), [option]);
}

#[tokio::test]
async fn requests_know_the_route_they_took() {
    let show = async |request: Request| request.route().map(str::to_owned).unwrap_or_default();
    let inner = Router::new().route("/{x}", get(show));
    let app: Router = Router::new().nest("/in", inner).fallback(show);
    assert_eq!(text(&app, "/in/1").await.1, "/in/{x}");
    assert_eq!(text(&app, "/out").await.1, "");
}

#[tokio::test]
async fn a_success_without_status_gets_the_one_of_its_method() {
    let app: Router = Router::new().route("/a", any(async || "done"));
    let expected = [
        (Method::GET, Status::CONTENT),
        (Method::FETCH, Status::CONTENT),
        (Method::POST, Status::CHANGED),
        (Method::PUT, Status::CHANGED),
        (Method::PATCH, Status::CHANGED),
        (Method::IPATCH, Status::CHANGED),
        (Method::DELETE, Status::DELETED),
    ];
    for (method, status) in expected {
        assert_eq!(
            app.oneshot(Request::to(method, "/a")).await.status,
            status,
            "{method}"
        );
    }
}

#[test]
#[should_panic(expected = "are the same")]
fn one_path_cannot_be_routed_twice() {
    let _ = Router::new()
        .route("/a/{x}", named("1"))
        .route("/a/{y}", put(async || Changed));
}

#[test]
#[should_panic(expected = "GET has two handlers")]
fn one_method_cannot_have_two_handlers() {
    let _: coracle_router::MethodRouter = get(async || "1").get(async || "2");
}

#[test]
#[should_panic(expected = "two fallbacks")]
fn merged_routers_cannot_both_have_a_fallback() {
    let with_fallback = || Router::<()>::new().fallback(async || "x");
    let _ = with_fallback().merge(with_fallback());
}

#[test]
#[should_panic(expected = "below a wildcard")]
fn nothing_can_be_nested_below_a_wildcard() {
    let _ = Router::new().nest("/{*x}", Router::new().route("/", named("a")));
}

#[test]
#[should_panic(expected = "begins with a slash")]
fn a_path_begins_with_a_slash() {
    let _ = Router::new().route("a", named("a"));
}
