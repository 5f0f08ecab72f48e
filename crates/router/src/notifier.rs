//! State of the application that peers observe (RFC 7641).

use std::fmt;
use std::ptr::addr_eq;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use coracle_engine::Topic;

use crate::response::{IntoResponse, Response};

/// A value that peers can observe: setting it notifies everybody who does.
///
/// Clones are handles to the same value. A handler accepts an observation with [`Notifier::observed`], with
/// [`Response::observed`] or with [`Observed`]; each later [`set`](Notifier::set) makes the driver call the handler
/// again for each observer.
///
/// ```
/// use coracle_router::{Notifier, Response};
///
/// let temperature = Notifier::new(21.5_f32);
/// // In the handler:
/// let response: Response = temperature.observed(|celsius| celsius.to_string());
/// assert!(response.observe.is_some());
/// // Wherever the value changes:
/// temperature.set(22.0);
/// assert_eq!(temperature.get(), 22.0);
/// ```
pub struct Notifier<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    value: RwLock<T>,
    subject: Arc<Subject>,
}

impl<T> Notifier<T> {
    /// A value with a topic of its own.
    #[must_use]
    pub fn new(value: T) -> Notifier<T> {
        Notifier {
            inner: Arc::new(Inner {
                value: RwLock::new(value),
                subject: Arc::new(Subject::new()),
            }),
        }
    }

    /// Replaces the value and notifies, even if it is equal to the one before.
    pub fn set(&self, value: T) {
        self.update(|current| *current = value);
    }

    /// A copy of the value.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.read().clone()
    }

    /// Looks at the value in place. A `set` from within `look` would wait for itself.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.read())
    }

    /// Changes the value in place and notifies.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.write();
        let result = change(&mut value);
        self.inner.subject.advance();
        drop(value);
        self.inner.subject.tell(|sink, topic| sink.changed(topic));
        result
    }

    /// Notifies of a change that is not in the value itself.
    pub fn changed(&self) {
        self.inner.subject.advance();
        self.inner.subject.tell(|sink, topic| sink.changed(topic));
    }

    /// Forgets all who observe this state, without telling them: for tests of how a client notices.
    pub fn forget_observers(&self) {
        self.inner.subject.tell(|sink, topic| sink.forget(topic));
    }

    /// What a response carries to be observed. Take it before reading what the response is made of, so that no
    /// change between the two is missed; [`observed`](Notifier::observed) sees to it by itself.
    #[must_use]
    pub fn observable(&self) -> Observable {
        let subject = self.inner.subject.clone();
        let seen = subject.version.load(Ordering::Acquire);
        Observable { subject, seen }
    }

    /// A response made of the value, which can be observed: no change of the value is missed. A `set` from within
    /// `respond` would wait for itself.
    pub fn observed<R: IntoResponse>(&self, respond: impl FnOnce(&T) -> R) -> Response {
        let value = self.read();
        let observable = self.observable();
        let response = respond(&value);
        drop(value);
        response.into_response().observed(observable)
    }

    /// The name of this state among all of this process.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.inner.subject.topic
    }

    /// Whether anybody holds an [`Observable`] of this state: a response under way, or a driver whose peers observe
    /// it. What has to be asked for changes need not be asked while nobody does.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        Arc::strong_count(&self.inner.subject) > 1
    }

    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.inner.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.inner.value.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Notifier<T> {
    fn clone(&self) -> Self {
        Notifier {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Default> Default for Notifier<T> {
    fn default() -> Self {
        Notifier::new(T::default())
    }
}

impl<T> fmt::Debug for Notifier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("topic", &self.topic())
            .finish_non_exhaustive()
    }
}

/// Takes the news that a state has changed; a driver is one, and hands them to `Endpoint::changed`.
///
/// Called from whichever thread sets the value: queue it and wake, nothing more.
pub trait ChangeSink: Send + Sync {
    /// What `topic` names has changed.
    fn changed(&self, topic: Topic);

    /// The observers of `topic` are to be forgotten without telling them. A sink that has none does nothing.
    fn forget(&self, topic: Topic) {
        let _ = topic;
    }
}

/// The observable side of a [`Notifier`], without its value.
///
/// Carried by a response that accepts an observation; the driver gives its topic to the engine and subscribes.
#[derive(Clone)]
pub struct Observable {
    subject: Arc<Subject>,
    /// The version that the response is made of, or an earlier one.
    seen: u64,
}

impl Observable {
    /// The name of the state.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.subject.topic
    }

    /// Tells `sink` of all changes from now on, and at once if the state has changed since this observable was taken.
    ///
    /// Subscribing twice is subscribing once. The sink is held weakly: when it is dropped it is forgotten.
    pub fn subscribe(&self, sink: &Arc<dyn ChangeSink>) {
        self.subject.subscribe(sink);
        if self.subject.version.load(Ordering::Acquire) != self.seen {
            sink.changed(self.topic());
        }
    }

    /// Tells `sink` nothing more.
    pub fn unsubscribe(&self, sink: &Arc<dyn ChangeSink>) {
        let mut sinks = self.subject.sinks();
        sinks.retain(|known| !is(known, sink));
    }
}

