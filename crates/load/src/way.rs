//! What carries messages between peers and the server: datagrams, or connections.

use std::io;
use std::time::{Duration, Instant};

use coracle_wire::{Message, MessageId};

use crate::connections::Connections;
use crate::datagrams::{Datagrams, Source};
use crate::limits::{BEGUN_ON_CONNECTIONS, BEGUN_PER_TURN};
use crate::plan::{Plan, Transport};
use crate::random::Random;
use crate::transfer::Parts;

/// The way below the requests, which are the same on both.
pub(crate) enum Way {
    Datagrams(Datagrams),
    Connections(Connections),
}

/// How one turn may wait.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// It looks again and again.
    Awake,
    Asleep(Duration),
}

impl Way {
    pub(crate) fn new(plan: &Plan, now: Instant, random: &mut Random) -> io::Result<Way> {
        Ok(match &plan.transport {
            Transport::Datagrams => Way::Datagrams(Datagrams::new(plan, now, random)?),
            Transport::Connections(options) => Way::Connections(Connections::new(plan, options)),
        })
    }

    /// It repeats what is lost, and keeps the order.
    pub(crate) fn is_reliable(&self) -> bool {
        matches!(self, Way::Connections(_))
    }

    /// How many requests are begun before answers are looked for.
    pub(crate) fn begun_per_turn(&self) -> usize {
        match self {
            Way::Datagrams(_) => BEGUN_PER_TURN,
            Way::Connections(_) => BEGUN_ON_CONNECTIONS,
        }
    }

    /// The peer may send requests now.
    pub(crate) fn is_open(&self, number: u32) -> bool {
        match self {
            Way::Datagrams(_) => true,
            Way::Connections(connections) => connections.is_open(number),
        }
    }

    /// Where the peer's next message comes from, and its ID; of connections all messages have the same.
    pub(crate) fn identify(
        &mut self,
        now: Instant,
        number: u32,
        random: &mut Random,
    ) -> io::Result<Option<(Source, MessageId)>> {
        match self {
            Way::Datagrams(datagrams) => datagrams.identify(now, number, random),
            Way::Connections(_) => Ok(Some((Source::connection(number), MessageId(0)))),
        }
    }

    /// The largest parts of bodies in messages of the peer whose options have so many bytes beside those of the block.
    pub(crate) fn parts(&self, number: u32, options: usize) -> Parts {
        match self {
            Way::Datagrams(_) => Parts::LARGEST_BLOCK,
            Way::Connections(connections) => connections.parts(number, options),
        }
    }

    /// Queues a message, and returns its length.
    ///
    /// # Errors
    /// If the server does not take messages that long (RFC 8323 §5.3.1).
    pub(crate) fn send(&mut self, source: Source, message: &Message<'_>) -> io::Result<usize> {
        match self {
            Way::Datagrams(datagrams) => Ok(datagrams.send(source, message)),
            Way::Connections(connections) => connections.send(source.socket, message),
        }
    }

    /// Sends what is queued. On connections that are full the rest waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Way::Datagrams(datagrams) => datagrams.flush().await,
            Way::Connections(connections) => {
                connections.flush().await;
                Ok(())
            }
        }
    }

    /// Waits for something to receive.
    pub(crate) async fn wait(&mut self, wait: Wait) {
        match self {
            Way::Datagrams(datagrams) => datagrams.wait(wait).await,
            Way::Connections(connections) => connections.wait(wait).await,
        }
    }

    /// When it wants to be looked at.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Way::Datagrams(_) => None,
            Way::Connections(connections) => connections.deadline(),
        }
    }

    /// How many addresses and ports, or connections, there were.
    pub(crate) fn given(&self) -> u64 {
        match self {
            Way::Datagrams(datagrams) => datagrams.given(),
            Way::Connections(connections) => connections.opened(),
        }
    }
}
