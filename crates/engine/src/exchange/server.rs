//! Requests of peers: from their arrival to their answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;

use coracle_wire::MessageId;

use crate::connection::belongings::Belongings;
use crate::context::Context;
use crate::exchange::ask::Ask;
use crate::limits;
use crate::message::MessageLayer;
use crate::observe::groups::Kept;
use crate::path::{ConnectionId, Peer};
use crate::slab::{Key, Slab};
use crate::tables::GiveBack;
use crate::time::Instant;

/// One request of a peer as the application knows it.
pub(crate) struct Exchange {
    /// The message that waits for an answer. Missing between two blocks.
    pub(crate) ask: Option<Box<Ask>>,
    /// The assembly that streams the body.
    pub(crate) stream: Option<Key>,
    /// The request itself, if it asks to observe.
    pub(crate) registration: Option<Arc<Kept>>,
}

/// One that was not answered before the next one came.
struct Waiting {
    peer: Peer,
    /// The peer had proved its address, or else it counts among those that have not.
    proved: bool,
    exchange: Exchange,
}

/// The one that was opened last.
struct Newest {
    key: Key,
    ask: Box<Ask>,
    stream: Option<Key>,
    registration: Option<Arc<Kept>>,
    /// When to acknowledge it.
    acknowledge_at: Option<Instant>,
}

/// All requests of peers that are worked on.
pub(crate) struct Server {
    /// The one that was opened last. Most are answered before the next, and are never put in the table.
    newest: Option<Newest>,
    /// The others. Nothing comes or goes here while there is a newest one, whose place is kept free.
    waiting: Slab<Waiting>,
    /// How many of them each peer has.
    per_peer: HashMap<Peer, usize, foldhash::fast::FixedState>,
    /// Those of them that came on connections.
    on_connections: Belongings,
    /// How many of them peers have that have not proved their address.
    unproved: usize,
    /// When to acknowledge, in order; entries that are answered are passed over.
    acknowledgements: VecDeque<(Instant, Key, MessageId)>,
    /// Memory for the next one.
    spare: Option<Box<Ask>>,
}

impl Server {
    pub(crate) fn new(context: &mut Context) -> Server {
        Server {
            newest: None,
            waiting: Slab::new(context.config.max_exchanges),
            per_peer: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
            on_connections: Belongings::default(),
            unproved: 0,
            acknowledgements: VecDeque::new(),
            spare: None,
        }
    }

    /// Nothing is worked on.
    pub(crate) fn is_empty(&self) -> bool {
        let in_tables = [self.waiting.len(), self.per_peer.len(), self.unproved];
        self.newest.is_none() && in_tables == [0; 3] && self.on_connections.is_empty()
    }

    /// Whether this peer has as many requests worked on as one may: no peer takes all the room.
    pub(crate) fn is_peer_full(&mut self, context: &Context, peer: &Peer) -> bool {
        self.count_of(peer) >= context.config.max_exchanges_per_peer
    }

    /// Whether one more request can be worked on.
    pub(crate) fn has_room(&mut self, context: &Context, ask: &Ask) -> bool {
        self.settle_newest();
        let share = context.config.max_exchanges / limits::SHARE_OF_UNPROVED;
        (ask.is_proved() || self.unproved < share) && !self.waiting.is_full()
    }

