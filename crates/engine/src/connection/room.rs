//! How much may wait to be written, and who gives up his place to others: who does not read holds back nobody else.

use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;

use coracle_wire::Message;

use crate::connection::{Connection, ConnectionParameters, Connections};
use crate::limits;
use crate::message::Owner;
use crate::path::ConnectionId;
use crate::tables::GiveBack;
use crate::time::Instant;

/// What all connections together take, and how much that may be; lengths in bytes.
pub(super) struct Load {
    /// The longest message of ours.
    pub(super) max_message_size: usize,
    /// The largest blocks that are offered and asked for.
    pub(super) block_szx: u8,
    max_queued: usize,
    pub(super) queued: usize,
    per_address: HashMap<IpAddr, OfAddress, foldhash::fast::FixedState>,
    max_per_address: usize,
    /// When those were last looked for who give up their room to others.
    pressed: Instant,
}

/// What the connections with one address take.
#[derive(Clone, Copy, Debug, Default)]
struct OfAddress {
    connections: usize,
    /// Parts of [`limits::QUEUED_PART`] that wait.
    charged: usize,
}

/// Why a message cannot be sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The connection is over.
    Over,
    /// It is longer than the peer takes.
    TooLong,
    /// Too much waits to be written.
    NoRoom,
}

impl Load {
    pub(super) fn new(parameters: &ConnectionParameters, seed: u64) -> Load {
        Load {
            max_message_size: parameters.max_message_size as usize,
            block_szx: parameters.block_szx,
            max_queued: parameters.queued_bytes,
            queued: 0,
            per_address: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            max_per_address: parameters.max_connections_per_address,
            pressed: Instant::ZERO,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.per_address.is_empty() && self.queued == 0
    }

    /// Whether there may be one more connection with an address.
    pub(super) fn takes(&self, address: IpAddr) -> bool {
        let of_address = self.per_address.get(&address);
        of_address.is_none_or(|of| of.connections < self.max_per_address)
    }

    pub(super) fn enter(&mut self, address: IpAddr) {
        self.per_address.entry(address).or_default().connections += 1;
    }

    /// A connection is gone, and what waits on it.
    pub(super) fn leave(&mut self, connection: &Connection) {
        self.queued -= connection.queue.len();
        let address = connection.path.remote.ip();
        if let Some(of_address) = self.per_address.get_mut(&address) {
            of_address.connections -= 1;
            of_address.charged -= connection.charged;
            if of_address.connections == 0 {
                self.per_address.remove(&address);
                self.per_address.give_back();
            }
        }
    }

    /// Charges the address of a connection with what waits on it now.
    #[inline]
    pub(super) fn charge(&mut self, connection: &mut Connection) {
        let parts = connection.queue.len() / limits::QUEUED_PART;
        if parts != connection.charged
            && let Some(of_address) = self.per_address.get_mut(&connection.path.remote.ip())
        {
            of_address.charged = of_address.charged + parts - connection.charged;
            connection.charged = parts;
        }
    }
}

impl Connection {
    /// How long the messages may be that go on it.
    pub(super) fn longest(&self, load: &Load) -> usize {
        self.peer.max_message_size.min(load.max_message_size)
    }

    /// Whether a message of this length may wait to be written. Each connection has a little room however much others have
    /// taken. A response without a body may always wait: who does not read it is not read either. So may one that tells
    /// what was done, which was not begun while there was no room. A notification waits for its turn while much waits, so
    /// that the slow are told the latest state and no other.
    pub(super) fn admits(
        &self,
        load: &Load,
        message: &Message<'_>,
        len: usize,
        owner: Owner,
    ) -> Result<(), Unsent> {
        if len > self.longest(load) {
            return Err(Unsent::TooLong);
        }
        let waits = self.queue.len();
        let has_room = match owner {
            Owner::Response { repeatable } if message.payload.is_empty() || !repeatable => true,
            Owner::Notification(_) if waits >= limits::QUEUED_BEFORE_READING => false,
            _ if waits + len <= limits::QUEUED_FREE => true,
            _ => self.may_wait(load, len),
        };
        has_room.then_some(()).ok_or(Unsent::NoRoom)
    }

    /// Of all room one connection has an eighth, and those with one address together have a quarter.
    fn may_wait(&self, load: &Load, len: usize) -> bool {
        let waits = self.queue.len() + len;
        let share = (load.max_queued / limits::QUEUED_SHARE_OF_ONE).max(2 * load.max_message_size);
        if waits > share || load.queued + len > load.max_queued {
            return false;
        }
        let more = (waits / limits::QUEUED_PART).saturating_sub(self.charged);
        let most = (load.max_queued / limits::QUEUED_SHARE_OF_ADDRESS).max(share);
        let of_address = || {
            load.per_address
                .get(&self.path.remote.ip())
                .map_or(0, |of| of.charged)
        };
        more == 0 || (of_address() + more) * limits::QUEUED_PART <= most
    }

    /// The transport has taken so many bytes. Where the peer is read again that was not, it has said nothing because nobody
    /// listened.
    pub(super) fn takes(&mut self, now: Instant, len: usize, was_read: bool) {
        if len > 0 {
            self.used = now;
        }
        let position = self.queue.position();
        let goes_on = |(_, before)| position - before >= limits::STALL_PROGRESS;
        self.blocked = match self.blocked {
            _ if self.queue.is_empty() => None,
            Some(blocked) if !goes_on(blocked) => Some(blocked),
            _ => Some((now, position)),
        };
        self.is_pressed &= self.blocked.is_some();
        if !was_read {
            self.heard = now;
            self.pinged = None;
            if let Some((since, _)) = &mut self.begun {
                *since = now;
            }
        }
    }

    /// Until when the transport has to take more.
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        let within = match self.is_pressed {
            true => limits::STALLED_WHEN_FULL,
            false => limits::STALLED_WITHIN,
        };
        self.blocked.map(|(since, _)| since + within)
    }
}

impl Connections {
    /// Whether a request of the peer may begin: if it reads what it is sent, and where what is done is not to be done
    /// twice, if an answer finds room.
    pub(crate) fn may_begin(&self, id: ConnectionId, repeatable: bool) -> bool {
        self.get(id).is_none_or(|connection| {
            connection.is_read() && (repeatable || connection.may_wait(&self.load, limits::QUEUED_FREE))
        })
    }

    /// Whether a transport takes what waits, little by little: if not, the connection ends before long.
    pub(crate) fn goes_on(&self, id: Option<ConnectionId>) -> bool {
        let connection = id.and_then(|id| self.get(id));
        connection.is_some_and(|connection| connection.blocked.is_some())
    }

    /// Somebody finds no room: those who have not read for a while give theirs up. Who is to be looked at.
    pub(crate) fn press(&mut self, now: Instant) -> Vec<ConnectionId> {
        if now - self.load.pressed < limits::PRESSED_EVERY {
            return Vec::new();
        }
        self.load.pressed = now;
        let waits = |connection: &Connection| connection.charged > 0 && connection.blocked.is_some();
        let slow = self.table.iter().filter(|(_, connection)| waits(connection));
        let slow: Vec<_> = slow.map(|(key, _)| ConnectionId(key)).collect();
        for id in &slow {
            if let Some(connection) = self.get_mut(*id) {
                connection.is_pressed = true;
            }
        }
        slow
    }
}
