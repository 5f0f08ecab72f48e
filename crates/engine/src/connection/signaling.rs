//! Signaling messages (RFC 8323 §5): what they say, and ours.

use alloc::borrow::Cow;
use alloc::string::String;

use coracle_wire::{
    Abort, Code, CodeKind, Csm, Custody, Message, MessageId, MessageType, Options, Release, Signal,
    SignalOptionError,
};

use crate::config::Config;
use crate::connection::{Connection, MissingCsm, Pinged, Stage};
use crate::context::Context;
use crate::limits;
use crate::path::ConnectionId;
use crate::slab::Key;
use crate::time::Instant;
use crate::values::RequestError;

/// What a message on a connection turned out to be.
pub(crate) enum Verdict {
    /// It ends here.
    Absorbed,
    Request,
    Response,
    /// The peer's first CSM: the connection may be used.
    Opened,
    /// The answer to a Ping of the application.
    Pong(Key),
    /// A Ping; whether its answer waits until all that came before it is done.
    Ping(Custody),
    /// The peer wants the connection to end in good order.
    Released(Leave),
    /// The peer has ended it, and says why.
    Aborted(String),
    /// It cannot go on.
    Refused(Fault),
}

/// What a Release says (RFC 8323 §5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    pub(crate) hold_off: Option<u32>,
    pub(crate) alternative: Option<String>,
}

/// Why a connection is aborted: what the Abort message says (RFC 8323 §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) bad_csm_option: Option<u16>,
    pub(crate) text: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            bad_csm_option: None,
            text: text.into(),
        }
    }

    fn of_option(error: &SignalOptionError) -> Fault {
        Fault {
            bad_csm_option: (error.signal == Signal::CSM).then_some(error.number),
            text: Cow::Owned(alloc::format!("{error}")),
        }
    }
}

/// A Max-Message-Size below this leaves no room for any answer, in bytes.
const LEAST_MESSAGE_SIZE: u32 = 32;

impl Connection {
    /// What a message is to this connection.
    pub(crate) fn take(&mut self, config: &Config, now: Instant, message: &Message<'_>) -> Verdict {
        self.hears(now);
        let kind = message.code.kind();
        let begins = matches!(
            kind,
            CodeKind::Empty | CodeKind::Signal(Signal::CSM | Signal::ABORT)
        );
        if !self.has_csm && !begins && config.connections.missing_csm == MissingCsm::Refuse {
            return Verdict::Refused(Fault::new("the first message has to be a CSM (RFC 8323 §3.3)"));
        }
        if message.token.len() > limits::MAX_TOKEN {
            // RFC 8974 §2.2.1: longer than we told.
            return Verdict::Refused(Fault::new("the token is longer than Extended-Token-Length"));
        }
        match kind {
            CodeKind::Empty => Verdict::Absorbed,
            CodeKind::Request(_) | CodeKind::Response(_) => {
                self.used = now;
                match kind {
                    CodeKind::Request(_) => Verdict::Request,
                    _ => Verdict::Response,
                }
            }
            CodeKind::Signal(signal) => {
                let taken = self.take_signal(now, signal, message);
                taken.unwrap_or_else(|error| Verdict::Refused(Fault::of_option(&error)))
            }
            CodeKind::Reserved => {
                let text = alloc::format!("code {} is of a reserved class (RFC 7252 §3)", message.code);
                Verdict::Refused(Fault::new(text))
            }
        }
    }

    fn take_signal(
        &mut self,
        now: Instant,
        signal: Signal,
        message: &Message<'_>,
    ) -> Result<Verdict, SignalOptionError> {
        let options = message.options;
        Ok(match signal {
            Signal::CSM => self.take_csm(now, Csm::read(options)?),
            Signal::PING => Verdict::Ping(Custody::read(options)?),
            Signal::PONG => {
                Custody::read(options)?;
                // Some peers forget the token, which has to be that of the Ping: their first Pong is for our first Ping.
                let forgets = message.token.is_empty();
                let waits = |ping: &Pinged| forgets || ping.token.as_bytes() == message.token;
                match self.pings.iter().position(waits) {
                    Some(place) => Verdict::Pong(self.pings.remove(place).key),
                    None => Verdict::Absorbed,
                }
            }
            Signal::RELEASE => {
                let release = Release::read(options)?;
                Verdict::Released(Leave {
                    hold_off: release.hold_off,
                    alternative: release.alternative_addresses().next().map(String::from),
                })
            }
            Signal::ABORT => Verdict::Aborted(diagnostic(message.payload)),
            // A code that means nothing to us is ignored, unless it says that it must not be (RFC 8323 §5.2).
            _ => {
                let critical = options.iter().find(|option| option.number.is_critical());
                critical.map_or(Ok(()), |option| signal.check_option(option))?;
                Verdict::Absorbed
            }
        })
    }

