//! §3.2, §3.4, §4.2, §5.6: how messages lie in a connection, and what is none.

use std::time::{Duration, Instant};

use coracle_wire::{Code, Framing, MessageType, Method, OptionNumber, Signal, Status};

use super::super::super::rfc7252::{count_of, own_counter};
use super::csm::{ELECTIVE, expect_content, send_get};
use crate::case::{Case, server};
use crate::connected::END;
use crate::message::Message;
use crate::probe::{PATIENCE, Probe};
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-3.2-split-anywhere",
        "RFC 8323 §3.2, §3.3",
        "Where the bytes of a message are split on the way does not matter",
        split_anywhere,
    )
    .over(&[Transport::Tcp])
    .opened(Opening::Silent)
    .steps(&[
        "Send a CSM and two GETs one byte at a time, another time in pieces that end within a message.",
        "2.05 comes for each.",
    ]),
    server(
        "RFC8323-3.2-many-in-one-segment",
        "RFC 8323 §3.2, §3.3",
        "Many messages that come at once are all taken",
        many_in_one_segment,
    )
    .over(&[Transport::Tcp])
    .opened(Opening::Silent)
    .steps(&["Send a CSM, an empty message and 30 GETs with one write.", "30 times 2.05 comes, each token once."]),
    server(
        "RFC8323-3.2-lengths",
        "RFC 8323 §3.2, §4.2",
        "All ways to say a length are understood",
        lengths,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "GET with options of 12, 13, 268, 269 and 600 bytes together, by an elective option that is not known.",
        "2.05 comes each time. A GET with a payload of 70,000 bytes is answered, too, if the server takes messages of that length.",
    ]),
    server(
        "RFC8323-3.2-slow-bytes",
        "RFC 8323 §3.2",
        "Whoever sends a byte a second is served in the end, or the connection is ended; others are not held up",
        slow_bytes,
    )
    .over(&[Transport::Tcp])
    .opened(Opening::Silent)
    .within(60)
    .steps(&[
        "Send a CSM and a GET one byte a second. Another connection asks meanwhile.",
        "The other one is answered within the usual time. The slow one gets 2.05, or is ended.",
    ]),
    server(
        "RFC8323-3.2-tkl-15",
        "RFC 8323 §5.6; RFC 8974 §2.1",
        "The token length 15 is a format error",
        tkl_15,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["Send a POST to a counter with 15 as its token length.", "An Abort comes, and the connection ends."]),
    server(
        "RFC8323-3.2-tkl-13-and-14",
        "RFC 8323 §5.6; RFC 8974 §2.1, §2.2.1",
        "Token lengths of 13 and 14 are extended ones, or a format error",
        tkl_13_and_14,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "GET with tokens of 20 and of 300 bytes.",
        "A response with the token comes, or an Abort and the end of the connection.",
    ]),
    server(
        "RFC8323-3.4-empty-is-ignored",
        "RFC 8323 §3.4, §5.4",
        "Empty messages are ignored, whatever they carry",
        empty_is_ignored,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "Send empty messages: plain, with a token, with options and a payload. Then GET.",
        "Nothing comes for them, and 2.05 for the GET.",
    ]),
    server(
        "RFC8323-5.3.1-absurd-length",
        "RFC 8323 §5.3.1, §5.6",
        "A message that announces 4 GiB is not collected: the connection is ended",
        absurd_length,
    )
    .over(&[Transport::Tcp])
    .within(45)
    .steps(&[
        "Send the header of a message of 4 GiB, and a MiB of it.",
        "The connection ends within 20 s. No rule says so, so that one that goes on is inconclusive.",
    ]),
    server(
        "RFC8323-5.6-format-errors",
        "RFC 8323 §5.6; RFC 7252 §3",
        "Messages that cannot be read are answered with an Abort and not processed",
        format_errors,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/counter/judge"])
    .within(90)
    .steps(&[
        "Send POSTs to a counter with an option delta of 15, an option length of 15, an option that is longer than the message, a payload marker without payload: each by its own connection.",
        "Each time an Abort comes, no response, and the connection ends. The counter stays.",
    ]),
    server(
        "RFC8323-5.6-truncated",
        "RFC 8323 §3.2",
        "A message whose end is missing is not processed",
        truncated,
    )
    .over(&[Transport::Tcp])
    .needs(&["/counter/judge"])
    .steps(&[
        "Send a POST to a counter without its last byte, and close the judge's side of the connection.",
        "No response comes, the connection ends, and the counter stays.",
    ]),
    server(
        "RFC8323-5.6-garbage",
        "RFC 8323 §3.3, §5.6",
        "What is no CoAP at all ends the connection",
        garbage,
    )
    .over(&[Transport::Tcp])
    .opened(Opening::Bytes)
    .within(90)
    .steps(&[
        "Send a request of HTTP, a hello of TLS, and a KiB of 0xff, each by its own connection.",
        "Each connection ends, and the server is still there.",
    ]),
    server(
        "RFC8323-5.1-other-codes",
        "RFC 8323 §5.1, §11.1; RFC 7252 §4.2, §12.1",
        "Codes that mean nothing are ignored, or end the connection: they are not executed",
        other_codes,
    )
    .over(Transport::CONNECTIONS)
    .within(60)
    .steps(&[
        "Send messages with the codes 1.00, 6.01, 7.00, 7.31, 0.31, and 2.05 with a token that nobody knows.",
        "No 2.xx comes for any. Either the connection goes on, or it ends. The server is still there.",
    ]),
];

