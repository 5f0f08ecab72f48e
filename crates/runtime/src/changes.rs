//! News of changed states, on their way from whoever changes them to a driver.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use coracle_engine::Topic;
use coracle_router::ChangeSink;
use tokio::sync::Notify;

/// What the driver is to hand to its engine.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    news: Mutex<News>,
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
        self.lock().changed.insert(topic);
        self.arrived.notify_one();
    }

    fn forget(&self, topic: Topic) {
        self.lock().forgotten.insert(topic);
        self.arrived.notify_one();
    }
}

impl Changes {
    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut *self.lock())
    }

    /// Completes when there is something to take, or was since the last call.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
