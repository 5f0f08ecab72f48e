//! Layers, and panics (tower's Layer and Service).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use coracle_router::{
    IntoResponse, Next, Path, Request, Response, Route, Router, ServiceFuture, State, from_fn, get,
};
use coracle_wire::Status;
use tower_layer::Layer;
use tower_service::Service;

/// Appends a letter to the payload of each response.
fn mark(letter: &'static str) -> impl Layer<Route, Service = impl MarkService> + Clone {
    from_fn(async move |request: Request, next: Next| {
        let response = next.run(request).await;
        let payload = [&response.payload[..], letter.as_bytes()].concat();
        response.with_payload(payload)
    })
}

trait MarkService:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<T> MarkService for T where
    T: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

async fn body(app: &Router, path: &str) -> String {
    let response = app.oneshot(Request::get(path)).await;
    String::from_utf8_lossy(&response.payload).into_owned()
}

#[tokio::test]
async fn the_layer_added_last_sees_the_request_first() {
    let app: Router = Router::new()
        .route("/", get(async || "-"))
        .layer(mark("a"))
        .layer(mark("b"));
    assert_eq!(body(&app, "/").await, "-ab");
}

#[tokio::test]
async fn a_layer_wraps_what_was_added_before_it() {
    let app: Router = Router::new()
        .route("/before", get(async || "-"))
        .fallback(async || "?")
        .layer(mark("a"))
        .route("/after", get(async || "-"));
    assert_eq!(body(&app, "/before").await, "-a");
    assert_eq!(body(&app, "/after").await, "-");
    assert_eq!(body(&app, "/none").await, "?a");
}

#[tokio::test]
async fn a_layer_wraps_the_routers_own_answers_and_a_route_layer_does_not() {
    let routes = || Router::<()>::new().route("/", get(async || "-"));
    let (layered, route_layered) = (routes().layer(mark("a")), routes().route_layer(mark("a")));
    assert_eq!(body(&layered, "/none").await, "a");
    assert_eq!(body(&route_layered, "/none").await, "");
    assert_eq!(body(&route_layered, "/").await, "-a");
    let refused = layered.oneshot(Request::put("/")).await;
    assert_eq!(
        (refused.status, &refused.payload[..]),
        (Status::METHOD_NOT_ALLOWED, &b"allowed: GETa"[..])
    );
}

#[tokio::test]
async fn a_layer_of_one_route_wraps_only_that() {
    let app: Router = Router::new()
        .route("/a", get(async || "-").layer(mark("x")))
        .route("/b", get(async || "-"));
    assert_eq!(body(&app, "/a").await, "-x");
    assert_eq!(body(&app, "/b").await, "-");
}

#[tokio::test]
async fn layers_of_a_nested_router_stay_with_it() {
    let inner = Router::new().route("/x", get(async || "-")).layer(mark("i"));
    let app: Router = Router::new()
        .nest("/in", inner)
        .route("/out", get(async || "-"))
        .layer(mark("o"));
    assert_eq!(body(&app, "/in/x").await, "-io");
    assert_eq!(body(&app, "/out").await, "-o");
}

#[tokio::test]
async fn a_layer_can_answer_in_place_of_the_handler() {
    let deny = from_fn(async |request: Request, next: Next| match request.route() {
        Some("/open/{x}") => next.run(request).await,
        _ => Status::UNAUTHORIZED.into_response(),
    });
    let open = get(async |Path(x): Path<String>| x);
    let app: Router = Router::new()
        .route("/open/{x}", open)
        .route("/shut", get(async || "in"))
        .layer(deny);
    assert_eq!(
        app.oneshot(Request::get("/shut")).await.status,
        Status::UNAUTHORIZED
    );
    assert_eq!(body(&app, "/open/1").await, "1");
}

/// A service written by hand that is not ready at once.
#[derive(Clone)]
struct Reluctant {
    inner: Route,
    polls: u32,
}

impl Service<Request> for Reluctant {
    type Response = Response;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> ServiceFuture {
        assert!(self.polls >= 3, "called before it was ready");
        self.inner.call(request)
    }
}

struct Reluctance;

impl Layer<Route> for Reluctance {
    type Service = Reluctant;

    fn layer(&self, inner: Route) -> Reluctant {
        Reluctant { inner, polls: 0 }
    }
}

#[tokio::test]
async fn a_service_is_called_when_it_is_ready() {
    let app: Router = Router::new().route("/", get(async || "-")).layer(Reluctance);
    assert_eq!(body(&app, "/").await, "-");
}

#[tokio::test]
async fn a_router_is_a_service() {
    let mut app: Router = Router::new().route("/", get(async || "-"));
    let Ok(response) = Service::call(&mut app, Request::get("/")).await;
    assert_eq!(response.payload, "-");
}

/// Answers without asking anybody, and counts how often it was made.
#[derive(Clone)]
struct Counted(Arc<AtomicU32>);

impl Layer<Route> for Counted {
    type Service = Counted;

    fn layer(&self, _: Route) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }
}

impl Service<Request> for Counted {
    type Response = &'static str;
    type Error = Infallible;
    type Future = Ready<Result<&'static str, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(Ok("counted"))
    }
}

#[tokio::test]
async fn clones_share_the_services_that_layers_made() {
    let made = Counted(Arc::default());
    let app: Router = Router::new()
        .route("/", get(async || "-"))
        .route_layer(made.clone());
    let clone = app.clone();
    assert_eq!(body(&app, "/").await, "counted");
    assert_eq!(body(&clone, "/").await, "counted");
    assert_eq!(made.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn each_driver_has_services_of_its_own_and_the_same_state() {
    async fn count(State(count): State<Arc<AtomicU32>>) -> String {
        count.fetch_add(1, Ordering::Relaxed).to_string()
    }
    let made = Counted(Arc::default());
    let app: Router = Router::new()
        .route("/", get(count))
        .with_state(Arc::new(AtomicU32::new(7)))
        .route("/layered", get(async || "-").layer(made.clone()));
    let drivers = [app.for_shard(), app.for_shard()];
    for (driver, expected) in drivers.iter().zip(["7", "8"]) {
        assert_eq!(body(driver, "/").await, expected);
        assert_eq!(body(driver, "/layered").await, "counted");
        assert_eq!(body(&driver.clone(), "/layered").await, "counted");
    }
    assert_eq!(made.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_panic_is_an_internal_server_error() {
    async fn at_once(Path(n): Path<u8>) -> String {
        assert_ne!(n, 0, "asked to panic");
        n.to_string()
    }
    async fn later(State(()): State<()>) -> &'static str {
        tokio::task::yield_now().await;
        panic!("asked to panic")
    }
    let in_layer = from_fn(|_: Request, _: Next| -> Ready<Response> { panic!("asked to panic") });
    let app: Router = Router::new()
        .route("/now/{n}", get(at_once))
        .route("/later", get(later))
        .route("/layer", get(async || "-").layer(in_layer));
    for path in ["/now/0", "/later", "/layer"] {
        let failed = app.oneshot(Request::get(path)).await;
        assert_eq!(failed.status, Status::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(failed.payload, "the handler failed", "{path}");
    }
    assert_eq!(body(&app, "/now/1").await, "1");
}

#[tokio::test]
async fn layers_see_the_panic_of_a_handler_as_a_response() {
    async fn fail() -> &'static str {
        panic!("asked to panic")
    }
    let app: Router = Router::new().route("/", get(fail)).layer(mark("!"));
    assert_eq!(body(&app, "/").await, "the handler failed!");
}
