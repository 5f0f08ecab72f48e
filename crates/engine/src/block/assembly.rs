//! Bodies of requests that come in blocks (RFC 7959 §2.5).

use alloc::format;
use alloc::vec::Vec;
use hashbrown::HashMap;

use coracle_wire::{BlockOption, ContentFormat, OptionNumber, Options, OptionsBuf, Status};

use crate::block::is_full;
use crate::block::size::Sizes;
use crate::config::Body;
use crate::connection::belongings::Belongings;
use crate::context::Context;
use crate::exchange::admission::Refusal;
use crate::exchange::ask::Ask;
use crate::exchange::reply::Reply;
use crate::limits;
use crate::path::{ConnectionId, Peer};
use crate::slab::{Key, Slab};
use crate::stats::DropReason;
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::TimerKey;

/// What the block stage made of a request.
pub(crate) enum Inbound {
    /// Its body is in the message.
    Whole,
    /// More blocks are wanted: 2.31.
    Continue,
    /// The body is whole now, and these are the options of its first block.
    Complete(OptionsBuf, Vec<u8>),
    /// The first part of a body that is streamed.
    StreamStart(Key),
    /// A further part for the exchange that streams it; the last one when not `more`.
    StreamPart { exchange: Key, more: bool },
    /// A part that the consumer has not asked for yet: the answer waits.
    StreamAgain { exchange: Key },
    /// It cannot go on.
    Refuse(Refusal),
}

/// One block on its way in.
#[derive(Clone, Copy)]
pub(crate) struct Part<'p> {
    pub(crate) options: Options<'p>,
    pub(crate) payload: &'p [u8],
    /// Whether the consumer of a streamed body has asked for its next part. A peer that sends it before is told to
    /// wait, so that parts never pile up.
    pub(crate) is_wanted: &'p dyn Fn(Key) -> bool,
}

enum Mode {
    Collect {
        body: Vec<u8>,
        options: OptionsBuf,
        limit: usize,
    },
    Stream {
        exchange: Option<Key>,
    },
}

struct Assembly {
    peer: Peer,
    /// The peer has proved its address.
    proved: bool,
    cache_key: u64,
    /// Blocks of another Content-Format do not belong to it (RFC 7959 §2.3).
    content_format: Option<ContentFormat>,
    /// Bytes that have come: where the next block begins.
    received: u64,
    mode: Mode,
}

impl Assembly {
    fn cost(&self) -> usize {
        limits::BODY_OVERHEAD
            + match &self.mode {
                Mode::Collect { body, options, .. } => body.len() + options.as_options().as_bytes().len(),
                Mode::Stream { .. } => 0,
            }
    }
}

/// The bodies that are not whole yet, keyed by peer and cache key, never by token.
pub(crate) struct Assemblies {
    table: Slab<Assembly>,
    index: HashMap<(Peer, u64), Key, foldhash::fast::FixedState>,
    per_peer: HashMap<Peer, usize, foldhash::fast::FixedState>,
    on_connections: Belongings,
    bytes: usize,
    /// Those of peers that have not proved their address.
    unproved_bytes: usize,
}

impl Assemblies {
    pub(crate) fn new(context: &mut Context) -> Assemblies {
        let hasher = foldhash::fast::FixedState::with_seed(context.random_u64());
        Assemblies {
            table: Slab::new(context.config.assembly_bytes / limits::BODY_OVERHEAD),
            index: HashMap::with_hasher(hasher.clone()),
            per_peer: HashMap::with_hasher(hasher),
            on_connections: Belongings::default(),
            bytes: 0,
            unproved_bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
            && self.index.is_empty()
            && self.per_peer.is_empty()
            && self.on_connections.is_empty()
            && self.bytes == 0
            && self.unproved_bytes == 0
    }

    /// Stage 5 of the way in. The second value is a streamed exchange that a new body put an end to.
    pub(crate) fn inbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        ask: &Ask,
        part: Part<'_>,
    ) -> (Inbound, Option<Key>) {
        let Part { options, payload, .. } = part;
        let Some(block) = ask.blocks.block1 else {
            return (Inbound::Whole, None);
        };
        if !is_full(block, payload.len()) {
            let text = "a block that is not the last is not full";
            return (refuse(Status::BAD_REQUEST, DropReason::BlockOption, text), None);
        }
        let known = self.index.get(&(ask.path.peer(), ask.cache_key)).copied();
        if block.num() > 0 {
            let Some(key) = known else {
                return (
                    refuse(
                        Status::REQUEST_ENTITY_INCOMPLETE,
                        DropReason::BlockOrder,
                        "blocks before this one are missing",
                    ),
                    None,
                );
            };
            return (self.next(context, now, ask, (key, block), &part), None);
        }
        let ended = known.and_then(|key| self.remove(context, key));
        if block.more() {
            (self.first(context, now, ask, options, payload), ended)
        } else {
            (Inbound::Whole, ended)
        }
    }

