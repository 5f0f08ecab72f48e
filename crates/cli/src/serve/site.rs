//! The site that is served when no folder is: something of each kind to try a client with.

use std::sync::Arc;
use std::time::Duration;

use coracle::prelude::*;

use serde::Deserialize;

use super::access::Access;
use super::clock;
use super::store::{self, Store};
use super::window::{Asked, part};

/// What `/` says.
const WELCOME: &str = "\
This is coracle serve. Try:
  /hello     a text
  /clock     the time, to be observed
  /store     POST and PUT make items, GET lists them
  /echo      POST and FETCH give back what they get
  /separate  answers after 1.5 s, or after ?ms=
  /large     200,000 bytes
";

/// The length of `/large` in bytes.
const LARGE_LENGTH: u32 = 200_000;

/// How long `/separate` takes, in milliseconds: longer than an acknowledgement may wait.
const SEPARATE_AFTER: u64 = 1500;

/// How long `/separate` takes at most, in milliseconds.
const SEPARATE_AT_MOST: u64 = 60_000;

/// The site. Call it within a tokio runtime: its clock starts to go.
pub(super) fn router(store: Arc<Store>, access: Access) -> Router {
    let limit = store.limits().item_bytes;
    let echo = fetch(echo).post(echo).rt("echo").title("Gives back what it gets");
    let separate = get(separate)
        .rt("separate")
        .title("Answers late; ?ms= says how late");
    Router::new()
        .route(
            "/",
            get(async || WELCOME)
                .content_format(ContentFormat::TEXT)
                .title("What is here"),
        )
        .route(
            "/hello",
            get(async || "hello")
                .content_format(ContentFormat::TEXT)
                .rt("hello"),
        )
        .route("/echo", echo.body_limit(limit))
        .route("/separate", separate.content_format(ContentFormat::TEXT))
        .merge(large())
        .merge(clock::router())
        .merge(store::router(store, access))
}

/// The payload as it came, with its format.
async fn echo(options: OptionsBuf, payload: Bytes) -> Response {
    let response = Response::success(payload);
    match options.as_options().content_format() {
        Some(format) => response.with_content_format(format),
        None => response,
    }
}

#[derive(Deserialize)]
struct Delay {
    #[serde(default = "default_delay")]
    ms: u64,
}

fn default_delay() -> u64 {
    SEPARATE_AFTER
}

async fn separate(Query(delay): Query<Delay>) -> Result<&'static str, Rejection> {
    if delay.ms > SEPARATE_AT_MOST {
        return Err(Rejection::Query(format!("ms: from 0 to {SEPARATE_AT_MOST}")));
    }
    tokio::time::sleep(Duration::from_millis(delay.ms)).await;
    Ok("separate")
}

/// A body that does not fit into a message, each byte of which tells where it belongs.
fn large() -> Router {
    let large = get(read_large)
        .rt("large")
        .content_format(ContentFormat::OCTET_STREAM)
        .size(u64::from(LARGE_LENGTH));
    Router::new().route("/large", large).with_state(large_body())
}

async fn read_large(State(body): State<Bytes>, at_hand: PartLen, options: OptionsBuf) -> Response {
    // The body never changes.
    part(&body, Asked::of(&options, at_hand)).with_etag(b"large")
}

fn large_body() -> Bytes {
    let byte = |i: u32| u8::try_from((i * 7 + i / 256) & 255).unwrap_or_default();
    (0..LARGE_LENGTH).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::store::Limits;

    fn site() -> Router {
        let limits = Limits {
            items: 10,
            bytes: 1 << 20,
            item_bytes: 1000,
        };
        router(Arc::new(Store::new(limits)), Access::Write)
    }

    #[tokio::test]
    async fn hello_and_the_root_are_texts() {
        let hello = site().oneshot(Request::get("/hello")).await;
        assert_eq!(
            (hello.status, &hello.payload[..]),
            (Status::CONTENT, &b"hello"[..])
        );
        assert_eq!(hello.content_format(), Some(ContentFormat::TEXT));
        let root = site().oneshot(Request::get("/")).await;
        assert_eq!(root.payload, WELCOME);
    }

    #[tokio::test]
    async fn everything_is_discovered() {
        let found = site().oneshot(Request::get("/.well-known/core")).await;
        let links = String::from_utf8(found.payload.to_vec()).unwrap();
        for path in ["/", "/hello", "/clock", "/store", "/echo", "/separate", "/large"] {
            assert!(links.contains(&format!("<{path}>")), "{path} is not in {links}");
        }
        let found = site().oneshot(Request::get("/.well-known/core?rt=clock")).await;
        let links = String::from_utf8(found.payload.to_vec()).unwrap();
        assert!(
            links.starts_with("</clock>;") && links.ends_with(";obs"),
            "{links}"
        );
    }

    #[tokio::test]
    async fn echo_gives_back_payload_and_format() {
        for (method, status) in [(Method::POST, Status::CHANGED), (Method::FETCH, Status::CONTENT)] {
            let request = Request::to(method, "/echo")
                .with_payload("{}")
                .with_content_format(ContentFormat::JSON);
            let echoed = site().oneshot(request).await;
            assert_eq!((echoed.status, &echoed.payload[..]), (status, &b"{}"[..]));
            assert_eq!(echoed.content_format(), Some(ContentFormat::JSON));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn separate_waits_as_long_as_it_is_told() {
        for (location, expected) in [
            ("/separate", Some(1500)),
            ("/separate?ms=0", Some(0)),
            ("/separate?ms=60000", Some(60_000)),
            ("/separate?ms=60001", None),
            ("/separate?ms=-1", None),
            ("/separate?ms=soon", None),
        ] {
            let begin = tokio::time::Instant::now();
            let answer = site().oneshot(Request::get(location)).await;
            match expected {
                Some(ms) => {
                    assert_eq!(answer.payload, "separate", "{location}");
                    let late = begin.elapsed().saturating_sub(Duration::from_millis(ms));
                    assert!(late < Duration::from_millis(10), "{location}: {late:?}");
                }
                None => assert_eq!(answer.status, Status::BAD_REQUEST, "{location}"),
            }
        }
    }

    #[tokio::test]
    async fn large_comes_in_parts_of_one_body() {
        let site = site();
        let first = site.oneshot(Request::get("/large")).await;
        // Block 195 of 1,024 bytes begins at 199,680.
        let last = Request::get("/large").with_option(OptionNumber::BLOCK2, b"\x0c\x36");
        let last = site.oneshot(last).await;
        assert_eq!(first.options, last.options);
        assert_eq!(first.payload[..4], [0, 7, 14, 21]);
        assert_eq!((first.payload[256], first.payload[1023]), (1, 252));
        assert_eq!(last.payload.len(), 320);
        assert_eq!(last.window.map(|window| window.total), Some(200_000));
        // (199,680 * 7 + 780) & 255.
        assert_eq!(last.payload[0], 12);
    }
}
