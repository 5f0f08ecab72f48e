//! News of changed states, on their way from whoever changes them to a driver.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coracle_engine::Topic;
use coracle_router::ChangeSink;
use tokio::sync::Notify;

/// What the driver is to hand to its engine.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    news: Mutex<News>,
    /// Whether there are any: a driver that looks for them between datagrams takes no lock in vain.
    any: AtomicBool,
    arrived: Notify,
}

/// The news since the driver looked.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Topics that changed: each once, however often it changed.
    pub(crate) changed: BTreeSet<Topic>,
    /// Topics whose observers are forgotten.
    pub(crate) forgotten: BTreeSet<Topic>,
}

impl ChangeSink for Changes {
    fn changed(&self, topic: Topic) {
        self.tell(|news| news.changed.insert(topic));
    }

    fn forget(&self, topic: Topic) {
        self.tell(|news| news.forgotten.insert(topic));
    }
}

impl Changes {
    fn tell(&self, add: impl FnOnce(&mut News) -> bool) {
        add(&mut self.lock());
        self.any.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    pub(crate) fn take(&self) -> News {
        // What is told after this look wakes the driver, or is found at the next one.
        if self.any.swap(false, Ordering::Acquire) {
            std::mem::take(&mut *self.lock())
        } else {
            News::default()
        }
    }

    /// Completes when there is something to take, or was since the last call.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
