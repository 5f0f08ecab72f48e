//! The short way of a notification to one of many: from the state that they share to a datagram.

use coracle_wire::Token;

use crate::block::bodies::Bodies;
use crate::context::Context;
use crate::exchange::ask::PeerToken;
use crate::message::MessageLayer;
use crate::observe::groups::Line;
use crate::observe::members::Place;
use crate::observe::server::Observers;
use crate::time::Instant;
use crate::values::Transmit;

impl Observers {
    /// Tells the member that is next in line, where the state goes in one message that needs no acknowledgement, its peer
    /// may be sent it now, and no body that is kept for it is out of date by it. `None`: nothing was done, the long way
    /// decides.
    pub(crate) fn tell_at_once(
        &mut self,
        context: &mut Context,
        (messages, bodies): (&mut MessageLayer, &Bodies),
        now: Instant,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let group_key = *self.sending.front()?;
        self.in_a_row = self.in_a_row.checked_sub(1)?;
        let group = self.groups.get_mut(group_key)?;
        let shown = group.shown.as_ref().filter(|shown| !shown.is_over(now))?;
        let tail = shown.tail.as_deref()?;
        let key = group.places.due.first?;
        let member = self.members.get_mut(key)?;
        if group.line != Line::Sending || member.number >= shown.number {
            return None;
        }
        let resumes = !self.resumed.is_empty() && self.resumed.contains_key(&key);
        let confirmable = member.wants_confirmation(context, now, shown.confirmable);
        let keeps_body = !bodies.is_empty()
            && messages
                .peer(member.peer)
                .is_some_and(|state| bodies.keeps(state.peer, group.cache_key()));
        if member.outgoing.is_some() || resumes || confirmable || keeps_body {
            return None;
        }
        let PeerToken::Short(token) = &member.token else {
            return None;
        };
        let len = HEADER + token.as_bytes().len() + tail.len();
        let until = now + context.config.notification_interval;
        let datagram = buf.get_mut(..len)?;
        let (peer, id) = messages.notify_now(now, until, member.peer, member.has_turn)?;
        write(datagram, (shown.code().to_byte(), id.0), token, tail)?;
        member.last_id = Some(id);
        (member.number, member.last_sent) = (shown.number, now);
        member.has_turn = false;
        member.unconfirmed = member.unconfirmed.saturating_add(1);
        let path = group.way_to(peer);
        group.tells(now);
        self.members.shift(&mut group.places, Place::Due, Place::Pausing);
        group.wake_by(context, group_key, until);
        context.stats.notifications += 1;
        Some(Transmit { path, len })
    }
}

/// The length of the header without a token (RFC 7252 §3).
const HEADER: usize = 4;

/// Version 1 and type NON.
const NON: u8 = 0x50;

/// Writes a non-confirmable message whose parts fill the datagram.
fn write(datagram: &mut [u8], (code, id): (u8, u16), token: &Token, tail: &[u8]) -> Option<()> {
    let token = token.as_bytes();
    let (header, rest) = datagram.split_first_chunk_mut::<HEADER>()?;
    let (to_token, to_tail) = rest.split_at_mut_checked(token.len())?;
    let [high, low] = id.to_be_bytes();
    let length = u8::try_from(token.len()).ok()?;
    *header = [NON | length, code, high, low];
    to_token.copy_from_slice(token);
    to_tail.copy_from_slice(tail);
    Some(())
}
