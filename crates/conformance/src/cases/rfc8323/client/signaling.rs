//! §3.3, §3.4, §5: signaling messages as clients take them.

use coracle_wire::{Csm, MessageType, OptionNumber, Signal, Status};

use super::exchanges::answer_again;
use super::{RIGHT, WRONG, asked, takes};
use crate::case::{Case, client};
use crate::connected::END;
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::PATIENCE;
use crate::template::Stimulus;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC8323-3.3-csm-first",
        "RFC 8323 §3.3, §4.3, §5.3",
        "The first message is a CSM, which does not wait for that of the server",
        csm_first,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "The client connects, and the judge says nothing.",
        "A CSM comes before anything else, with options that a CSM may have. After the judge's CSM the request comes, and its answer is shown.",
    ]),
    client(
        "RFC8323-3.3-no-csm-of-server",
        "RFC 8323 §3.3",
        "A server whose first message is no CSM is not listened to: the connection is aborted",
        no_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "The client asks, at once or after a time. The judge sends no CSM, but a response; or a Ping to a client that waits for the CSM.",
        "The response is not shown, and an Abort comes before the end of the connection.",
    ]),
    client(
        "RFC8323-5.2-critical-option-of-csm",
        "RFC 8323 §5.2, §5.6",
        "A critical option that is not known in a CSM aborts the connection",
        critical_option_of_csm,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets a CSM with option 65001, then the answer.", "The answer is not shown, and an Abort comes before the end of the connection."]),
    client(
        "RFC8323-5.2-elective-option-of-csm",
        "RFC 8323 §5.2, §5.3; RFC 8974 §2.2.1",
        "Elective options of a CSM that are not known are ignored, and so is a longest token of less than 8 bytes",
        elective_option_of_csm,
    )
    .over(Transport::CONNECTIONS)
    .opened(Opening::Silent)
    .steps(&[
        "The client gets a CSM with options 8 and 65000, and an Extended-Token-Length of 3.",
        "Its request comes with a token of 8 bytes at most, and its answer is shown.",
    ]),
    client(
        "RFC8323-3.4-empty-is-ignored",
        "RFC 8323 §3.4, §5.4",
        "Empty messages are ignored, whatever they carry",
        empty_is_ignored,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets empty messages: plain, with a token, with a payload.", "Nothing comes for them, and the answer is shown."]),
    client(
        "RFC8323-5.4-ping",
        "RFC 8323 §5.4",
        "A Ping is answered with a Pong that has its token, whatever elective options it has",
        ping,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets Pings without a token, with one of 8 bytes, and with option 65000.", "For each a Pong comes, with its token. The answer is shown."]),
    client(
        "RFC8323-5.2-critical-option-of-signals",
        "RFC 8323 §5.2, §5.6",
        "A critical option of a Ping that is not known aborts the connection",
        critical_option_of_ping,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets a Ping with option 65001.", "An Abort comes, and the connection ends."]),
    client(
        "RFC8323-5.5-release",
        "RFC 8323 §5.5",
        "Who gets a Release closes the connection, perhaps after the answer to its own request",
        release,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets a Release with a Hold-Off and an Alternative-Address, then the answer.", "The connection ends within 10 s. It is normal and not required, so that one that goes on is inconclusive."]),
    client(
        "RFC8323-5.6-abort",
        "RFC 8323 §5.6",
        "Who gets an Abort does not wait for the answer of that connection any more",
        abort,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets an Abort and the end of the connection.", "The command ends without a crash, or asks again by another connection, whose answer it takes."]),
    client(
        "RFC8323-5.6-format-errors",
        "RFC 8323 §5.6; RFC 7252 §3",
        "A message that cannot be read is answered with an Abort and not taken",
        format_error,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client asks, and gets an answer with an option that is longer than the message.", "The answer is not shown, an Abort comes, and the connection ends."]),
];

/// The client asks, unless it waits for the judge's CSM.
fn asks_without_csm(host: &mut Host) -> Judged<(Received, Option<Received>)> {
    host.set_raw(true);
    host.start(&Stimulus::get("/test"))?;
    let first = host.message("a CSM")?;
    let request = host.receive(PATIENCE)?;
    host.set_raw(false);
    Ok((first, request))
}

fn csm_first(host: &mut Host) -> Judged {
    let (first, request) = asks_without_csm(host)?;
    let read = Csm::read(first.options.as_options());
    first.expect(read.is_ok(), "options that a CSM may have", "RFC 8323 §5.2, §5.3")?;
    host.send(&first, &Message::signal(Signal::CSM));
    let request = match request {
        Some(request) => request,
        None => host.request()?,
    };
    takes(host, &request)
}

fn no_csm(host: &mut Host) -> Judged {
    let (first, request) = asks_without_csm(host)?;
    match &request {
        Some(request) => host.answer_text(request, WRONG),
        None => host.send(&first, &Message::signal(Signal::PING).token(b"no csm")),
    }
    let ended = host.until_ended(&first)?;
    host.expect_not_shown(WRONG, "RFC 8323 §3.3")?;
    ended.is_aborted("for want of a CSM")?;
    Ok(())
}

/// Which nobody knows, and is critical.
const CRITICAL: OptionNumber = OptionNumber(65001);

/// As above, but elective.
const ELECTIVE: OptionNumber = OptionNumber(65000);

fn critical_option_of_csm(host: &mut Host) -> Judged {
    let request = asked(host)?;
    host.send(&request, &Message::signal(Signal::CSM).option(CRITICAL, b"new"));
    host.answer_text(&request, WRONG);
    let ended = host.until_ended(&request)?;
    host.expect_not_shown(WRONG, "RFC 8323 §5.6")?;
    ended.is_aborted("for a critical option of a CSM")?;
    Ok(())
}

fn elective_option_of_csm(host: &mut Host) -> Judged {
    host.set_raw(true);
    host.start(&Stimulus::get("/test"))?;
    let first = host.message("a CSM")?;
    let csm = Message::signal(Signal::CSM).uint(Csm::EXTENDED_TOKEN_LENGTH, 3);
    let csm = csm.option(OptionNumber(8), b"a").option(ELECTIVE, &[7; 300]);
    host.send(&first, &csm);
    host.set_raw(false);
    let request = host.request()?;
    let section = "RFC 8974 §2.2.1";
    request.expect(request.token.len() <= 8, "a token of 8 bytes at most", section)?;
    takes(host, &request)
}

fn empty_is_ignored(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let empty = || Message::empty(MessageType::NonConfirmable, 0);
    host.send(&request, &empty());
    host.send(&request, &empty().token(&request.token));
    host.send(&request, &empty().token(&request.token).payload(WRONG.as_bytes()));
    host.expect_silence(PATIENCE, None)?;
    takes(host, &request)?;
    host.expect_not_shown(WRONG, "RFC 8323 §3.4")
}

fn ping(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let pings = [
        Message::signal(Signal::PING),
        Message::signal(Signal::PING).token(b"12345678"),
        Message::signal(Signal::PING).token(b"x").option(ELECTIVE, b"new"),
    ];
    for ping in pings {
        host.send(&request, &ping);
        let pong = host.message("a Pong")?;
        pong.expect(pong.is_signal(Signal::PONG), "a Pong", None)?;
        pong.expect(pong.token == ping.token, "the token of the Ping", None)?;
    }
    takes(host, &request)
}

fn critical_option_of_ping(host: &mut Host) -> Judged {
    let request = asked(host)?;
    host.send(&request, &Message::signal(Signal::PING).option(CRITICAL, b"new"));
    let ended = host.until_ended(&request)?;
    ended.is_aborted("for a critical option of a Ping")?;
    Ok(())
}

fn release(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let release = Message::signal(Signal::RELEASE);
    let release = release
        .option(OptionNumber(2), b"127.0.0.1:9")
        .uint(OptionNumber(4), 60);
    host.send(&request, &release.payload(b"going away"));
    host.answer_text(&request, RIGHT);
    let ended = host.until_ended(&request)?;
    if let Some(abort) = ended.abort() {
        abort.expect(false, "an end without an Abort", None)?;
    }
    match ended.ending {
        Some(_) => Ok(()),
        None => Err(Stop::Inconclusive(format!(
            "the connection goes on {} s after a Release",
            END.as_secs()
        ))),
    }
}

fn abort(host: &mut Host) -> Judged {
    let request = asked(host)?;
    host.send(
        &request,
        &Message::signal(Signal::ABORT).payload(b"out of patience"),
    );
    host.close(&request)?;
    answer_again(host)?;
    host.finish()?;
    Ok(())
}

fn format_error(host: &mut Host) -> Judged {
    let request = asked(host)?;
    // The payload follows an option that claims to have 200 bytes.
    let answer = host.response_to(&request, Status::CONTENT);
    let whole = answer.option(ELECTIVE, &[b'x'; 200]).payload(WRONG.as_bytes());
    let mut bytes = host.encoded(&whole);
    let cut = bytes.len() - 150;
    bytes.truncate(cut);
    if host.transport() == Transport::Tcp {
        // What the header announces is there all the same, so that only the option is wrong.
        let Some(length) = bytes.get_mut(1) else {
            return Ok(());
        };
        *length = length.wrapping_sub(150);
    }
    host.send_bytes(&request, &bytes);
    let ended = host.until_ended(&request)?;
    host.expect_not_shown("xxx", "RFC 8323 §5.6")?;
    ended.is_aborted("for a message that cannot be read")?;
    Ok(())
}
