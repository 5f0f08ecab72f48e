//! A representation that clients replace: `/validate`, `/create1` to 3, `/large-update` and what POST to `/test` makes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle::prelude::*;

use super::LONGEST_BODY;

/// Where POST to `/test` and `/create2` makes a resource (`TD_COAP_CORE_18`).
pub(super) const LOCATION: &str = "/location1/location2/location3";

/// How long `/validate` is fresh, in seconds (`TD_COAP_CORE_29`).
const VALIDATE_MAX_AGE: u32 = 30;

/// One representation, or none.
pub(super) struct Slot {
    /// What is there at the start and after a DELETE.
    initial: Option<Bytes>,
    inner: Mutex<Inner>,
}

struct Inner {
    current: Option<Representation>,
    /// Counts the writes, so that equal contents have ETags of their own.
    version: u64,
}

#[derive(Clone)]
struct Representation {
    content: Bytes,
    format: Option<ContentFormat>,
    etag: [u8; 8],
}

/// `/validate`, `/create1` to 3, and the location of what POST makes.
pub(super) fn router(location: &Arc<Slot>) -> Router {
    let validate = get(validate)
        .put(write)
        .delete(remove)
        .conditional()
        .title("Has an ETag; DELETE resets it")
        .attribute("ct", "0")
        .body_limit(LONGEST_BODY);
    let validate = Router::new()
        .route("/validate", validate)
        .with_state(Arc::new(Slot::holding(Bytes::from_static(b"validate"))));
    let made = get(read).delete(remove).conditional().hidden();
    let made = Router::new().route(LOCATION, made).with_state(location.clone());
    let posting = Posting {
        slot: Arc::new(Slot::absent()),
        location: location.clone(),
    };
    let second = creatable().post(create);
    let second = Router::new().route("/create2", second).with_state(posting);
    ["/create1", "/create3"]
        .into_iter()
        .map(|path| {
            Router::new()
                .route(path, creatable::<Arc<Slot>>())
                .with_state(Arc::new(Slot::absent()))
        })
        .fold(validate.merge(made).merge(second), Router::merge)
}

/// What is not there until it is put.
fn creatable<S>() -> coracle::router::MethodRouter<S>
where
    S: Send + Sync + 'static,
    Arc<Slot>: FromRef<S>,
{
    get(read)
        .put(write)
        .delete(remove)
        .conditional()
        .hidden()
        .body_limit(LONGEST_BODY)
}

/// The state of `/create2`, which makes another resource when it is posted to.
#[derive(Clone)]
struct Posting {
    slot: Arc<Slot>,
    location: Arc<Slot>,
}

impl FromRef<Posting> for Arc<Slot> {
    fn from_ref(posting: &Posting) -> Arc<Slot> {
        posting.slot.clone()
    }
}

impl Slot {
    /// Nothing until it is put.
    pub(super) fn absent() -> Slot {
        Slot::of(None)
    }

    /// This text until another is put.
    pub(super) fn holding(text: Bytes) -> Slot {
        Slot::of(Some(text))
    }

    fn of(initial: Option<Bytes>) -> Slot {
        let mut inner = Inner {
            current: None,
            version: 0,
        };
        inner.reset(initial.clone());
        Slot {
            initial,
            inner: Mutex::new(inner),
        }
    }

    /// The representation as a response, with its ETag.
    fn get(&self, conditions: &Preconditions) -> Result<Response, Rejection> {
        let inner = self.lock();
        inner.check(conditions)?;
        let current = inner.current.as_ref().ok_or(Rejection::NotFound)?;
        let response = Response::success(current.content.clone()).with_etag(&current.etag);
        Ok(match current.format {
            Some(format) => response.with_content_format(format),
            None => response,
        })
    }

    /// Replaces or makes the representation: 2.04 or 2.01 with its ETag.
    pub(super) fn put(
        &self,
        conditions: &Preconditions,
        options: &OptionsBuf,
        content: Bytes,
    ) -> Result<Response, Rejection> {
        let mut inner = self.lock();
        inner.check(conditions)?;
        let status = if inner.current.is_some() {
            Status::CHANGED
        } else {
            Status::CREATED
        };
        let etag = inner.write(content, options.as_options().content_format());
        Ok(Response::new(status).with_etag(&etag))
    }

    fn delete(&self, conditions: &Preconditions) -> Result<Deleted, Rejection> {
        let mut inner = self.lock();
        inner.check(conditions)?;
        inner.reset(self.initial.clone());
        Ok(Deleted)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self, conditions: &Preconditions) -> Result<(), Rejection> {
        let etag = self.current.as_ref().map(|current| &current.etag[..]);
        conditions.check(etag.is_some(), etag)
    }

    fn reset(&mut self, initial: Option<Bytes>) {
        self.current = None;
        if let Some(text) = initial {
            self.write(text, Some(ContentFormat::TEXT));
        }
    }

    fn write(&mut self, content: Bytes, format: Option<ContentFormat>) -> [u8; 8] {
        self.version = self.version.wrapping_add(1);
        let etag = etag(self.version, format, &content);
        self.current = Some(Representation {
            content,
            format,
            etag,
        });
        etag
    }
}

/// An ETag of a version. It is made of the content too, so that one of an earlier run of the server is not taken for
/// one of this run.
pub(super) fn etag(version: u64, format: Option<ContentFormat>, content: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    (version, format.map(|format| format.0), content).hash(&mut hasher);
    hasher.finish().to_be_bytes()
}

pub(super) async fn read(
    State(slot): State<Arc<Slot>>,
    conditions: Preconditions,
) -> Result<Response, Rejection> {
    slot.get(&conditions)
}

pub(super) async fn write(
    State(slot): State<Arc<Slot>>,
    conditions: Preconditions,
    options: OptionsBuf,
    content: Bytes,
) -> Result<Response, Rejection> {
    slot.put(&conditions, &options, content)
}

async fn remove(State(slot): State<Arc<Slot>>, conditions: Preconditions) -> Result<Deleted, Rejection> {
    slot.delete(&conditions)
}

async fn validate(slot: State<Arc<Slot>>, conditions: Preconditions) -> Result<Response, Rejection> {
    Ok(read(slot, conditions).await?.with_max_age(VALIDATE_MAX_AGE))
}

async fn create(
    State(posting): State<Posting>,
    options: OptionsBuf,
    content: Bytes,
) -> Result<Created, Rejection> {
    posting
        .location
        .put(&Preconditions::default(), &options, content)?;
    Ok(Created::at(LOCATION))
}
