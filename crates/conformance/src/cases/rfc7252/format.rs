//! §3: datagrams that are not messages. A message format error is rejected: with a Reset if the message is
//! confirmable, with a Reset or in silence if it is not, in silence if it is an acknowledgement or a Reset (§4.2, §4.3).
//! The last two have a case of their own, so that the others show who reads and who does not.

use coracle_wire::{ContentFormat, MessageType, OptionNumber, Status};

use super::rejected::{Raw, drops, ignores_replies, rejects, resets, silence_after};
use crate::case::{Case, server};
use crate::message::Message;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-3-well-formed",
        "RFC 7252 §3, §3.1",
        "What the server sends is well-formed: version 1, options in order, no payload marker without payload",
        well_formed,
    )
    .steps(&[
        "GET resources that are there and that are not, by CON and NON, with and without a token; DELETE links",
        "Read every answer strictly",
    ]),
    server(
        "RFC7252-3-version",
        "RFC 7252 §3",
        "A message with another version than 1 is ignored in silence",
        version,
    )
    .steps(&["Send a GET and a ping, both confirmable, with version 0, 2 and 3", "Nothing comes"]),
    server(
        "RFC7252-3-token-length-15",
        "RFC 7252 §3, §4.2, §4.3",
        "A token length of 15 is a message format error",
        token_length_15,
    )
    .steps(&[
        "Send a GET that says it has a token of 15 bytes, and has that many",
        "Reset for CON, Reset or nothing for NON",
    ]),
    server(
        "RFC7252-3-token-length-9",
        "RFC 7252 §3, §4.2; RFC 8974 §2.1, §2.2.2",
        "A token length of 9 and more is a message format error, unless the server knows extended tokens",
        token_length_9,
    )
    .steps(&[
        "Send a GET with a token of 9 to 12 bytes, and one with token length 13 in the form of RFC 8974",
        "A Reset comes, or a response with the whole token",
    ]),
    server(
        "RFC7252-3-token-truncated",
        "RFC 7252 §3, §4.2, §4.3",
        "A message that ends within its token is malformed",
        token_truncated,
    )
    .steps(&[
        "Send a GET with token length 1 and no token, and one with token length 8 and three bytes",
        "Reset for CON, Reset or nothing for NON",
    ]),
    server(
        "RFC7252-3-marker-without-payload",
        "RFC 7252 §3, §4.2, §4.3",
        "A payload marker with nothing behind it is a message format error",
        marker_without_payload,
    )
    .steps(&[
        "Send a GET and a PUT that end with a payload marker",
        "Reset for CON, Reset or nothing for NON",
    ]),
    server(
        "RFC7252-3-short-datagram",
        "RFC 7252 §3",
        "A datagram that is shorter than a header is ignored",
        short_datagram,
    )
    .steps(&["Send datagrams of 0 to 3 bytes", "Nothing comes, and the server answers a GET as before"]),
    server(
        "RFC7252-3.1-option-delta-15",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option delta of 15 that is no payload marker is a message format error",
        delta_15,
    )
    .steps(&[
        "Send a GET with the option bytes f0, and one with f1 00",
        "Reset for CON, Reset or nothing for NON",
    ]),
    server(
        "RFC7252-3.1-option-length-15",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option length of 15 is a message format error",
        length_15,
    )
    .steps(&[
        "Send a GET with a Uri-Path whose length is 15, and an elective option with that length",
        "Reset for CON, Reset or nothing for NON",
    ]),
    server(
        "RFC7252-3.1-option-truncated",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option that runs over the end of the datagram is malformed",
        option_truncated,
    )
    .steps(&[
        "Send a GET that ends within an extended delta, an extended length or a value",
        "Reset for CON, Reset or nothing for NON",
    ])
    .within(60),
    server(
        "RFC7252-4.2-malformed-reply",
        "RFC 7252 §4.2, §3, §3.1, §4.1",
        "A malformed acknowledgement or Reset is ignored in silence",
        malformed_reply,
    )
    .steps(&[
        "Send ACK and RST that end within the token, with token length 15, with an option delta and length of 15, with a \
         payload marker alone, with an option that is cut off, and empty ones with a token and a payload",
        "Nothing comes",
    ])
    .within(90),
    server(
        "RFC7252-3.1-option-number-overflow",
        "RFC 7252 §3.1, §5.4.6, §12.2",
        "Option numbers over 65535 do not begin again at 0",
        number_overflow,
    )
    .steps(&[
        "GET /.well-known/core with an option behind its path whose number is that of Uri-Path plus 65536",
        "Reset or 4.02",
    ]),
    server(
        "RFC7252-3.1-extended-forms",
        "RFC 7252 §3.1, §5.4.1",
        "Deltas and lengths of 13 and more are read in their extended forms",
        extended_forms,
    )
    .anywhere()
    .steps(&[
        "GET a resource with elective options that nobody knows, of 0, 12, 13, 268, 269 and 500 bytes",
        "2.05 each time",
    ]),
    server(
        "RFC7252-3.2-leading-zeros",
        "RFC 7252 §3.2",
        "An unsigned integer in an option may begin with zeros",
        leading_zeros,
    )
    .anywhere()
    .needs(&["/multi-format"])
    .steps(&["GET /multi-format with Accept 00 29", "2.05 with Content-Format 41", "The same with 00 00 and 0"]),
    server(
        "RFC7252-4.1-empty-with-bytes",
        "RFC 7252 §4.1, §4.2, §4.3",
        "An empty message with a token, options or a payload is a message format error",
        empty_with_bytes,
    )
    .steps(&[
        "Send code 0.00 with a token, with an option, with a payload, with a payload marker alone",
        "Reset for CON, Reset or nothing for NON",
    ])
    .within(60),
];

