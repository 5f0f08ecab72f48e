//! What a driver tells the one who waits for an exchange: bounded, and the latest wins.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coracle_engine::{ExchangeError, RequestError, Response};

/// Notices that wait for a slow reader, at most. Beyond it the oldest is dropped: the reader of an observation ends
/// with the latest state (RFC 7641 §1.3), not with all states.
pub(crate) const LATEST: usize = 64;

/// The same for the answers of a group, which are of different members each.
pub(crate) const MEMBERS: usize = 16_384;

/// Parts of a body that wait for their reader before the next one is asked for.
const PARTS_AHEAD: usize = 16;

/// Something that happened to an exchange.
#[derive(Debug)]
pub(crate) enum Notice {
    /// An answer; the exchange goes on if `more`.
    Response { response: Response, more: bool },
    /// The answer to a ping.
    Pong,
    /// A part of a body came or went.
    Progress {
        sent: u64,
        received: u64,
        total: Option<u64>,
    },
    /// The next part of an answer's body; the exchange goes on if `more`.
    Body { payload: Vec<u8>, more: bool },
    /// The next part of the request's body is wanted.
    BodyWanted,
    /// The message IDs towards the peer are used up; how long until there are new ones.
    HeldBack(Duration),
    /// What was observed is no longer fresh.
    Stale,
    /// The end, without an answer.
    Failed(ExchangeError),
    /// It was not even sent.
    Refused(RequestError),
}

impl Notice {
    /// Whether others may push it out.
    fn is_transient(&self) -> bool {
        matches!(
            self,
            Notice::Progress { .. }
                | Notice::HeldBack(_)
                | Notice::Stale
                | Notice::Response { more: true, .. }
        )
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: VecDeque<Notice>,
    reader: Option<Waker>,
    closed: bool,
    capacity: usize,
    /// A body waits for its reader to catch up.
    waits: bool,
    /// The memory of a part that was read, for one that comes.
    spare: Option<Vec<u8>>,
}

impl Shared {
    fn parts(&self) -> usize {
        let parts = self
            .queue
            .iter()
            .filter(|notice| matches!(notice, Notice::Body { .. }));
        parts.count()
    }
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Mutex<Shared>>);

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Mailbox(Arc<Mutex<Shared>>);

pub(crate) fn mailbox(capacity: usize) -> (Sender, Mailbox) {
    let shared = Shared {
        capacity,
        ..Shared::default()
    };
    let shared = Arc::new(Mutex::new(shared));
    (Sender(shared.clone()), Mailbox(shared))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    pub(crate) fn send(&self, notice: Notice) {
        let reader = {
            let mut shared = lock(&self.0);
            if matches!(notice, Notice::Progress { .. }) {
                shared
                    .queue
                    .retain(|queued| !matches!(queued, Notice::Progress { .. }));
            }
            if shared.queue.len() >= shared.capacity
                && let Some(oldest) = shared.queue.iter().position(Notice::is_transient)
            {
                shared.queue.remove(oldest);
            }
            shared.queue.push_back(notice);
            shared.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Sender {
    /// Whether the next part of a body may be asked for already. If not, the reader [resumes](Mailbox::resumes) it.
    pub(crate) fn takes_more(&self) -> bool {
        let mut shared = lock(&self.0);
        shared.waits = shared.parts() >= PARTS_AHEAD;
        !shared.waits
    }

    /// The memory of a part that was read, if the reader has given it back.
    pub(crate) fn take_spare(&self) -> Option<Vec<u8>> {
        lock(&self.0).spare.take()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let reader = {
            let mut shared = lock(&self.0);
            shared.closed = true;
            shared.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Mailbox {
    /// The next notice; `None` when the driver is gone and everything was read.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        let mut shared = lock(&self.0);
        match shared.queue.pop_front() {
            Some(notice) => Poll::Ready(Some(notice)),
            None if shared.closed => Poll::Ready(None),
            None => {
                shared.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether a body that waited for its reader is to go on now.
    pub(crate) fn resumes(&self) -> bool {
        let mut shared = lock(&self.0);
        let resumes = shared.waits && shared.parts() <= PARTS_AHEAD / 2;
        shared.waits &= !resumes;
        resumes
    }

    /// Gives the memory of a part back that was read.
    pub(crate) fn give_back(&self, memory: Vec<u8>) {
        lock(&self.0).spare = Some(memory);
    }

    pub(crate) async fn next(&self) -> Option<Notice> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Notice {
        Notice::Failed(ExchangeError::Timeout)
    }

    #[test]
    fn progress_never_piles_up_and_the_end_is_never_lost() {
        let (sender, mailbox) = mailbox(LATEST);
        for sent in 0..1000 {
            sender.send(Notice::Progress {
                sent,
                received: 0,
                total: None,
            });
        }
        for _ in 0..1000 {
            sender.send(Notice::Stale);
        }
        sender.send(failed());
        drop(sender);
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        while let Poll::Ready(Some(notice)) = mailbox.poll_next(&mut cx) {
            read.push(notice);
        }
        assert!(read.len() <= LATEST + 1);
        assert!(matches!(
            read.last(),
            Some(Notice::Failed(ExchangeError::Timeout))
        ));
        assert!(matches!(mailbox.poll_next(&mut cx), Poll::Ready(None)));
    }
}
