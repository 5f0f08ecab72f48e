//! What belongs to which connection, so that its end looks at nothing else.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::path::ConnectionId;
use crate::slab::Key;

/// Keys of one table by the connection that they belong to. What belongs to none is not kept.
#[derive(Default)]
pub(crate) struct Belongings(BTreeSet<(ConnectionId, Key)>);

impl Belongings {
    pub(crate) fn insert(&mut self, connection: Option<ConnectionId>, key: Key) {
        if let Some(connection) = connection {
            self.0.insert((connection, key));
        }
    }

    pub(crate) fn remove(&mut self, connection: Option<ConnectionId>, key: Key) {
        if let Some(connection) = connection {
            self.0.remove(&(connection, key));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that belongs to a connection.
    pub(crate) fn iter(&self, connection: ConnectionId) -> impl Iterator<Item = Key> {
        let all = self.0.range((connection, Key::FIRST)..=(connection, Key::LAST));
        all.map(|(_, key)| *key)
    }

    pub(crate) fn of(&self, connection: ConnectionId) -> Vec<Key> {
        self.iter(connection).collect()
    }
}
