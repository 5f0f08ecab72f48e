//! On a connection a block is asked for before its turn, so that neither side waits for the other: several requests may be
//! under way there (RFC 8323 §3.3), and BERT is for long bodies.
//!
//! One block at a time is asked for ahead. What comes of it is kept until its turn, so that at most one block waits
//! however slow the application is.

use alloc::boxed::Box;
use alloc::vec::Vec;

use coracle_wire::{BlockOption, Code, Message, MessageId, MessageType, OptionsBuf, Status, Token};

use crate::amplification::Allowance;
use crate::context::Context;
use crate::exchange::admission::Blocks;
use crate::exchange::asking::{Asking, Inbound};
use crate::exchange::client::Client;
use crate::message::{MessageLayer, Owner, Sending};
use crate::slab::Key;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::ExchangeError;

/// A block that was asked for ahead.
pub(crate) struct Ahead {
    token: Token,
    /// Where it begins in the representation.
    offset: u64,
    came: Option<Box<Came>>,
}

/// What came before its turn.
struct Came {
    status: Status,
    options: OptionsBuf,
    payload: Vec<u8>,
    blocks: Blocks,
}

impl Asking {
    /// Where the block begins that may be asked for ahead: the next one, or the one after it if the next is under way.
    fn next_ahead(&self) -> Option<u64> {
        let download = self.download.as_ref()?;
        let (stride, total) = (download.stride()?, download.total()?);
        let offset = download.next() + if self.paused { 0 } else { stride };
        (self.ahead.is_none() && offset < total).then_some(offset)
    }

    /// Whether a token is that of the block that was asked for ahead.
    pub(super) fn asked_ahead(&self, token: &[u8]) -> bool {
        let ahead = self.ahead.as_ref();
        ahead.is_some_and(|ahead| ahead.token.as_bytes() == token)
    }

    /// Whether a response brings what was asked for ahead.
    fn is_ahead(&self, response: &Inbound<'_>) -> bool {
        let begins = response.blocks.block2.map(BlockOption::offset);
        let ahead = self.ahead.as_ref();
        response.status.is_success() && ahead.is_some_and(|ahead| begins == Some(ahead.offset))
    }

    fn keep_ahead(&mut self, response: &Inbound<'_>) {
        let Inbound {
            status,
            message,
            blocks,
        } = *response;
        let Some(ahead) = &mut self.ahead else { return };
        ahead.came = Some(Box::new(Came {
            status,
            options: OptionsBuf::from(message.options),
            payload: message.payload.into(),
            blocks,
        }));
    }
}

impl Client {
    /// Asks for a block ahead of its turn, where that is of use. Where there is no room for it, it has time.
    pub(super) fn ask_ahead(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let Some((offset, (options, payload))) = asking
            .next_ahead()
            .and_then(|offset| Some((offset, asking.fetch_message(offset)?)))
        else {
            return;
        };
        let token = context.random_token();
        let message = Message {
            message_type: MessageType::Confirmable,
            code: Code::from(asking.method),
            message_id: MessageId(0),
            token: token.as_bytes(),
            options: options.as_options(),
            payload,
        };
        let sending = Sending {
            path: asking.path,
            confirmable: true,
            owner: Owner::Request(key),
            parameters: asking.parameters,
            resume: None,
            allowance: Allowance::UNLIMITED,
        };
        if messages.send(context, now, sending, &message).is_ok() {
            let came = None;
            asking.ahead = Some(Ahead { token, offset, came });
            self.tokens.insert(token, key);
        }
    }

    /// The turn of the next block: whether it was asked for ahead, and so needs not be asked for. What is there of it is
    /// taken.
    pub(super) fn was_asked_ahead(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) -> bool {
        let Some(asking) = self.table.get_mut(key) else {
            return false;
        };
        let next = asking.next_block();
        let Some(ahead) = asking.ahead.take() else {
            return false;
        };
        if next != Some(ahead.offset) {
            self.tokens.remove(&ahead.token);
            return false;
        }
        // In place of the one that was made for it.
        if let Some(fresh) = asking.fetch.replace(ahead.token) {
            self.tokens.remove(&fresh);
        }
        let Some(came) = ahead.came else {
            if asking.deadline.is_none() {
                let wait = asking.parameters.exchange_lifetime();
                context.timers.arm(TimerKey::Request(key), now + wait);
            }
            self.ask_ahead(context, messages, now, key);
            return true;
        };
        let message = Message {
            message_type: MessageType::NonConfirmable,
            code: Code::from(came.status),
            message_id: MessageId(0),
            token: &[],
            options: came.options.as_options(),
            payload: &came.payload,
        };
        let response = Inbound {
            status: came.status,
            message: &message,
            blocks: came.blocks,
        };
        let path = asking.path;
        let outcome = asking.take_block(context, key, &response);
        self.conclude(context, messages, now, key, &path, outcome);
        true
    }

    /// A block came that was asked for ahead. Whatever else it is, it is asked for again in its turn.
    pub(super) fn came_ahead(&mut self, key: Key, response: Result<Inbound<'_>, ExchangeError>) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        match response {
            Ok(response) if asking.is_ahead(&response) => asking.keep_ahead(&response),
            _ => self.drop_ahead(key),
        }
    }

    /// Forgets what was asked for ahead.
    pub(super) fn drop_ahead(&mut self, key: Key) {
        let ahead = self.table.get_mut(key).and_then(|asking| asking.ahead.take());
        if let Some(ahead) = ahead {
            self.tokens.remove(&ahead.token);
        }
    }
}

impl Ahead {
    pub(super) fn token(&self) -> &Token {
        &self.token
    }
}
