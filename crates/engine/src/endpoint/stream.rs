//! Connections (RFC 8323): the twin of `handle_datagram`. Frames are read and signaling is heeded here; requests and
//! responses go on to the same stages as those of datagrams.
//!
//! ```text
//!  IN   handle_stream                          OUT  respond, request
//!   1 wire        bytes -> one message          8 wire        message -> bytes of the connection's queue
//!   2 connection  CSM, Ping, Release, Abort     7 connection  room in the queue, Max-Message-Size
//!   3 to 6        as in endpoint.rs             3 to 6        as in endpoint.rs
//! ```

use coracle_wire::Framing;

use crate::amplification::Allowance;
use crate::connection::Connection;
use crate::connection::framing::Taken;
use crate::connection::signaling::{Fault, Verdict};
use crate::endpoint::Endpoint;
use crate::limits;
use crate::path::{ConnectionId, Path};
use crate::time::Instant;
use crate::values::Received;

impl Endpoint {
    /// Takes a message in that came on a connection, off the front of `bytes`.
    ///
    /// `bytes` are those that came and are not taken yet, in order; on a WebSocket they are the content of one message.
    /// While there is no whole message among them, none is taken: call again when there are more. How many that can be
    /// is bounded, as a message longer than Max-Message-Size ends the connection. Ask
    /// [`takes_input`](Self::takes_input) before each message, too.
    pub fn handle_stream<'d>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        bytes: &mut &'d [u8],
    ) -> Received<'d> {
        let context = &mut self.context;
        let Some(connection) = context.connections.get_mut(id) else {
            *bytes = &[];
            return Received::Nothing;
        };
        // 1 wire
        let (used, message) = match connection.next_message(&context.config, &mut context.stats, now, bytes) {
            Taken::Message(used, message) => (used, message),
            Taken::Begun => {
                context.watch(id);
                return Received::Nothing;
            }
            Taken::Nothing => {
                *bytes = &[];
                return Received::Nothing;
            }
            Taken::Malformed(fault) => {
                self.abort(now, id, fault);
                *bytes = &[];
                return Received::Nothing;
            }
        };
        *bytes = bytes.get(used..).unwrap_or_default();
        // 2 connection
        let path = connection.path;
        match connection.take(&context.config, now, &message) {
            // Our tokens are of 8 random bytes: who asks with one that waits for an answer is a mirror, as an echo service,
            // and would be answered by ourselves.
            Verdict::Request if self.client.find(&path, message.token, None).is_some() => {
                self.abort(now, id, Fault::new("the peer sends back what it is sent"));
                *bytes = &[];
            }
            // Its sender is where it says, as it has answered the transport. What waits for it to be answered waits for its
            // exchange, so that there is nothing to settle yet.
            Verdict::Request => {
                let reading = self.read(&path, &message);
                return self.inbound_request(
                    now,
                    &path,
                    &message,
                    &reading,
                    (None, true, Allowance::UNLIMITED),
                );
            }
            Verdict::Response => self.inbound_response(now, &path, &message, None, None),
            signaling => self.signaled(now, id, &message, signaling),
        }
        self.settle_connection(now, id);
        Received::Nothing
    }

    /// So many bytes of a message have come that the transport does not give before it is whole, as that of a WebSocket
    /// does. They have to grow like those that [`handle_stream`](Self::handle_stream) leaves. 0: there are none.
    pub fn message_begun(&mut self, now: Instant, id: ConnectionId, len: usize) {
        self.context.message_begun(now, id, len);
    }

    /// A connection over a reliable transport is there, `path` says between whom. Our CSM is the first to be written on it.
    /// `None`: there are as many as may be, in all or with this address.
    pub fn connected(&mut self, now: Instant, path: Path, framing: Framing) -> Option<ConnectionId> {
        self.open_connection(now, path, framing)
    }

    /// The way to the peer of a connection, for requests and pings of ours. `None`: it is gone.
    #[must_use]
    pub fn connection_path(&self, id: ConnectionId) -> Option<Path> {
        self.context.connections.get(id).map(|connection| connection.path)
    }

    /// What the peer of a connection has told of itself (RFC 8323 §5.3): the longest message that it takes, in bytes, and
    /// whether it takes blocks of BERT (§6). Base values until its CSM comes.
    #[must_use]
    pub fn peer_capabilities(&self, id: ConnectionId) -> Option<(usize, bool)> {
        self.context.connections.get(id).map(Connection::capabilities)
    }

    /// Whether bytes of a connection are to be read: not while too much waits to be written on it, so that who does not
    /// read answers is held back, and nobody else.
    #[must_use]
    pub fn takes_input(&self, id: ConnectionId) -> bool {
        self.context
            .connections
            .takes_input(id, || self.client.asks_on(id))
    }

    /// The next connection that has something new to write.
    pub fn poll_stream(&mut self) -> Option<ConnectionId> {
        self.context.connections.next_in_line()
    }

    /// What is to be written next: of a WebSocket the content of one binary message, otherwise all there is up to a payload
    /// that the application shares, or the rest of that one. Empty: nothing.
    #[must_use]
    pub fn stream_output(&self, id: ConnectionId) -> &[u8] {
        let [first, _] = self.stream_outputs(id);
        first
    }

    /// The same, and what is to be written next after it, for those who can give the transport two pieces at once. On a
    /// WebSocket the second is empty.
    #[must_use]
    pub fn stream_outputs(&self, id: ConnectionId) -> [&[u8]; 2] {
        self.context.connections.output(id)
    }

    /// The transport has taken so many bytes, or none for now, of [`stream_outputs`](Self::stream_outputs).
    pub fn stream_written(&mut self, now: Instant, id: ConnectionId, len: usize) {
        self.context.stats.bytes_out += len as u64;
        self.context.connections.written(now, id, len);
        while let Some(key) = self.context.connections.next_arrived(id) {
            if let Some(owner) = self.messages.arrived(key) {
                self.acknowledged(now, owner);
            }
        }
        if self.context.connections.is_drained(id) {
            self.settle_connection(now, id);
        } else {
            self.context.watch(id);
        }
    }

    /// How long the blocks are that answers are cut into on this way, in bytes: as much is worth having at hand for the part
    /// of a body that a [`Window`](crate::Window) shows. At least 16.
    #[must_use]
    pub fn part_len(&self, path: &Path) -> usize {
        let sizes = self.context.sizes(path.connection, limits::USUAL_OPTIONS);
        sizes.block.bytes()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.context.connections.len()
    }
}
