//! §3.3, §5.3: Capabilities and Settings Messages. Tokens that are announced: RFC 8974 §2.2.1.

use std::time::Duration;

use coracle_wire::{Abort, Csm, OptionNumber, Signal, Status};

use crate::case::{Case, server};
use crate::connected::{END, csm};
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-3.3-csm-first",
        "RFC 8323 §3.3, §4.3, §5.3; RFC 8974 §2.2.1",
        "The first message is a CSM, and what it announces can be",
        csm_first,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "Send a CSM without options.",
        "A CSM comes before anything else. Its options have values of permitted lengths, none is critical, and the longest token, if there is one, has 8 to 65,804 bytes.",
    ]),
    server(
        "RFC8323-3.3-request-without-csm",
        "RFC 8323 §3.3",
        "A request instead of the first CSM is not answered, and the connection is aborted",
        request_without_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .within(60)
    .steps(&[
        "Send a GET as the first message.",
        "No response comes, and the connection ends after an Abort. Who waits for the CSM longer than 40 s is not judged.",
    ]),
    server(
        "RFC8323-3.3-silent-connection",
        "RFC 8323 §3.3",
        "A connection on which nothing is ever sent is ended within a minute",
        silent_connection,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .within(75)
    .steps(&[
        "Connect and send nothing.",
        "The connection ends. The RFC gives no time: one that goes on for longer is inconclusive.",
    ]),
    server(
        "RFC8323-3.3-malformed-csm",
        "RFC 8323 §3.3, §5.6",
        "A CSM whose options cannot be read aborts the connection",
        malformed_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "Send a CSM with an option that is longer than the message, then a GET.",
        "An Abort comes, no response, and the connection ends.",
    ]),
    server(
        "RFC8323-3.3-csm-value-of-wrong-length",
        "RFC 8323 §3.3, §5.6; RFC 7252 §5.4.3",
        "An option of a CSM whose value has a wrong length aborts the connection, or is ignored",
        csm_value_of_wrong_length,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "Send a CSM with a Max-Message-Size of 5 bytes, another time with a Block-Wise-Transfer of 1 byte, and a GET.",
        "Either 2.05 comes, or an Abort, whose Bad-CSM-Option is the number of the option if it has one.",
    ]),
    server(
        "RFC8323-5.2-critical-option-of-csm",
        "RFC 8323 §5.2, §5.6",
        "A critical option that is not known in a CSM aborts the connection",
        critical_option_of_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "Send a CSM with option 65001, and a GET. Another time the CSM is the second one.",
        "An Abort comes, whose Bad-CSM-Option is 65001 if it has one, and the connection ends. After a first CSM of that kind nothing is answered.",
    ]),
    server(
        "RFC8323-5.2-elective-option-of-csm",
        "RFC 8323 §5.2, §5.3",
        "An elective option that is not known in a CSM is ignored",
        elective_option_of_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&["Send a CSM with options 8, 2050 and 65000, and a GET.", "2.05 comes."]),
    server(
        "RFC8323-5.3-further-csm",
        "RFC 8323 §5.3",
        "CSMs may come at any time, and one without options changes nothing",
        further_csm,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["GET, then a CSM without options, then GET, three times.", "2.05 comes each time."]),
    server(
        "RFC8323-5.3.1-max-message-size",
        "RFC 8323 §5.3.1, §6; RFC 7252 §4.6",
        "No message is longer than what the peer takes",
        max_message_size,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .needs(&["/large"])
    .shares(&["/large"])
    .steps(&[
        "Announce a Max-Message-Size of 1152, another time of 400, and GET /large.",
        "Each message that comes is as long at most, header included. Its blocks make up the body, or an error comes.",
    ]),
    server(
        "RFC8323-5.3.1-limit-lowered",
        "RFC 8323 §5.3, §5.3.1",
        "A Max-Message-Size replaces the one before",
        limit_lowered,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .needs(&["/large"])
    .shares(&["/large"])
    .steps(&[
        "Announce a Max-Message-Size of 100,000 and GET /large; announce one of 300 and GET /large again.",
        "The messages of the second answer have 300 bytes at most.",
    ]),
    server(
        "RFC8974-2.2.1-as-long-as-announced",
        "RFC 8974 §2.2.1",
        "A token that is not longer than was announced is no format error",
        token_as_announced,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "GET with a token of the length that the server has announced, of 300 bytes at most.",
        "A response with this token comes. It is skipped if the server has announced none of more than 8 bytes.",
    ]),
    server(
        "RFC8974-2.2.1-longer-than-announced",
        "RFC 8974 §2.2.1; RFC 8323 §5.6",
        "A token that is longer than was announced is a format error",
        token_longer_than_announced,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "GET with a token of a byte more than the server has announced; without an announcement that is 9 bytes.",
        "An Abort comes, and the connection ends.",
    ]),
];

