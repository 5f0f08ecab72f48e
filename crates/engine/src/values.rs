//! What crosses the boundary: requests, responses, events and errors.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use coracle_wire::{Method, Options, OptionsBuf, Status};

use crate::config::TransmissionParameters;
use crate::exchange::payload::{SharedBody, StreamedBody};
use crate::path::{ConnectionId, Path};
use crate::slab::Key;
use crate::time::Instant;

/// Names one exchange of an endpoint: a request and all that answers it. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId {
    pub(crate) key: Key,
    pub(crate) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Client,
    Ping,
    Server,
}

impl ExchangeId {
    pub(crate) const fn client(key: Key) -> ExchangeId {
        ExchangeId {
            key,
            role: Role::Client,
        }
    }

    pub(crate) const fn ping(key: Key) -> ExchangeId {
        ExchangeId {
            key,
            role: Role::Ping,
        }
    }

    pub(crate) const fn server(key: Key) -> ExchangeId {
        ExchangeId {
            key,
            role: Role::Server,
        }
    }
}

/// Names one state of the application that can be observed; the application chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub u64);

/// What a datagram turned out to be.
#[derive(Debug)]
#[must_use]
pub enum Received<'d> {
    /// A request to answer with [`Endpoint::respond`](crate::Endpoint::respond); it lies in the datagram.
    Request(ExchangeId, Request<'d>),
    /// A request whose body came in blocks and is now whole.
    Assembled(ExchangeId, OwnedRequest),
    /// The next part of a request that is streamed.
    Body(ExchangeId, BodyPart<'d>),
    /// Nothing for the application; there may be transmissions and events.
    Nothing,
}

/// A request of a peer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'d> {
    /// The method.
    pub method: Method,
    /// The options.
    pub options: Options<'d>,
    /// The body, or its first part.
    pub payload: &'d [u8],
    /// The way it came.
    pub path: Path,
    /// It came in a confirmable message.
    pub confirmable: bool,
    /// More parts follow, each as [`Received::Body`], when
    /// [`Endpoint::continue_body`](crate::Endpoint::continue_body) asks for them.
    pub more: bool,
}

/// A part of a streamed body.
#[derive(Clone, Copy, Debug)]
pub struct BodyPart<'d> {
    /// The bytes, following those of the part before.
    pub payload: &'d [u8],
    /// More parts follow.
    pub more: bool,
}

/// A request that owns its bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnedRequest {
    /// The method.
    pub method: Method,
    /// The options.
    pub options: OptionsBuf,
    /// The whole body.
    pub payload: Vec<u8>,
    /// The way it came.
    pub path: Path,
    /// It came in a confirmable message.
    pub confirmable: bool,
}

/// A request to send.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestRef<'a> {
    /// The method.
    pub method: Method,
    /// The options. An Observe option of 0 makes it an observation; Block1 and Size1 are the engine's.
    pub options: Options<'a>,
    /// The whole body; it is cut into blocks when it is longer than one.
    pub payload: &'a [u8],
    /// What `payload` is a view of, for the engine to share; `None`: it makes a copy.
    pub shared: Option<&'a SharedBody>,
    /// The body comes in parts, of which `payload` is the first: [`Event::BodyWanted`] asks for each that follows. Goes
    /// once, so neither to a group nor with an observation.
    pub streamed: Option<StreamedBody>,
    /// Give the body of the answer in parts, as [`Event::Body`]. Not heeded for groups and observations, whose answers
    /// are always whole.
    pub streams_answer: bool,
    /// Send it in a confirmable message. Not heeded towards a group (RFC 7252 §8.1).
    pub confirmable: bool,
    /// Transmission parameters in place of the endpoint's.
    pub parameters: Option<TransmissionParameters>,
    /// How long to wait for the end of the exchange; `None`: as long as RFC 7252 §4.8.2 gives it. Observations
    /// count from request to first answer.
    pub timeout: Option<Duration>,
    /// The longest body of the answer, in bytes; `None`: the endpoint's bound, or any length if it comes in parts.
    pub max_body: Option<usize>,
}

