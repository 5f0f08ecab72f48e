//! Bodies of responses that go in blocks (RFC 7959 §2.4): the first block is cut from the application's answer, the
//! others from what was kept of it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use hashbrown::HashMap;

use coracle_wire::{BlockOption, Method, OptionNumber, Options, OptionsBuf, Status};

use crate::amplification::{Echo, Room};
use crate::block::size::Sizes;
use crate::block::slicing::{Limit, Source, Uncut, cut};
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
use crate::values::Window;

struct Stored {
    peer: Peer,
    /// The peer had proved its address.
    proved: bool,
    cache_key: u64,
    payload_key: Option<u64>,
    status: Status,
    options: OptionsBuf,
    body: Vec<u8>,
}

impl Stored {
    fn cost(&self) -> usize {
        limits::BODY_OVERHEAD + self.options.as_options().as_bytes().len() + self.body.len()
    }
}

/// To whom a body goes, for which request, and what part of it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) peer: Peer,
    pub(crate) cache_key: u64,
    /// Tells the payloads of FETCH requests apart.
    pub(crate) payload_key: Option<u64>,
    pub(crate) block2: Option<BlockOption>,
    /// The request asks for the length of the body (RFC 7959 §4).
    pub(crate) sized: bool,
    /// The request carries a block of its own body, so that it asks for no block kept.
    pub(crate) sends: bool,
    /// How much of an answer is paid for.
    pub(crate) room: Option<Room>,
    /// The length of the token that goes beside it, in bytes.
    pub(crate) token: usize,
}

/// Not even the smallest part of an answer is paid for (RFC 9175 §2.4).
#[derive(Debug)]
pub(crate) struct TooDear;

const NO_SUCH_BLOCK: &str = "there is no such block";

impl Asked {
    /// What a request asks for.
    pub(crate) fn of(ask: &Ask) -> Asked {
        let sends = ask.blocks.block1.is_some();
        // The answer to a block says which (RFC 7959 §2.3): two bytes and a number of up to three.
        let block1 = if sends { 5 } else { 0 };
        let room = ask.room().map(|room| Room {
            bytes: room.bytes.saturating_sub(block1),
            ..room
        });
        Asked {
            peer: ask.path.peer(),
            cache_key: ask.cache_key,
            payload_key: ask.payload_key,
            block2: ask.blocks.block2,
            sized: ask.blocks.size2,
            sends,
            room,
            token: ask.token.as_bytes().len(),
        }
    }

    /// How long the answer may be that has these options.
    fn sizes(&self, context: &Context, options: Options<'_>) -> Sizes {
        context.sizes(self.peer.connection, self.token + options.as_bytes().len())
    }

    fn limit<'e>(&self, echo: &'e dyn Fn() -> Echo) -> Option<Limit<'e>> {
        self.room.map(|room| Limit {
            bytes: room.bytes,
            echo: room.asks.then_some(echo),
        })
    }
}

/// The bodies kept for further blocks. Short of room, the oldest is forgotten.
pub(crate) struct Bodies {
    table: Slab<Stored>,
    index: HashMap<(Peer, u64), Key, foldhash::fast::FixedState>,
    on_connections: Belongings,
    /// Those of peers that have proved their address,
    proved: Shelf,
    /// and of those that have not.
    unproved: Shelf,
}

/// Bodies, the oldest first; some of them may be gone.
#[derive(Default)]
struct Shelf {
    by_age: VecDeque<Key>,
    bytes: usize,
}

