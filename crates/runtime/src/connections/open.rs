//! One connection: its link, and what has come of a message that is not whole yet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use coracle_dtls::CertificateIdentity;
use coracle_engine::{CloseReason, ConnectionId};
use coracle_net::stream::Link;
use coracle_router::Identity;
use coracle_wire::frame_len;
use tokio::sync::watch;

use super::lent::{Came, Lent, Spare};
use super::ready::{Ready, Signal};
use super::{Line, READ};
use crate::identity;

/// From this length on the rest of a begun message is read to where its beginning is kept; shorter beginnings are
/// brought to the buffer that all share.
pub(super) const LONG: usize = 4 << 10;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Talking,
    /// The engine has done with it: what waits is written, nothing is read.
    LastWords,
    /// The engine has forgotten it, the link is being closed.
    Closing,
}

/// What a peer speaks: that is of use where it turns out that we cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Unheard,
    /// CoAP, or what is not known.
    Coap,
    Another(&'static str),
}

impl Speaks {
    /// By the first bytes that came.
    fn by(bytes: &[u8]) -> Speaks {
        let known: [(&[u8], _); 6] = [
            (b"HTTP/", "HTTP"),
            (b"GET ", "HTTP"),
            (b"POST ", "HTTP"),
            (b"SSH-", "SSH"),
            (b"220 ", "SMTP or FTP"),
            (b"\x16\x03", "TLS"),
        ];
        let found = known.iter().find(|(begins, _)| bytes.starts_with(begins));
        found.map_or(Speaks::Coap, |(_, name)| Speaks::Another(name))
    }
}

#[derive(Debug)]
pub(super) struct Open {
    link: Link,
    /// Who a peer that connected has proved to be. Servers that we connected to are not among them: their certificate need
    /// not have been checked.
    pub(super) identity: Option<Identity>,
    pub(super) signal: Arc<Signal>,
    waker: Waker,
    pub(super) phase: Phase,
    /// What came and was not taken by the engine: the beginning of a message, or whole ones that wait until the peer reads
    /// our answers.
    kept: Vec<u8>,
    /// Its place among those that keep something, and how much was counted of it.
    pub(super) counted: Option<(u64, usize)>,
    /// What the peer speaks instead of CoAP, by its first bytes.
    speaks: Speaks,
    /// The peer says no more.
    pub(super) is_ended: bool,
    /// It is not read: the engine takes nothing in, others have their turn before messages that it has brought, or too
    /// much is kept of messages that are not whole.
    pub(super) is_held: bool,
    /// Something waits that could not be written or flushed at once.
    pub(super) is_blocked: bool,
    /// Something was given to the link since it was flushed.
    is_unflushed: bool,
    /// Who made it and wants to know how it is.
    told: Option<watch::Sender<Line>>,
}

impl Open {
    pub(super) fn new(
        link: Link,
        id: ConnectionId,
        ready: &Arc<Ready>,
        told: Option<watch::Sender<Line>>,
    ) -> Open {
        let signal = Signal::new(id, ready.clone());
        if let Some(told) = &told {
            told.send_replace(Line::Opening);
        }
        Open {
            identity: told.is_none().then(|| identity_of(&link)).flatten(),
            link,
            waker: signal.clone().into(),
            signal,
            phase: Phase::Talking,
            kept: Vec::new(),
            counted: None,
            speaks: Speaks::Unheard,
            is_ended: false,
            is_held: false,
            is_blocked: false,
            is_unflushed: false,
            told,
        }
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.link.remote()
    }

    /// Why a connection is over that we abort, or for another reason.
    pub(super) fn why(&self, reason: &CloseReason) -> String {
        match (reason, self.speaks) {
            (CloseReason::Aborted(_), Speaks::Another(name)) => {
                format!("what is spoken there is {name}, not CoAP")
            }
            _ => reason.to_string(),
        }
    }

    /// We made it, for a client.
    pub(super) fn is_own(&self) -> bool {
        self.told.is_some()
    }

    /// Tells who made it how it is. What is over stays so; that the peer wants to be left alone may be learnt late.
    pub(super) fn tell(&self, line: Line) {
        if let Some(told) = &self.told {
            told.send_if_modified(|told| {
                let news = match told {
                    Line::Over { hold_off, .. } => {
                        hold_off.is_none()
                            && matches!(
                                line,
                                Line::Over {
                                    hold_off: Some(_),
                                    ..
                                }
                            )
                    }
                    _ => true,
                };
                if news {
                    *told = line;
                }
                news
            });
        }
    }