impl<'a> RequestRef<'a> {
    /// A confirmable request without a body.
    #[must_use]
    pub fn new(method: Method, options: Options<'a>) -> RequestRef<'a> {
        RequestRef {
            method,
            options,
            payload: &[],
            shared: None,
            streamed: None,
            streams_answer: false,
            confirmable: true,
            parameters: None,
            timeout: None,
            max_body: None,
        }
    }

    /// With this body.
    #[must_use]
    pub fn with_payload(mut self, payload: &'a [u8]) -> Self {
        self.payload = payload;
        self.shared = None;
        self
    }

    /// With a body that comes in parts; the payload is the first of them.
    #[must_use]
    pub fn with_streamed(mut self, streamed: Option<StreamedBody>) -> Self {
        self.streamed = streamed;
        self
    }

    /// With the body of the answer in parts. A Block2 option of a later block in the request begins with that block.
    #[must_use]
    pub fn with_streamed_answer(mut self, streams: bool) -> Self {
        self.streams_answer = streams;
        self
    }

    /// In a confirmable message, or not.
    #[must_use]
    pub fn with_confirmable(mut self, confirmable: bool) -> Self {
        self.confirmable = confirmable;
        self
    }

    /// With transmission parameters of its own.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Option<TransmissionParameters>) -> Self {
        self.parameters = parameters;
        self
    }

    /// With a time after which it is given up.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// With a bound on the answer's body, in bytes.
    #[must_use]
    pub fn with_max_body(mut self, max_body: Option<usize>) -> Self {
        self.max_body = max_body;
        self
    }
}

/// The answer to a request of a peer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseRef<'a> {
    /// The response code.
    pub status: Status,
    /// The options; Block1, Block2, Size2 and Observe are the engine's.
    pub options: Options<'a>,
    /// The whole body, or with `window` a part of it.
    pub payload: &'a [u8],
    /// What `payload` is a view of, for the engine to share; `None`: it makes copies.
    pub shared: Option<&'a SharedBody>,
    /// What part of the body `payload` is.
    pub window: Option<Window>,
    /// Accepts the observation, if the request asks for one; [`Endpoint::changed`](crate::Endpoint::changed) with
    /// this topic then leads to notifications.
    pub observe: Option<Topic>,
    /// Whether notifications are confirmable; `None`: as the registration was.
    pub confirmable: Option<bool>,
    /// It depends on who asks: observers of the same do not share it, the application is asked for each.
    pub personal: bool,
}

impl<'a> ResponseRef<'a> {
    /// An answer with a body and these options.
    #[must_use]
    pub fn new(status: Status, options: Options<'a>, payload: &'a [u8]) -> ResponseRef<'a> {
        ResponseRef {
            status,
            options,
            payload,
            shared: None,
            window: None,
            observe: None,
            confirmable: None,
            personal: false,
        }
    }

    /// The payload is only a part of the body.
    #[must_use]
    pub fn with_window(mut self, window: Option<Window>) -> Self {
        self.window = window;
        self
    }

    /// Accepts an observation.
    #[must_use]
    pub fn with_observe(mut self, topic: Option<Topic>) -> Self {
        self.observe = topic;
        self
    }

    /// Decides the type of notifications.
    #[must_use]
    pub fn with_confirmable(mut self, confirmable: Option<bool>) -> Self {
        self.confirmable = confirmable;
        self
    }

    /// Tells whether it depends on who asks.
    #[must_use]
    pub fn with_personal(mut self, personal: bool) -> Self {
        self.personal = personal;
        self
    }
}

/// The part of a body that a response carries, for bodies that are read piecemeal.
///
/// The part must hold what the request's Block2 asks for: from its offset on, a whole block or up to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where the part begins in the body, in bytes.
    pub offset: u64,
    /// The length of the whole body, in bytes.
    pub total: u64,
}

/// An answer to a request of ours, with its whole body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The response code.
    pub status: Status,
    /// The options, without Block1 and Block2.
    pub options: OptionsBuf,
    /// The body.
    pub payload: Vec<u8>,
    /// The way it came; of a request to a group its `remote` tells who answered.
    pub path: Path,
}