const EMPTY: u8 = 0x00;
const GET: u8 = 0x01;
const PUT: u8 = 0x03;
const CONTENT: u8 = 0x45;

/// Uri-Path "test": what a reader finds that goes on over the fault.
const TEST: &[u8] = b"\xb4test";

/// The judge reads whatever comes, so that here is only to ask for as much as possible.
fn well_formed(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for path in [target.as_str(), "/.well-known/core", "/surely/not/here"] {
        let get = probe.get(path);
        probe.ask(&get)?;
        let get = probe.get(path).token(b"");
        probe.ask(&get)?;
        let get = probe.get(path).non();
        probe.ask(&get)?;
    }
    let delete = probe.delete("/.well-known/core");
    probe.ask(&delete)?;
    Ok(())
}

fn version(probe: &mut Probe) -> Judged {
    for version in [0x00, 0x80, 0xc0] {
        let [high, low] = probe.fresh_mid().to_be_bytes();
        let mut get = vec![version, GET, high, low];
        get.extend_from_slice(TEST);
        silence_after(probe, &get, "RFC 7252 §3")?;
        let [high, low] = probe.fresh_mid().to_be_bytes();
        silence_after(probe, &[version, 0, high, low], "RFC 7252 §3")?;
    }
    probe.expect_alive()
}

fn token_length_15(probe: &mut Probe) -> Judged {
    rejects(probe, 15, GET, b"ttttttttttttttt\xb4test")?;
    probe.expect_alive()
}

fn token_length_9(probe: &mut Probe) -> Judged {
    // Token length, its extension, and the bytes of the token that follow.
    let lengths: [(u8, &[u8], usize); 5] = [
        (9, b"", 9),
        (10, b"", 10),
        (11, b"", 11),
        (12, b"", 12),
        (13, b"\x07", 20),
    ];
    for (nibble, extension, length) in lengths {
        let token = vec![0x74; length];
        let raw = Raw::new(probe, 0x40 | nibble, GET, &[extension, &token, TEST].concat());
        let Some(answer) = probe.demand_reply(&raw.bytes)? else {
            return Err(Stop::fail("expected a Reset, but nothing came", "RFC 7252 §4.2"));
        };
        let reset = Message::empty(MessageType::Reset, raw.mid);
        // The empty acknowledgement of a separate response says as well that the token was read.
        let extended = answer.status().is_some() && answer.token == token
            || answer.message == Message::empty(MessageType::Acknowledgement, raw.mid);
        answer.expect(answer.message == reset || extended, "a Reset", None)?;
    }
    probe.expect_alive()
}

fn token_truncated(probe: &mut Probe) -> Judged {
    rejects(probe, 1, GET, b"")?;
    rejects(probe, 8, GET, b"abc")?;
    probe.expect_alive()
}

fn marker_without_payload(probe: &mut Probe) -> Judged {
    rejects(probe, 0, GET, b"\xb4test\xff")?;
    resets(probe, 0x41, PUT, b"t\xb4test\xff")?;
    resets(probe, 0x40, GET, b"\xff")?;
    probe.expect_alive()
}

fn short_datagram(probe: &mut Probe) -> Judged {
    // The beginnings of a confirmable GET with a Message ID.
    for bytes in [&b""[..], b"\x40", b"\x40\x01", b"\x40\x01\x7d"] {
        silence_after(probe, bytes, "RFC 7252 §3")?;
    }
    probe.expect_alive()
}

