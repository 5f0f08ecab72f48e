//! Request bodies that come part by part.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

/// The body of a request, part by part, each as large as a block of the transfer.
///
/// A handler that takes a `BodyStream` gets to work with the first block; the peer is asked for the next block when
/// [`next`](BodyStream::next) is awaited for it. So a firmware image never lies in memory as a whole, and a slow disk
/// slows the sender down. A body that was already whole is a stream of one part.
#[derive(Debug)]
pub struct BodyStream {
    ready: Option<Bytes>,
    /// `None`: `ready` is all there is.
    shared: Option<Arc<Mutex<Shared>>>,
}

/// The driver's end of a [`BodyStream`]. Dropping it before [`finish`](BodySender::finish) tells the handler that the
/// body broke off.
#[derive(Debug)]
pub struct BodySender {
    shared: Arc<Mutex<Shared>>,
}

/// What the handler at the other end of a [`BodySender`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It waits for the next part.
    Next,
    /// It dropped the stream: no further part is wanted.
    Closed,
}

/// A body broke off: the peer or the driver gave up before its last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyInterrupted;

impl fmt::Display for BodyInterrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off before its end")
    }
}

impl std::error::Error for BodyInterrupted {}

/// Why a streamed body was not collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CollectError {
    Interrupted,
    TooLong,
}

#[derive(Debug, Default)]
struct Shared {
    part: Option<Bytes>,
    end: Option<End>,
    /// The consumer waits and the driver has not been told yet.
    wanted: bool,
    closed: bool,
    consumer: Option<Waker>,
    driver: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Interrupted,
}

impl BodyStream {
    /// A body that comes in parts, of which the first is here, and the end for the driver to hand in the others.
    #[must_use]
    pub fn new(first: Bytes) -> (BodySender, BodyStream) {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let sender = BodySender {
            shared: shared.clone(),
        };
        (
            sender,
            BodyStream {
                ready: Some(first),
                shared: Some(shared),
            },
        )
    }

    /// A body that is here as a whole.
    #[must_use]
    pub fn whole(body: Bytes) -> BodyStream {
        BodyStream {
            ready: Some(body).filter(|body| !body.is_empty()),
            shared: None,
        }
    }

    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// If the peer or the driver gave up: what came so far is not the whole body.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyInterrupted>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for those who write futures by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyInterrupted>>> {
        if let Some(part) = self.ready.take() {
            return Poll::Ready(Some(Ok(part)));
        }
        let Some(shared) = &self.shared else {
            return Poll::Ready(None);
        };
        let (polled, driver) = lock(shared).poll_part(cx);
        wake(driver);
        polled
    }

    /// All parts as one, of at most `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, CollectError> {
        let mut body = BytesMut::new();
        while let Some(part) = self.next().await {
            let part = part.map_err(|BodyInterrupted| CollectError::Interrupted)?;
            if part.len() > limit.saturating_sub(body.len()) {
                return Err(CollectError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let driver = {
                let mut shared = lock(shared);
                shared.closed = true;
                shared.driver.take()
            };
            wake(driver);
        }
    }
}

impl BodySender {
    /// Hands in the part that follows those before.
    pub fn send(&mut self, part: Bytes) {
        let consumer = {
            let mut shared = lock(&self.shared);
            shared.wanted = false;
            match &mut shared.part {
                // Parts come on demand, so that this is rare; nothing is lost when it happens.
                Some(waiting) => *waiting = [&waiting[..], &part[..]].concat().into(),
                none => *none = Some(part),
            }
            shared.consumer.take()
        };
        wake(consumer);
    }

    /// The part before was the last one.
    pub fn finish(self) {
        lock(&self.shared).end = Some(End::Finished);
    }

    /// Completes when the handler waits for a part (once for each part) or dropped the stream.
    ///
    /// A driver asks after each poll of the handler, with its own waker, and on [`Demand::Next`] calls
    /// `Endpoint::continue_body`.
    pub fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Demand> {
        let mut shared = lock(&self.shared);
        if shared.closed {
            return Poll::Ready(Demand::Closed);
        }
        if std::mem::take(&mut shared.wanted) {
            return Poll::Ready(Demand::Next);
        }
        remember(&mut shared.driver, cx);
        Poll::Pending
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        let consumer = {
            let mut shared = lock(&self.shared);
            shared.end.get_or_insert(End::Interrupted);
            shared.consumer.take()
        };
        wake(consumer);
    }
}

type Part = Option<Result<Bytes, BodyInterrupted>>;

impl Shared {
    /// The part, and whom to wake once the lock is released.
    fn poll_part(&mut self, cx: &Context<'_>) -> (Poll<Part>, Option<Waker>) {
        match (self.part.take(), self.end) {
            (Some(part), _) => (Poll::Ready(Some(Ok(part))), None),
            (None, Some(End::Finished)) => (Poll::Ready(None), None),
            (None, Some(End::Interrupted)) => (Poll::Ready(Some(Err(BodyInterrupted))), None),
            (None, None) => {
                let asked_before = self.consumer.is_some();
                remember(&mut self.consumer, cx);
                self.wanted |= !asked_before;
                (
                    Poll::Pending,
                    if asked_before { None } else { self.driver.take() },
                )
            }
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}