impl Bodies {
    pub(crate) fn new(context: &mut Context) -> Bodies {
        Bodies {
            table: Slab::new(context.config.response_body_bytes / limits::BODY_OVERHEAD),
            index: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
            on_connections: Belongings::default(),
            proved: Shelf::default(),
            unproved: Shelf::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.index.is_empty() && self.on_connections.is_empty() && self.bytes() == 0
    }

    /// Whether a body is kept that a new answer puts out of date.
    pub(crate) fn keeps(&self, peer: Peer, cache_key: u64) -> bool {
        self.index.contains_key(&(peer, cache_key))
    }

    /// Whether stage 4 has nothing to do for an answer, as for most: it is short and paid for, no block is asked for, and
    /// nothing was kept before.
    pub(crate) fn lets_pass(
        &self,
        context: &Context,
        ask: &Ask,
        reply: &Reply<'_>,
        window: Option<Window>,
    ) -> bool {
        let in_blocks = ask.blocks.block1.is_some() || ask.blocks.block2.is_some() || window.is_some();
        let beside = ask.token.as_bytes().len() + reply.options().as_bytes().len();
        let sizes = context.sizes(ask.path.connection, beside);
        let is_short = reply.payload.len() <= sizes.whole;
        let is_paid = || ask.room().is_none_or(|room| reply.len() <= room.bytes);
        self.index.is_empty() && !in_blocks && is_short && is_paid()
    }

    /// Stage 4 of the way out: cuts the block that is asked for, and keeps the body when more will be.
    pub(crate) fn outbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        asked: &Asked,
        reply: &mut Reply<'_>,
        window: Option<Window>,
    ) -> Result<(), TooDear> {
        let body = Source {
            bytes: reply.payload,
            at: window.map_or(0, |window| window.offset),
            total: window.map_or(reply.payload.len() as u64, |window| window.total),
            tags: window.is_none(),
            sized: asked.sized,
        };
        let sizes = asked.sizes(context, reply.options());
        let (whole, size) = match asked.block2 {
            Some(block) => {
                let size = sizes.block.at_most(block.szx());
                (size.bytes(), size)
            }
            None => (sizes.whole, sizes.block),
        };
        let offset = asked.block2.map_or(0, BlockOption::offset);
        let wanted = asked.block2.is_some() && reply.status.is_success();
        if offset == 0 {
            // A new answer: whatever was kept of the one before is out of date.
            self.forget(context, asked);
        }
        let fits = !reply.status.is_success() || asked.room.is_none_or(|room| reply.len() <= room.bytes);
        // Of a body of which a part is at hand, only that goes, though a message would have room for all of it.
        let is_whole = body.at == 0 && body.bytes.len() as u64 == body.total;
        if !wanted && is_whole && body.total <= whole as u64 && (fits || body.total == 0) {
            return if fits { Ok(()) } else { Err(TooDear) };
        }
        let echo: &dyn Fn() -> Echo = &|| context.amplification.echo(now, asked.peer.address);
        match cut(reply, body, (offset, size), asked.limit(echo)) {
            Ok(block) if window.is_none() && block.more() => {
                self.keep(context, now, asked, reply, body.bytes)
            }
            Ok(_) => {}
            Err(Uncut::Beyond) => reply.replace(Status::BAD_REQUEST, NO_SUCH_BLOCK),
            Err(Uncut::Missing) => reply.replace(Status::INTERNAL_SERVER_ERROR, "the block was not given"),
            Err(Uncut::TooLong) => {
                reply.replace(Status::INTERNAL_SERVER_ERROR, "too long for block-wise transfer");
            }
            Err(Uncut::TooDear) => return Err(TooDear),
        }
        Ok(())
    }

