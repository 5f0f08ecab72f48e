//! Servers that are wrong in one way each: what a relay makes of the pieces that come by.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use coracle_conformance::message::Message;
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::websocket::{Opcode, WsFrame};
use coracle_wire::{Code, Csm, Custody, Framing, Method, OptionNumber, Signal, frame_len};

use crate::relay::{Fault, Faults, Piece, Way};

/// A server that is wrong in one way, and the cases that notice.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    pub(crate) caught_by: &'static [&'static str],
    /// Broken SHOULDs and what has no bound are inconclusive.
    pub(crate) verdict: Outcome,
    /// Pieces are what single reads gave.
    pub(crate) by_read: bool,
    pub(crate) faults: fn() -> Faults,
}

const fn tcp(name: &'static str, caught_by: &'static [&'static str], faults: fn() -> Faults) -> Mutant {
    Mutant {
        name,
        transport: Transport::Tcp,
        caught_by,
        verdict: Outcome::Fail,
        by_read: false,
        faults,
    }
}

const fn websocket(name: &'static str, caught_by: &'static [&'static str], faults: fn() -> Faults) -> Mutant {
    Mutant {
        transport: Transport::WebSocket,
        ..tcp(name, caught_by, faults)
    }
}

impl Mutant {
    const fn inconclusive(mut self) -> Mutant {
        self.verdict = Outcome::Inconclusive;
        self
    }

    const fn by_read(mut self) -> Mutant {
        self.by_read = true;
        self
    }
}

/// A fault that has no memory.
fn stateless(edit: fn(Way, Piece) -> Vec<Piece>) -> Faults {
    Arc::new(move |_| Box::new(edit))
}

/// A fault that begins anew with each connection.
fn stateful<S: Send + 'static>(begin: fn(usize) -> S, edit: fn(&mut S, Way, Piece) -> Vec<Piece>) -> Faults {
    Arc::new(move |number| {
        let mut state = begin(number);
        let fault: Fault = Box::new(move |way, piece| edit(&mut state, way, piece));
        fault
    })
}

/// Changes the messages of one way.
macro_rules! change {
    ($of:ident, $edit:expr) => {
        || {
            stateless(|way, mut piece| {
                if let (Way::$of, Piece::Message(message)) = (way, &mut piece) {
                    let edit: fn(&mut Message) = $edit;
                    edit(message);
                }
                vec![piece]
            })
        }
    };
}

/// Drops the messages of one way that fit.
macro_rules! lose {
    ($of:ident, $fits:expr) => {
        || {
            stateless(|way, piece| {
                let fits: fn(&Message) -> bool = $fits;
                match (way, &piece) {
                    (Way::$of, Piece::Message(message)) if fits(message) => Vec::new(),
                    _ => vec![piece],
                }
            })
        }
    };
}

/// Changes what is no message on its way to the server.
macro_rules! other {
    ($edit:expr) => {
        || {
            stateless(|way, piece| {
                let edit: fn(Vec<u8>) -> Vec<Piece> = $edit;
                match (way, piece) {
                    (Way::ToServer, Piece::Other(bytes)) => edit(bytes),
                    (_, piece) => vec![piece],
                }
            })
        }
    };
}

const CRITICAL: OptionNumber = OptionNumber(65001);
const ELECTIVE: OptionNumber = OptionNumber(65000);

fn csm(message: &Message) -> bool {
    message.is_signal(Signal::CSM)
}

fn get_of(path: &str, token: &[u8]) -> Message {
    let get = Message::new(coracle_wire::MessageType::NonConfirmable, Method::GET, 0).token(token);
    get.option(OptionNumber::URI_PATH, path.as_bytes())
}

/// Replaces words of a head of HTTP.
fn reworded(bytes: &[u8], from: &str, to: &str) -> Vec<Piece> {
    let text = String::from_utf8_lossy(bytes).replace(from, to);
    vec![Piece::Other(text.into_bytes())]
}

fn frame(bytes: &[u8]) -> Option<WsFrame> {
    WsFrame::read(bytes).map(|(frame, _)| frame)
}

pub(crate) const MUTANTS: &[Mutant] = &[
    tcp("it sends no CSM", &["RFC8323-3.3-csm-first"], lose!(ToJudge, csm)),
    tcp(
        "it announces tokens of 3 bytes",
        &["RFC8323-3.3-csm-first"],
        change!(ToJudge, |message| {
            if csm(message) {
                message.options.remove(Csm::EXTENDED_TOKEN_LENGTH);
                message.options.push_uint(Csm::EXTENDED_TOKEN_LENGTH, 3);
            }
        }),
    ),
    tcp("it needs no CSM", &["RFC8323-3.3-request-without-csm"], || {
        stateful(
            |_| false,
            |opened, way, piece| {
                let first = way == Way::ToServer && !std::mem::replace(opened, true);
                match &piece {
                    Piece::Message(message) if first && !csm(message) => {
                        vec![Piece::Message(Message::signal(Signal::CSM)), piece]
                    }
                    _ => vec![piece],
                }
            },
        )
    }),
    tcp(
        "it takes a CSM that cannot be read",
        &["RFC8323-3.3-malformed-csm"],
        other!(|_| { vec![Piece::Message(Message::signal(Signal::CSM))] }),
    ),
    tcp(
        "a CSM with a wrong value makes it mute",
        &["RFC8323-3.3-csm-value-of-wrong-length"],
        || {
            stateful(
                |_| false,
                |mute, way, piece| {
                    if let (Way::ToServer, Piece::Message(message)) = (way, &piece) {
                        *mute |= csm(message) && Csm::read(message.options.as_options()).is_err();
                    }
                    if *mute { Vec::new() } else { vec![piece] }
                },
            )
        },
    ),
    tcp(
        "it does not see critical options of signaling messages",
        &[
            "RFC8323-5.2-critical-option-of-csm",
            "RFC8323-5.2-critical-option-of-signals",
        ],
        change!(ToServer, |message| message.options.remove(CRITICAL)),
    ),
    tcp(
        "elective options of a CSM are critical to it",
        &["RFC8323-5.2-elective-option-of-csm"],
        change!(ToServer, |message| {
            if csm(message) && message.options.contains(ELECTIVE) {
                message.options.push_uint(CRITICAL, 1);
            }
        }),
    ),
    tcp(
        "a second CSM ends the connection",
        &["RFC8323-5.3-further-csm"],
        || {
            stateful(
                |_| 0,
                |seen, way, piece| {
                    *seen += usize::from(
                        matches!((way, &piece), (Way::ToServer, Piece::Message(message)) if csm(message)),
                    );
                    if *seen > 1 {
                        vec![Piece::Other(vec![0x0f])]
                    } else {
                        vec![piece]
                    }
                },
            )
        },
    ),
    tcp(
        "it sends messages of any length",
        &["RFC8323-5.3.1-max-message-size"],
        change!(ToServer, |message| {
            if csm(message) {
                message.options.remove(Csm::MAX_MESSAGE_SIZE);
                message.options.push_uint(Csm::MAX_MESSAGE_SIZE, 100_000);
            }
        }),
    ),
    tcp(
        "the first CSM counts for ever",
        &["RFC8323-5.3.1-limit-lowered"],
        || {
            stateful(
                |_| 0,
                |seen, way, piece| {
                    let is_csm =
                        matches!((way, &piece), (Way::ToServer, Piece::Message(message)) if csm(message));
                    *seen += usize::from(is_csm);
                    if is_csm && *seen > 1 {
                        Vec::new()
                    } else {
                        vec![piece]
                    }
                },
            )
        },
    ),
    tcp(
        "long tokens are format errors",
        &["RFC8974-2.2.1-as-long-as-announced"],
        || {
            stateless(|way, piece| match (way, &piece) {
                (Way::ToServer, Piece::Message(message)) if message.token.len() > 8 => {
                    vec![Piece::Other(vec![0x0f])]
                }
                _ => vec![piece],
            })
        },
    ),
    tcp(
        "it cuts tokens off",
        &["RFC8974-2.2.1-longer-than-announced"],
        change!(ToServer, |message| {
            message.token.truncate(8);
        }),
    ),
    tcp(
        "each read is to be a message",
        &["RFC8323-3.2-split-anywhere", "RFC8323-3.2-slow-bytes"],
        || {
            stateless(|way, piece| match &piece {
                Piece::Other(bytes) if way == Way::ToServer && bytes.len() < 4 && bytes.len() != 2 => {
                    Vec::new()
                }
                _ => vec![piece],
            })
        },
    )
    .by_read(),
    tcp(
        "it takes one message of each read",
        &["RFC8323-3.2-many-in-one-segment"],
        || {
            stateless(|way, piece| match piece {
                Piece::Other(mut bytes) if way == Way::ToServer => {
                    let first = frame_len(&bytes)
                        .ok()
                        .flatten()
                        .and_then(|length| usize::try_from(length).ok());
                    bytes.truncate(first.unwrap_or(bytes.len()));
                    vec![Piece::Other(bytes)]
                }
                piece => vec![piece],
            })
        },
    )
    .by_read(),
    tcp(
        "it does not know long messages",
        &["RFC8323-3.2-lengths"],
        lose!(ToServer, |message| { message.to_frame(Framing::Tcp).len() > 250 }),
    ),
    tcp(
        "it passes over what it cannot read",
        &[
            "RFC8323-3.2-tkl-15",
            "RFC8323-5.6-format-errors",
            "RFC8323-5.6-garbage",
        ],
        other!(|_| Vec::new()),
    ),
    tcp(
        "it collects whatever is announced",
        &["RFC8323-5.3.1-absurd-length"],
        other!(|_| Vec::new()),
    )
    .inconclusive(),
    tcp(
        "it forgets requests with long tokens",
        &["RFC8323-3.2-tkl-13-and-14"],
        lose!(ToServer, |message| { message.token.len() > 8 }),
    ),
    tcp(
        "empty messages are pings to it",
        &["RFC8323-3.4-empty-is-ignored"],
        change!(ToServer, |message| {
            if message.code.is_empty() {
                message.code = Code::from(Signal::PING);
                message.options.remove(CRITICAL);
            }
        }),
    ),
    tcp(
        "it fills up what is missing",
        &["RFC8323-5.6-truncated"],
        other!(|mut bytes| {
            bytes.push(b'o');
            vec![Piece::Other(bytes)]
        }),
    ),
    tcp(
        "all codes are requests to it",
        &["RFC8323-5.1-other-codes"],
        change!(ToServer, |message| {
            if message.code == Code::new(7, 31) {
                *message = get_of("test", &message.token);
            }
        }),
    ),
    tcp(
        "its Pongs have no token",
        &["RFC8323-5.4-ping"],
        change!(ToJudge, |message| {
            if message.is_signal(Signal::PONG) {
                message.token.clear();
            }
        }),
    ),
    tcp(
        "it answers Pongs",
        &["RFC8323-5.4-elective-option-of-ping"],
        change!(ToServer, |message| {
            if message.is_signal(Signal::PONG) {
                message.code = Code::from(Signal::PING);
            }
        }),
    ),
    tcp("it takes custody at once", &["RFC8323-5.4.1-custody"], || {
        stateless(|way, mut piece| {
            if let Piece::Message(message) = &mut piece {
                match way {
                    Way::ToServer if message.is_signal(Signal::PING) => {
                        message.options.remove(Custody::CUSTODY)
                    }
                    Way::ToJudge if message.is_signal(Signal::PONG) => {
                        message.options.push_uint(Custody::CUSTODY, 0);
                    }
                    _ => {}
                }
            }
            vec![piece]
        })
    }),
    tcp(
        "it does not know custody",
        &["RFC8323-5.4.1-custody"],
        change!(ToServer, |message| {
            if message.is_signal(Signal::PING) {
                message.options.remove(Custody::CUSTODY);
            }
        }),
    )
    .inconclusive(),
    tcp(
        "it knows neither Release nor Abort",
        &["RFC8323-5.5-release", "RFC8323-5.6-abort"],
        lose!(ToServer, |message| {
            message.is_signal(Signal::RELEASE) || message.is_signal(Signal::ABORT)
        }),
    )
    .inconclusive(),
    tcp(
        "a Release is an Abort to it",
        &["RFC8323-5.5-release-after-answers"],
        change!(ToServer, |message| {
            if message.is_signal(Signal::RELEASE) {
                message.code = Code::from(Signal::ABORT);
            }
        }),
    )
    .inconclusive(),
    tcp(
        "it answers in the order of requests",
        &["RFC8323-3.3-order-of-responses"],
        || {
            stateful(
                |_| Vec::new(),
                |held: &mut Vec<Piece>, way, piece| {
                    let response = matches!(&piece, Piece::Message(message) if message.status().is_some());
                    if way == Way::ToServer || !response {
                        return vec![piece];
                    }
                    held.push(piece);
                    if held.len() < 2 {
                        return Vec::new();
                    }
                    held.drain(..).rev().collect()
                },
            )
        },
    )
    .inconclusive(),
    tcp(
        "all its answers have one token",
        &["RFC8323-3.3-concurrent-requests"],
        || {
            stateful(
                |_| None,
                |token: &mut Option<Vec<u8>>, way, mut piece| {
                    if let (Way::ToJudge, Piece::Message(message)) = (way, &mut piece)
                        && message.status().is_some()
                    {
                        message
                            .token
                            .clone_from(token.get_or_insert(message.token.clone()));
                    }
                    vec![piece]
                },
            )
        },
    ),
    tcp(
        "a token is the same for it in all connections",
        &["RFC8323-3.3-same-connection"],
        change!(ToJudge, |message| {
            if message.code == Code::new(4, 4) {
                message.code = Code::new(2, 5);
            }
        }),
    ),
    tcp(
        "it takes the same request for a copy",
        &["RFC8323-3.1-no-deduplication"],
        || {
            stateful(
                |_| Vec::new(),
                |seen: &mut Vec<Vec<u8>>, way, mut piece| {
                    if let (Way::ToServer, Piece::Message(message)) = (way, &mut piece)
                        && message.method() == Some(Method::POST)
                    {
                        if seen.contains(&message.token) {
                            message.code = Code::from(Method::GET);
                        }
                        seen.push(message.token.clone());
                    }
                    vec![piece]
                },
            )
        },
    ),
    tcp(
        "it does not see that the other side is closed",
        &["RFC8323-3.3-half-closed"],
        || {
            stateless(|way, piece| match piece {
                Piece::End if way == Way::ToServer => {
                    // The relay's thread ends with its connections.
                    Vec::new()
                }
                piece => vec![piece],
            })
        },
    ),
    tcp(
        "its notifications have no Observe",
        &["RFC8323-7.1-notifications"],
        || {
            stateful(
                |_| false,
                |registered, way, mut piece| {
                    if let (Way::ToJudge, Piece::Message(message)) = (way, &mut piece)
                        && message.status().is_some()
                        && message.options.contains(OptionNumber::OBSERVE)
                        && std::mem::replace(registered, true)
                    {
                        message.options.remove(OptionNumber::OBSERVE);
                    }
                    vec![piece]
                },
            )
        },
    ),
    tcp(
        "it does not know deregistrations",
        &["RFC8323-7.4-deregistration"],
        change!(ToServer, |message| {
            if message.observe_value() == Some(1) {
                message.options.remove(OptionNumber::OBSERVE);
                message.token.push(0);
            }
        }),
    ),
    tcp(
        "observations outlive their connection",
        &["RFC8323-7.4-end-of-the-connection"],
        change!(ToServer, |message| {
            if message.uri_path() == "/obs" && message.observe_value().is_none() {
                message.options.push_uint(OptionNumber::OBSERVE, 0);
            }
        }),
    ),
    tcp(
        "its last block has a wrong number",
        &["RFC8323-6-bert-download"],
        change!(ToJudge, |message| {
            if message.block2_value().is_some_and(|block| !block.more()) {
                message.options.remove(OptionNumber::BLOCK2);
                *message = message.clone().block2(7, false, 6);
            }
        }),
    ),
    tcp(
        "its blocks of BERT have any length",
        &["RFC8323-6-bert-upload"],
        change!(ToJudge, |message| {
            if message
                .block2_value()
                .is_some_and(|block| block.szx() == 7 && block.more())
            {
                message.payload.pop();
            }
        }),
    ),
    tcp(
        "its blocks of BERT begin with the body",
        &["RFC8323-6-bert-offset"],
        change!(ToServer, |message| {
            if message.block2_value().is_some_and(|block| block.szx() == 7) {
                message.options.remove(OptionNumber::BLOCK2);
                *message = message.clone().block2(0, false, 7);
            }
        }),
    ),
    tcp(
        "it counts blocks of BERT one by one",
        &["RFC8323-6-bert-upload"],
        change!(ToServer, |message| {
            if message.block1_value().is_some_and(|block| block.num() == 2) {
                message.options.remove(OptionNumber::BLOCK1);
                *message = message.clone().block1(1, true, 7);
            }
        }),
    ),
    tcp(
        "it takes blocks of BERT of any length",
        &["RFC8323-6-bert-of-odd-length"],
        change!(ToServer, |message| {
            message.payload.truncate(1024);
        }),
    )
    .inconclusive(),
    websocket(
        "it agrees on another sub-protocol",
        &["RFC8323-4.1-handshake"],
        || {
            stateless(|way, piece| match piece {
                Piece::Other(bytes) if way == Way::ToJudge && bytes.starts_with(b"HTTP/") => {
                    reworded(&bytes, "coap", "chat")
                }
                piece => vec![piece],
            })
        },
    ),
    websocket(
        "it agrees on any sub-protocol",
        &["RFC8323-4.1-other-sub-protocol"],
        other!(|bytes| { reworded(&bytes, "Protocol: chat", "Protocol: coap") }),
    ),
    websocket(
        "its endpoint is everywhere",
        &["RFC8323-8.3-other-path"],
        other!(|bytes| { reworded(&bytes, "GET /other", "GET /.well-known/coap") }),
    )
    .inconclusive(),
    websocket(
        "it knows any version",
        &["RFC8323-4.1-no-handshake"],
        other!(|bytes| { reworded(&bytes, "Version: 12", "Version: 13") }),
    ),
    websocket(
        "it reads lengths",
        &["RFC8323-4.2-len-is-0"],
        other!(|bytes| {
            let message =
                frame(&bytes).and_then(|frame| Message::parse_frame(Framing::Tcp, &frame.payload).ok());
            vec![message.map_or(Piece::Other(bytes), Piece::Message)]
        }),
    ),
    websocket(
        "it takes text",
        &["RFC8323-4.2-text"],
        other!(|bytes| {
            let text = frame(&bytes).filter(|frame| frame.opcode == Opcode::TEXT);
            let message =
                text.and_then(|frame| Message::parse_frame(Framing::WebSocket, &frame.payload).ok());
            vec![message.map_or(Piece::Other(bytes), Piece::Message)]
        }),
    ),
    websocket(
        "it does not know fragments",
        &["RFC8323-4.2-fragments"],
        other!(|bytes| {
            match frame(&bytes) {
                Some(frame) if !frame.fin || frame.opcode == Opcode::CONTINUATION => Vec::new(),
                _ => vec![Piece::Other(bytes)],
            }
        }),
    ),
    websocket(
        "it answers neither Pings nor Closes of the WebSocket",
        &["RFC8323-4.4-ping-of-websocket", "RFC8323-4.3-close"],
        other!(|bytes| match frame(&bytes) {
            Some(frame) if [Opcode::PING, Opcode::CLOSE].contains(&frame.opcode) => Vec::new(),
            _ => vec![Piece::Other(bytes)],
        }),
    ),
    websocket(
        "it takes frames without a mask",
        &["RFC8323-4.2-no-mask"],
        other!(|bytes| {
            let bare = frame(&bytes).filter(|frame| !frame.masked);
            let message =
                bare.and_then(|frame| Message::parse_frame(Framing::WebSocket, &frame.payload).ok());
            vec![message.map_or(Piece::Other(bytes), Piece::Message)]
        }),
    ),
    websocket(
        "it passes over frames that mean nothing",
        &["RFC8323-4.2-reserved-opcode"],
        other!(|bytes| {
            match frame(&bytes) {
                Some(frame) if frame.opcode == Opcode(3) => Vec::new(),
                _ => vec![Piece::Other(bytes)],
            }
        }),
    ),
    websocket(
        "it passes over messages without a code",
        &["RFC8323-4.2-empty-message"],
        other!(|bytes| {
            match frame(&bytes) {
                Some(frame) if frame.opcode == Opcode::BINARY && frame.payload.len() < 2 => Vec::new(),
                _ => vec![Piece::Other(bytes)],
            }
        }),
    ),
    tcp("it holds everybody up", &["RFC8323-3.2-slow-bytes"], || {
        Arc::new(|number| {
            let fault: Fault = Box::new(move |_, piece| {
                if number > 1 {
                    // tidy: the fault is to be slow
                    thread::sleep(Duration::from_millis(1500));
                }
                vec![piece]
            });
            fault
        })
    }),
];