/// How long a server may wait for a CSM before it gives up, to be judged.
const PATIENT: Duration = Duration::from_secs(40);

fn csm_first(probe: &mut Probe) -> Judged {
    probe.set_raw(true);
    probe.send(&csm(&Csm::default()));
    let first = probe.expect_message(END, "a CSM")?;
    let read = Csm::read(first.options.as_options());
    first.expect(read.is_ok(), "options that a CSM may have", "RFC 8323 §5.2, §5.3")?;
    if let Some(value) = first.options.get(Csm::EXTENDED_TOKEN_LENGTH) {
        let length = value
            .iter()
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let section = "RFC 8974 §2.2.1";
        first.expect((8..=65_804).contains(&length), "a length of 8 to 65,804", section)?;
    }
    probe.set_raw(false);
    expect_content(probe)
}

/// A GET of the target is answered with 2.05 by this connection.
pub(super) fn expect_content(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    probe.ask(&request)?.code(Status::CONTENT)?;
    Ok(())
}

/// Sends a GET of the target whose answer is not waited for.
pub(super) fn send_get(probe: &mut Probe) {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    probe.send(&request);
}

fn request_without_csm(probe: &mut Probe) -> Judged {
    send_get(probe);
    let ended = probe.until_answered_or_ended(PATIENT)?;
    ended.has_no_response()?;
    if ended.ending.is_none() {
        let what = "the server does not answer, but waits for the CSM for more than 40 s";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    ended.is_aborted("for want of a CSM")?;
    probe.expect_alive()
}

fn silent_connection(probe: &mut Probe) -> Judged {
    let ended = probe.until_ended_within(Duration::from_secs(60))?;
    if ended.ending.is_none() {
        let what = "a connection without a word is kept for more than 60 s";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    probe.expect_alive()
}

fn malformed_csm(probe: &mut Probe) -> Judged {
    // Option 2 of 4 bytes, of which one is there.
    let (head, rest): (u8, _) = match probe.transport() {
        Transport::WebSocket => (0x00, [0xe1, 0x24, 0x01]),
        _ => (0x20, [0xe1, 0x24, 0x01]),
    };
    let mut bytes = vec![head];
    bytes.extend(rest);
    probe.send_bytes(&bytes);
    send_get(probe);
    let ended = probe.until_ended()?;
    ended
        .has_no_response()?
        .is_aborted("for a CSM that cannot be read")?;
    probe.expect_alive()
}

/// An Abort names this option of a CSM, if it names one.
fn names(abort: Option<&Received>, number: OptionNumber) -> Judged {
    let Some(abort) = abort else {
        return Ok(());
    };
    let named = Abort::read(abort.options.as_options()).bad_csm_option;
    let right = named.is_none_or(|named| named == number.0);
    abort.expect(right, format!("Bad-CSM-Option {}", number.0), "RFC 8323 §5.6")?;
    Ok(())
}

fn csm_value_of_wrong_length(probe: &mut Probe) -> Judged {
    let options: [(OptionNumber, &[u8]); 2] = [
        (Csm::MAX_MESSAGE_SIZE, &[1, 0, 0, 0, 0]),
        (Csm::BLOCK_WISE_TRANSFER, &[1]),
    ];
    for (number, value) in options {
        let mut other = probe.another_opened(Opening::Silent)?;
        other.send(&Message::signal(Signal::CSM).option(number, value));
        send_get(&mut other);
        let answers = |message: &Received| message.status().is_some();
        let first = other.until_answered_or_ended(END)?;
        match first.messages.iter().find(|message| answers(message)) {
            Some(answer) => answer.code(Status::CONTENT).map(drop)?,
            None => {
                first.is_aborted("for a CSM with a wrong value")?;
                names(first.abort(), number)?;
            }
        }
    }
    probe.expect_alive()
}

/// An option that is critical and that nobody knows.
pub(super) const CRITICAL: OptionNumber = OptionNumber(65001);

/// One that is elective.
pub(super) const ELECTIVE: OptionNumber = OptionNumber(65000);

fn critical_option_of_csm(probe: &mut Probe) -> Judged {
    let bad = Message::signal(Signal::CSM).option(CRITICAL, b"new");
    probe.send(&bad);
    send_get(probe);
    let ended = probe.until_ended()?;
    ended.has_no_response()?.is_aborted("for a critical option")?;
    names(ended.abort(), CRITICAL)?;
    let mut other = probe.another()?;
    expect_content(&mut other)?;
    other.send(&bad);
    let ended = other.until_ended()?;
    ended.is_aborted("for a critical option")?;
    names(ended.abort(), CRITICAL)?;
    probe.expect_alive()
}

fn elective_option_of_csm(probe: &mut Probe) -> Judged {
    let message = Message::signal(Signal::CSM).option(OptionNumber(8), b"a");
    let message = message
        .option(OptionNumber(2050), b"")
        .option(ELECTIVE, &[7; 300]);
    probe.send(&message);
    expect_content(probe)
}

fn further_csm(probe: &mut Probe) -> Judged {
    for _ in 0..3 {
        expect_content(probe)?;
        probe.send(&csm(&Csm::default()));
    }
    expect_content(probe)
}

/// Announces how long messages may be.
pub(super) fn announce(probe: &mut Probe, max_message_size: u32) {
    probe.send(&csm(&Csm {
        max_message_size: Some(max_message_size),
        block_wise_transfer: true,
        extended_token_length: None,
    }));
}

/// Gets `/large` in messages of a length at most.
fn fetch_within(probe: &mut Probe, limit: usize) -> Judged {
    let mut request = probe.get("/large");
    let mut length = 0;
    loop {
        let answer = probe.ask(&request)?;
        let long = probe.encoded(&answer.message).len();
        answer.expect(
            long <= limit,
            format!("a message of at most {limit} bytes, not {long}"),
            None,
        )?;
        if answer.status() != Some(Status::CONTENT) {
            // Who has no way to say it in less says so.
            answer.expect(length == 0, "2.05", "RFC 7959 §2.4")?;
            return Ok(());
        }
        length += answer.payload.len();
        match answer.block2_value() {
            Some(block) if block.more() => {
                let num = u32::try_from(length / block.size()).unwrap_or(u32::MAX);
                request = probe.get("/large").block2(num, false, block.szx());
            }
            _ => return Ok(()),
        }
    }
}

fn max_message_size(probe: &mut Probe) -> Judged {
    for limit in [1152_u16, 400] {
        let mut other = probe.another_opened(Opening::Silent)?;
        announce(&mut other, limit.into());
        fetch_within(&mut other, limit.into())?;
    }
    // Nothing is announced: the base value counts.
    probe.send(&csm(&Csm::default()));
    fetch_within(probe, 1152)
}

fn limit_lowered(probe: &mut Probe) -> Judged {
    announce(probe, 100_000);
    fetch_within(probe, 100_000)?;
    announce(probe, 300);
    fetch_within(probe, 300)
}

fn token_as_announced(probe: &mut Probe) -> Judged {
    let announced = probe.announced()?.extended_token_length.unwrap_or(8);
    if announced <= 8 {
        let what = "the server has announced no tokens of more than 8 bytes";
        return Err(Stop::Skip(what.to_owned()));
    }
    let length = usize::try_from(announced.min(300)).unwrap_or(9);
    let target = probe.target().to_owned();
    let request = probe.get(&target).token(&vec![7; length]);
    let answer = probe.ask(&request)?;
    answer.code_in(&[Status::CONTENT, Status::SERVICE_UNAVAILABLE])?;
    Ok(())
}

fn token_longer_than_announced(probe: &mut Probe) -> Judged {
    let announced = probe.announced()?.extended_token_length.unwrap_or(8);
    let length = usize::try_from(announced).unwrap_or(8) + 1;
    if length > 65_804 {
        return Err(Stop::Skip("the server takes the longest tokens".to_owned()));
    }
    let target = probe.target().to_owned();
    let request = probe.get(&target).token(&vec![7; length]);
    probe.send(&request);
    let ended = probe.until_ended()?;
    ended
        .has_no_response()?
        .is_aborted("for a token that is too long")?;
    probe.expect_alive()
}
