//! The resources of the tests of RFC 7959: `TD_COAP_BLOCK_01` to 06.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle::prelude::*;

use super::LONGEST_BODY;
use super::base::SEPARATE_AFTER;
use super::slot::{self, Slot};

/// The length of `/large` in bytes: more than the largest block, less than two of them.
pub(super) const LARGE_LENGTH: u64 = 1280;

/// How many resources below `/large-create` are kept; the oldest one goes first.
const MOST_CREATED: usize = 32;

/// The block-wise resources, some by two names.
pub(super) fn router() -> Router {
    let large = get(async || large()).rt("block").size(LARGE_LENGTH);
    let separate = get(large_separate).rt("block").size(LARGE_LENGTH);
    let upper_case = post(upper_case).rt("block").body_limit(LONGEST_BODY);
    let made = Arc::new(Made::default());
    Router::new()
        .route("/large", large)
        .route("/large-separate", separate)
        .route("/large-post", upper_case)
        .merge(update())
        .merge(create("/large-create", &made, false))
        .merge(create("/large_create", &made, true))
}

fn update() -> Router {
    let update = || {
        get(slot::read)
            .put(slot::write)
            .conditional()
            .body_limit(LONGEST_BODY)
    };
    let listed = update().rt("block").size(LARGE_LENGTH);
    Router::new()
        .route("/large-update", listed)
        .route("/large_update", update().hidden())
        .with_state(Arc::new(Slot::holding(text("large-update").into())))
}

/// The factory at `path`, with what it made below.
fn create(path: &'static str, made: &Arc<Made>, alias: bool) -> Router {
    let make = async move |State(made): State<Arc<Made>>, options: OptionsBuf, content: Bytes| {
        let id = made.add(content, options.as_options().content_format());
        Created::at(&format!("{path}/{id}"))
    };
    let factory = get(list).post(make).rt("block").body_limit(LONGEST_BODY);
    let factory = if alias { factory.hidden() } else { factory };
    let item = get(read).delete(remove);
    Router::new()
        .route(path, factory)
        .route(&format!("{path}/{{id}}"), item)
        .with_state(made.clone())
}

/// A text of [`LARGE_LENGTH`] bytes, in lines that tell where they belong.
pub(super) fn text(name: &str) -> String {
    let mut text = String::new();
    let length = usize::try_from(LARGE_LENGTH).unwrap_or_default();
    let mut line = 0;
    while text.len() < length {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}, line {line}");
        line += 1;
    }
    text.truncate(length);
    text
}

/// The representation never changes.
fn large() -> Response {
    text("large").into_response().with_etag(b"large")
}

async fn large_separate() -> Response {
    tokio::time::sleep(SEPARATE_AFTER).await;
    large()
}

/// `TD_COAP_BLOCK_05`: as long a response as the request was.
async fn upper_case(content: Bytes) -> (ContentFormat, Vec<u8>) {
    (ContentFormat::TEXT, content.to_ascii_uppercase())
}

/// What was made below `/large-create`, the oldest first.
#[derive(Default)]
struct Made {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    last: u64,
}

struct Item {
    id: u64,
    content: Bytes,
    format: Option<ContentFormat>,
}

impl Made {
    fn add(&self, content: Bytes, format: Option<ContentFormat>) -> u64 {
        let mut inner = self.lock();
        inner.last = inner.last.wrapping_add(1);
        let id = inner.last;
        inner.items.push_back(Item { id, content, format });
        if inner.items.len() > MOST_CREATED {
            inner.items.pop_front();
        }
        id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn list(State(made): State<Arc<Made>>) -> String {
    let ids: Vec<String> = made.lock().items.iter().map(|item| item.id.to_string()).collect();
    format!("made: {}", ids.join(" "))
}

async fn read(State(made): State<Arc<Made>>, Path(id): Path<u64>) -> Result<Response, Rejection> {
    let inner = made.lock();
    let item = inner.items.iter().find(|item| item.id == id);
    let item = item.ok_or(Rejection::NotFound)?;
    let response = Response::success(item.content.clone());
    Ok(match item.format {
        Some(format) => response.with_content_format(format),
        None => response,
    })
}

async fn remove(State(made): State<Arc<Made>>, Path(id): Path<u64>) -> Deleted {
    made.lock().items.retain(|item| item.id != id);
    Deleted
}
