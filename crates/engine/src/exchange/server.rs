//! Requests of peers: from their arrival to their answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;

use coracle_wire::{BlockOption, Code, Message, MessageId, MessageType, Method, OptionNumber, Status, Token};

use crate::amplification::{Allowance, Room};
use crate::connection::belongings::Belongings;
use crate::context::Context;
use crate::exchange::admission::{Blocks, Reading, Refusal};
use crate::exchange::reply::Reply;
use crate::limits;
use crate::message::{MessageLayer, Note, Owner, Sending};
use crate::observe::groups::Kept;
use crate::path::{ConnectionId, Path, Peer};
use crate::slab::{Key, Slab};
use crate::stats::DropReason;
use crate::tables::GiveBack;
use crate::time::Instant;

/// The length of a message without token, options and payload, in bytes (RFC 7252 §3).
const EMPTY_MESSAGE: usize = 4;

/// A token of a peer's choice: usually up to 8 bytes, longer as RFC 8974 allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PeerToken {
    Short(Token),
    Long(Box<LongToken>),
}

/// Behind two pointers, so that those who have none keep small what holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LongToken(Box<[u8]>);

impl PeerToken {
    pub(crate) fn new(bytes: &[u8]) -> PeerToken {
        let long = || PeerToken::Long(Box::new(LongToken(Box::from(bytes))));
        Token::new(bytes).map_or_else(long, PeerToken::Short)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            PeerToken::Short(token) => token.as_bytes(),
            PeerToken::Long(long) => &long.0,
        }
    }
}

/// A request that waits for its answer: all that the answer's way back needs.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) path: Path,
    pub(crate) token: PeerToken,
    pub(crate) method: Method,
    pub(crate) confirmable: bool,
    pub(crate) blocks: Blocks,
    /// What identifies the resource and the request, for block-wise transfer.
    pub(crate) cache_key: u64,
    /// Tells the payloads of FETCH requests apart.
    pub(crate) payload_key: Option<u64>,
    /// It has an Observe option.
    pub(crate) observes: bool,
    /// What may go out on its behalf.
    pub(crate) allowance: Allowance,
    /// The content of No-Response (RFC 7967 §2.1).
    no_response: Option<u8>,
    id: MessageId,
    acknowledged: bool,
    /// What notifies is a message of its own, even where an acknowledgement could carry it. The bytes of an empty
    /// acknowledgement are set aside.
    apart: bool,
    seen: Option<Note>,
}

impl Ask {
    pub(crate) fn new(
        path: &Path,
        (method, message): (Method, &Message<'_>),
        seen: Option<Note>,
        allowance: Allowance,
        reading: &Reading<'_>,
    ) -> Ask {
        // What is sure to arrive is acknowledged when it comes (RFC 8323 §3.1).
        let delivered = path.manner().delivers;
        Ask {
            path: *path,
            token: PeerToken::new(message.token),
            method,
            confirmable: delivered || message.message_type == MessageType::Confirmable,
            blocks: Blocks::default(),
            cache_key: reading.cache_key,
            payload_key: None,
            observes: reading.observes,
            allowance,
            no_response: reading.no_response,
            id: message.message_id,
            acknowledged: delivered,
            apart: false,
            seen,
        }
    }

    /// Whether an answer of this class is not to be sent (RFC 7967 §2.1; RFC 7252 §8.2 for groups, which the option
    /// overrides).
    fn is_unwanted(&self, status: Status, empty: bool) -> bool {
        // It asks for the rest of a body, without which there will be no answer at all.
        if status == Status::CONTINUE {
            return false;
        }
        let bit = status.class().checked_sub(1).map_or(0, |shift| 1_u8 << shift);
        match self.no_response {
            Some(classes) => classes & bit != 0,
            None => self.path.multicast && (!status.is_success() || empty),
        }
    }

    /// The peer has proved its address, or need not.
    pub(crate) fn is_proved(&self) -> bool {
        self.allowance.is_unlimited()
    }

    /// How much of an answer is paid for; `None`: all of it.
    pub(crate) fn room(&self) -> Option<Room> {
        let header = Message {
            token: self.token.as_bytes(),
            ..Message::empty(MessageType::NonConfirmable, self.id)
        };
        let is_separate = self.apart || (self.confirmable && self.acknowledged);
        self.allowance.left().map(|left| Room {
            bytes: left.saturating_sub(header.encoded_len()),
            asks: !is_separate,
        })
    }

    /// Asks for a proof of the address in place of an answer (RFC 9175 §2.4).
    pub(crate) fn challenge(&self, context: &mut Context, now: Instant) -> Reply<'static> {
        let mut reply = Reply::new(Status::UNAUTHORIZED, &[]);
        let echo = context.amplification.echo(now, self.path.remote);
        reply.set(OptionNumber::ECHO, &echo);
        context.stats.challenges += 1;
        reply
    }

