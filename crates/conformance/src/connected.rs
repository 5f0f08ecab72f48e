//! What cases about connections are written with (RFC 8323), beside what they share with those about datagrams.

use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use coracle_wire::{Csm, OptionNumber, Signal};

use crate::connections::Ending;
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::talk::Talk;
use crate::verdict::{Judged, Stop};
use crate::websocket::{Head, WsFrame};

/// How long a connection may go on that has to be ended.
pub const END: Duration = Duration::from_secs(10);

/// How long a first CSM is waited for.
const CSM: Duration = Duration::from_secs(8);

/// How often it is looked whether a connection has ended.
const LOOK: Duration = Duration::from_millis(50);

/// What came until a connection ended, or did not.
#[derive(Debug)]
pub struct Ended {
    /// How the subject ended it; nothing if it did not.
    pub ending: Option<Ending>,
    /// How long it was waited for.
    pub waited: Duration,
    /// What came before.
    pub messages: Vec<Received>,
}

impl Ended {
    /// The Abort among what came.
    #[must_use]
    pub fn abort(&self) -> Option<&Received> {
        self.messages
            .iter()
            .find(|message| message.is_signal(Signal::ABORT))
    }

    /// The subject has ended the connection; what it ought to have ended it for completes "expected an end of the
    /// connection …".
    ///
    /// # Errors
    /// [`Stop::Fail`] if it has not.
    pub fn is_over(&self, what_for: &str) -> Judged<&Ended> {
        match self.ending {
            Some(_) => Ok(self),
            None => {
                let seconds = END.as_secs();
                let what =
                    format!("expected an end of the connection {what_for}, but it goes on for {seconds} s");
                Err(Stop::fail(what, None))
            }
        }
    }

    /// As [`is_over`](Self::is_over), with an Abort before the end (RFC 8323 §5.6).
    ///
    /// # Errors
    /// [`Stop::Fail`] without an Abort, [`Stop::Inconclusive`] if a reset may have taken it away.
    pub fn is_aborted(&self, what_for: &str) -> Judged<&Ended> {
        self.is_over(what_for)?;
        match (self.abort(), self.ending) {
            (None, Some(ending)) if ending.reset => {
                let what = "the connection was reset, which may have taken the Abort away";
                Err(Stop::Inconclusive(what.to_owned()))
            }
            (None, Some(ending)) => {
                let what = format!("expected an Abort {what_for} before the end of the connection");
                Err(Stop::fail_at(ending.index, what, "RFC 8323 §5.6"))
            }
            _ => Ok(self),
        }
    }

    /// No response is among what came.
    ///
    /// # Errors
    /// [`Stop::Fail`] if one is.
    pub fn has_no_response(&self) -> Judged<&Ended> {
        for message in &self.messages {
            message.expect(message.status().is_none(), "no response", None)?;
        }
        Ok(self)
    }
}

impl Talk {
    /// Takes what comes until the peer ends the connection, or some time is over.
    pub(crate) fn until_end(&mut self, peer: SocketAddr, within: Duration) -> Judged<Ended> {
        self.until_end_or(peer, within, |_| false)
    }

    /// As [`until_end`](Self::until_end), but a message that is `enough` is the last that is taken.
    fn until_end_or(
        &mut self,
        peer: SocketAddr,
        within: Duration,
        enough: impl Fn(&Message) -> bool,
    ) -> Judged<Ended> {
        self.connections()?.let_end();
        let until = Instant::now() + within;
        let mut messages = Vec::new();
        loop {
            // What came before the end is handed out before it is told.
            let ending = self.connections()?.ending(peer);
            let message = self.receive(LOOK)?;
            let came = message.is_some();
            messages.extend(message);
            let enough = messages.last().is_some_and(|message| enough(message));
            if enough || Instant::now() >= until || (ending.is_some() && !came) {
                return Ok(Ended {
                    ending,
                    waited: within,
                    messages,
                });
            }
        }
    }

    /// What the peer has announced, when it has sent its first CSM. Messages that come meanwhile wait for `receive`.
    pub(crate) fn csm_of(&mut self, peer: SocketAddr) -> Judged<Csm> {
        let until = Instant::now() + CSM;
        let mut kept = Vec::new();
        let csm = loop {
            if let Some(csm) = self.connections()?.csm(peer) {
                break csm;
            }
            if Instant::now() >= until {
                return Err(self.nothing_came(CSM, "a CSM"));
            }
            kept.extend(self.receive_new(LOOK)?);
        };
        kept.into_iter().for_each(|message| self.keep(message));
        Ok(csm)
    }

    /// The next frame that is about the WebSocket itself. Messages that come meanwhile wait for `receive`.
    pub(crate) fn control_of(
        &mut self,
        peer: SocketAddr,
        within: Duration,
    ) -> Judged<Option<(usize, WsFrame)>> {
        self.connections()?.let_end();
        let until = Instant::now() + within;
        loop {
            if let Some(control) = self.connections()?.next_control(peer) {
                return Ok(Some(control));
            }
            let over = self.connections()?.ending(peer).is_some();
            match self.receive_new(LOOK)? {
                Some(message) => self.keep(message),
                None if over || Instant::now() >= until => return Ok(None),
                None => {}
            }
        }
    }

