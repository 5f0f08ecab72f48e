//! Connections as the way below the load (RFC 8323): one for each peer, opened anew when it is lost.

mod connection;
mod signals;
mod take_in;
mod wakers;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use coracle_net::stream::{ConnectOptions, Link, connect};
use coracle_wire::{Framing, Message};
use futures_util::StreamExt;
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::task::unconstrained;
use tokio::task::yield_now;

use self::connection::Connection;
use self::wakers::Woken;
use crate::limits::{CSM_PATIENCE, MAX_MESSAGE, OPENING, REOPEN_AFTER};
use crate::plan::Plan;
use crate::transfer::Parts;
use crate::way::Wait;

/// What became of an attempt to open a peer's connection.
type Made = (u32, io::Result<Link>);

/// The connections of all peers.
pub(crate) struct Connections {
    server: SocketAddr,
    options: Arc<ConnectOptions>,
    /// By the numbers of their peers.
    connections: Vec<Connection>,
    woken: Arc<Woken>,
    /// Those that have something to write.
    to_flush: Vec<u32>,
    /// Those to be opened, and from when on, in order.
    to_open: VecDeque<(Instant, u32)>,
    opening: FuturesUnordered<LocalBoxFuture<'static, Made>>,
    made: Vec<Made>,
    /// Those that wait for a CSM, and until when, in order; some do so no longer.
    greeting: VecDeque<(Instant, u32)>,
    opened: u64,
    /// What a connection without a begun frame reads into.
    buffer: Vec<u8>,
}

impl Connections {
    pub(crate) fn new(plan: &Plan, options: &ConnectOptions) -> Connections {
        let woken = Arc::new(Woken::default());
        let framing = match options.websocket {
            true => Framing::WebSocket,
            false => Framing::Tcp,
        };
        let now = Instant::now();
        Connections {
            server: plan.server,
            options: Arc::new(ConnectOptions {
                max_message: MAX_MESSAGE,
                ..options.clone()
            }),
            connections: (0..plan.peers)
                .map(|number| Connection::new(number, framing, &woken))
                .collect(),
            woken,
            to_flush: Vec::new(),
            to_open: (0..plan.peers).map(|number| (now, number)).collect(),
            opening: FuturesUnordered::new(),
            made: Vec::new(),
            greeting: VecDeque::new(),
            opened: 0,
            buffer: Vec::new(),
        }
    }

    /// The server has said what it takes, and goes on taking requests.
    pub(crate) fn is_open(&self, number: u32) -> bool {
        self.get(number).is_some_and(Connection::is_open)
    }

    /// Every connection is open, or was tried.
    pub(crate) fn are_tried(&self, now: Instant) -> bool {
        let next = self.to_open.front();
        next.is_none_or(|(at, _)| *at > now)
            && self.opening.is_empty()
            && self.made.is_empty()
            && self.greeting.is_empty()
    }

    /// How many were opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    pub(crate) fn parts(&self, number: u32, options: usize) -> Parts {
        let csm = self.get(number).and_then(|connection| connection.csm);
        csm.map_or(Parts::LARGEST_BLOCK, |csm| Parts::of(&csm, options))
    }

    pub(crate) fn send(&mut self, number: u32, message: &Message<'_>) -> io::Result<usize> {
        let Some(connection) = self.connections.get_mut(number as usize) else {
            return Ok(0);
        };
        let len = connection.push(message)?;
        if !std::mem::replace(&mut connection.to_flush, true) {
            self.to_flush.push(number);
        }
        Ok(len)
    }

    /// Writes what is queued, as far as it goes.
    pub(crate) async fn flush(&mut self) {
        if self.to_flush.is_empty() {
            return;
        }
        // A turn of thousands of connections is not to be cut short in its middle; it yields at its end.
        unconstrained(async {
            for number in std::mem::take(&mut self.to_flush) {
                if let Some(connection) = self.connections.get_mut(number as usize) {
                    connection.to_flush = false;
                    connection.write();
                }
            }
        })
        .await;
    }

    pub(crate) async fn wait(&mut self, wait: Wait) {
        match wait {
            Wait::No | Wait::Awake => {
                let _ = poll_fn(|cx| self.poll(cx)).now_or_never();
                // In between the runtime looks at the sockets.
                yield_now().await;
            }
            Wait::Asleep(time) => {
                let _ = tokio::time::timeout(time, poll_fn(|cx| self.poll(cx))).await;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(made)) = self.opening.poll_next_unpin(cx) {
            self.made.push(made);
        }
        match self.made.is_empty() {
            true => self.woken.poll(cx),
            false => Poll::Ready(()),
        }
    }

    /// When the next is to be opened, or has waited long enough for a CSM.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let to_open = self.to_open.front().filter(|_| self.opening.len() < OPENING);
        let moments = to_open.into_iter().chain(self.greeting.front());
        moments.map(|(at, _)| *at).min()
    }

    /// Begins to open those that are to be opened.
    fn open(&mut self, now: Instant) {
        while self.opening.len() < OPENING
            && let Some((_, number)) = self.to_open.pop_front_if(|(at, _)| *at <= now)
        {
            let (server, options) = (self.server, Arc::clone(&self.options));
            let opening = async move { (number, connect(&[server], &options).await) };
            self.opening.push(opening.boxed_local());
        }
    }

    /// A connection is made; it waits for the server's CSM.
    fn begin(&mut self, now: Instant, number: u32, link: Link) {
        let until = now + CSM_PATIENCE;
        if let Some(connection) = self.connections.get_mut(number as usize) {
            connection.begin(link, until);
            self.opened += 1;
            self.greeting.push_back((until, number));
        }
    }

    /// A connection that has waited in vain for a CSM.
    fn silent(&mut self, now: Instant) -> Option<u32> {
        self.forget_greeted();
        let (_, number) = self.greeting.pop_front_if(|(until, _)| *until <= now)?;
        Some(number)
    }

    /// Afterwards the first of those that wait for a CSM, if there is any, does so.
    fn forget_greeted(&mut self) {
        while let Some((until, number)) = self.greeting.front().copied()
            && !self.is_silent(number, until)
        {
            self.greeting.pop_front();
        }
    }

    fn is_silent(&self, number: u32, until: Instant) -> bool {
        self.get(number)
            .is_some_and(|connection| connection.waits_until(until))
    }

    /// The connection is over, and another one will take its place.
    fn end(&mut self, now: Instant, number: u32) {
        if let Some(connection) = self.connections.get_mut(number as usize) {
            connection.end();
            self.to_open.push_back((now + REOPEN_AFTER, number));
        }
    }

    fn get(&self, number: u32) -> Option<&Connection> {
        self.connections.get(number as usize)
    }
}