    /// Its message waits for an acknowledgement.
    fn waits(&self) -> bool {
        self.confirmable && !self.acknowledged
    }

    /// Acknowledges a message by itself, unless that has been done.
    pub(crate) fn acknowledge(&mut self, context: &mut Context, messages: &mut MessageLayer) {
        if self.waits() {
            self.acknowledged = true;
            if !self.apart {
                self.allowance.spend(&mut context.stats, EMPTY_MESSAGE);
            }
            messages.acknowledge(context, &self.path, self.id, self.seen);
        }
    }

    /// Has the first notification go in a confirmable message of its own, whatever the request came in. A request that is
    /// not acknowledged yet is when that message is: until then its copies bring the notification again, and pay for
    /// it, so that one that is lost is not lost for good (RFC 7252 §5.2.2).
    #[cold]
    pub(crate) fn answer_apart(&mut self, context: &mut Context) {
        if self.confirmable && !self.acknowledged {
            self.allowance.spend(&mut context.stats, EMPTY_MESSAGE);
        }
        self.acknowledged |= !self.confirmable;
        (self.confirmable, self.apart) = (true, true);
    }

    /// What was sent stands for the acknowledgement. What has not left yet is promised by one.
    #[cold]
    fn acknowledge_by(&mut self, context: &mut Context, messages: &mut MessageLayer, sent: Option<Key>) {
        if !sent.is_some_and(|key| messages.stands_for(key, self.id, self.seen)) {
            self.acknowledge(context, messages);
        }
    }
}

/// One request of a peer as the application knows it.
pub(crate) struct Serving {
    peer: Peer,
    /// It counts among those of its peer.
    counted: bool,
    /// The peer had proved its address, or else it counts among those that have not.
    proved: bool,
    /// The message that waits for an answer. Missing when the application answered, or between two blocks.
    pub(crate) ask: Option<Ask>,
    /// The assembly that streams the body.
    pub(crate) stream: Option<Key>,
    /// The request itself, if it asks to observe.
    pub(crate) registration: Option<Arc<Kept>>,
}

/// The exchange that was opened last.
struct Newest {
    key: Key,
    id: MessageId,
    /// When to acknowledge it.
    acknowledge_at: Option<Instant>,
}

/// All requests of peers that are worked on.
pub(crate) struct Server {
    pub(crate) exchanges: Slab<Serving>,
    /// How many of them each peer has, of those that were not answered at once.
    per_peer: HashMap<Peer, usize, foldhash::fast::FixedState>,
    /// Those of them that came on connections.
    on_connections: Belongings,
    /// How many of them peers have that have not proved their address.
    unproved: usize,
    /// The one that was opened last: most are answered before the next, and are never counted.
    newest: Option<Newest>,
    /// When to acknowledge, in order; entries that are answered are passed over.
    acknowledgements: VecDeque<(Instant, Key, MessageId)>,
}

impl Server {
    pub(crate) fn new(context: &mut Context) -> Server {
        Server {
            exchanges: Slab::new(context.config.max_exchanges),
            per_peer: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
            on_connections: Belongings::default(),
            unproved: 0,
            newest: None,
            acknowledgements: VecDeque::new(),
        }
    }

