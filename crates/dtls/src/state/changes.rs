//! Which sessions are no longer as they were saved.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::path::SessionId;

/// What has changed since the last saving, and what the one under way takes care of. Both have at most an entry for each
/// session that there is or that was saved.
#[derive(Default)]
pub(crate) struct Changes {
    changed: BTreeSet<SessionId>,
    /// Sessions that were saved and are over.
    ended: BTreeSet<SessionId>,
    is_urgent: bool,
    /// Numbers the saving that is under way.
    number: u64,
    under_way: Batch,
    /// A saving is on the disk, and its changes can be appended to it.
    has_saved: bool,
}

/// What a saving takes care of.
#[derive(Clone, Default)]
pub(crate) struct Batch {
    pub(crate) changed: Vec<SessionId>,
    pub(crate) ended: Vec<SessionId>,
}

impl Changes {
    pub(crate) fn note(&mut self, id: SessionId) {
        self.changed.insert(id);
    }

    pub(crate) fn note_low(&mut self, id: SessionId) {
        self.changed.insert(id);
        self.is_urgent = true;
    }

    pub(crate) fn note_end(&mut self, id: SessionId, was_saved: bool) {
        self.changed.remove(&id);
        if was_saved {
            self.ended.insert(id);
        }
    }

    /// How many sessions are to be saved or taken out.
    pub(crate) fn len(&self) -> usize {
        self.changed.len() + self.ended.len()
    }

    /// Whether there is a saving on the disk that changes can be appended to.
    pub(crate) fn has_saved(&self) -> bool {
        self.has_saved
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Begins a saving, of which this is the number. What one before took and did not bring to its end is taken again.
    pub(crate) fn begin(&mut self) -> (u64, Batch) {
        let lost = core::mem::take(&mut self.under_way);
        self.changed.extend(lost.changed);
        self.ended.extend(lost.ended);
        self.under_way = Batch {
            changed: core::mem::take(&mut self.changed).into_iter().collect(),
            ended: core::mem::take(&mut self.ended).into_iter().collect(),
        };
        self.is_urgent = false;
        self.number += 1;
        (self.number, self.under_way.clone())
    }

    /// A saving is on the disk. False if another one has begun since: then only that one counts.
    pub(crate) fn commit(&mut self, number: u64) -> bool {
        if number != self.number {
            return false;
        }
        self.under_way = Batch::default();
        self.has_saved = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(place: u32) -> SessionId {
        SessionId::new(0, 1, place).unwrap()
    }

    #[test]
    fn what_is_not_on_the_disk_is_taken_again() {
        let mut changes = Changes::default();
        changes.note(id(1));
        changes.note_low(id(2));
        changes.note_end(id(2), true);
        changes.note(id(3));
        changes.note_end(id(3), false);
        assert!(changes.is_urgent());
        let (first, batch) = changes.begin();
        assert_eq!(
            (batch.changed, batch.ended),
            (alloc::vec![id(1)], alloc::vec![id(2)])
        );
        assert!(changes.len() == 0 && !changes.is_urgent());
        changes.note(id(4));
        let (second, batch) = changes.begin();
        assert_eq!(
            (batch.changed, batch.ended),
            (alloc::vec![id(1), id(4)], alloc::vec![id(2)])
        );
        assert!(!changes.commit(first));
        changes.note(id(1));
        assert!(changes.commit(second));
        assert_eq!(changes.begin().1.changed, [id(1)]);
    }
}
