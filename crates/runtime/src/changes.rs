//! News of changed states, on their way from whoever changes them to a driver.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use coracle_engine::Topic;
use coracle_router::ChangeSink;
use tokio::sync::Notify;

/// The topics that changed since the driver looked: each once, however often it changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    topics: Mutex<BTreeSet<Topic>>,
    arrived: Notify,
}

impl ChangeSink for Changes {
    fn changed(&self, topic: Topic) {
        self.topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(topic);
        self.arrived.notify_one();
    }
}

impl Changes {
    pub(crate) fn take(&self) -> BTreeSet<Topic> {
        std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when there is something to take, or was since the last call.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