    /// Nothing is worked on.
    pub(crate) fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.per_peer.is_empty() && self.on_connections.is_empty()
    }

    /// Whether this peer has as many requests worked on as one may: no peer takes all the room.
    pub(crate) fn is_peer_full(&mut self, context: &Context, peer: &Peer) -> bool {
        self.count_of(peer) >= context.config.max_exchanges_per_peer
    }

    /// Whether one more request can be worked on.
    pub(crate) fn has_room(&self, context: &Context, ask: &Ask) -> bool {
        let share = context.config.max_exchanges / limits::SHARE_OF_UNPROVED;
        (ask.is_proved() || self.unproved < share) && !self.exchanges.is_full()
    }

    /// Counts the exchange that was opened last, if it is still worked on, and has it acknowledged in time.
    #[inline]
    fn settle_newest(&mut self) {
        if self.newest.is_some() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let Some(newest) = self.newest.take() else {
            return;
        };
        let Some(serving) = self.exchanges.get_mut(newest.key) else {
            return;
        };
        serving.counted = true;
        self.on_connections.insert(serving.peer.connection, newest.key);
        *self.per_peer.entry(serving.peer).or_insert(0) += 1;
        if let Some(at) = newest.acknowledge_at {
            self.pass_answered();
            self.acknowledgements.push_back((at, newest.key, newest.id));
        }
    }

    /// Forgets an exchange; `false` when there is none.
    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let Some(serving) = self.exchanges.get(key) else {
            return false;
        };
        self.unproved -= usize::from(!serving.proved);
        if self.newest.as_ref().is_some_and(|newest| newest.key == key) {
            self.newest = None;
        }
        if serving.counted {
            self.on_connections.remove(serving.peer.connection, key);
        }
        if serving.counted
            && let Some(of_peer) = self.per_peer.get_mut(&serving.peer)
        {
            *of_peer -= 1;
            if *of_peer == 0 {
                self.per_peer.remove(&serving.peer);
                self.per_peer.give_back();
            }
        }
        self.exchanges.discard(key)
    }

    /// The requests that came on a connection and are worked on.
    pub(crate) fn of_connection(&mut self, connection: ConnectionId) -> Vec<Key> {
        self.settle_newest();
        self.on_connections.of(connection)
    }

    /// How many requests of a peer are worked on.
    pub(crate) fn count_of(&mut self, peer: &Peer) -> usize {
        self.settle_newest();
        self.per_peer.get(peer).copied().unwrap_or(0)
    }

    /// Takes a request on. `None`: as many as allowed are worked on.
    pub(crate) fn open(
        &mut self,
        context: &Context,
        now: Instant,
        ask: &Ask,
        (stream, registration): (Option<Key>, Option<Arc<Kept>>),
    ) -> Option<Key> {
        self.settle_newest();
        let serving = Serving {
            peer: ask.path.peer(),
            counted: false,
            proved: ask.is_proved(),
            ask: Some(ask.clone()),
            stream,
            registration,
        };
        let key = self.exchanges.insert(serving).ok()?;
        self.unproved += usize::from(!ask.is_proved());
        self.newest = Some(Newest {
            key,
            id: ask.id,
            acknowledge_at: ask.waits().then(|| now + context.config.acknowledge_after),
        });
        Some(key)
    }

    /// The next message of a streamed request takes the place of the one before, if that is not answered.
    pub(crate) fn replace_ask(
        &mut self,
        context: &Context,
        now: Instant,
        key: Key,
        ask: &Ask,
    ) -> Option<Ask> {
        self.settle_newest();
        let before = self.exchanges.get_mut(key)?.ask.replace(ask.clone());
        if ask.waits() {
            let at = now + context.config.acknowledge_after;
            self.acknowledgements.push_back((at, key, ask.id));
        }
        before
    }

    /// The application works on the message of an exchange that came last.
    pub(crate) fn is_working(&self, key: Key) -> bool {
        self.exchanges
            .get(key)
            .is_some_and(|serving| serving.ask.is_some())
    }

    /// Drops what was answered in time: from the front, and from the whole when a slow request at the front holds
    /// more than that up.
    pub(crate) fn pass_answered(&mut self) {
        if self.acknowledgements.is_empty() {
            return;
        }
        let exchanges = &self.exchanges;
        let waits = |(_, key, id): &(Instant, Key, MessageId)| waits(exchanges, *key, *id);
        while self.acknowledgements.front().is_some_and(|front| !waits(front)) {
            self.acknowledgements.pop_front();
        }
        if self.acknowledgements.len() > 2 * exchanges.len() + 64 {
            self.acknowledgements.retain(waits);
        }
        self.acknowledgements.give_back();
    }

    /// When the next request has to be acknowledged.
    pub(crate) fn next_acknowledgement(&self) -> Option<Instant> {
        let front = self.acknowledgements.front().map(|(at, ..)| *at);
        let newest = self.newest.as_ref();
        let newest = newest.filter(|newest| waits(&self.exchanges, newest.key, newest.id));
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
                .exchanges
                .get_mut(key)
                .and_then(|serving| serving.ask.as_mut())
            {
                ask.acknowledge(context, messages);
            }
            self.pass_answered();
        }
    }

    /// No message waits for an answer. Of a body on its way in, the peer may have yet to send the next block.
    pub(crate) fn is_answered(&self) -> bool {
        !self.exchanges.iter().any(|(_, serving)| serving.ask.is_some())
    }

    /// A body is on its way in, for an exchange that takes it in parts.
    pub(crate) fn is_receiving(&self) -> bool {
        self.exchanges.iter().any(|(_, serving)| serving.stream.is_some())
    }
}

/// Whether this message of an exchange is neither answered nor acknowledged.
fn waits(exchanges: &Slab<Serving>, key: Key, id: MessageId) -> bool {
    let ask = exchanges.get(key).and_then(|serving| serving.ask.as_ref());
    ask.is_some_and(|ask| ask.id == id && !ask.acknowledged)
}

