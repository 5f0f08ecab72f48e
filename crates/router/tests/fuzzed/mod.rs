//! Any request to a router that has some of everything: the body of a property test and of the fuzz target `router`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use coracle_engine::{Body, BodyPolicy, Window};
use coracle_formats::link_format::{Filter, Link, Links};
use coracle_router::{
    BodyInterrupted, BodySender, BodyStream, Bytes, Cbor, Changed, Created, Deleted, Demand, IntoResponse,
    Json, Next, Notifier, Path, Preconditions, Query, Rejection, Request, Response, Router, State, any,
    fetch, from_fn, get, post,
};
use coracle_wire::{Code, ContentFormat, Method, OptionNumber, Options, OptionsBuf, Status};

/// A critical option that one route declares.
const OWN_OPTION: OptionNumber = OptionNumber(65001);

/// What `/fw` is a window on.
const FIRMWARE_LEN: u64 = 5000;

#[derive(Clone)]
struct App {
    state: Notifier<u32>,
}

#[derive(serde::Deserialize)]
struct Page {
    from: u32,
    #[serde(default)]
    all: bool,
    unit: Option<String>,
    ratio: Option<f64>,
    order: Option<Order>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Up,
    Down,
}

type Pairs = Query<Vec<(String, String)>>;

async fn read(Path((n, rest)): Path<(i8, String)>, Query(pairs): Pairs) -> Response {
    format!("{n} {rest} {pairs:?}").into_response().with_etag(&[1])
}

async fn write(conditions: Preconditions, bytes: Bytes) -> Result<Changed, Rejection> {
    conditions.check(bytes.is_empty(), Some(&bytes)).map(|()| Changed)
}

async fn page(Query(page): Query<Page>) -> String {
    format!(
        "{} {} {:?} {:?} {:?}",
        page.from, page.all, page.unit, page.ratio, page.order
    )
}

async fn count(mut body: BodyStream) -> Result<String, (Status, &'static str)> {
    let mut sizes = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|BodyInterrupted| (Status::REQUEST_ENTITY_INCOMPLETE, "broken off"))?;
        sizes.push(part.len());
    }
    Ok(format!("{sizes:?}"))
}

/// A part of a body as a file server gives it.
async fn firmware(request: Request) -> Response {
    let block = request.options.as_options().block2().and_then(Result::ok);
    let offset = block.map_or(0, |block| block.offset().min(FIRMWARE_LEN));
    let len = usize::try_from((FIRMWARE_LEN - offset).min(1024)).unwrap();
    let total = FIRMWARE_LEN;
    vec![7; len].into_response().with_window(Window { offset, total })
}

async fn observed(State(app): State<App>) -> Response {
    app.state.observed(u32::to_string)
}

async fn create(State(app): State<App>, Path(name): Path<String>, text: String) -> Response {
    app.state.update(|state| *state = state.wrapping_add(1));
    // A Location-Query has at most 255 bytes, which is for handlers to see to (RFC 7252 §5.10.7).
    let short: String = text.chars().take(60).collect();
    Created::at(&format!("/store/{name}?{short}")).into_response()
}

async fn stamp(request: Request, next: Next) -> Response {
    let elective = request.options.contains(OptionNumber::SIZE2);
    let response = next.run(request).await;
    if elective {
        response.with_max_age(1)
    } else {
        response
    }
}

