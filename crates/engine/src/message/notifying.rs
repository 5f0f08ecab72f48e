//! What notifications that need no acknowledgement ask of the message layer: they are not kept, and need an ID and the
//! turn of their peer only.

use core::time::Duration;

use coracle_wire::MessageId;

use crate::context::Context;
use crate::message::MessageLayer;
use crate::message::peers::PeerState;
use crate::path::Peer;
use crate::slab::Key;
use crate::time::Instant;

impl MessageLayer {
    /// The peer by its address, if it is known.
    pub(crate) fn find_peer(&self, peer: &Peer) -> Option<Key> {
        self.peers.find(peer)
    }

    pub(crate) fn peer(&self, peer: Key) -> Option<&PeerState> {
        self.peers.get(peer)
    }

    pub(crate) fn peer_mut(&mut self, peer: Key) -> Option<&mut PeerState> {
        self.peers.get_mut(peer)
    }

    /// A peer that is about to observe. `None`: there is no room for it.
    pub(crate) fn enter_peer(&mut self, context: &mut Context, now: Instant, peer: &Peer) -> Option<Key> {
        self.peers.enter(now, peer, || context.random_u16())
    }

    /// Holds a peer as long as it has an observer.
    pub(crate) fn pin_peer(&mut self, peer: Key) {
        self.peers.pin(peer);
    }

    pub(crate) fn unpin_peer(&mut self, peer: Key) {
        self.peers.unpin(peer);
    }

    /// The turn of a non-confirmable notification: now, or at a time that is kept for it, so that each peer is sent one
    /// in `interval` only, however many observers it has (RFC 7641 §4.5.1).
    pub(crate) fn take_turn(&mut self, now: Instant, interval: Duration, peer: Key) -> Result<(), Instant> {
        let Some(state) = self.peers.get_mut(peer) else {
            return Ok(());
        };
        let at = state.notify_at.max(now);
        state.notify_at = at + interval;
        if at > now { Err(at) } else { Ok(()) }
    }

    /// A message ID for what leaves now and is not kept, or the time when there will be one.
    pub(crate) fn next_id(&mut self, now: Instant, peer: Key) -> Result<MessageId, Instant> {
        let Some(state) = self.peers.get_mut(peer) else {
            return Err(now + self.lifetime);
        };
        state.last_used = now;
        let in_flight = &self.in_flight;
        let in_use = |id| !in_flight.is_empty() && in_flight.contains_key(&(peer, id));
        let id = state.ids.allocate(now, self.lifetime, in_use);
        id.map_err(|held_back| held_back.until)
    }

    /// The turn and the message ID of a non-confirmable notification, and its peer, who is sent none other before
    /// `until`. `None`: it cannot leave now.
    pub(crate) fn notify_now(
        &mut self,
        now: Instant,
        until: Instant,
        peer: Key,
        has_turn: bool,
    ) -> Option<(Peer, MessageId)> {
        let state = self.peers.get_mut(peer)?;
        if !has_turn && state.notify_at > now {
            return None;
        }
        let in_flight = &self.in_flight;
        let in_use = |id| !in_flight.is_empty() && in_flight.contains_key(&(peer, id));
        let id = state.ids.allocate(now, self.lifetime, in_use).ok()?;
        state.last_used = now;
        if !has_turn {
            state.notify_at = until;
        }
        Some((state.peer, id))
    }

    /// The ID of a message that has left.
    pub(crate) fn id_of(&self, key: Key) -> Option<MessageId> {
        self.outgoing.get(key)?.id
    }
}