/// Something that happened. See [`Endpoint::poll_event`](crate::Endpoint::poll_event).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An answer to a request of ours.
    Response {
        /// The request.
        id: ExchangeId,
        /// The answer.
        response: Response,
        /// The exchange goes on: an observation, a request to a group, or a body in parts, of which this is the first.
        more: bool,
    },
    /// The next part of an answer's body that comes in parts. The one after it is asked for when
    /// [`Endpoint::continue_body`](crate::Endpoint::continue_body) is called.
    Body {
        /// The request.
        id: ExchangeId,
        /// The bytes, following those of the part before.
        payload: Vec<u8>,
        /// More parts follow; if not, the exchange is over.
        more: bool,
    },
    /// The next part of a request's body is wanted: [`Endpoint::supply_body`](crate::Endpoint::supply_body).
    BodyWanted {
        /// The request.
        id: ExchangeId,
    },
    /// A peer answered a ping (RFC 7252 §4.3). The exchange is over.
    Pong {
        /// The ping.
        id: ExchangeId,
    },
    /// A part of a body came or went.
    Progress {
        /// The request.
        id: ExchangeId,
        /// Bytes of the request's body that the peer has.
        sent: u64,
        /// Bytes of the answer's body that have come.
        received: u64,
        /// Bytes of the body under way, as far as it is known (RFC 7959 §4).
        total: Option<u64>,
    },
    /// The message IDs towards the peer are used up, which may not be used again within EXCHANGE_LIFETIME (RFC 7252 §4.4):
    /// until there are new ones this request, as others to the same peer, sends a message only now and then. It goes on
    /// by itself.
    HeldBack {
        /// The request.
        id: ExchangeId,
        /// When there are new ones.
        until: Instant,
    },
    /// What was last observed is older than its Max-Age; the engine registers anew by itself (RFC 7641 §3.3.1).
    Stale {
        /// The observation.
        id: ExchangeId,
    },
    /// A request of ours ended without an answer, or with a last one that an error cut off.
    Failed {
        /// The request.
        id: ExchangeId,
        /// Why.
        error: ExchangeError,
    },
    /// An observed state changed: run the stored request again and give the outcome to
    /// [`Endpoint::respond`](crate::Endpoint::respond). It is asked for once for all observers whose requests have the
    /// same cache key (RFC 7252 §5.6), by the request of one of them; with an outcome that is an error or
    /// [personal](ResponseRef::personal), once for each. What is not answered within five minutes is
    /// [ended](Event::Ended) and asked for again.
    Refresh {
        /// The exchange of the registration, of one of the observers.
        id: ExchangeId,
        /// Its registration.
        request: OwnedRequest,
    },
    /// Nobody waits any more for the answer to a request of a peer or to [`Event::Refresh`], or its observation ended.
    Ended {
        /// The exchange.
        id: ExchangeId,
    },
    /// A connection may be used: its peer has told its capabilities, or is not waited for.
    Opened {
        /// Which.
        connection: ConnectionId,
    },
    /// The peer wants a connection to end (RFC 8323 §5.5): what runs on it is finished, no more requests are taken. It
    /// may be replaced by another one.
    Released {
        /// Which.
        connection: ConnectionId,
        /// For how long the peer is to be left alone, if it says so.
        hold_off: Option<Duration>,
        /// Where it would rather be connected to, as `host` or `host:port`. It is as trustworthy as the peer (RFC 8323
        /// §10.1).
        alternative: Option<String>,
    },
    /// A connection ends: write what waits, close it, and tell by
    /// [`Endpoint::disconnected`](crate::Endpoint::disconnected).
    Closing {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// The last observer of a topic is gone.
    TopicIdle {
        /// The topic.
        topic: Topic,
    },
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// One side released it, and nothing is left to do (RFC 8323 §5.5).
    Released,
    /// We abort it, and tell the peer why (RFC 8323 §5.6).
    Aborted(String),
    /// We do so though what it said was right: it is silent, slow, does not read, or keeps too much.
    GivenUp(String),
    /// The peer aborts it, with these words (RFC 8323 §5.6).
    AbortedByPeer(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Released => f.write_str("released"),
            CloseReason::Aborted(text) | CloseReason::GivenUp(text) => write!(f, "aborted: {text}"),
            CloseReason::AbortedByPeer(text) if text.is_empty() => f.write_str("the peer aborted it"),
            CloseReason::AbortedByPeer(text) => write!(f, "the peer aborted it: {text:?}"),
        }
    }
}

