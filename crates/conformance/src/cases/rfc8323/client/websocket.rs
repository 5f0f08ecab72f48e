//! §4: WebSockets as clients have them.

use coracle_wire::Status;

use super::{RIGHT, WRONG, asked, takes};
use crate::case::{Case, client};
use crate::connected::END;
use crate::host::Host;
use crate::template::Stimulus;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};
use crate::websocket::{self, Opcode, WsFrame};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC8323-4.1-handshake",
        "RFC 8323 §4.1, §8.3; RFC 6455 §4.1",
        "The handshake asks for /.well-known/coap with a Host and the sub-protocol coap",
        handshake,
    )
    .over(&[Transport::WebSocket])
    .steps(&["The client connects.", "Its handshake is right, and its frames have masks. The answer to its request is shown."]),
    client(
        "RFC8323-4.1-other-sub-protocol",
        "RFC 8323 §4.1; RFC 6455 §4.1",
        "A server that agrees on another sub-protocol, or is no WebSocket, is not talked to",
        other_sub_protocol,
    )
    .over(&[Transport::WebSocket])
    .opened(Opening::Bytes)
    .steps(&["The client connects, and the judge agrees on the sub-protocol `chat`; another time it says 404; another time the Sec-WebSocket-Accept is wrong.", "The client ends the connection and sends no messages."]),
    client(
        "RFC8323-4.2-text",
        "RFC 8323 §4.2",
        "A text message is not taken for an answer",
        text,
    )
    .over(&[Transport::WebSocket])
    .steps(&["The client asks, and gets the answer in a text message.", "It is not shown, and the connection ends."]),
    client(
        "RFC8323-4.2-fragments",
        "RFC 8323 §4.2; RFC 6455 §5.4, §5.5.2",
        "A message may come in fragments, and a Ping of the WebSocket is answered",
        fragments,
    )
    .over(&[Transport::WebSocket])
    .steps(&["The client asks, gets a Ping of the WebSocket, and the answer in three fragments.", "A Pong of the WebSocket comes with the payload of the Ping, and the answer is shown."]),
    client(
        "RFC8323-4.2-mask-of-server",
        "RFC 6455 §5.1",
        "A frame of the server that has a mask ends the connection",
        mask_of_server,
    )
    .over(&[Transport::WebSocket])
    .steps(&["The client asks, and gets the answer in a frame with a mask.", "It is not shown, and the connection ends."]),
];

fn handshake(host: &mut Host) -> Judged {
    let request = asked(host)?;
    takes(host, &request)
}

fn other_sub_protocol(host: &mut Host) -> Judged {
    for wrong in ["chat", "404", "accept"] {
        let mut other = host.another()?;
        other.start(&Stimulus::get("/test"))?;
        let peer = other.connection()?;
        let Some((index, head)) = other.head_of(peer, END)? else {
            return Err(Stop::fail("expected a handshake", None));
        };
        if let Some(expected) = websocket::not_right(&head) {
            return Err(Stop::fail_at(index, format!("expected {expected}"), None));
        }
        let answer = match wrong {
            "chat" => websocket::agreement(&head, Some("chat")),
            "404" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => websocket::agreement(&head, Some("coap")).replace("Accept: ", "Accept: x"),
        };
        other.connections()?.put_out(peer, answer.as_bytes());
        other.connections()?.begin_messages(peer);
        let ended = other.until_end(peer, END)?;
        if let Some(message) = ended.messages.first() {
            message.expect(false, "no message to who is no CoAP server", None)?;
        }
        ended.is_over("to who is no CoAP server")?;
    }
    Ok(())
}

fn text(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let answer = host.response_to(&request, Status::CONTENT);
    // The format 0 of a text is left out, so that all of it but the marker is ASCII.
    let mut bytes = host.encoded(&answer.payload(WRONG.as_bytes()));
    bytes.retain(|byte| byte.is_ascii());
    host.send_websocket(&request, WsFrame::new(Opcode::TEXT, &bytes))?;
    let ended = host.until_ended(&request)?;
    host.expect_not_shown(WRONG, "RFC 8323 §4.2")?;
    ended.is_over("for a text message")?;
    Ok(())
}

fn fragments(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let answer = host.response_to(&request, Status::CONTENT).text(RIGHT);
    let bytes = host.encoded(&answer);
    host.send_websocket(&request, WsFrame::new(Opcode::PING, b"are you there"))?;
    let Some((index, pong)) = host.control(&request, END)? else {
        return Err(Stop::fail("expected a Pong of the WebSocket", "RFC 6455 §5.5.2"));
    };
    if pong.opcode != Opcode::PONG || pong.payload != b"are you there" {
        let what = "expected a Pong of the WebSocket with the payload of the Ping";
        return Err(Stop::fail_at(index, what, "RFC 6455 §5.5.3"));
    }
    let (first, rest) = bytes.split_at(1);
    let (second, third) = rest.split_at(rest.len() / 2);
    for (opcode, fin, payload) in [
        (Opcode::BINARY, false, first),
        (Opcode::CONTINUATION, false, second),
        (Opcode::CONTINUATION, true, third),
    ] {
        let frame = WsFrame {
            fin,
            ..WsFrame::new(opcode, payload)
        };
        host.send_websocket(&request, frame)?;
    }
    host.expect_shown(RIGHT)
}

fn mask_of_server(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let answer = host.response_to(&request, Status::CONTENT).text(WRONG);
    let frame = WsFrame {
        masked: true,
        ..WsFrame::new(Opcode::BINARY, &host.encoded(&answer))
    };
    host.send_stream(&request, &frame.to_bytes([1, 2, 3, 4]))?;
    let ended = host.until_ended(&request)?;
    host.expect_not_shown(WRONG, "RFC 6455 §5.1")?;
    ended.is_over("for a frame of the server with a mask")?;
    Ok(())
}