    /// Puts the exchange that was opened last in its place among the others, if it is still worked on, and has it
    /// acknowledged in time.
    #[inline]
    fn settle_newest(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.settle(newest);
        }
    }

    fn settle(&mut self, newest: Newest) {
        let (key, id, acknowledge_at) = (newest.key, newest.ask.id, newest.acknowledge_at);
        let (peer, proved) = (newest.ask.path.peer(), newest.ask.is_proved());
        let exchange = newest.into();
        let waiting = Waiting {
            peer,
            proved,
            exchange,
        };
        self.waiting.fill(key, waiting);
        self.unproved += usize::from(!proved);
        self.on_connections.insert(peer.connection, key);
        *self.per_peer.entry(peer).or_insert(0) += 1;
        if let Some(at) = acknowledge_at {
            self.pass_answered();
            self.acknowledgements.push_back((at, key, id));
        }
    }

    /// Takes an exchange out, to answer or to forget it; `None` when there is none.
    #[inline(always)]
    pub(crate) fn take(&mut self, key: Key) -> Option<Exchange> {
        match self.newest.take_if(|newest| newest.key == key) {
            Some(newest) => Some(newest.into()),
            None => self.take_waiting(key),
        }
    }

    #[cold]
    fn take_waiting(&mut self, key: Key) -> Option<Exchange> {
        self.settle_newest();
        let Waiting {
            peer,
            proved,
            exchange,
        } = self.waiting.remove(key)?;
        self.unproved -= usize::from(!proved);
        self.on_connections.remove(peer.connection, key);
        if let Some(of_peer) = self.per_peer.get_mut(&peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                self.per_peer.remove(&peer);
                self.per_peer.give_back();
            }
        }
        Some(exchange)
    }

    /// A request that may be kept, in memory that was used before if there is any.
    #[inline]
    pub(crate) fn boxed(&mut self, ask: Ask) -> Box<Ask> {
        match self.spare.take() {
            Some(mut spare) => {
                *spare = ask;
                spare
            }
            None => Box::new(ask),
        }
    }

    /// Takes back the memory of a request that was answered.
    #[inline]
    pub(crate) fn recycle(&mut self, ask: Box<Ask>) {
        self.spare = Some(ask);
    }

    /// The requests that came on a connection and are worked on.
    pub(crate) fn of_connection(&mut self, connection: ConnectionId) -> Vec<Key> {
        self.settle_newest();
        self.on_connections.of(connection)
    }

    /// How many requests of a peer are worked on.
    #[inline]
    pub(crate) fn count_of(&mut self, peer: &Peer) -> usize {
        self.settle_newest();
        if self.waiting.is_empty() {
            return 0;
        }
        self.per_peer.get(peer).copied().unwrap_or(0)
    }

    /// Takes a request on. `None`: as many as allowed are worked on.
    pub(crate) fn open(
        &mut self,
        context: &Context,
        now: Instant,
        ask: Box<Ask>,
        (stream, registration): (Option<Key>, Option<Arc<Kept>>),
    ) -> Option<Key> {
        self.settle_newest();
        let key = self.waiting.vacant()?;
        let acknowledge_at = ask.waits().then(|| now + context.config.acknowledge_after);
        self.newest = Some(Newest {
            key,
            ask,
            stream,
            registration,
            acknowledge_at,
        });
        Some(key)
    }

    /// The next message of a streamed request takes the place of the one before, if that is not answered.
    pub(crate) fn replace_ask(
        &mut self,
        context: &Context,
        now: Instant,
        key: Key,
        ask: Box<Ask>,
    ) -> Option<Box<Ask>> {
        let (id, waits) = (ask.id, ask.waits());
        let before = self.get_mut(key)?.ask.replace(ask);
        if waits {
            let at = now + context.config.acknowledge_after;
            self.acknowledgements.push_back((at, key, id));
        }
        before
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Exchange> {
        self.settle_newest();
        self.waiting.get_mut(key).map(|waiting| &mut waiting.exchange)
    }

    /// The application works on the message of an exchange that came last.
    pub(crate) fn is_working(&self, key: Key) -> bool {
        let is_newest = self.newest.as_ref().is_some_and(|newest| newest.key == key);
        is_newest
            || self
                .waiting
                .get(key)
                .is_some_and(|waiting| waiting.exchange.ask.is_some())
    }

    /// Drops what was answered in time: from the front, and from the whole when a slow request at the front holds
    /// more than that up.
    #[inline]
    pub(crate) fn pass_answered(&mut self) {
        if !self.acknowledgements.is_empty() {
            self.pass();
        }
    }

    fn pass(&mut self) {
        let waiting = &self.waiting;
        let waits = |(_, key, id): &(Instant, Key, MessageId)| {
            let ask = waiting
                .get(*key)
                .and_then(|waiting| waiting.exchange.ask.as_ref());
            ask.is_some_and(|ask| ask.id == *id && ask.waits())
        };
        while self.acknowledgements.front().is_some_and(|front| !waits(front)) {
            self.acknowledgements.pop_front();
        }
        if self.acknowledgements.len() > 2 * waiting.len() + 64 {
            self.acknowledgements.retain(waits);
        }
        self.acknowledgements.give_back();
    }

    /// When the next request has to be acknowledged.
    pub(crate) fn next_acknowledgement(&self) -> Option<Instant> {
        let front = self.acknowledgements.front().map(|(at, ..)| *at);
        let newest = self.newest.as_ref();
        front.or(newest.and_then(|newest| newest.acknowledge_at))
    }

    /// Acknowledges requests that take long (RFC 7252 §5.2.2).
    pub(crate) fn acknowledge_due(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
    ) {
        self.settle_newest();
        self.pass_answered();
        while let Some(&(at, key, _)) = self.acknowledgements.front() {
            if at > now {
                return;
            }
            if let Some(ask) = self
                .waiting
                .get_mut(key)
                .and_then(|waiting| waiting.exchange.ask.as_mut())
            {
                ask.acknowledge(context, messages);
            }
            self.pass_answered();
        }
    }

    /// No message waits for an answer. Of a body on its way in, the peer may have yet to send the next block.
    pub(crate) fn is_answered(&self) -> bool {
        let mut waiting = self.waiting.iter();
        self.newest.is_none() && waiting.all(|(_, waiting)| waiting.exchange.ask.is_none())
    }

    /// A body is on its way in, for an exchange that takes it in parts.
    pub(crate) fn is_receiving(&self) -> bool {
        let newest = self.newest.as_ref();
        newest.is_some_and(|newest| newest.stream.is_some())
            || self
                .waiting
                .iter()
                .any(|(_, waiting)| waiting.exchange.stream.is_some())
    }
}

impl From<Newest> for Exchange {
    fn from(newest: Newest) -> Exchange {
        Exchange {
            ask: Some(newest.ask),
            stream: newest.stream,
            registration: newest.registration,
        }
    }
}

#[cfg(test)]
mod tests {
    use coracle_wire::{Code, Message, MessageType, Method};

    use super::*;
    use crate::amplification::Allowance;
    use crate::config::Config;
    use crate::exchange::admission::Reading;
    use crate::path::Path;

    #[test]
    fn a_slow_request_at_the_front_does_not_hold_up_what_was_answered_behind_it() {
        let mut context = Context::new(Config::default(), [0; 32]);
        let mut server = Server::new(&mut context);
        let path = Path::to(core::net::SocketAddr::from(([127, 0, 0, 1], 5683)));
        for id in 0..10_000 {
            let message = Message {
                code: Code::from(Method::GET),
                ..Message::empty(MessageType::Confirmable, MessageId(id))
            };
            let ask = Ask::new(
                &path,
                (Method::GET, &message),
                None,
                Allowance::UNLIMITED,
                &Reading::default(),
            );
            let key = server
                .open(&context, Instant::ZERO, Box::new(ask), (None, None))
                .unwrap();
            if id > 0 {
                server.take(key);
            }
        }
        assert_eq!(server.waiting.len(), 1);
        assert!(server.acknowledgements.len() < 100);
        assert!(server.next_acknowledgement().is_some());
    }
}
