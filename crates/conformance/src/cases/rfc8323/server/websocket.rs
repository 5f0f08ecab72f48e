//! §4: WebSockets.

use std::time::Duration;

use coracle_wire::{Framing, Signal, Status};

use super::csm::{expect_content, send_get};
use crate::case::{Case, server};
use crate::connected::END;
use crate::message::Message;
use crate::probe::{PATIENCE, Probe};
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};
use crate::websocket::{self, Opcode, PATH, WsFrame};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-4.1-handshake",
        "RFC 8323 §4.1, §8.3; RFC 6455 §4.2.2",
        "A handshake with the sub-protocol coap is agreed to, also among others",
        handshake,
    )
    .over(&[Transport::WebSocket])
    .opened(Opening::Bytes)
    .steps(&[
        "Ask for a WebSocket at /.well-known/coap with the sub-protocols `chat, coap`.",
        "101 comes with the right Sec-WebSocket-Accept and the sub-protocol coap.",
    ]),
    server(
        "RFC8323-4.1-other-sub-protocol",
        "RFC 8323 §4.1; RFC 6455 §4.2.2",
        "Who does not offer the sub-protocol coap is not told that it is agreed on, and gets no messages",
        other_sub_protocol,
    )
    .over(&[Transport::WebSocket])
    .opened(Opening::Bytes)
    .within(60)
    .steps(&[
        "Ask for a WebSocket with the sub-protocol `chat`, another time without any.",
        "No 101 comes, or one without the sub-protocol coap. What is no 101 is a status of 400 or more.",
    ]),
    server(
        "RFC8323-8.3-other-path",
        "RFC 8323 §8.3",
        "The endpoint is at /.well-known/coap and nowhere else",
        other_path,
    )
    .over(&[Transport::WebSocket])
    .opened(Opening::Bytes)
    .steps(&[
        "Ask for a WebSocket at /other.",
        "A status of 400 or more comes. Others may be endpoints of the server, too, so that 101 is inconclusive.",
    ]),
    server(
        "RFC8323-4.1-no-handshake",
        "RFC 6455 §4.2.1",
        "A request that asks for no WebSocket is not agreed to",
        no_handshake,
    )
    .over(&[Transport::WebSocket])
    .opened(Opening::Bytes)
    .within(60)
    .steps(&[
        "GET /.well-known/coap as a browser does; ask for a WebSocket of version 12; ask without a key.",
        "No 101 comes: a status of 400 or more, or the end of the connection.",
    ]),
    server(
        "RFC8323-4.2-len-is-0",
        "RFC 8323 §4.2, §5.6",
        "A message whose Len is not 0 is a format error",
        len_is_not_0,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a GET as TCP has it, with its length in Len.", "An Abort comes, and the connection ends."]),
    server(
        "RFC8323-4.2-text",
        "RFC 8323 §4.2",
        "A text message ends the connection",
        text,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a GET in a text message.", "No response comes, and the connection ends."]),
    server(
        "RFC8323-4.2-fragments",
        "RFC 8323 §4.2; RFC 6455 §5.4",
        "A message may come in fragments, with a Ping of the WebSocket between them",
        fragments,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a GET in three fragments, and a Ping of the WebSocket after the first.", "A Pong of the WebSocket comes, and 2.05."]),
    server(
        "RFC8323-4.4-ping-of-websocket",
        "RFC 6455 §5.5.2, §5.5.3",
        "A Ping of the WebSocket is answered with a Pong that has its payload",
        ping,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a Ping of the WebSocket with a payload.", "A Pong of the WebSocket comes with that payload. No Ping came unasked (RFC 8323 §4.4: SHOULD NOT)."]),
    server(
        "RFC8323-4.3-close",
        "RFC 6455 §5.5.1, §7.1.1",
        "A Close is answered with a Close, and the connection ends",
        close,
    )
    .over(&[Transport::WebSocket])
    .steps(&["GET, then send a Close with the code 1000.", "A Close comes, and the server ends the TCP connection."]),
    server(
        "RFC8323-4.2-no-mask",
        "RFC 6455 §5.1",
        "A frame of a client without a mask ends the connection",
        no_mask,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a GET in a frame without a mask.", "No response comes, and the connection ends."]),
    server(
        "RFC8323-4.2-reserved-opcode",
        "RFC 6455 §5.2",
        "A frame with a reserved opcode, or a reserved bit, ends the connection",
        reserved_opcode,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send a frame with opcode 3, another time a binary one with RSV1.", "The connection ends."]),
    server(
        "RFC8323-4.2-empty-message",
        "RFC 8323 §4.2, §5.6",
        "A binary message without a byte is a format error",
        empty_message,
    )
    .over(&[Transport::WebSocket])
    .steps(&["Send an empty binary message, another time one of a single byte.", "The connection ends."]),
];

/// The key of handshakes, which need no secret.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Sends a request of HTTP by a connection of its own, and gives the status of the response and its sub-protocol.
fn ask_http(probe: &Probe, request: &str) -> Judged<Option<(usize, websocket::Head)>> {
    let mut other = probe.another_opened(Opening::Bytes)?;
    other.send_stream(request.as_bytes())?;
    other.head(END)
}

fn handshake(probe: &mut Probe) -> Judged {
    let host = probe.server().to_string();
    let answer = ask_http(probe, &websocket::request(PATH, &host, Some("chat, coap"), KEY))?;
    let Some((index, head)) = answer else {
        return Err(Stop::fail("expected an answer to the handshake", None));
    };
    match websocket::refused(&head, KEY) {
        None => Ok(()),
        Some(expected) => Err(Stop::fail_at(index, format!("expected {expected}"), None)),
    }
}

/// It is refused with a status, or the connection has ended.
fn is_refused(answer: Option<(usize, websocket::Head)>) -> Judged {
    let Some((index, head)) = answer else {
        return Ok(());
    };
    if head.status().is_some_and(|status| status >= 400) {
        return Ok(());
    }
    Err(Stop::fail_at(index, "expected a status of 400 or more", None))
}

fn other_sub_protocol(probe: &mut Probe) -> Judged {
    let host = probe.server().to_string();
    for protocols in [Some("chat"), None] {
        let answer = ask_http(probe, &websocket::request(PATH, &host, protocols, KEY))?;
        match &answer {
            Some((index, head)) if head.status() == Some(101) => {
                if head.lists("sec-websocket-protocol", "coap") {
                    let what = "expected no sub-protocol that the client has not offered";
                    return Err(Stop::fail_at(*index, what, None));
                }
            }
            _ => is_refused(answer)?,
        }
    }
    probe.expect_alive()
}

fn other_path(probe: &mut Probe) -> Judged {
    let host = probe.server().to_string();
    let answer = ask_http(probe, &websocket::request("/other", &host, Some("coap"), KEY))?;
    if answer
        .as_ref()
        .is_some_and(|(_, head)| head.status() == Some(101))
    {
        let what = "the server has an endpoint at /other, too";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    is_refused(answer)
}

fn no_handshake(probe: &mut Probe) -> Judged {
    let host = probe.server().to_string();
    let right = websocket::request(PATH, &host, Some("coap"), KEY);
    let plain = format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let version = right.replace("Version: 13", "Version: 12");
    let keyless = right.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), "");
    for request in [plain, version, keyless] {
        is_refused(ask_http(probe, &request)?)?;
    }
    probe.expect_alive()
}

fn len_is_not_0(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    let request = request.query("a=b");
    probe.send_bytes(&request.to_frame(Framing::Tcp));
    let ended = probe.until_ended()?;
    ended.has_no_response()?.is_aborted("for a Len that is not 0")?;
    probe.expect_alive()
}

fn text(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let mut request = probe.get(&target);
    // All of it is ASCII, so that it is a right text.
    request.token = b"text".to_vec();
    let bytes = probe.encoded(&request);
    probe.send_websocket(WsFrame::new(Opcode::TEXT, &bytes))?;
    let ended = probe.until_ended()?;
    ended.has_no_response()?.is_over("for a text message")?;
    probe.expect_alive()
}

fn fragments(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    let bytes = probe.encoded(&request);
    let (first, rest) = bytes.split_at(1);
    let (second, third) = rest.split_at(rest.len() / 2);
    let part = |opcode, fin, payload| WsFrame {
        fin,
        ..WsFrame::new(opcode, payload)
    };
    probe.send_websocket(part(Opcode::BINARY, false, first))?;
    probe.send_websocket(WsFrame::new(Opcode::PING, b"between"))?;
    probe.send_websocket(part(Opcode::CONTINUATION, false, second))?;
    probe.send_websocket(part(Opcode::CONTINUATION, true, third))?;
    let within = probe.answer_time();
    let answer = probe.expect_message(within, "a response")?;
    answer.answers(&request)?.code(Status::CONTENT)?;
    expect_pong(probe, b"between")
}

/// A Pong of the WebSocket with this payload comes next.
fn expect_pong(probe: &mut Probe, payload: &[u8]) -> Judged {
    let Some((index, frame)) = probe.control(END)? else {
        return Err(Stop::fail("expected a Pong of the WebSocket", "RFC 6455 §5.5.2"));
    };
    if frame.opcode == Opcode::PING {
        let what = "the server sends Pings of the WebSocket, as it should not (RFC 8323 §4.4)";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    if frame.opcode == Opcode::PONG && frame.payload == payload {
        return Ok(());
    }
    let what = "expected a Pong of the WebSocket with the payload of the Ping";
    Err(Stop::fail_at(index, what, "RFC 6455 §5.5.3"))
}

fn ping(probe: &mut Probe) -> Judged {
    probe.receive(PATIENCE)?;
    probe.send_websocket(WsFrame::new(Opcode::PING, b"are you there"))?;
    expect_pong(probe, b"are you there")?;
    expect_content(probe)
}

fn close(probe: &mut Probe) -> Judged {
    expect_content(probe)?;
    probe.send_websocket(WsFrame::new(Opcode::CLOSE, &1000_u16.to_be_bytes()))?;
    let Some((index, frame)) = probe.control(END)? else {
        return Err(Stop::fail("expected a Close of the WebSocket", None));
    };
    if frame.opcode != Opcode::CLOSE {
        return Err(Stop::fail_at(index, "expected a Close of the WebSocket", None));
    }
    probe.until_ended()?.is_over("after a Close of the WebSocket")?;
    Ok(())
}

fn no_mask(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    let frame = WsFrame::new(Opcode::BINARY, &probe.encoded(&request));
    probe.send_stream(&frame.to_bytes([0; 4]))?;
    let ended = probe.until_ended()?;
    ended.has_no_response()?.is_over("for a frame without a mask")?;
    probe.expect_alive()
}

fn reserved_opcode(probe: &mut Probe) -> Judged {
    let csm = Message::signal(Signal::CSM).to_frame(Framing::WebSocket);
    // RSV1 is the bit above the opcode and its neighbours (RFC 6455 §5.2).
    for opcode in [Opcode(3), Opcode(0x42)] {
        let mut other = probe.another()?;
        other.send_websocket(WsFrame::new(opcode, &csm))?;
        other
            .until_ended()?
            .is_over("for a frame with a reserved opcode or bit")?;
    }
    probe.expect_alive()
}

fn empty_message(probe: &mut Probe) -> Judged {
    for bytes in [b"".as_slice(), b"\0"] {
        let mut other = probe.another()?;
        other.send_bytes(bytes);
        send_get(&mut other);
        let ended = other.until_ended_within(Duration::from_secs(10))?;
        ended.has_no_response()?.is_over("for a message without a code")?;
    }
    probe.expect_alive()
}