impl<T> From<&Notifier<T>> for Observable {
    fn from(notifier: &Notifier<T>) -> Self {
        notifier.observable()
    }
}

impl From<&Observable> for Observable {
    fn from(observable: &Observable) -> Self {
        observable.clone()
    }
}

impl fmt::Debug for Observable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observable").field(&self.topic()).finish()
    }
}

/// A response that can be observed: `Observed(app.temperature.observable(), response)`.
///
/// The observable stands first so that it is taken before the response is made, and no change between is missed.
#[derive(Clone, Debug)]
pub struct Observed<R>(pub Observable, pub R);

impl<R: IntoResponse> IntoResponse for Observed<R> {
    fn into_response(self) -> Response {
        self.1.into_response().observed(self.0)
    }
}

struct Subject {
    topic: Topic,
    version: AtomicU64,
    sinks: Mutex<Vec<Weak<dyn ChangeSink>>>,
}

impl Subject {
    fn new() -> Subject {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Subject {
            topic: Topic(NEXT.fetch_add(1, Ordering::Relaxed)),
            version: AtomicU64::new(0),
            sinks: Mutex::new(Vec::new()),
        }
    }

    fn advance(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Sinks are called outside of the lock: what they do is not ours to know.
    fn tell(&self, news: fn(&dyn ChangeSink, Topic)) {
        let living: Vec<_> = {
            let mut sinks = self.sinks();
            sinks.retain(|sink| sink.strong_count() > 0);
            sinks.iter().filter_map(Weak::upgrade).collect()
        };
        for sink in living {
            news(&*sink, self.topic);
        }
    }

    fn subscribe(&self, sink: &Arc<dyn ChangeSink>) {
        let mut sinks = self.sinks();
        sinks.retain(|known| known.strong_count() > 0);
        if !sinks.iter().any(|known| is(known, sink)) {
            sinks.push(Arc::downgrade(sink));
        }
    }

    fn sinks(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn ChangeSink>>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A weak reference keeps its place in memory, so that equal addresses are the same sink.
fn is(known: &Weak<dyn ChangeSink>, sink: &Arc<dyn ChangeSink>) -> bool {
    addr_eq(known.as_ptr(), Arc::as_ptr(sink))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Deaf;

    impl ChangeSink for Deaf {
        fn changed(&self, _: Topic) {}
    }

    #[test]
    fn dead_sinks_do_not_pile_up() {
        let notifier = Notifier::new(());
        for _ in 0..100 {
            let sink: Arc<dyn ChangeSink> = Arc::new(Deaf);
            notifier.observable().subscribe(&sink);
        }
        assert_eq!(notifier.inner.subject.sinks().len(), 1);
        notifier.changed();
        assert_eq!(notifier.inner.subject.sinks().len(), 0);
    }
}