fn build() -> Router {
    let values = async |value: Result<Cbor<BTreeMap<String, Vec<f32>>>, Rejection>| value;
    let nested = Router::new()
        .route("/", get(async |Json(n): Json<f64>| Json(n)).patch(values))
        .route(
            "/{n}/{*rest}",
            get(read).put(write).content_format(ContentFormat::TEXT),
        )
        .route(
            "/{n}",
            post(async |Path(n): Path<u16>, text: String| format!("{n}{text}"))
                .put(write)
                .conditional(),
        )
        .fallback(async |Path(all): Path<Vec<String>>| all.join(","));
    let store = any(create).delete(async || Deleted).links(|base| {
        ["a", "b c", "<>"]
            .map(|name| Link::new(format!("{base}/{name}")).attr("rt", "stored thing"))
            .into()
    });
    Router::new()
        .nest("/a", nested)
        .route("/a/b", any(async |request: Request| request.payload).hidden())
        .route(
            "/page",
            get(page).rt("page core.list").title("Pages, \"all\" of them"),
        )
        .route(
            "/stream",
            post(count)
                .put(async |body: Bytes| body.len().to_string())
                .body_limit(100),
        )
        .route(
            "/fw",
            get(firmware)
                .content_format(ContentFormat::OCTET_STREAM)
                .size(FIRMWARE_LEN),
        )
        .route(
            "/state",
            get(observed).observable().content_format(ContentFormat::TEXT),
        )
        .route("/store/{name}", store)
        .route(
            "/json",
            fetch(async |Json(map): Json<BTreeMap<String, i64>>| Json(map))
                .ipatch(async |_: Cbor<(u8, String)>| Changed)
                .consumes(ContentFormat::JSON)
                .consumes(ContentFormat::CBOR)
                .option(OWN_OPTION),
        )
        .layer(from_fn(stamp))
        .with_state(App {
            state: Notifier::new(0),
        })
}

static APP: LazyLock<Router> = LazyLock::new(build);

