//! What every stage may use: settings, the way out, timers, counters, events and random numbers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use coracle_wire::{Message, MessageId, MessageType, Token};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::amplification::Amplification;
use crate::block::size::Sizes;
use crate::config::Config;
use crate::connection::{Connections, Unsent};
use crate::exchange::payload::SharedBody;
use crate::limits;
use crate::message::Owner;
use crate::path::{ConnectionId, Path};
use crate::slab::Key;
use crate::stats::{DropReason, Stats};
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::Timers;
use crate::values::{Event, Transmit};

pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) out: Outbox,
    pub(crate) connections: Connections,
    pub(crate) timers: Timers,
    pub(crate) stats: Stats,
    pub(crate) events: VecDeque<Event>,
    pub(crate) amplification: Amplification,
    random: ChaCha8Rng,
}

impl Context {
    pub(crate) fn new(config: Config, seed: [u8; 32]) -> Context {
        let config = config.bounded();
        Context {
            amplification: Amplification::new(&config, &mut stream(seed, 1)),
            connections: Connections::new(&config.connections, stream(seed, 2).next_u64()),
            config,
            out: Outbox::default(),
            timers: Timers::default(),
            stats: Stats::default(),
            events: VecDeque::new(),
            random: stream(seed, 0),
        }
    }

    /// How long bodies may be in datagrams or on a connection, beside `beside` bytes of token and options.
    #[inline]
    pub(crate) fn sizes(&self, connection: Option<ConnectionId>, beside: usize) -> Sizes {
        match connection {
            None => Sizes::of_datagrams(self.config.block_szx),
            Some(connection) => self.connections.sizes(connection, beside),
        }
    }

    /// Whether a message may be so long on this way. In a datagram it may, as stage 4 has cut it.
    pub(crate) fn fits(&self, path: &Path, message: &Message<'_>) -> bool {
        path.connection
            .is_none_or(|connection| self.connections.fits(connection, message))
    }

    /// Puts a message on its way. One that is longer than a datagram, or than the peer takes, is counted and dropped:
    /// `false`.
    pub(crate) fn transmit(&mut self, path: Path, message: &Message<'_>) -> bool {
        let fits = match path.connection {
            None => self.out.push_message(path, message),
            Some(connection) => self.send_on(connection, (message, None), None),
        };
        if !fits {
            self.stats.drop_for(DropReason::Oversize);
        }
        fits
    }

    /// Puts a message on a connection, whose payload may be a part of a shared body, and by whose key its owner is told that it has arrived. `false`: the connection is over,
    /// or the message is longer than the peer takes.
    pub(crate) fn send_on(
        &mut self,
        id: ConnectionId,
        message: (&Message<'_>, Option<&SharedBody>),
        mark: Option<(Key, Owner)>,
    ) -> bool {
        let fits = self.connections.push(id, message, mark);
        self.stats.frames_out += u64::from(fits);
        fits
    }

    /// Puts an answer on a connection that nobody waits for.
    pub(crate) fn answer_on(
        &mut self,
        id: ConnectionId,
        message: (&Message<'_>, Option<&SharedBody>),
        repeatable: bool,
    ) -> Result<(), Unsent> {
        self.connections.push_answer(id, message, repeatable)?;
        self.stats.frames_out += 1;
        Ok(())
    }

    /// Puts an empty message on its way: an acknowledgement, a reset or a ping.
    pub(crate) fn transmit_empty(&mut self, path: Path, message_type: MessageType, id: MessageId) {
        self.transmit(path, &Message::empty(message_type, id));
    }

    pub(crate) fn random_u64(&mut self) -> u64 {
        self.random.next_u64()
    }

    pub(crate) fn random_u16(&mut self) -> u16 {
        let [low, high, ..] = self.random.next_u32().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// Eight random bytes (RFC 7252 §5.3.1 asks for at least 32 bits; RFC 9175 §4.2 against reuse).
    pub(crate) fn random_token(&mut self) -> Token {
        Token::new(&self.random.next_u64().to_le_bytes()).unwrap_or_default()
    }

    /// A random time from zero to `most`.
    pub(crate) fn random_within(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let share = (u128::from(self.random.next_u64()) * u128::from(micros)) >> 64;
        Duration::from_micros(u64::try_from(share).unwrap_or(micros))
    }
}

/// Random numbers from the seed: those of one stream tell nothing about another's.
fn stream(seed: [u8; 32], number: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::from_seed(seed);
    random.set_stream(number);
    random
}

struct Leaving {
    path: Path,
    start: usize,
    len: usize,
}

/// Datagrams that wait to be polled, their bytes in one buffer that is used again when all are gone.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    queue: VecDeque<Leaving>,
}

impl Outbox {
    /// Encodes a message; `false` when it is longer than [`limits::MAX_DATAGRAM`].
    fn push_message(&mut self, path: Path, message: &Message<'_>) -> bool {
        let start = self.bytes.len();
        let fits = message.encoded_len() <= limits::MAX_DATAGRAM;
        let Some(len) = fits.then(|| message.append_to(&mut self.bytes)).flatten() else {
            return false;
        };
        self.queue.push_back(Leaving { path, start, len });
        true
    }

    /// A datagram that is encoded already.
    pub(crate) fn push(&mut self, path: Path, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.queue.push_back(Leaving {
            path,
            start,
            len: datagram.len(),
        });
    }

    /// The bytes of the datagram pushed last.
    pub(crate) fn last(&self) -> &[u8] {
        self.queue
            .back()
            .and_then(|leaving| self.slice(leaving))
            .unwrap_or_default()
    }

    fn slice(&self, leaving: &Leaving) -> Option<&[u8]> {
        self.bytes.get(leaving.start..leaving.start + leaving.len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// All is gone: room that was needed once, and is far more than now, is given back.
    fn empty(&mut self) {
        let used = self.bytes.len().max(limits::OUTBOX_BYTES);
        if used < self.bytes.capacity() / 8 {
            self.bytes.shrink_to(2 * used);
            self.queue.give_back();
        }
        self.bytes.clear();
    }

    /// Copies the next datagram into `buf`. One that does not fit is left out.
    pub(crate) fn pop(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        loop {
            let leaving = self.queue.front()?;
            let copied = self.slice(leaving).zip(buf.get_mut(..leaving.len));
            let fits = copied.map(|(from, to)| to.copy_from_slice(from)).is_some();
            let (path, len) = (leaving.path, leaving.len);
            self.queue.pop_front();
            if self.queue.is_empty() {
                self.empty();
            }
            if fits {
                return Some(Transmit { path, len });
            }
        }
    }
}

/// The later of two times, where either may be missing.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