    /// Bytes that are kept, with their room, and those that the link keeps. Where nothing more is taken they are about to go.
    pub(super) fn kept(&self) -> usize {
        match self.phase {
            Phase::Talking => self.kept.capacity() + self.link.begun(),
            Phase::LastWords | Phase::Closing => 0,
        }
    }

    /// Bytes that the link keeps of a message that is not whole.
    pub(super) fn begun(&self) -> usize {
        self.link.begun()
    }

    /// Nothing that came will be taken any more.
    pub(super) fn forget_kept(&mut self) {
        self.kept = Vec::new();
    }

    /// Reads, into `buffer` behind what is kept, or what is kept is long and grows. How much came; 0: no more comes.
    pub(super) fn fetch(&mut self, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        if self.is_long() {
            let lacks = match frame_len(&self.kept) {
                Ok(Some(len)) => usize::try_from(len)
                    .unwrap_or(usize::MAX)
                    .saturating_sub(self.kept.len()),
                _ => READ,
            };
            // What has come at most doubles: who announces much and sends little does not get much room.
            let room = self.kept.capacity() - self.kept.len();
            let limit = lacks.clamp(1, room.max(self.kept.len()).max(READ));
            self.kept.reserve_exact(limit);
            return self.link.poll_read(&mut cx, &mut self.kept, limit);
        }
        buffer.clear();
        buffer.extend_from_slice(&self.kept);
        let came = ready!(self.link.poll_read(&mut cx, buffer, READ))?;
        self.kept = Vec::new();
        Poll::Ready(Ok(came))
    }

    /// Whether what is kept has memory of its own to grow in.
    fn is_long(&self) -> bool {
        self.kept.capacity() >= LONG
    }

    /// Lets the messages that have come be taken, and keeps the rest. `take` tells how many bytes it took. The beginning of
    /// a long message keeps the buffer that it is in, and `spare` memory takes the buffer's place.
    pub(super) fn digest(
        &mut self,
        buffer: &mut Vec<u8>,
        spare: &mut Spare,
        take: impl FnOnce(Came<'_>) -> usize,
    ) {
        if self.kept.is_empty() {
            if self.speaks == Speaks::Unheard {
                self.speaks = Speaks::by(buffer);
            }
            let taken = take(buffer.as_slice().into());
            let rest = buffer.get(taken..).unwrap_or_default();
            let is_long = matches!(frame_len(rest), Ok(Some(len)) if len > READ as u64);
            if is_long && taken == 0 {
                self.kept = std::mem::replace(buffer, spare.take());
                return;
            }
            if is_long {
                self.kept = spare.take();
            }
            self.kept.extend_from_slice(rest);
            return;
        }
        let is_whole = matches!(frame_len(&self.kept), Ok(Some(len)) if len <= self.kept.len() as u64);
        if !is_whole {
            let taken = take(self.kept.as_slice().into());
            self.kept.drain(..taken);
            return;
        }
        let lent = Lent::new(std::mem::take(&mut self.kept));
        let taken = take(lent.came());
        let rest = lent.rest(taken);
        if rest.len() < LONG {
            self.kept = rest.to_vec();
            spare.give(lent);
        } else {
            self.kept = lent.into_rest(taken);
        }
    }

    /// Whole messages are kept that the engine may take now.
    pub(super) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Gives bytes to the system, in two pieces; how many it took.
    pub(super) fn write(&mut self, pieces: [&[u8]; 2]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        self.is_unflushed = true;
        match ready!(self.link.poll_write_pieces(&mut cx, pieces))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    pub(super) fn flush(&mut self) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            ready!(self.link.poll_flush(&mut Context::from_waker(&self.waker)))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn close(&mut self) -> Poll<io::Result<()>> {
        self.link.poll_close(&mut Context::from_waker(&self.waker))
    }
}

/// By the certificates that were shown and checked in TLS.
fn identity_of(link: &Link) -> Option<Identity> {
    let shown = CertificateIdentity::of_checked(link.peer_certificates().first()?)?;
    Some(identity::of_certificate(&shown))
}
