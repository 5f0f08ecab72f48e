//! One that asks: a source and its message IDs.

use coracle_wire::MessageId;

use super::sources::Source;
use crate::limits::IDS_PER_SOURCE;
use crate::random::Random;

pub(crate) struct Peer {
    pub(crate) source: Source,
    /// Where it was before; answers to its last requests from there may still come.
    previous: Option<Source>,
    next_id: u16,
    ids_left: u16,
}

impl Peer {
    pub(crate) fn new(source: Source, random: &mut Random) -> Peer {
        Peer {
            source,
            previous: None,
            next_id: random.bits16(),
            ids_left: IDS_PER_SOURCE,
        }
    }

    /// The next message ID; `None` if those of this source are used up.
    pub(crate) fn identify(&mut self) -> Option<MessageId> {
        self.ids_left = self.ids_left.checked_sub(1)?;
        let id = MessageId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        Some(id)
    }

    /// Goes on from another source, because the message IDs are used up. Returns the source that the peer had before
    /// the present one, to which nothing comes any more.
    pub(crate) fn move_to(&mut self, source: Source, random: &mut Random) -> Option<Source> {
        let forgotten = self.previous;
        *self = Peer {
            previous: Some(self.source),
            ..Peer::new(source, random)
        };
        forgotten
    }
}
