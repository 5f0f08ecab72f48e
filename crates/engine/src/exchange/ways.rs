//! What requests of ours need to know of their way: how long messages may be on it, and which connection it is.

use coracle_wire::{OptionNumber, Options, OptionsBuf};

use crate::block::block_at;
use crate::block::size::Sizes;
use crate::context::Context;
use crate::exchange::asking::Asking;
use crate::exchange::client::Client;
use crate::limits;
use crate::path::{ConnectionId, Path};
use crate::slab::Key;
use crate::values::{RequestError, RequestRef};

/// The length of our tokens, in bytes.
const OUR_TOKEN: usize = 8;

impl Asking {
    /// What the peer takes may have become less since the last block (RFC 8323 §5.3.1).
    pub(super) fn keep_to_sizes(&mut self, context: &Context) {
        if let Some(upload) = &mut self.upload {
            let beside = OUR_TOKEN + self.options.as_options().as_bytes().len();
            upload.keep_to(context.sizes(self.path.connection, beside).upload);
        }
    }
}

impl Context {
    /// Whether an Echo option may go along with a message.
    pub(super) fn has_room_for_echo(
        &self,
        connection: Option<ConnectionId>,
        options: Options<'_>,
        payload: &[u8],
    ) -> bool {
        let Some(connection) = connection else { return true };
        let len = limits::FRAME_OVERHEAD + OUR_TOKEN + options.as_bytes().len() + payload.len();
        len + limits::MAX_ECHO + 4 <= self.connections.longest(connection)
    }
}

impl Client {
    /// How long bodies may be that go this way with such a request.
    pub(super) fn sizes(
        &self,
        context: &Context,
        path: &Path,
        request: &RequestRef<'_>,
    ) -> Result<Sizes, RequestError> {
        let beside = OUR_TOKEN + request.options.as_bytes().len();
        let Some(connection) = path.connection else {
            let room = limits::MAX_DATAGRAM - limits::MAX_PAYLOAD - limits::ADDED_OPTIONS - 16;
            return match request.options.as_bytes().len() {
                len if len > room => Err(RequestError::TooLong),
                _ => Ok(context.sizes(None, beside)),
            };
        };
        if !context.connections.is_usable(connection) {
            return Err(RequestError::NotConnected);
        }
        let sizes = context.sizes(Some(connection), beside);
        let header = limits::FRAME_OVERHEAD + beside;
        let fits = header <= context.connections.longest(connection)
            && sizes.whole >= request.payload.len().min(sizes.block.bytes());
        if fits {
            Ok(sizes)
        } else {
            Err(RequestError::TooLong)
        }
    }

    /// The connection that a request goes on.
    pub(crate) fn connection_of(&self, key: Key) -> Option<ConnectionId> {
        self.table.get(key)?.path.connection
    }

    /// Whether requests of ours are under way on a connection, those that observe among them.
    pub(crate) fn asks_on(&self, connection: ConnectionId) -> bool {
        self.on_connections.iter(connection).next().is_some()
    }

    /// Whether one of them waits for an answer.
    pub(crate) fn waits_on(&self, connection: ConnectionId) -> bool {
        let mut keys = self.on_connections.iter(connection);
        keys.any(|key| self.table.get(key).is_some_and(|asking| !asking.is_fresh()))
    }
}

/// The options of a request; with smaller blocks than usual, one that wants a representation says so from the start
/// (RFC 7959 §2.4), also where the caller begins with a later block.
pub(super) fn with_block_size(sizes: Sizes, request: &RequestRef<'_>) -> OptionsBuf {
    let mut options = OptionsBuf::from(request.options);
    let says = match options.as_options().block2() {
        Some(Ok(block)) => Some((block.offset(), block.szx())),
        Some(Err(_)) => return options,
        None => None,
    };
    let needs = match says {
        Some((_, said)) => request.streams_answer && said > sizes.asked,
        None => sizes.asked < sizes.unasked && request.method.is_safe(),
    };
    if needs && let Some(block) = block_at(says.map_or(0, |(offset, _)| offset), false, sizes.asked) {
        // Three bytes at most, which every option may have.
        let _ = options.set(OptionNumber::BLOCK2, &block.encode());
    }
    options
}