    /// Stage 5 of the way in: a further block of a body that was kept. `None`: the application is asked.
    pub(crate) fn inbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        asked: &Asked,
    ) -> Option<Result<Reply<'_>, TooDear>> {
        let block2 = asked.block2.filter(|block| block.num() > 0 && !asked.sends)?;
        let key = *self.index.get(&(asked.peer, asked.cache_key))?;
        let differs =
            |stored: &&Stored| asked.payload_key.is_some() && asked.payload_key != stored.payload_key;
        let stored = self.table.get(key).filter(|stored| !differs(stored))?;
        context
            .timers
            .arm(TimerKey::Body(key), now + context.config.block_lifetime);
        let options = stored.options.as_options();
        let size = asked.sizes(context, options).block.at_most(block2.szx());
        let mut reply = Reply::with_options(stored.status, options, &[]);
        let body = Source {
            bytes: &stored.body,
            at: 0,
            total: stored.body.len() as u64,
            tags: false,
            sized: asked.sized,
        };
        let echo: &dyn Fn() -> Echo = &|| context.amplification.echo(now, asked.peer.address);
        Some(
            match cut(&mut reply, body, (block2.offset(), size), asked.limit(echo)) {
                Ok(_) => Ok(reply),
                Err(Uncut::TooDear) => Err(TooDear),
                Err(_) => Ok(Reply::new(Status::BAD_REQUEST, NO_SUCH_BLOCK.as_bytes())),
            },
        )
    }

    fn keep(&mut self, context: &mut Context, now: Instant, asked: &Asked, reply: &Reply<'_>, body: &[u8]) {
        self.forget(context, asked);
        let mut options = OptionsBuf::from(reply.options());
        // RFC 7959 §2.6: further blocks are no notifications. The others are each block's own.
        const OF_ONE: [OptionNumber; 4] = [
            OptionNumber::OBSERVE,
            OptionNumber::BLOCK2,
            OptionNumber::SIZE2,
            OptionNumber::ECHO,
        ];
        options.retain(|option| !OF_ONE.contains(&option.number));
        let stored = Stored {
            peer: asked.peer,
            proved: asked.room.is_none(),
            cache_key: asked.cache_key,
            payload_key: asked.payload_key,
            status: reply.status,
            options,
            body: Vec::from(body),
        };
        let cost = stored.cost();
        let (proved, budget) = (stored.proved, context.config.response_body_bytes);
        let most = if proved {
            budget
        } else {
            budget / limits::SHARE_OF_UNPROVED
        };
        if cost > most {
            // Not kept: each block is asked of the application.
            return;
        }
        while self.bytes() + cost > budget || self.shelf(proved).bytes + cost > most || self.table.is_full() {
            // Who has not proved the address gives way to all, and to nobody else.
            let oldest = self.unproved.by_age.pop_front();
            let oldest = oldest.or_else(|| proved.then(|| self.proved.by_age.pop_front())?);
            let Some(oldest) = oldest else { return };
            self.remove(context, oldest);
        }
        let Ok(key) = self.table.insert(stored) else {
            return;
        };
        self.index.insert((asked.peer, asked.cache_key), key);
        self.on_connections.insert(asked.peer.connection, key);
        let shelf = self.shelf(proved);
        shelf.by_age.push_back(key);
        shelf.bytes += cost;
        context
            .timers
            .arm(TimerKey::Body(key), now + context.config.block_lifetime);
    }

    fn forget(&mut self, context: &mut Context, asked: &Asked) {
        if let Some(before) = self.index.get(&(asked.peer, asked.cache_key)).copied() {
            self.remove(context, before);
        }
    }

    /// A connection is gone: nobody asks for more of what was kept for it.
    pub(crate) fn end(&mut self, context: &mut Context, connection: ConnectionId) {
        for key in self.on_connections.of(connection) {
            self.remove(context, key);
        }
    }

    pub(crate) fn remove(&mut self, context: &mut Context, key: Key) {
        let Some(stored) = self.table.remove(key) else {
            return;
        };
        context.timers.disarm(TimerKey::Body(key));
        self.index.remove(&(stored.peer, stored.cache_key));
        self.index.give_back();
        self.on_connections.remove(stored.peer.connection, key);
        let table = &self.table;
        let shelf = if stored.proved {
            &mut self.proved
        } else {
            &mut self.unproved
        };
        shelf.bytes -= stored.cost();
        let by_age = &mut shelf.by_age;
        while by_age.front().is_some_and(|oldest| !table.contains(*oldest)) {
            by_age.pop_front();
        }
        if by_age.len() > 2 * table.len() + 16 {
            by_age.retain(|key| table.contains(*key));
        }
        by_age.give_back();
    }

    fn bytes(&self) -> usize {
        self.proved.bytes + self.unproved.bytes
    }

    fn shelf(&mut self, proved: bool) -> &mut Shelf {
        if proved {
            &mut self.proved
        } else {
            &mut self.unproved
        }
    }
}

/// A further block of an answer that is not kept any more. Another run of a safe request gives it again; one that is
/// not safe must not be run a second time for it, and a FETCH whose body came in blocks does not come with it again
/// (RFC 7959 §2.7, §2.9.2).
pub(crate) fn lost_body(ask: &Ask, payload: &[u8]) -> Option<Refusal> {
    let further = ask.blocks.block2.is_some_and(|block| block.num() > 0);
    let incomplete = !ask.method.is_safe() || (ask.method == Method::FETCH && payload.is_empty());
    (further && ask.blocks.block1.is_none() && incomplete).then(|| {
        Refusal::new(
            Status::REQUEST_ENTITY_INCOMPLETE,
            DropReason::BlockOrder,
            "the answer is not kept any more",
        )
    })
}
