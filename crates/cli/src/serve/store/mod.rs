//! `/store`: a small bounded store in memory, for whoever wants to try something.

mod routes;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use coracle::formats::link_format::{Link, write_links};
use coracle::prelude::*;
use coracle::router::Observable;

use crate::serve::args::StoreArgs;

pub(super) use routes::router;

/// How long a client is asked to stay away when the store is full, in seconds: until somebody deletes something.
const FULL_MAX_AGE: u32 = 60;

/// Items by name, each with its representation. Reading and writing are atomic, conditions included.
pub(super) struct Store {
    inner: Mutex<Inner>,
    limits: Limits,
    /// Changes whenever the list of items does.
    list: Notifier<()>,
}

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many items.
    pub(super) items: usize,
    /// Bytes of all items, names included.
    pub(super) bytes: u64,
    /// Bytes of one item's content.
    pub(super) item_bytes: usize,
}

#[derive(Default)]
struct Inner {
    items: BTreeMap<String, Item>,
    bytes: u64,
    /// The number of the item that POST made last.
    last: u64,
    /// The version that was given last, of all items.
    version: u64,
}

struct Item {
    content: Bytes,
    format: Option<ContentFormat>,
    version: u64,
    changes: Notifier<()>,
}

/// A representation as it is read, with what is needed to observe it.
#[derive(Debug)]
pub(super) struct Representation {
    content: Bytes,
    format: Option<ContentFormat>,
    etag: [u8; 8],
    observable: Observable,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    created: bool,
    etag: [u8; 8],
}

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As the router would say it: 4.04, 4.12 or 4.13.
    Rejected(Rejection),
    /// There is no room: 5.03, because it may be there later (RFC 7252 §5.9.3.4).
    Full(&'static str),
}

impl From<StoreArgs> for Limits {
    fn from(args: StoreArgs) -> Limits {
        Limits {
            items: args.store_items,
            bytes: args.store_bytes,
            item_bytes: usize::try_from(args.item_bytes()).unwrap_or(usize::MAX),
        }
    }
}

impl Store {
    /// An empty store. Its versions begin with the time, so that an ETag of an earlier run is not taken for one of
    /// this run.
    pub(super) fn new(limits: Limits) -> Store {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let inner = Inner {
            version: u64::try_from(since_epoch.as_micros()).unwrap_or_default(),
            ..Inner::default()
        };
        Store {
            inner: Mutex::new(inner),
            limits,
            list: Notifier::new(()),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads an item.
    pub(super) fn read(&self, name: &str) -> Option<Representation> {
        let inner = self.lock();
        let item = inner.items.get(name)?;
        Some(Representation {
            content: item.content.clone(),
            format: item.format,
            etag: item.etag(),
            observable: item.changes.observable(),
        })
    }

    /// Writes an item, which may be new.
    pub(super) fn write(
        &self,
        name: &str,
        content: &[u8],
        format: Option<ContentFormat>,
        conditions: &Preconditions,
    ) -> Result<Written, Refusal> {
        // A URI has no way to say the dots (RFC 3986 §5.2.4), and people no way to see an empty name.
        if matches!(name, "" | "." | "..") {
            let (name, reason) = ("name".to_owned(), "no item can have it".to_owned());
            return Err(Rejection::Path { name, reason }.into());
        }
        let mut inner = self.lock();
        inner.check(name, conditions)?;
        let written = inner.write(name, content, format, self.limits)?;
        let changes = inner.items.get(name).map(|item| item.changes.clone());
        drop(inner);
        if let Some(changes) = changes {
            changes.changed();
        }
        self.list.changed();
        Ok(written)
    }

    /// Makes an item whose name the store chooses.
    pub(super) fn create(
        &self,
        content: &[u8],
        format: Option<ContentFormat>,
    ) -> Result<(String, Written), Refusal> {
        let mut inner = self.lock();
        let name = inner.free_name();
        let written = inner.write(&name, content, format, self.limits)?;
        drop(inner);
        self.list.changed();
        Ok((name, written))
    }

    /// Deletes an item. That there was none is no reason to refuse (RFC 7252 §5.8.4).
    pub(super) fn delete(&self, name: &str, conditions: &Preconditions) -> Result<(), Refusal> {
        let mut inner = self.lock();
        inner.check(name, conditions)?;
        let deleted = inner.items.remove(name);
        if let Some(item) = deleted {
            inner.bytes -= cost(name, &item.content);
            drop(inner);
            item.changes.changed();
            self.list.changed();
        }
        Ok(())
    }

    /// All items as link-format, with what is needed to observe the list.
    pub(super) fn list(&self, base: &str) -> (Observable, String) {
        let observable = self.list.observable();
        // Links that link-format cannot express have been left out.
        (observable, write_links(&self.links(base)).unwrap_or_default())
    }

    /// A link to each item; `base` is the encoded path of the store.
    pub(super) fn links(&self, base: &str) -> Vec<Link> {
        let link = |(name, item): (&String, &Item)| {
            let link = Link::new(format!("{base}{}", encode(name)?));
            let link = match item.format {
                Some(format) => link.attr("ct", format.0.to_string()),
                None => link,
            };
            let link = link.attr("sz", item.content.len().to_string()).flag("obs");
            link.check().is_ok().then_some(link)
        };
        self.lock().items.iter().filter_map(link).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self, name: &str, conditions: &Preconditions) -> Result<(), Refusal> {
        let etag = self.items.get(name).map(Item::etag);
        let etag = etag.as_ref().map(<[u8; 8]>::as_slice);
        Ok(conditions.check(etag.is_some(), etag)?)
    }

    fn write(
        &mut self,
        name: &str,
        content: &[u8],
        format: Option<ContentFormat>,
        limits: Limits,
    ) -> Result<Written, Refusal> {
        let limit = limits.item_bytes;
        if content.len() > limit {
            return Err(Rejection::BodyTooLong { limit }.into());
        }
        let before = self.items.get(name).map(|item| cost(name, &item.content));
        if before.is_none() && self.items.len() >= limits.items {
            return Err(Refusal::Full("the store has as many items as it takes"));
        }
        let bytes = self.bytes - before.unwrap_or(0) + cost(name, content);
        if bytes > limits.bytes {
            return Err(Refusal::Full("the store has as many bytes as it takes"));
        }
        self.bytes = bytes;
        self.version += 1;
        let version = self.version;
        // A copy has no spare room, which would not be counted.
        let content = Bytes::copy_from_slice(content);
        let fresh = || Item {
            content: Bytes::new(),
            format,
            version,
            changes: Notifier::new(()),
        };
        let item = self.items.entry(name.to_owned()).or_insert_with(fresh);
        (item.content, item.format, item.version) = (content, format, version);
        Ok(Written {
            created: before.is_none(),
            etag: item.etag(),
        })
    }

    /// Ends after at most one step more than there are items.
    fn free_name(&mut self) -> String {
        loop {
            self.last = self.last.wrapping_add(1);
            let name = self.last.to_string();
            if !self.items.contains_key(&name) {
                return name;
            }
        }
    }
}

impl Item {
    fn etag(&self) -> [u8; 8] {
        self.version.to_be_bytes()
    }
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
            Refusal::Full(why) => {
                Response::diagnostic(Status::SERVICE_UNAVAILABLE, why).with_max_age(FULL_MAX_AGE)
            }
        }
    }
}

