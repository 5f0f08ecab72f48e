//! Signaling messages of the server (RFC 8323 §5).

use std::io;
use std::time::Instant;

use coracle_wire::{Abort, Csm, Custody, Message, OptionsBuf, Release, Signal, SignalOptionError};

use super::connection::Connection;
use crate::exchanges::Exchanges;
use crate::tally::Loss;

impl Exchanges {
    pub(super) fn signal(
        &mut self,
        now: Instant,
        number: u32,
        signal: Signal,
        message: &Message<'_>,
    ) -> io::Result<()> {
        match signal {
            Signal::ABORT => {
                let told = aborted(message);
                self.lose(now, number, Loss::Aborted, &told)
            }
            Signal::CSM => match Csm::read(message.options) {
                Ok(csm) => {
                    self.greeted(number, &csm);
                    Ok(())
                }
                Err(error) => self.refuse(now, number, &error),
            },
            _ if !self.has_csm(number) => {
                let told = format!("its first message is no CSM but {signal}");
                self.lose(now, number, Loss::NoCsm, &told)
            }
            Signal::PING => match Custody::read(message.options) {
                // What came before was taken in before.
                Ok(custody) => {
                    self.send_signal(number, Signal::PONG, message.token, &custody.to_options(), &[]);
                    Ok(())
                }
                Err(error) => self.refuse(now, number, &error),
            },
            Signal::RELEASE => match Release::read(message.options) {
                Ok(_) => {
                    if let Some(connection) = self.connection(number) {
                        connection.is_released = true;
                    }
                    self.look_at_release(now, number)
                }
                Err(error) => self.refuse(now, number, &error),
            },
            // A Pong that nobody waits for, or a signal of the future.
            _ => Ok(()),
        }
    }

    /// A signaling option that is not understood ends the connection (RFC 8323 §5.2, §5.6).
    fn refuse(&mut self, now: Instant, number: u32, error: &SignalOptionError) -> io::Result<()> {
        let abort = Abort {
            bad_csm_option: (error.signal == Signal::CSM).then_some(error.number),
        };
        let told = error.to_string();
        self.abort(number, &abort.to_options(), &told);
        self.lose(now, number, Loss::Malformed, &told)
    }

    pub(super) fn abort(&mut self, number: u32, options: &OptionsBuf, told: &str) {
        self.send_signal(number, Signal::ABORT, &[], options, told.as_bytes());
    }

    /// The server has said what it takes; what it leaves out stays as it was (RFC 8323 §5.3).
    fn greeted(&mut self, number: u32, csm: &Csm) {
        self.heard = true;
        let Some(connection) = self.connection(number) else {
            return;
        };
        let before = connection.csm.unwrap_or_default();
        connection.csm = Some(Csm {
            max_message_size: csm.max_message_size.or(before.max_message_size),
            block_wise_transfer: csm.block_wise_transfer || before.block_wise_transfer,
            extended_token_length: None,
        });
        self.unpark(number);
    }

    /// A connection that the server has released is closed when the last answer is there (RFC 8323 §5.5).
    pub(super) fn look_at_release(&mut self, now: Instant, number: u32) -> io::Result<()> {
        let is_released = self
            .connection(number)
            .is_some_and(|connection| connection.is_released);
        match is_released && !self.waits(number) {
            true => self.lose(now, number, Loss::Released, "the server wants to end it"),
            false => Ok(()),
        }
    }

    pub(super) fn has_csm(&mut self, number: u32) -> bool {
        self.connection(number)
            .is_some_and(|connection| connection.csm.is_some())
    }

    fn send_signal(
        &mut self,
        number: u32,
        signal: Signal,
        token: &[u8],
        options: &OptionsBuf,
        payload: &[u8],
    ) {
        if let Some(connection) = self.connection(number) {
            connection.push_signal(signal, token, options, payload);
            connection.write();
        }
    }

    fn connection(&mut self, number: u32) -> Option<&mut Connection> {
        self.connections()?.connections.get_mut(number as usize)
    }
}

/// Why the server has aborted, in its words, where it has any.
fn aborted(message: &Message<'_>) -> String {
    let option = Abort::read(message.options).bad_csm_option;
    let option = option.map(|number| format!("option {number} of our CSM is bad"));
    let words =
        (!message.payload.is_empty()).then(|| format!("{:?}", String::from_utf8_lossy(message.payload)));
    let told: Vec<_> = option.into_iter().chain(words).collect();
    match told.is_empty() {
        true => "the server does not say why".to_owned(),
        false => told.join(", "),
    }
}
