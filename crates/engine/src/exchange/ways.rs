//! What requests of ours need to know of their way: how long messages may be on it, and that a connection is gone.

use alloc::vec::Vec;

use crate::block::size::Sizes;
use crate::context::Context;
use crate::exchange::asking::Asking;
use crate::exchange::client::Client;
use crate::limits;
use crate::message::MessageLayer;
use crate::path::{ConnectionId, Path};
use crate::slab::Key;
use crate::time::Instant;
use crate::values::{ExchangeError, RequestError, RequestRef};

/// The length of our tokens, in bytes.
const OUR_TOKEN: usize = 8;

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
        let fits = sizes.whole >= request.payload.len().min(sizes.block.bytes());
        if fits {
            Ok(sizes)
        } else {
            Err(RequestError::TooLong)
        }
    }

    /// A connection is gone, and with it the requests that are under way on it; `untouched` are the messages of which
    /// nothing had left.
    pub(crate) fn disconnected(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        (connection, untouched): (ConnectionId, &[Key]),
    ) {
        let of_it = |(key, asking): (Key, &Asking)| {
            let is_untouched = |outgoing: &Key| untouched.contains(outgoing);
            let sent = match asking.messages {
                0 => false,
                1 => !asking.outgoing.as_ref().is_some_and(is_untouched),
                // That the last has not left tells nothing about those before.
                _ => true,
            };
            (asking.path.connection == Some(connection)).then_some((key, sent))
        };
        let gone: Vec<_> = self.table.iter().filter_map(of_it).collect();
        for (key, sent) in gone {
            let error = ExchangeError::Disconnected { sent };
            self.fail(context, messages, now, key, error);
        }
    }
}