    /// The first block of a body: room is found for it, and how it is taken is decided.
    fn first(
        &mut self,
        context: &mut Context,
        now: Instant,
        ask: &Ask,
        options: Options<'_>,
        payload: &[u8],
    ) -> Inbound {
        let taken = match &context.config.body_policy {
            Some(policy) => policy.body(ask.method, options),
            None => Body::Collect {
                limit: context.config.max_body,
            },
        };
        let mode = match taken {
            Body::Stream => Mode::Stream { exchange: None },
            Body::Collect { limit } => {
                let announced = options.get_uint(OptionNumber::SIZE1).unwrap_or(0);
                if payload.len() > limit || announced > limit as u64 {
                    return too_large(limit);
                }
                Mode::Collect {
                    body: Vec::new(),
                    options: OptionsBuf::from(options),
                    limit,
                }
            }
        };
        let assembly = Assembly {
            peer: ask.path.peer(),
            proved: ask.is_proved(),
            cache_key: ask.cache_key,
            content_format: options.content_format(),
            received: 0,
            mode,
        };
        let cost = assembly.cost();
        if let Err(full) = self.check_room(context, ask, cost + payload.len()) {
            return full;
        }
        let streams = matches!(assembly.mode, Mode::Stream { .. });
        let id = (assembly.peer, assembly.cache_key);
        let Ok(key) = self.table.insert(assembly) else {
            return no_room(ask);
        };
        self.index.insert(id, key);
        self.on_connections.insert(id.0.connection, key);
        self.charge(&id.0, ask.is_proved(), cost);
        self.append(context, now, key, payload);
        if streams {
            Inbound::StreamStart(key)
        } else {
            Inbound::Continue
        }
    }

    fn next(
        &mut self,
        context: &mut Context,
        now: Instant,
        ask: &Ask,
        (key, block): (Key, BlockOption),
        part: &Part<'_>,
    ) -> Inbound {
        let payload = part.payload;
        let Some(assembly) = self.table.get_mut(key) else {
            return busy();
        };
        if ask.is_proved() && !core::mem::replace(&mut assembly.proved, true) {
            self.unproved_bytes -= assembly.cost();
        }
        if assembly.content_format != part.options.content_format() {
            return refuse(
                Status::REQUEST_ENTITY_INCOMPLETE,
                DropReason::BlockOrder,
                "the Content-Format is not that of the first block",
            );
        }
        let (received, len) = (assembly.received, payload.len() as u64);
        let again = block.more() && block.offset() + len == received;
        if block.offset() != received && !again {
            return refuse(
                Status::REQUEST_ENTITY_INCOMPLETE,
                DropReason::BlockOrder,
                "a block is out of order",
            );
        }
        if let Mode::Stream { exchange } = assembly.mode {
            let Some(exchange) = exchange else { return busy() };
            if again {
                return Inbound::StreamAgain { exchange };
            }
            if !(part.is_wanted)(exchange) {
                return busy();
            }
            self.append(context, now, key, payload);
            if !block.more() {
                self.take(context, key);
            }
            return Inbound::StreamPart {
                exchange,
                more: block.more(),
            };
        }
        if again {
            return Inbound::Continue;
        }
        let Mode::Collect { limit, .. } = assembly.mode else {
            return busy();
        };
        if received + len > limit as u64 {
            self.remove(context, key);
            return too_large(limit);
        }
        if let Err(full) = self.check_room(context, ask, payload.len()) {
            return full;
        }
        self.append(context, now, key, payload);
        if block.more() {
            return Inbound::Continue;
        }
        match self.take(context, key) {
            Some(Mode::Collect { body, options, .. }) => Inbound::Complete(options, body),
            _ => busy(),
        }
    }

    /// Ties a streamed body to the exchange that consumes it.
    pub(crate) fn stream_to(&mut self, key: Key, consumer: Key) {
        if let Some(Assembly {
            mode: Mode::Stream { exchange },
            ..
        }) = self.table.get_mut(key)
        {
            *exchange = Some(consumer);
        }
    }