/// Why a request of ours ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No acknowledgement came, however often the message was sent (RFC 7252 §4.2).
    NoAnswer {
        /// How often it was sent again.
        retransmissions: u8,
    },
    /// The time for the exchange passed.
    Timeout,
    /// The peer rejected the message with a Reset (RFC 7252 §4.2).
    Reset,
    /// The network said that nobody listens there, or that there is no way (RFC 7252 §4.2).
    Unreachable,
    /// The answer carries a critical option that is not understood (RFC 7252 §5.4.1).
    CriticalOption(u16),
    /// A block of the answer breaks the rules of RFC 7959.
    BlockOption,
    /// The body changed again and again while it was transferred (RFC 7959 §2.4).
    BodyChanged,
    /// A further block could not be sent: as many messages wait for this peer as may.
    QueueFull,
    /// The body of the answer is longer than the bound, in bytes.
    BodyTooLong {
        /// The bound.
        limit: usize,
    },
    /// The connection is gone, and whether the request was executed is unknown, unless nothing of it had left.
    Disconnected {
        /// At least a part of it had left.
        sent: bool,
    },
    /// In place of a further part of the body came another answer.
    BodyEnded {
        /// Its code.
        status: Status,
    },
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::NoAnswer { retransmissions } => {
                let s = if *retransmissions == 1 { "" } else { "s" };
                write!(f, "no answer after {retransmissions} retransmission{s}")
            }
            ExchangeError::Timeout => f.write_str("no answer in time"),
            ExchangeError::Reset => {
                f.write_str("the peer reset the message: it does not know what to do with it")
            }
            ExchangeError::Unreachable => {
                f.write_str("unreachable: nobody listens there, or no way leads there")
            }
            ExchangeError::CriticalOption(number) => {
                write!(
                    f,
                    "the answer has critical option {number}, which is not understood (RFC 7252 §5.4.1)"
                )
            }
            ExchangeError::BlockOption => f.write_str("a block of the answer breaks the rules (RFC 7959 §2)"),
            ExchangeError::BodyChanged => f.write_str("the body kept changing while it was transferred"),
            ExchangeError::QueueFull => f.write_str("too many messages wait for this peer"),
            ExchangeError::BodyTooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            ExchangeError::Disconnected { sent: true } => {
                f.write_str("the connection broke: whether the request was executed is unknown")
            }
            ExchangeError::Disconnected { sent: false } => {
                f.write_str("the connection broke before the request was sent")
            }
            ExchangeError::BodyEnded { status } => {
                write!(f, "the body broke off: its next block was answered {status}")
            }
        }
    }
}

impl core::error::Error for ExchangeError {}

/// Why a request was not sent. The fault is the caller's, or a bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// As many requests as the endpoint's bound are under way, or wait for this peer.
    TooMany,
    /// Options (and a payload that is not cut) are longer than a datagram of
    /// [`MAX_DATAGRAM`](crate::limits::MAX_DATAGRAM), or than the peer takes (RFC 8323 §5.3.1).
    TooLong,
    /// There is no such connection, it is not open yet, or it is about to end.
    NotConnected,
    /// A body that is longer than one block cannot go to a group (RFC 7959 §2.8).
    BodyToGroup,
    /// A body that comes in parts goes once: not to a group, and not with an observation, which is renewed.
    StreamedBody,
    /// The peer answered a similar request 4.29 and asked to be left alone until later (RFC 8516 §4).
    TooManyRequests {
        /// How long still.
        wait: Duration,
    },
    /// The endpoint is closing.
    Closed,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::TooMany => "too many requests are under way",
            RequestError::TooLong => "the options do not fit into a message",
            RequestError::NotConnected => "there is no connection",
            RequestError::BodyToGroup => "a request to a group cannot be cut into blocks (RFC 7959 §2.8)",
            RequestError::StreamedBody => "a body that comes in parts cannot go to a group or be observed",
            RequestError::TooManyRequests { wait } => {
                let seconds = wait.as_secs() + 1;
                return write!(
                    f,
                    "the server asked to be left alone for {seconds} s more (4.29, RFC 8516 §4)"
                );
            }
            RequestError::Closed => "the endpoint is closed",
        })
    }
}

impl core::error::Error for RequestError {}

/// Why an answer was not taken. The peer that asked is told 5.00 where it still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RespondError {
    /// The exchange is over, or was answered already.
    Unknown,
    /// Options are longer than they may be in one message.
    TooLong,
}

impl fmt::Display for RespondError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RespondError::Unknown => "nobody waits for this answer",
            RespondError::TooLong => "the options of the answer do not fit into a datagram",
        })
    }
}

impl core::error::Error for RespondError {}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Transmit {
    /// Its way.
    pub path: Path,
    /// Its length in the buffer, in bytes.
    pub len: usize,
}
