//! How a driver ends: what is waited for, and what is said at the end.

use std::io;

use coracle_engine::Instant;
use tokio::sync::oneshot;

use super::Driver;

/// Who closes waits no longer than this for the next part of a body: that is when a peer whose block was lost sends it
/// again (RFC 7252 §4.2, ACK_TIMEOUT times ACK_RANDOM_FACTOR).
const PART_PAUSE: std::time::Duration = std::time::Duration::from_secs(3);

impl Driver {
    /// Tells those who wait for it that all is sent and acknowledged, or that connections are closed; whether the
    /// driver's work is done.
    pub(super) fn is_over(&mut self) -> bool {
        let is_left = !self.handles && self.serving.is_none();
        if self.draining.is_empty() && self.releasing.is_empty() && !self.closing && !is_left {
            // Nobody asks whether it is idle, and to find out takes a look at every exchange.
            return false;
        }
        let now = self.clock.now();
        if !self.releasing.is_empty() {
            let sessions = self.secure.as_ref().map_or(0, |secure| secure.own());
            tell_when(self.connections.own() + sessions == 0, now, &mut self.releasing);
        }
        // When there is only one thing left to wait for, peers that may have gone, it is not for long.
        let given_up = self.closing && self.engine.is_answered() && self.gives_up_at() <= now;
        let idle = (given_up || self.engine.is_idle()) && self.sending.is_empty();
        if self.closing {
            tell_when(idle && self.connections.is_empty(), now, &mut self.draining);
            self.draining.is_empty()
        } else {
            tell_when(idle, now, &mut self.draining);
            is_left && idle && self.connections.is_empty()
        }
    }

    /// Nobody is left who could ask for anything: a client says goodbye to its peers.
    pub(super) fn left(&mut self) {
        self.handles = false;
        if self.serving.is_none() {
            self.connections
                .release(&mut self.engine, self.clock.now(), false);
        }
    }

    /// Ends the sessions that we began, when nobody wants them any more and nothing is under way.
    pub(super) fn leave_servers(&mut self, now: Instant) {
        let is_wanted = self.releasing.is_empty() && (self.handles || self.serving.is_some());
        if let Some(secure) = self.secure.as_mut().filter(|_| !is_wanted)
            && self.engine.is_idle()
        {
            secure.close_own(&mut self.engine, now);
        }
    }

    /// Tells all peers of sessions that this side ends, as far as they can be told without waiting.
    pub(super) fn farewell(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        while let Some(secure) = &mut self.secure
            && secure.close_some(&mut self.engine, now)
            && !self.blocked
        {
            self.flush(now)?;
        }
        Ok(())
    }

    /// When no further part of a body is waited for.
    pub(super) fn gives_up_at(&self) -> Instant {
        self.serving
            .as_ref()
            .map_or(Instant::ZERO, |serving| serving.last_part() + PART_PAUSE)
    }
}

/// Tells those who wait when it is so, or their time is over. Who no longer waits need not be told.
fn tell_when(it_is_so: bool, now: Instant, waiting: &mut Vec<(Instant, oneshot::Sender<()>)>) {
    for (_, done) in waiting.extract_if(.., |(until, _)| it_is_so || *until <= now) {
        let _ = done.send(());
    }
}