/// A CSM without options and two GETs of the target, as bytes.
fn csm_and_gets(probe: &mut Probe) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut bytes = probe.encoded(&Message::signal(Signal::CSM));
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let target = probe.target().to_owned();
        let request = probe.get(&target);
        bytes.extend(probe.encoded(&request));
        tokens.push(request.token);
    }
    (bytes, tokens)
}

/// Each of these tokens comes back once, with 2.05.
fn expect_each(probe: &mut Probe, mut tokens: Vec<Vec<u8>>) -> Judged {
    while !tokens.is_empty() {
        let within = probe.answer_time();
        let answer = probe.expect_message(within, "a response to each request")?;
        answer.code(Status::CONTENT)?;
        let place = tokens.iter().position(|token| *token == answer.token);
        answer.expect(place.is_some(), "the token of a request, once", "RFC 8323 §3.3")?;
        tokens.swap_remove(place.unwrap_or_default());
    }
    Ok(())
}

/// How long the system may take to send what was written before the next is.
const APART: Duration = Duration::from_millis(5);

fn split_anywhere(probe: &mut Probe) -> Judged {
    for piece in [1, 2, 3, 7, 11] {
        let mut other = probe.another_opened(Opening::Silent)?;
        let (bytes, tokens) = csm_and_gets(&mut other);
        for piece in bytes.chunks(piece) {
            other.send_stream(piece)?;
            std::thread::sleep(APART);
        }
        expect_each(&mut other, tokens)?;
    }
    Ok(())
}

fn many_in_one_segment(probe: &mut Probe) -> Judged {
    let mut bytes = probe.encoded(&Message::signal(Signal::CSM));
    bytes.extend([0x00, 0x00]);
    let mut tokens = Vec::new();
    for _ in 0..30 {
        let target = probe.target().to_owned();
        let request = probe.get(&target);
        bytes.extend(probe.encoded(&request));
        tokens.push(request.token);
    }
    probe.send_stream(&bytes)?;
    expect_each(probe, tokens)?;
    probe.expect_silence(PATIENCE, None)
}

/// The options of a request as they are encoded.
fn option_bytes(request: &Message) -> Vec<u8> {
    let alone = request.clone().token(b"").payload(b"");
    alone.to_frame(Framing::WebSocket).split_off(2)
}

/// A GET of the target whose options take so many bytes.
fn get_of_length(probe: &mut Probe, length: usize) -> Judged<Message> {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    for padding in 0..=length {
        let padded = request.clone().option(ELECTIVE, &vec![0; padding]);
        if option_bytes(&padded).len() == length {
            return Ok(padded);
        }
    }
    Err(Stop::Inconclusive(format!("no options of {length} bytes")))
}

