//! What comes between a connection of TCP and a link: TLS and WebSocket, many at the same time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::link::Link;
use super::listener::ListenerStatistics;
use super::tls::Acceptor;
use super::transport::Transport;
use super::websocket::{self, Rules};

/// What peers have to go through.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) tls: Option<Acceptor>,
    pub(super) websocket: Option<Rules>,
}

impl Handshake {
    async fn perform(&self, stream: TcpStream) -> io::Result<Link> {
        let mut host = None;
        let transport = match &self.tls {
            None => Transport::Tcp(stream),
            Some(tls) => {
                let stream = tls.accept(stream).await?;
                if let TlsStream::Server(server) = &stream {
                    host = server.get_ref().1.server_name().map(str::to_ascii_lowercase);
                }
                Transport::Tls(Box::new(stream))
            }
        };
        match &self.websocket {
            None => Link::bytes(transport, host),
            Some(rules) => {
                let (socket, host) = websocket::accept(transport, rules).await?;
                Link::messages(socket, Some(host))
            }
        }
    }
}

/// How a handshake ended that gave no link.
#[derive(Debug)]
enum Failure {
    Failed,
    Expired,
}

/// Handshakes under way, each a task of its own: their arithmetic does not hold up who takes the connections.
#[derive(Debug)]
pub(super) struct Handshakes {
    handshake: Arc<Handshake>,
    timeout: Duration,
    /// How many there may be.
    max: usize,
    tasks: JoinSet<Result<Link, Failure>>,
    /// The oldest first, and that one has not ended; some of the others may have.
    begun: VecDeque<AbortHandle>,
}

impl Handshakes {
    pub(super) fn new(handshake: Handshake, timeout: Duration, max: usize) -> Handshakes {
        Handshakes {
            handshake: Arc::new(handshake),
            timeout,
            max: max.max(1),
            tasks: JoinSet::new(),
            begun: VecDeque::new(),
        }
    }

    /// Begins one, for which the oldest may have to go.
    pub(super) fn begin(&mut self, stream: TcpStream, statistics: &mut ListenerStatistics) {
        if self.begun.len() >= self.max {
            self.begun.retain(|task| !task.is_finished());
        }
        if self.begun.len() >= self.max
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
            tracing::debug!("the oldest handshake was given up: more are under way than may be");
            statistics.displaced += 1;
        }
        let (handshake, limit) = (Arc::clone(&self.handshake), self.timeout);
        let task = async move {
            // A peer without an address has gone.
            let Ok(peer) = stream.peer_addr() else {
                return Err(Failure::Failed);
            };
            match timeout(limit, handshake.perform(stream)).await {
                Ok(Ok(link)) => Ok(link),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a handshake failed");
                    Err(Failure::Failed)
                }
                Err(_) => {
                    tracing::debug!(%peer, "a handshake took too long");
                    Err(Failure::Expired)
                }
            }
        };
        self.begun.push_back(self.tasks.spawn(task));
    }

    /// The next that gives a link.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, statistics: &mut ListenerStatistics) -> Poll<Link> {
        loop {
            let ended = ready!(self.tasks.poll_join_next(cx));
            while self.begun.front().is_some_and(AbortHandle::is_finished) {
                self.begun.pop_front();
            }
            match ended {
                Some(Ok(Ok(link))) => return Poll::Ready(link),
                Some(Ok(Err(Failure::Failed))) => statistics.failed += 1,
                Some(Ok(Err(Failure::Expired))) => statistics.expired += 1,
                // It was displaced, which has been counted.
                Some(Err(_)) => {}
                None => return Poll::Pending,
            }
        }
    }
}
