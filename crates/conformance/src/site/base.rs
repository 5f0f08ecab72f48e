//! The resources of the tests of RFC 7252 that keep no state of their own: `TD_COAP_CORE_01` to 20.

use std::sync::Arc;
use std::time::Duration;

use coracle::prelude::*;

use super::LONGEST_BODY;
use super::slot::{LOCATION, Slot};

/// How long `/separate` takes: longer than an acknowledgement waits for its response, shorter than the tests wait.
pub(super) const SEPARATE_AFTER: Duration = Duration::from_millis(1500);

/// Resources; what is posted to `/test` is found in `location`.
pub(super) fn router(location: &Arc<Slot>) -> Router {
    let test = get(read_test)
        .put(async |_: Bytes| Changed)
        .post(create)
        .delete(async || Deleted)
        .title("Answers GET, PUT, POST and DELETE")
        .content_format(ContentFormat::TEXT)
        .body_limit(LONGEST_BODY);
    let separate = get(separate).title("Answers 1.5 s later");
    let segments = get(async || "/seg1/seg2/seg3").title("Has three Uri-Path options");
    let query = get(query).title("Says what Uri-Query options it got");
    let location_query = post(async |_: Bytes| Created::at("?first=1&second=2"))
        .title("POST is answered with Location-Query")
        .body_limit(LONGEST_BODY);
    let secure = get(secure)
        .title("For those who have shown who they are")
        .content_format(ContentFormat::TEXT);
    let formats = get(multi_format)
        .title("Text or XML, as Accept says")
        .content_format(ContentFormat::TEXT)
        .content_format(ContentFormat::XML);
    Router::new()
        .route("/test", test)
        .route("/separate", separate.content_format(ContentFormat::TEXT))
        .route("/seg1/seg2/seg3", segments.content_format(ContentFormat::TEXT))
        .route("/query", query.content_format(ContentFormat::TEXT))
        .route("/location-query", location_query)
        .route("/multi-format", formats)
        .route("/secure", secure)
        .with_state(location.clone())
}

async fn read_test(request: Request) -> String {
    let kind = if request.confirmable { "CON" } else { "NON" };
    format!("{kind} {} /test", request.method)
}

/// What is posted is found at the location, of which there is but one (`TD_COAP_CORE_18`).
async fn create(
    State(location): State<Arc<Slot>>,
    options: OptionsBuf,
    content: Bytes,
) -> Result<Created, Rejection> {
    location.put(&Preconditions::default(), &options, content)?;
    Ok(Created::at(LOCATION))
}

async fn separate() -> &'static str {
    tokio::time::sleep(SEPARATE_AFTER).await;
    "separate"
}

/// The arguments as they would stand in a URI, in their order (`TD_COAP_CORE_14`).
pub(super) async fn query(options: OptionsBuf) -> String {
    let mut text = String::new();
    for argument in options.as_options().queries() {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&String::from_utf8_lossy(argument));
    }
    if text.is_empty() {
        text.push_str("no Uri-Query");
    }
    text
}

/// `TD_COAP_DTLS_01`: 4.01 for others than those who came by a session and have shown who they are.
async fn secure(peer: Identity) -> String {
    format!("/secure for {peer}")
}

/// `TD_COAP_CORE_20`: what is neither text nor XML was refused before.
async fn multi_format(options: OptionsBuf) -> (ContentFormat, &'static str) {
    match options.as_options().accept() {
        Some(ContentFormat::XML) => (ContentFormat::XML, "<format>XML</format>"),
        _ => (ContentFormat::TEXT, "text"),
    }
}