    /// RFC 8323 §5.3: what is told stays until it is told anew.
    fn take_csm(&mut self, now: Instant, csm: Csm) -> Verdict {
        if let Some(size) = csm.max_message_size {
            if size < LEAST_MESSAGE_SIZE {
                return Verdict::Refused(Fault {
                    bad_csm_option: Some(Csm::MAX_MESSAGE_SIZE.0),
                    text: Cow::Borrowed("Max-Message-Size leaves no room for any message"),
                });
            }
            self.peer.max_message_size = size as usize;
        }
        self.peer.block_wise |= csm.block_wise_transfer;
        let is_first = !core::mem::replace(&mut self.has_csm, true);
        if self.stage == Stage::Opening {
            self.enter(now, Stage::Open);
        }
        if is_first {
            Verdict::Opened
        } else {
            Verdict::Absorbed
        }
    }
}

/// The text of a diagnostic payload (RFC 7252 §5.5.2), cut to a length for people.
fn diagnostic(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let harmless = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().take(limits::MAX_DIAGNOSTIC).map(harmless).collect()
}

/// A message of ours on a connection.
fn signal<'m>(signal: Signal, token: &'m [u8], options: Options<'m>, payload: &'m [u8]) -> Message<'m> {
    Message {
        message_type: MessageType::NonConfirmable,
        code: Code::from(signal),
        message_id: MessageId(0),
        token,
        options,
        payload,
    }
}

/// Our CSM (RFC 8323 §5.3, RFC 8974 §2.2.1).
pub(crate) fn send_csm(context: &mut Context, id: ConnectionId) {
    let csm = Csm {
        max_message_size: Some(context.config.connections.max_message_size),
        block_wise_transfer: true,
        extended_token_length: u32::try_from(limits::MAX_TOKEN).ok(),
    };
    let options = csm.to_options();
    let message = signal(Signal::CSM, &[], options.as_options(), &[]);
    context.connections.push(id, (&message, None), None);
}

/// Looks whether the peer is there: whatever it sends next tells that it is (RFC 8323 §3.4).
pub(crate) fn send_ping(context: &mut Context, id: ConnectionId, token: &[u8]) {
    let message = signal(Signal::PING, token, Options::empty(), &[]);
    context.connections.push(id, (&message, None), None);
}

/// A Ping of the application, named `key`.
pub(crate) fn ping(
    context: &mut Context,
    now: Instant,
    id: ConnectionId,
    key: Key,
) -> Result<(), RequestError> {
    let token = context.random_token();
    let connection = context
        .connections
        .get_mut(id)
        .filter(|connection| !connection.is_over());
    let connection = connection.ok_or(RequestError::NotConnected)?;
    if connection.pings.len() >= limits::PINGS_PER_CONNECTION {
        return Err(RequestError::TooMany);
    }
    connection.pings.push(Pinged { token, key, at: now });
    send_ping(context, id, token.as_bytes());
    context.watch(id);
    Ok(())
}

/// RFC 8323 §5.4: with the token of the Ping; with Custody where all that came before it is done (§5.4.1).
pub(crate) fn send_pong(context: &mut Context, id: ConnectionId, token: &[u8], custody: Custody) {
    let options = custody.to_options();
    let message = signal(Signal::PONG, token, options.as_options(), &[]);
    context.connections.push(id, (&message, None), None);
}

pub(crate) fn send_release(context: &mut Context, id: ConnectionId) {
    let message = signal(Signal::RELEASE, &[], Options::empty(), &[]);
    context.connections.push(id, (&message, None), None);
}

pub(crate) fn send_abort(context: &mut Context, id: ConnectionId, fault: &Fault) {
    let abort = Abort {
        bad_csm_option: fault.bad_csm_option,
    };
    let options = abort.to_options();
    let abort = |text| signal(Signal::ABORT, &[], options.as_options(), text);
    // A peer that takes short messages only is not told why.
    if !context
        .connections
        .push(id, (&abort(fault.text.as_bytes()), None), None)
    {
        context.connections.push(id, (&abort(&[]), None), None);
    }
}
