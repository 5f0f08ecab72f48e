//! Bodies in parts, of requests of ours and of their answers: the application sets the pace.

use alloc::vec::Vec;

use crate::context::Context;
use crate::exchange::client::Client;
use crate::message::MessageLayer;
use crate::slab::Key;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::ExchangeError;

impl Client {
    /// A part of an answer's body was given out: the next one waits until the application wants it.
    pub(super) fn part_given(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        more: bool,
    ) {
        if !more {
            self.remove(context, messages, now, key);
            return;
        }
        if let Some(asking) = self.table.get_mut(key) {
            asking.paused = true;
        }
        self.wait_for_application(context, key);
        self.ask_ahead(context, messages, now, key);
    }

    /// Nothing is under way, so that nothing but the end of the whole exchange can be late.
    pub(super) fn wait_for_application(&self, context: &mut Context, key: Key) {
        if self
            .table
            .get(key)
            .is_some_and(|asking| asking.deadline.is_none())
        {
            context.timers.disarm(TimerKey::Request(key));
        }
    }

    /// Asks for the next part of an answer's body.
    pub(crate) fn continue_body(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        let paused = |asking: &mut super::asking::Asking| core::mem::take(&mut asking.paused);
        if self.table.get_mut(key).is_some_and(paused) {
            self.renew_token(context, key);
            self.send_or_fail(context, messages, now, key);
        }
    }

    /// Takes memory for the next part of an answer's body, where none is begun.
    pub(crate) fn lend(&mut self, key: Key, mut memory: Vec<u8>) {
        let download = self
            .table
            .get_mut(key)
            .and_then(|asking| asking.download.as_mut());
        if let Some(download) = download
            && download.body.capacity() == 0
        {
            memory.clear();
            download.body = memory;
        }
    }

    /// Takes the next part of a request's body, and sends its next block if that waited for it.
    pub(crate) fn supply_body(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        (part, more): (&[u8], bool),
    ) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let waited = asking.waits_for_body();
        let Some(upload) = &mut asking.upload else { return };
        upload.supply(asking.payload.own(), part, more);
        if upload.fits(&asking.payload) && waited {
            // It is no transfer in blocks at all.
            asking.upload = None;
        }
        if waited {
            self.send_or_fail(context, messages, now, key);
        } else {
            asking.ask_for_body(context, key);
        }
    }

    /// Sends what is next; where there is no room for it the exchange ends.
    pub(super) fn send_or_fail(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        if self.send(context, messages, now, key).is_none() {
            self.fail(context, messages, now, key, ExchangeError::QueueFull);
        }
    }
}