fn delta_15(probe: &mut Probe) -> Judged {
    rejects(probe, 0, GET, b"\xb4test\xf0")?;
    resets(probe, 0x40, GET, b"\xb4test\xf1\x00")?;
    probe.expect_alive()
}

fn length_15(probe: &mut Probe) -> Judged {
    rejects(probe, 0, GET, b"\xbftesttesttesttest")?;
    // Number 65000 (extended delta of two bytes: 64720 = 64989 - 269) behind the path, so that it is elective.
    resets(probe, 0x40, GET, b"\xb4test\xef\xfc\xd0abcdefghijklmnop")?;
    probe.expect_alive()
}

fn option_truncated(probe: &mut Probe) -> Judged {
    let truncated: [&[u8]; 6] = [
        b"\xb4tes",          // The value has a byte less than it says.
        b"\xb4test\xd0",     // A delta of one more byte, which is not there.
        b"\xb4test\xe0\x01", // A delta of two more bytes, of which one is there.
        b"\xb4test\x0d",     // A length of one more byte, which is not there.
        b"\xb4test\x0e\x00", // A length of two more bytes, of which one is there.
        b"\xbe\xff\xfftest", // A length of 65804.
    ];
    for rest in truncated {
        resets(probe, 0x40, GET, rest)?;
        drops(probe, 0x50, GET, rest)?;
    }
    rejects(probe, 0, GET, b"\xb4tes")?;
    probe.expect_alive()
}

fn malformed_reply(probe: &mut Probe) -> Judged {
    let malformed: [(u8, u8, &[u8]); 10] = [
        (1, GET, b""),
        (15, GET, b"ttttttttttttttt\xb4test"),
        (0, CONTENT, b"\xf0"),
        (0, CONTENT, b"\xbftesttesttesttest"),
        (0, CONTENT, b"\xff"),
        (0, CONTENT, b"\xbd"),
        (0, EMPTY, b"\xbd"),
        (4, CONTENT, b"t"),
        (1, EMPTY, b"t"),
        (0, EMPTY, b"\xffpayload"),
    ];
    for (token_length, code, rest) in malformed {
        ignores_replies(probe, token_length, code, rest)?;
    }
    probe.expect_alive()
}

fn number_overflow(probe: &mut Probe) -> Judged {
    let get = probe.get("/.well-known/core");
    let mut bytes = get.to_bytes();
    // Delta 65536 = 269 + 0xfef3: Uri-Path once more, for those who count with 16 bits.
    bytes.extend_from_slice(b"\xe1\xfe\xf3x");
    let Some(answer) = probe.demand(&bytes)? else {
        return Err(Stop::fail(
            "expected a Reset or 4.02, but nothing came",
            "RFC 7252 §4.2",
        ));
    };
    let reset = Message::empty(MessageType::Reset, get.mid);
    let refused = answer.status() == Some(Status::BAD_OPTION);
    answer.expect(refused || answer.message == reset, "a Reset or 4.02", None)?;
    probe.expect_alive()
}

fn extended_forms(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for length in [0, 12, 13, 268, 269, 500] {
        // A delta of one more byte, and one of two more bytes; both numbers are even, that is elective.
        for number in [66, 65_000] {
            let get = probe
                .get(&target)
                .option(OptionNumber(number), &vec![0x65; length]);
            probe.ask(&get)?.code(Status::CONTENT)?;
        }
    }
    Ok(())
}

fn leading_zeros(probe: &mut Probe) -> Judged {
    let xml = ContentFormat::XML;
    let get = probe
        .get("/multi-format")
        .option(OptionNumber::ACCEPT, &[0x00, 0x29]);
    probe.ask(&get)?.code(Status::CONTENT)?.format(xml)?;
    for zero in [&[0x00, 0x00][..], &[0x00], &[]] {
        let get = probe.get("/multi-format").option(OptionNumber::ACCEPT, zero);
        let text = ContentFormat::TEXT;
        probe.ask(&get)?.code(Status::CONTENT)?.format(text)?;
    }
    Ok(())
}

fn empty_with_bytes(probe: &mut Probe) -> Judged {
    rejects(probe, 1, EMPTY, b"t")?;
    rejects(probe, 0, EMPTY, b"\xb4test")?;
    rejects(probe, 0, EMPTY, b"\xffpayload")?;
    rejects(probe, 0, EMPTY, b"\xff")?;
    probe.expect_alive()
}
