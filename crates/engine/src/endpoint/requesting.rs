//! Requests of ours: how the application begins them and gives them up.

use alloc::vec::Vec;

use crate::endpoint::Endpoint;
use crate::path::Path;
use crate::time::Instant;
use crate::values::{ExchangeId, RequestError, RequestRef, Role};

impl Endpoint {
    /// Begins a request. Its answer comes as [`Event::Response`](crate::Event::Response), its failure as [`Event::Failed`](crate::Event::Failed).
    ///
    /// One to a group goes in a non-confirmable message, has an answer from each member that answers, and ends with
    /// [`ExchangeError::Timeout`](crate::ExchangeError::Timeout).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn request(
        &mut self,
        now: Instant,
        path: &Path,
        request: RequestRef<'_>,
    ) -> Result<ExchangeId, RequestError> {
        if self.closing {
            return Err(RequestError::Closed);
        }
        let key = self
            .client
            .request(&mut self.context, &mut self.messages, now, path, request)?;
        Ok(ExchangeId::client(key))
    }

    /// Asks a peer for a sign of life (RFC 7252 §4.3): [`Event::Pong`](crate::Event::Pong) or [`Event::Failed`](crate::Event::Failed).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn ping(&mut self, now: Instant, path: &Path) -> Result<ExchangeId, RequestError> {
        if self.closing {
            return Err(RequestError::Closed);
        }
        self.client
            .ping(&mut self.context, &mut self.messages, now, path)
            .map(ExchangeId::ping)
    }

    /// Forgets a request of ours; an observation is cancelled at the server (RFC 7641 §3.6). No event follows.
    pub fn cancel(&mut self, now: Instant, id: ExchangeId) {
        match id.role {
            Role::Client => {
                let connection = self.client.connection_of(id.key);
                self.client
                    .cancel(&mut self.context, &mut self.messages, now, id.key);
                self.settle_on(now, connection);
            }
            Role::Ping => self
                .client
                .cancel_ping(&mut self.context, &mut self.messages, now, id.key),
            Role::Server => {}
        }
    }

    /// Gives the next part of a request's body, which [`Event::BodyWanted`](crate::Event::BodyWanted) asked for; `more`
    /// says whether others follow. Parts may have any length: they are cut into blocks here, and kept until the peer has
    /// them.
    pub fn supply_body(&mut self, now: Instant, id: ExchangeId, part: &[u8], more: bool) {
        if id.role == Role::Client {
            self.client
                .supply_body(&mut self.context, &mut self.messages, now, id.key, (part, more));
        }
    }

    /// Lends memory for the next part of an answer's body that is given out in parts, such as that of one before it. What
    /// is in it is lost.
    pub fn lend(&mut self, id: ExchangeId, memory: Vec<u8>) {
        if id.role == Role::Client {
            self.client.lend(id.key, memory);
        }
    }

    /// Asks for the next part of a streamed body: a peer's request is told to go on (2.31, RFC 7959 §2.9.1), and of an
    /// answer to a request of ours the next block is asked for (RFC 7959 §2.4).
    pub fn continue_body(&mut self, now: Instant, id: ExchangeId) {
        match id.role {
            Role::Client => {
                self.client
                    .continue_body(&mut self.context, &mut self.messages, now, id.key);
            }
            Role::Server => self.continue_request(now, id.key),
            Role::Ping => {}
        }
    }
}