/// Stages 5 to 8 of a response: to its request, by the kind of message that suits it.
pub(crate) fn answer(
    context: &mut Context,
    messages: &mut MessageLayer,
    now: Instant,
    ask: &mut Ask,
    reply: &mut Reply<'_>,
) {
    answer_for(context, messages, now, ask, reply, Owner::Response);
}

/// The same, where `owner` is told what becomes of a response that is a message of its own, whose key this is.
pub(crate) fn answer_for(
    context: &mut Context,
    messages: &mut MessageLayer,
    now: Instant,
    ask: &mut Ask,
    reply: &mut Reply<'_>,
    owner: Owner,
) -> Option<Key> {
    if ask.is_unwanted(reply.status, reply.payload.is_empty()) {
        context.stats.drop_for(DropReason::Suppressed);
        ask.acknowledge(context, messages);
        return None;
    }
    let apart = ask.apart && matches!(owner, Owner::Notification(_));
    let piggybacked = ask.confirmable && !ask.acknowledged && !apart;
    let mut confirmable = ask.confirmable;
    if let Some(room) = ask.room() {
        reply.fit(room.bytes);
        // RFC 9175 §2.4: what asks for a proof is never sent again.
        confirmable &= !reply.options().contains(OptionNumber::ECHO);
    }
    let message = Message {
        message_type: match (piggybacked, confirmable) {
            (true, _) => MessageType::Acknowledgement,
            (false, true) => MessageType::Confirmable,
            (false, false) => MessageType::NonConfirmable,
        },
        code: Code::from(reply.status),
        message_id: ask.id,
        token: ask.token.as_bytes(),
        options: reply.options(),
        payload: reply.payload,
    };
    if piggybacked {
        if ask.allowance.spend(&mut context.stats, message.encoded_len()) {
            messages.reply(context, &ask.path, ask.seen, &message);
        }
        return None;
    }
    let sending = Sending {
        path: ask.path.back(),
        confirmable,
        owner,
        parameters: context.config.transmission,
        resume: None,
        allowance: ask.allowance,
    };
    let sent = if ask.path.multicast {
        let leisure = context.random_within(context.config.transmission.default_leisure);
        messages
            .send_at(context, now + leisure, sending, &message)
            .map(|()| None)
    } else {
        messages.respond(context, now, sending, (&message, reply.shared))
    };
    let sent = sent.unwrap_or_else(|_| {
        context.stats.drop_for(DropReason::Busy);
        None
    });
    if apart && !ask.acknowledged {
        ask.acknowledge_by(context, messages, sent);
    }
    sent
}

/// A final response to a request with Block1 carries it too: the block it answers, and no more are wanted
/// (RFC 7959 §2.3).
pub(crate) fn echo_block1(ask: &Ask, reply: &mut Reply<'_>) {
    let echo = |block: BlockOption| BlockOption::new(block.num(), false, block.szx()).ok();
    if let Some(block1) = ask.blocks.block1.and_then(echo) {
        reply.set(OptionNumber::BLOCK1, &block1.encode());
    }
}

/// Answers a request that the engine refuses.
pub(crate) fn refuse(
    context: &mut Context,
    messages: &mut MessageLayer,
    now: Instant,
    ask: &mut Ask,
    refusal: &Refusal,
) {
    context.stats.drop_for(refusal.reason);
    messages.relax(&mut ask.seen);
    context.stats.refuse(refusal.status);
    if refusal.status == Status::UNAUTHORIZED {
        let mut challenge = ask.challenge(context, now);
        return answer(context, messages, now, ask, &mut challenge);
    }
    let end = refusal.diagnostic.floor_char_boundary(limits::MAX_DIAGNOSTIC);
    let diagnostic = refusal.diagnostic.get(..end).unwrap_or_default();
    let mut reply = Reply::new(refusal.status, diagnostic.as_bytes());
    if refusal.status == Status::SERVICE_UNAVAILABLE {
        // RFC 7252 §5.9.3.4: when to try again.
        reply.set_uint(OptionNumber::MAX_AGE, u64::from(limits::BUSY_MAX_AGE));
    }
    if let Some(limit) = refusal.size1 {
        reply.set_uint(OptionNumber::SIZE1, limit as u64);
    }
    echo_block1(ask, &mut reply);
    answer(context, messages, now, ask, &mut reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

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
            let key = server.open(&context, Instant::ZERO, &ask, (None, None)).unwrap();
            if id > 0 {
                server.remove(key);
            }
        }
        assert_eq!(server.exchanges.len(), 1);
        assert!(server.acknowledgements.len() < 100);
        assert!(server.next_acknowledgement().is_some());
    }
}
