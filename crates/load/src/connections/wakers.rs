//! Which connections have something to do, without asking all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The connections that were woken, each once.
#[derive(Default)]
pub(super) struct Woken {
    numbers: Mutex<Vec<u32>>,
    task: AtomicWaker,
}

/// Wakes one connection.
pub(super) struct Bell {
    number: u32,
    woken: Arc<Woken>,
    /// It is among the woken ones.
    rung: AtomicBool,
}

impl Woken {
    /// Those that were woken since the last call, into `numbers`, which is empty.
    pub(super) fn take(&self, numbers: &mut Vec<u32>) {
        let mut woken = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(numbers, &mut woken);
    }

    pub(super) fn is_empty(&self) -> bool {
        let woken = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        woken.is_empty()
    }

    /// Waits until one is woken.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        match self.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

impl Bell {
    pub(super) fn new(number: u32, woken: &Arc<Woken>) -> Arc<Bell> {
        Arc::new(Bell {
            number,
            woken: Arc::clone(woken),
            rung: AtomicBool::new(false),
        })
    }

    /// Whatever happens from now on wakes it again.
    pub(super) fn heard(&self) {
        self.rung.store(false, Ordering::Release);
    }

    pub(super) fn waker(self: &Arc<Bell>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let mut numbers = self.woken.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.push(self.number);
            drop(numbers);
            self.woken.task.wake();
        }
    }
}