    fn append(&mut self, context: &mut Context, now: Instant, key: Key, payload: &[u8]) {
        let Some(assembly) = self.table.get_mut(key) else {
            return;
        };
        assembly.received += payload.len() as u64;
        context
            .timers
            .arm(TimerKey::Assembly(key), now + context.config.block_lifetime);
        if let Mode::Collect { body, .. } = &mut assembly.mode {
            body.extend_from_slice(payload);
            let (peer, proved) = (assembly.peer, assembly.proved);
            self.charge(&peer, proved, payload.len());
        }
    }

    fn check_room(&self, context: &Context, ask: &Ask, wanted: usize) -> Result<(), Inbound> {
        let config = &context.config;
        let of_peer = self.per_peer.get(&ask.path.peer()).copied().unwrap_or(0);
        if of_peer + wanted > config.assembly_bytes_per_peer {
            return Err(busy());
        }
        let share = config.assembly_bytes / limits::SHARE_OF_UNPROVED;
        let in_share = ask.is_proved() || self.unproved_bytes + wanted <= share;
        if in_share && self.bytes + wanted <= config.assembly_bytes {
            Ok(())
        } else {
            Err(no_room(ask))
        }
    }

    fn charge(&mut self, peer: &Peer, proved: bool, bytes: usize) {
        self.bytes += bytes;
        self.unproved_bytes += if proved { 0 } else { bytes };
        *self.per_peer.entry(*peer).or_insert(0) += bytes;
    }

    /// A connection is gone, and with it the bodies that were on their way. Who consumes one is told by its exchange.
    pub(crate) fn end(&mut self, context: &mut Context, connection: ConnectionId) {
        for key in self.on_connections.of(connection) {
            self.take(context, key);
        }
    }

    /// Whether a body is on its way on a connection.
    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        self.on_connections.iter(connection).next().is_some()
    }

    /// The exchange that streams a body.
    pub(crate) fn consumer(&self, key: Key) -> Option<Key> {
        match self.table.get(key)?.mode {
            Mode::Stream { exchange } => exchange,
            Mode::Collect { .. } => None,
        }
    }

    /// Keeps a body for another lifetime.
    pub(crate) fn keep(&self, context: &mut Context, now: Instant, key: Key) {
        context
            .timers
            .arm(TimerKey::Assembly(key), now + context.config.block_lifetime);
    }

    /// Forgets a body; the exchange that streams it, if there is one.
    pub(crate) fn remove(&mut self, context: &mut Context, key: Key) -> Option<Key> {
        match self.take(context, key)? {
            Mode::Stream { exchange } => exchange,
            Mode::Collect { .. } => None,
        }
    }

    fn take(&mut self, context: &mut Context, key: Key) -> Option<Mode> {
        let assembly = self.table.remove(key)?;
        context.timers.disarm(TimerKey::Assembly(key));
        self.index.remove(&(assembly.peer, assembly.cache_key));
        self.index.give_back();
        self.on_connections.remove(assembly.peer.connection, key);
        let cost = assembly.cost();
        self.bytes -= cost;
        self.unproved_bytes -= if assembly.proved { 0 } else { cost };
        if let Some(used) = self.per_peer.get_mut(&assembly.peer) {
            *used -= cost;
            if *used == 0 {
                self.per_peer.remove(&assembly.peer);
                self.per_peer.give_back();
            }
        }
        Some(assembly.mode)
    }
}

/// What is sent for more blocks (RFC 7959 §2.9.1), with the block size that the server prefers (§2.3).
pub(crate) fn continuation(sizes: Sizes, block: BlockOption) -> Reply<'static> {
    let mut reply = Reply::new(Status::CONTINUE, &[]);
    let szx = block.szx().min(sizes.taken);
    // The number stays that of the request's block; only the size may shrink.
    let echo = BlockOption::new(block.num(), true, szx).unwrap_or(block);
    reply.set(OptionNumber::BLOCK1, &echo.encode());
    reply
}

fn refuse(status: Status, reason: DropReason, diagnostic: &str) -> Inbound {
    Inbound::Refuse(Refusal::new(status, reason, diagnostic))
}

fn too_large(limit: usize) -> Inbound {
    let text = format!("at most {limit} bytes");
    let refusal = Refusal::new(Status::REQUEST_ENTITY_TOO_LARGE, DropReason::BodySize, &text);
    Inbound::Refuse(Refusal {
        size1: Some(limit),
        ..refusal
    })
}

fn busy() -> Inbound {
    refuse(Status::SERVICE_UNAVAILABLE, DropReason::Busy, NO_ROOM)
}

fn no_room(ask: &Ask) -> Inbound {
    Inbound::Refuse(Refusal::no_room(ask, NO_ROOM))
}

const NO_ROOM: &str = "no room for another body";
