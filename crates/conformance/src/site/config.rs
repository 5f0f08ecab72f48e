//! `/config`: a JSON object for FETCH, PATCH and iPATCH (RFC 8132).
//!
//! FETCH takes a JSON array of member names and gives these members. PATCH and iPATCH take JSON Merge Patch
//! (RFC 7396), of which repeating changes nothing. The object has a `name` and an `interval` from 1 to 3600; a change
//! that would break this is a conflict.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::slot;

/// The longest request body, and the longest object, in bytes.
const LONGEST: usize = 4096;

/// The resource.
pub(super) fn router() -> Router {
    let config = get(read)
        .put(replace)
        .delete(reset)
        .fetch(select)
        .patch(patch)
        .ipatch(patch)
        .conditional()
        .observable()
        .title("JSON; FETCH by names, PATCH by merge patch")
        .content_format(ContentFormat::JSON)
        .body_limit(LONGEST);
    Router::new()
        .route("/config", config)
        .with_state(Arc::new(Config::new()))
}

type Object = Map<String, Value>;

/// The configuration, and who observes it.
struct Config {
    inner: Mutex<Inner>,
    changes: Notifier<()>,
}

struct Inner {
    object: Object,
    version: u64,
}

impl Config {
    fn new() -> Config {
        let inner = Inner {
            object: initial(),
            version: 0,
        };
        Config {
            inner: Mutex::new(inner),
            changes: Notifier::new(()),
        }
    }

    /// Changes all of it or nothing (RFC 8132 §3).
    fn change(
        &self,
        conditions: &Preconditions,
        change: impl FnOnce(&Object) -> Result<Object, Refusal>,
    ) -> Result<Response, Refusal> {
        let etag = {
            let mut inner = self.lock();
            conditions.check(true, Some(&inner.etag()))?;
            inner.object = change(&inner.object)?;
            inner.version = inner.version.wrapping_add(1);
            inner.etag()
        };
        self.changes.changed();
        Ok(Response::new(Status::CHANGED).with_etag(&etag))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn etag(&self) -> [u8; 8] {
        slot::etag(
            self.version,
            Some(ContentFormat::JSON),
            text(&self.object).as_bytes(),
        )
    }
}

/// What is there at the start and after a DELETE.
fn initial() -> Object {
    match json!({ "name": "coracle", "interval": 5, "tags": ["a", "b"] }) {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn text(object: &Object) -> String {
    Value::Object(object.clone()).to_string()
}

/// Why a request is refused.
enum Refusal {
    /// As the router would say it.
    Rejected(Rejection),
    /// With this status and text.
    With(Status, &'static str),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal::Rejected(rejection)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Rejected(rejection) => rejection.into_response(),
            Refusal::With(status, text) => Response::diagnostic(status, text),
        }
    }
}

async fn read(State(config): State<Arc<Config>>, conditions: Preconditions) -> Result<Response, Refusal> {
    let observable = config.changes.observable();
    let inner = config.lock();
    conditions.check(true, Some(&inner.etag()))?;
    let response = Response::success(text(&inner.object)).with_etag(&inner.etag());
    Ok(response.observed(&observable))
}

/// The members that are named, of those that there are. Conditions are about the whole resource (RFC 8132 §2).
async fn select(
    State(config): State<Arc<Config>>,
    conditions: Preconditions,
    options: OptionsBuf,
    names: Bytes,
) -> Result<Response, Refusal> {
    let names: Value = parse(&options, &names, ContentFormat::JSON)?;
    let names: Vec<String> = serde_json::from_value(names).map_err(|_| {
        Refusal::With(
            Status::UNPROCESSABLE_ENTITY,
            "an array of member names is what it can look for",
        )
    })?;
    let observable = config.changes.observable();
    let inner = config.lock();
    conditions.check(true, Some(&inner.etag()))?;
    let mut selected = inner.object.clone();
    selected.retain(|name, _| names.contains(name));
    Ok(Response::success(text(&selected)).observed(&observable))
}

async fn replace(
    State(config): State<Arc<Config>>,
    conditions: Preconditions,
    options: OptionsBuf,
    payload: Bytes,
) -> Result<Response, Refusal> {
    let value = parse(&options, &payload, ContentFormat::JSON)?;
    config.change(&conditions, |_| checked(value))
}

/// RFC 8132 §3: PATCH and iPATCH alike, because a merge patch is idempotent.
async fn patch(
    State(config): State<Arc<Config>>,
    conditions: Preconditions,
    options: OptionsBuf,
    payload: Bytes,
) -> Result<Response, Refusal> {
    let patch: Value = parse(&options, &payload, ContentFormat::MERGE_PATCH_JSON)?;
    if !patch.is_object() {
        let text = "only an object can be merged into an object";
        return Err(Refusal::With(Status::UNPROCESSABLE_ENTITY, text));
    }
    config.change(&conditions, |object| {
        let mut value = Value::Object(object.clone());
        merge(&mut value, patch);
        checked(value)
    })
}

async fn reset(State(config): State<Arc<Config>>, conditions: Preconditions) -> Result<Deleted, Refusal> {
    config.change(&conditions, |_| Ok(initial()))?;
    Ok(Deleted)
}

/// RFC 8132 §2.3.1: the payload must say what it is; §2.2, §3.4: what is not understood is 4.15, what is malformed
/// 4.00.
fn parse<T: DeserializeOwned>(
    options: &OptionsBuf,
    payload: &[u8],
    format: ContentFormat,
) -> Result<T, Rejection> {
    match options.as_options().content_format() {
        Some(found) if found == format => {}
        Some(found) => return Err(Rejection::ContentFormat { found }),
        None => return Err(Rejection::Payload("Content-Format is missing".to_owned())),
    }
    serde_json::from_slice(payload).map_err(|error| Rejection::Payload(error.to_string()))
}

/// RFC 7396 §2. The payload's parser has bounded how deep it nests.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Object::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// RFC 8132 §3.4: what would be inconsistent is a conflict, and nothing is changed.
fn checked(value: Value) -> Result<Object, Refusal> {
    let Value::Object(object) = value else {
        return Err(Refusal::With(Status::CONFLICT, "a configuration is an object"));
    };
    if !object.get("name").is_some_and(Value::is_string) {
        return Err(Refusal::With(Status::CONFLICT, "name: has to be a string"));
    }
    let interval = object.get("interval").and_then(Value::as_u64);
    if !interval.is_some_and(|interval| (1..=3600).contains(&interval)) {
        return Err(Refusal::With(
            Status::CONFLICT,
            "interval: has to be from 1 to 3600",
        ));
    }
    if text(&object).len() > LONGEST {
        return Err(Rejection::BodyTooLong { limit: LONGEST }.into());
    }
    Ok(object)
}