    /// The head of a request or response of HTTP, of a connection whose bytes are the case's.
    pub(crate) fn head_of(&mut self, peer: SocketAddr, within: Duration) -> Judged<Option<(usize, Head)>> {
        let until = Instant::now() + within;
        loop {
            if let Some(head) = self.connections()?.take_head(peer) {
                return Ok(Some(head));
            }
            if self.connections()?.ending(peer).is_some() || Instant::now() >= until {
                return Ok(None);
            }
            self.receive_new(LOOK)?;
        }
    }
}

/// A CSM with these options.
#[must_use]
pub fn csm(announced: &Csm) -> Message {
    let mut message = Message::signal(Signal::CSM);
    message.options = announced.to_options();
    message
}

/// A Ping that asks for custody (RFC 8323 §5.4.1).
#[must_use]
pub fn ping_with_custody(token: &[u8]) -> Message {
    Message::signal(Signal::PING)
        .token(token)
        .option(OptionNumber(2), &[])
}

impl Probe {
    /// What the server has announced.
    ///
    /// # Errors
    /// [`Stop::Fail`] if no CSM comes.
    pub fn announced(&mut self) -> Judged<Csm> {
        let server = self.server();
        self.csm_of(server)
    }

    /// Takes what comes until the server ends the connection, but no longer than [`END`].
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn until_ended(&mut self) -> Judged<Ended> {
        self.until_ended_within(END)
    }

    /// As [`until_ended`](Self::until_ended), with another time.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn until_ended_within(&mut self, within: Duration) -> Judged<Ended> {
        let server = self.server();
        self.until_end(server, within)
    }

    /// Takes what comes until the server responds or ends the connection.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn until_answered_or_ended(&mut self, within: Duration) -> Judged<Ended> {
        let server = self.server();
        self.until_end_or(server, within, |message| message.status().is_some())
    }

    /// Sends bytes of the TCP connection, whatever it carries.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn send_stream(&mut self, bytes: &[u8]) -> Judged {
        let server = self.server();
        self.connections()?.put_out(server, bytes);
        Ok(())
    }

    /// Sends a frame of a WebSocket, with a mask.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn send_websocket(&mut self, frame: WsFrame) -> Judged {
        let server = self.server();
        self.connections()?.send_websocket(server, frame);
        Ok(())
    }

    /// The next frame of the server that is about the WebSocket itself.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn control(&mut self, within: Duration) -> Judged<Option<(usize, WsFrame)>> {
        let server = self.server();
        self.control_of(server, within)
    }

    /// The head of a response of HTTP.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn head(&mut self, within: Duration) -> Judged<Option<(usize, Head)>> {
        let server = self.server();
        self.head_of(server, within)
    }

    /// Says that nothing more comes from the judge; the server may still send.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn half_close(&mut self) -> Judged {
        let server = self.server();
        self.connections()?.shut(server, Shutdown::Write);
        Ok(())
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn close(&mut self) -> Judged {
        let server = self.server();
        self.connections()?.let_end();
        self.connections()?.shut(server, Shutdown::Both);
        Ok(())
    }

    /// The connection goes on: a Ping is answered with a Pong. Messages that come before are dropped.
    ///
    /// # Errors
    /// [`Stop::Fail`] if none comes.
    pub fn expect_pong(&mut self) -> Judged {
        let token = self.fresh_token();
        self.send(&Message::signal(Signal::PING).token(&token));
        let until = Instant::now() + self.answer_time();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.expect_message(left, "a Pong")?;
            if message.is_signal(Signal::PONG) && message.token == token {
                return Ok(());
            }
        }
    }
}

impl Host {
    /// Takes what comes until the client ends the connection that a message came by, but no longer than [`END`].
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn until_ended(&mut self, of: &Received) -> Judged<Ended> {
        self.until_end(of.from, END)
    }

    /// What the client has announced in the connection that a message came by.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it has not sent a CSM.
    pub fn announced(&mut self, of: &Received) -> Judged<Csm> {
        self.csm_of(of.from)
    }

    /// Sends bytes of the TCP connection that a message came by, whatever it carries.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn send_stream(&mut self, to: &Received, bytes: &[u8]) -> Judged {
        self.connections()?.put_out(to.from, bytes);
        Ok(())
    }

    /// Sends a frame of a WebSocket.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn send_websocket(&mut self, to: &Received, frame: WsFrame) -> Judged {
        self.connections()?.send_websocket(to.from, frame);
        Ok(())
    }

    /// The next frame of the client that is about the WebSocket itself.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn control(&mut self, of: &Received, within: Duration) -> Judged<Option<(usize, WsFrame)>> {
        self.control_of(of.from, within)
    }

    /// Closes the connection that a message came by.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] without a connection.
    pub fn close(&mut self, of: &Received) -> Judged {
        self.connections()?.shut(of.from, Shutdown::Both);
        Ok(())
    }

    /// The first connection of the client.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if none comes.
    pub fn connection(&mut self) -> Judged<SocketAddr> {
        let until = Instant::now() + END;
        loop {
            if let Some(peer) = self.connections()?.first() {
                return Ok(peer);
            }
            if Instant::now() >= until {
                return Err(Stop::Inconclusive("the command did not connect".to_owned()));
            }
            self.receive(LOOK)?;
        }
    }

    /// The next message of the client, of any kind.
    ///
    /// # Errors
    /// As [`Host::request`].
    pub fn message(&mut self, what: &str) -> Judged<Received> {
        self.await_message(END, what, |_| true)
    }
}
