//! Which connections are to be looked at: each has a waker that puts it in a list, and the driver looks at no others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake};

use coracle_engine::ConnectionId;
use futures_util::task::AtomicWaker;

/// Those that the system has woken since the driver looked.
#[derive(Debug, Default)]
pub(super) struct Ready {
    woken: Mutex<Vec<ConnectionId>>,
    driver: AtomicWaker,
}

impl Ready {
    /// From now on the driver is woken when there are any.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.driver.register(cx.waker());
    }

    /// Moves them to the end of `line`; `scratch` is empty before and after.
    pub(super) fn take(&self, scratch: &mut Vec<ConnectionId>, line: &mut impl Extend<ConnectionId>) {
        std::mem::swap(scratch, &mut self.lock());
        line.extend(scratch.drain(..));
    }

    fn push(&self, id: ConnectionId) {
        let is_first = {
            let mut woken = self.lock();
            woken.push(id);
            woken.len() == 1
        };
        if is_first {
            self.driver.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ConnectionId>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one connection.
#[derive(Debug)]
pub(super) struct Signal {
    id: ConnectionId,
    /// It is in the list or in the driver's line already.
    waits: AtomicBool,
    ready: Arc<Ready>,
}

impl Signal {
    pub(super) fn new(id: ConnectionId, ready: Arc<Ready>) -> Arc<Signal> {
        Arc::new(Signal {
            id,
            waits: AtomicBool::new(false),
            ready,
        })
    }

    /// Whether it has yet to be put in a line.
    pub(super) fn joins(&self) -> bool {
        !self.waits.swap(true, Ordering::AcqRel)
    }

    /// It is looked at: what happens from now on puts it in the list again.
    pub(super) fn leaves(&self) {
        self.waits.store(false, Ordering::Release);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.joins() {
            self.ready.push(self.id);
        }
    }
}
