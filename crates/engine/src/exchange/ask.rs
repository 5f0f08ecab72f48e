//! A request that waits for its answer, and how it gets one.

use alloc::boxed::Box;

use coracle_wire::{BlockOption, Code, Message, MessageId, MessageType, Method, OptionNumber, Status, Token};

use crate::amplification::{Allowance, Room};
use crate::context::Context;
use crate::exchange::admission::{Blocks, Reading, Refusal};
use crate::exchange::reply::Reply;
use crate::limits;
use crate::message::{MessageLayer, Note, Owner, Response};
use crate::path::Path;
use crate::slab::Key;
use crate::stats::DropReason;
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
#[derive(Debug)]
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
    pub(super) id: MessageId,
    acknowledged: bool,
    /// What notifies is a message of its own, even where an acknowledgement could carry it. The bytes of an empty
    /// acknowledgement are set aside.
    apart: bool,
    seen: Option<Note>,
}

impl Ask {
    #[inline]
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
    pub(super) fn waits(&self) -> bool {
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

/// Stages 5 to 8 of a response: to its request, by the kind of message that suits it.
pub(crate) fn answer(
    context: &mut Context,
    messages: &mut MessageLayer,
    now: Instant,
    ask: &mut Ask,
    reply: &mut Reply<'_>,
) {
    let repeatable = ask.method.is_safe();
    answer_for(context, messages, now, ask, reply, Owner::Response { repeatable });
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
    let response = Response {
        path: &ask.path,
        confirmable,
        owner,
        allowance: ask.allowance,
    };
    let sent = if ask.path.multicast {
        let leisure = context.random_within(context.config.transmission.default_leisure);
        messages
            .send_at(context, now + leisure, response, &message)
            .map(|()| None)
    } else {
        messages.respond(context, now, response, (&message, reply.shared))
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