fn cost(name: &str, content: &[u8]) -> u64 {
    name.len() as u64 + content.len() as u64
}

/// A name as the last segment of a path, with its slash (RFC 7252 §6.5).
fn encode(name: &str) -> Option<String> {
    let mut options = OptionsBuf::new();
    options.push_str(OptionNumber::LOCATION_PATH, name).ok()?;
    options.as_options().location()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        items: 3,
        bytes: 100,
        item_bytes: 80,
    };

    fn put(store: &Store, name: &str, content: &[u8]) -> Result<Written, Refusal> {
        store.write(name, content, None, &Preconditions::default())
    }

    #[test]
    fn every_version_has_an_etag_of_its_own() {
        let store = Store::new(LIMITS);
        let first = put(&store, "a", b"1").unwrap();
        let second = put(&store, "a", b"1").unwrap();
        assert!(first.created && !second.created);
        assert_ne!(first.etag, second.etag);
        assert_eq!(store.read("a").unwrap().etag, second.etag);
        store.delete("a", &Preconditions::default()).unwrap();
        assert!(put(&store, "a", b"1").unwrap().created);
        assert_ne!(store.read("a").unwrap().etag, second.etag);
    }

    #[test]
    fn items_and_bytes_are_bounded() {
        let store = Store::new(LIMITS);
        let too_long = Rejection::BodyTooLong { limit: 80 };
        assert_eq!(put(&store, "a", &[0; 81]), Err(Refusal::Rejected(too_long)));
        put(&store, "a", &[0; 80]).unwrap();
        put(&store, "b", &[0; 16]).unwrap();
        assert!(matches!(
            put(&store, "c", b"x"),
            Ok(Written { created: true, .. })
        ));
        assert!(matches!(put(&store, "d", b""), Err(Refusal::Full(_))), "items");
        assert!(matches!(put(&store, "c", b"xy"), Err(Refusal::Full(_))), "bytes");
        assert!(matches!(store.create(b"", None), Err(Refusal::Full(_))));
        // Nothing was counted that is not there.
        put(&store, "a", &[0; 70]).unwrap();
        put(&store, "c", &[0; 11]).unwrap();
        assert_eq!(store.lock().bytes, 100);
        for name in ["a", "b", "c", "none"] {
            store.delete(name, &Preconditions::default()).unwrap();
        }
        assert_eq!(store.lock().bytes, 0);
    }

    #[test]
    fn chosen_names_are_free() {
        let store = Store::new(LIMITS);
        put(&store, "1", b"").unwrap();
        let (name, written) = store.create(b"x", Some(ContentFormat::TEXT)).unwrap();
        assert_eq!(name, "2");
        assert!(written.created);
    }

    #[test]
    fn links_are_encoded_and_what_has_no_link_cannot_be_made() {
        let store = Store::new(LIMITS);
        put(&store, "a b/ü", b"").unwrap();
        assert_eq!(store.list("/store").1, "</store/a%20b%2F%C3%BC>;sz=0;obs");
        for name in ["", ".", ".."] {
            let refused = put(&store, name, b"").unwrap_err().into_response();
            assert_eq!(refused.status, Status::NOT_FOUND);
            assert_eq!(refused.payload, "no such resource: name: no item can have it");
        }
        assert_eq!(store.lock().items.len(), 1);
    }
}