fn lengths(probe: &mut Probe) -> Judged {
    for length in [12, 13, 268, 269, 600] {
        // A long path of a lent resource leaves no room for the shortest ones.
        let Ok(request) = get_of_length(probe, length) else {
            continue;
        };
        probe.ask(&request)?.code(Status::CONTENT)?;
    }
    let takes = probe.announced()?.max_message_size.unwrap_or(1152);
    if takes >= 80_000 {
        // A payload means nothing to a GET (RFC 7252 §5.8.1).
        let target = probe.target().to_owned();
        let request = probe.get(&target).payload(&[b'x'; 70_000]);
        let answer = probe.ask(&request)?;
        answer.expect(answer.status().is_some(), "a response", None)?;
    }
    Ok(())
}

fn slow_bytes(probe: &mut Probe) -> Judged {
    let (bytes, tokens) = csm_and_gets(probe);
    probe.connections()?.let_end();
    for (index, byte) in bytes.iter().take(20).enumerate() {
        probe.send_stream(&[*byte])?;
        if index % 5 == 0 {
            let began = Instant::now();
            probe.expect_alive()?;
            if began.elapsed() > Duration::from_secs(4) {
                let what = "a slow connection holds others up for more than 4 s";
                return Err(Stop::fail(what, None));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let rest: Vec<u8> = bytes.into_iter().skip(20).collect();
    probe.send_stream(&rest)?;
    let came = probe.until_ended_within(Duration::from_secs(2))?;
    let answered = came
        .messages
        .iter()
        .filter(|message| tokens.contains(&message.token))
        .count();
    if answered < tokens.len() && came.ending.is_none() {
        return Err(Stop::fail("expected 2.05 for what came slowly, or an end", None));
    }
    Ok(())
}

/// The header of a frame with this token length whose options and payload take so many bytes, up to 12.
fn head(probe: &Probe, length: u8, tkl: u8) -> u8 {
    match probe.transport() {
        Transport::WebSocket => tkl,
        _ => length << 4 | tkl,
    }
}

fn tkl_15(probe: &mut Probe) -> Judged {
    let mut bytes = vec![head(probe, 0, 15), 0x02];
    bytes.extend([0; 20]);
    probe.send_bytes(&bytes);
    let ended = probe.until_ended()?;
    ended.has_no_response()?.is_aborted("for the token length 15")?;
    probe.expect_alive()
}

fn tkl_13_and_14(probe: &mut Probe) -> Judged {
    for length in [20, 300] {
        let mut other = probe.another()?;
        let target = other.target().to_owned();
        let request = other.get(&target).token(&vec![9; length]);
        other.send(&request);
        let came = other.until_answered_or_ended(END)?;
        match came.messages.iter().find(|message| message.status().is_some()) {
            Some(answer) => answer.answers(&request).map(drop)?,
            None => came.is_aborted("for a token that is too long").map(drop)?,
        }
    }
    probe.expect_alive()
}

fn empty_is_ignored(probe: &mut Probe) -> Judged {
    let empty = || Message::empty(MessageType::NonConfirmable, 0);
    probe.send(&empty());
    probe.send(&empty().token(b"1234"));
    let full = empty()
        .token(b"5")
        .option(OptionNumber(65001), b"x")
        .payload(b"keep");
    probe.send(&full);
    probe.expect_silence(PATIENCE, None)?;
    expect_content(probe)
}

fn absurd_length(probe: &mut Probe) -> Judged {
    probe.send_stream(&[0xf0, 0xff, 0xff, 0xff, 0xff, 0x02])?;
    for _ in 0..16 {
        probe.send_stream(&[0x31; 64 * 1024])?;
        if probe.until_ended_within(Duration::ZERO)?.ending.is_some() {
            break;
        }
    }
    let ended = probe.until_ended_within(Duration::from_secs(20))?;
    ended.has_no_response()?;
    if ended.ending.is_none() {
        let what = "the server goes on to collect a message of 4 GiB";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    probe.expect_alive()
}

/// The bytes of a POST to a path whose options end in these bytes.
fn post_with(probe: &mut Probe, path: &str, end: &[u8]) -> Vec<u8> {
    let request = probe.request(Method::POST, path);
    let mut rest = option_bytes(&request);
    rest.extend(end);
    let length = u8::try_from(rest.len()).unwrap_or(u8::MAX);
    let mut bytes = match probe.transport() {
        Transport::WebSocket => vec![0x04],
        _ if length < 13 => vec![length << 4 | 4],
        _ => vec![0xd4, length - 13],
    };
    bytes.push(0x02);
    bytes.extend(&request.token);
    bytes.extend(rest);
    bytes
}

fn format_errors(probe: &mut Probe) -> Judged {
    let counter = own_counter(probe);
    let post = probe.post(&counter, "");
    let before = probe.ask(&post)?;
    let count = count_of(probe, &counter)?;
    before.expect(before.status().is_some(), "a response", None)?;
    let ends: [(&str, &[u8]); 4] = [
        ("an option delta of 15", &[0xf1, 0x00, 0x00]),
        ("an option length of 15", &[0x0f, 0x00, 0x00]),
        ("an option that ends too early", &[0x08, 0x61]),
        ("a payload marker without payload", &[0xff]),
    ];
    for (what, end) in ends {
        let mut other = probe.another()?;
        let bytes = post_with(&mut other, &counter, end);
        other.send_bytes(&bytes);
        let ended = other.until_ended()?;
        ended.has_no_response()?.is_aborted(&format!("for {what}"))?;
    }
    let after = count_of(probe, &counter)?;
    if after != count {
        let what = format!(
            "expected the counter at {count}, but it is at {after}: what cannot be read was executed"
        );
        return Err(Stop::fail(what, None));
    }
    Ok(())
}

fn truncated(probe: &mut Probe) -> Judged {
    let counter = own_counter(probe);
    let mut other = probe.another()?;
    let post = other.post(&counter, "one");
    other.ask(&post)?;
    let count = count_of(probe, &counter)?;
    let again = other.post(&counter, "two");
    let mut bytes = other.encoded(&again);
    bytes.pop();
    other.send_stream(&bytes)?;
    other.half_close()?;
    let ended = other.until_ended()?;
    ended
        .has_no_response()?
        .is_over("whose other side is closed in the middle of a message")?;
    let after = count_of(probe, &counter)?;
    if after != count {
        return Err(Stop::fail("a message whose end is missing was executed", None));
    }
    Ok(())
}

fn garbage(probe: &mut Probe) -> Judged {
    let hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
    let noise = [0xff; 1024];
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: judge\r\n\r\n";
    let hello = [hello.as_slice(), &[0x5c; 160]].concat();
    let mut others = Vec::new();
    for bytes in [http.as_slice(), &hello, &noise] {
        let mut other = probe.another_opened(Opening::Bytes)?;
        other.send_stream(bytes)?;
        others.push(other);
    }
    for mut other in others {
        let ended = other.until_ended_within(2 * END)?;
        ended.is_over("on which something else is spoken")?;
    }
    probe.expect_alive()
}

fn other_codes(probe: &mut Probe) -> Judged {
    let codes = [
        Code::new(1, 0),
        Code::new(6, 1),
        Code::new(7, 0),
        Code::new(7, 31),
        Code::new(0, 31),
        Code::new(2, 5),
    ];
    for code in codes {
        let mut other = probe.another()?;
        let message = Message::new(MessageType::NonConfirmable, code, 0).token(b"none");
        other.send(&message);
        let came = other.until_ended_within(PATIENCE)?;
        for answer in &came.messages {
            let success = answer.status().is_some() && answer.code.class() == 2;
            answer.expect(!success, format!("no success for the code {code}"), None)?;
        }
        if came.ending.is_none() {
            expect_content(&mut other)?;
        }
    }
    send_get(probe);
    probe.expect_alive()
}