/// Reads a request from bytes; zeros when they are used up.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn byte(&mut self) -> u8 {
        self.slice(1).first().copied().unwrap_or(0)
    }

    fn slice(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of those that lead somewhere, or anything.
    fn value(&mut self, likely: &[&'static str]) -> &'b [u8] {
        let byte = usize::from(self.byte());
        match likely.get(byte) {
            Some(likely) => likely.as_bytes(),
            None => self.slice(byte % 16),
        }
    }
}

const SEGMENTS: [&str; 14] = [
    "a",
    "b",
    ".well-known",
    "core",
    "7",
    "page",
    "stream",
    "fw",
    "state",
    "store",
    "json",
    "-128",
    "",
    "..",
];
const QUERIES: [&str; 12] = [
    "rt=page",
    "rt=core.*",
    "href=/a*",
    "obs",
    "ct=0",
    "from=3",
    "all",
    "all=0",
    "ratio=1e3",
    "order=up",
    "if=",
    "title=Pages*",
];
const PAYLOADS: [&str; 6] = ["1.5", "{\"a\":1}", "{\"a\":[", "[[[[[[[[", "\u{0}", "text"];

fn request(cursor: &mut Cursor<'_>) -> Request {
    let method = Method::try_from(Code::from_byte(cursor.byte() % 0x20)).unwrap_or(Method::GET);
    let flags = cursor.byte();
    let mut options = OptionsBuf::new();
    for _ in 0..cursor.byte() % 5 {
        let _ = options.insert(OptionNumber::URI_PATH, cursor.value(&SEGMENTS));
    }
    for _ in 0..cursor.byte() % 4 {
        let _ = options.insert(OptionNumber::URI_QUERY, cursor.value(&QUERIES));
    }
    let registered = OptionNumber::registered();
    for _ in 0..cursor.byte() % 5 {
        let byte = usize::from(cursor.byte());
        let number = match registered.get(byte) {
            Some(definition) => definition.number,
            None if byte % 2 == 0 => OWN_OPTION,
            None => OptionNumber(u16::from_be_bytes([cursor.byte(), cursor.byte()])),
        };
        let len = usize::from(cursor.byte() % 12);
        let _ = options.insert(number, cursor.slice(len));
    }
    let payload = match PAYLOADS.get(usize::from(cursor.byte())) {
        Some(payload) => payload.as_bytes(),
        None => std::mem::take(&mut cursor.0),
    };
    let mut request = Request::to(method, "")
        .with_options(options)
        .with_payload(payload.to_vec())
        .with_confirmable(flags & 1 != 0)
        .with_notification(flags & 2 != 0);
    request.path.multicast = flags & 4 != 0;
    request
}

/// Makes a request of the bytes and answers it.
pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor(bytes);
    let request = request(&mut cursor);
    let (method, options) = (request.method, request.options.clone());
    let response = match APP.body(method, options.as_options()) {
        // What remains of the bytes tells how a body comes whose first part is the payload.
        Body::Stream if cursor.byte() % 2 == 1 => answer_to_stream(request, &mut cursor),
        _ => answer(request),
    };
    is_legal(&response);
    heeds(method, options.as_options(), &response);
    if options.as_options().path().eq([&b".well-known"[..], b"core"]) {
        lists_what_was_asked_for(options.as_options(), &response);
    }
}

fn answer(request: Request) -> Response {
    let mut call = pin!(APP.call(request));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

/// Plays the driver: hands in parts as they are demanded, and finishes or breaks off.
fn answer_to_stream(mut request: Request, cursor: &mut Cursor<'_>) -> Response {
    let (sender, stream) = BodyStream::new(std::mem::take(&mut request.payload));
    let mut sender: Option<BodySender> = Some(sender);
    let mut call = pin!(APP.call(request.with_body(stream)));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..64 {
        if let Poll::Ready(response) = call.as_mut().poll(&mut context) {
            return response;
        }
        let mut driver = sender.take().expect("a body that ended is not waited for");
        match driver.poll_demand(&mut context) {
            Poll::Pending => panic!("neither side goes on"),
            Poll::Ready(Demand::Closed) => {}
            Poll::Ready(Demand::Next) => match cursor.byte() {
                0 => driver.finish(),
                1 => drop(driver),
                len => {
                    driver.send(Bytes::copy_from_slice(cursor.slice(usize::from(len))));
                    sender = Some(driver);
                }
            },
        }
    }
    // A body of more parts than this breaks off.
    drop(sender);
    match call.as_mut().poll(&mut context) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("a body that broke off is waited for"),
    }
}

/// What the engine can send: a registered code, and options that mean something.
fn is_legal(response: &Response) {
    assert!(response.status.name().is_some(), "{response:?}");
    // A panic of a handler would show as 5.00.
    assert_ne!(response.status, Status::INTERNAL_SERVER_ERROR, "{response:?}");
    assert!(Options::parse(response.options.as_options().as_bytes()).is_ok());
    for option in &response.options {
        let checked = coracle_wire::check_option(option.number, option.value);
        assert_eq!(checked, Ok(()), "{response:?}");
    }
    if response.status == Status::VALID {
        assert!(response.payload.is_empty() && response.options.contains(OptionNumber::ETAG));
    }
    if let Some(window) = response.window {
        assert!(window.offset + response.payload.len() as u64 <= window.total);
    }
    assert!(
        response.status.is_success() || response.observe.is_none(),
        "{response:?}"
    );
}

/// What a request insists on is done or refused (RFC 7252 §5.4.1, §5.10.4, §5.10.8).
fn heeds(method: Method, options: Options<'_>, response: &Response) {
    let accept = options.accept();
    if let Some(accept) = accept.filter(|_| response.status == Status::CONTENT) {
        assert_eq!(response.content_format(), Some(accept));
    }
    let unknown = |number: OptionNumber| number.is_critical() && number.definition().is_none();
    let malformed = |number: OptionNumber, value| {
        number.is_critical() && coracle_wire::check_option(number, value).is_err()
    };
    for option in options {
        if unknown(option.number) && option.number != OWN_OPTION || malformed(option.number, option.value) {
            let proxies = [OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME];
            let asks_for_proxy = proxies.iter().any(|number| options.contains(*number));
            let refused = response.status == Status::BAD_OPTION
                || asks_for_proxy && response.status == Status::PROXYING_NOT_SUPPORTED;
            assert!(refused, "{option}: {response:?}");
        }
    }
    if options.contains(OptionNumber::IF_NONE_MATCH) && method == Method::GET {
        assert_ne!(response.status, Status::CONTENT, "it exists");
    }
}

/// RFC 6690 §4.1: each link passes each filter.
fn lists_what_was_asked_for(options: Options<'_>, response: &Response) {
    if response.status != Status::CONTENT {
        return;
    }
    let links = Links::from_bytes(&response.payload).expect("link-format");
    for query in options.queries() {
        let filter = Filter::parse(std::str::from_utf8(query).expect("others are refused"));
        assert!(links.iter().all(|link| link.matches(&filter)), "{filter:?}");
    }
}
