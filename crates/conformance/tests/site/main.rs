//! The plugtest site by its router, without sockets: what each resource does, and that any test can run again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod blocks;
mod config;
mod core;
mod counters;
mod discovery;
mod observe;

use std::time::Duration;

use coracle::prelude::*;
use coracle_conformance::site::{Settings, router};

fn site() -> Router {
    router(&Settings::default())
}

fn site_with_period(period: Duration) -> Router {
    router(&Settings { period })
}

/// Status and payload of an answer.
async fn ask(site: &Router, request: Request) -> (Status, String) {
    let answer = site.oneshot(request).await;
    (answer.status, String::from_utf8(answer.payload.to_vec()).unwrap())
}

async fn status(site: &Router, request: Request) -> Status {
    site.oneshot(request).await.status
}

fn etag(response: &Response) -> Vec<u8> {
    response.options.get(OptionNumber::ETAG).unwrap().to_vec()
}

/// The values of an option in their order, as text.
fn texts(response: &Response, number: OptionNumber) -> Vec<String> {
    let values = response.options.as_options().get_all(number);
    values
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .collect()
}

fn text(request: Request, payload: &'static str) -> Request {
    request
        .with_payload(payload)
        .with_content_format(ContentFormat::TEXT)
}
