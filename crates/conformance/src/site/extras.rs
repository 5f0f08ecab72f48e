//! Resources that no plugtest asks for, but tests of other behaviours do.

use std::time::Duration;

use coracle::engine::Peer;
use coracle::prelude::*;
use serde::Deserialize;

use super::LONGEST_BODY;

/// How long `/slow` takes, in milliseconds, if nothing is said.
const SLOW: u64 = 1000;

/// How long `/slow` takes at most, in milliseconds.
const SLOWEST: u64 = 60_000;

/// The resources.
pub(super) fn router() -> Router {
    let hello = get(async || "Hello World!").content_format(ContentFormat::TEXT);
    let whoami = get(async |peer: Peer| peer.to_string()).content_format(ContentFormat::TEXT);
    let queries = get(queries).content_format(ContentFormat::JSON);
    let echo = fetch(echo).post(echo).title("Gives back what it gets");
    let slow = get(slow).title("Answers late; ?ms= says how late");
    Router::new()
        .route("/hello", hello.rt("hello"))
        .route("/whoami", whoami.title("Address and port of who asks"))
        .route("/uri-query-options", queries)
        .route("/echo", echo.body_limit(LONGEST_BODY))
        .route("/slow", slow.content_format(ContentFormat::TEXT))
}

/// Each Uri-Query option as a string of a JSON array.
async fn queries(options: OptionsBuf) -> Json<Vec<String>> {
    let queries = options.as_options().queries();
    Json(
        queries
            .map(|query| String::from_utf8_lossy(query).into_owned())
            .collect(),
    )
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
    SLOW
}

async fn slow(Query(delay): Query<Delay>) -> Result<&'static str, Rejection> {
    if delay.ms > SLOWEST {
        return Err(Rejection::Query(format!("ms: from 0 to {SLOWEST}")));
    }
    tokio::time::sleep(Duration::from_millis(delay.ms)).await;
    Ok("slow")
}
