//! §5.2, §5.4 to §5.6: Ping, Pong, Release, Abort.

use std::time::Duration;

use coracle_wire::{Custody, Signal, Status};

use super::csm::{CRITICAL, ELECTIVE, expect_content};
use crate::case::{Case, server};
use crate::connected::{END, ping_with_custody};
use crate::message::Message;
use crate::probe::{PATIENCE, Probe};
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-5.4-ping",
        "RFC 8323 §5.4",
        "A Ping is answered with a Pong that has its token",
        ping,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["Send Pings without a token, and with tokens of 1 and of 8 bytes.", "For each a Pong comes, with its token."]),
    server(
        "RFC8323-5.4-elective-option-of-ping",
        "RFC 8323 §5.4, §5.2",
        "Elective options of a Ping or a Pong that are not known are ignored",
        elective_option_of_ping,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "Send a Ping with options 4 and 65000 and a payload, and a Pong with the same that nobody asked for.",
        "A Pong comes for the Ping and nothing for the Pong, and the connection goes on.",
    ]),
    server(
        "RFC8323-5.2-critical-option-of-signals",
        "RFC 8323 §5.2, §5.6",
        "A critical option of a signaling message that is not known aborts the connection",
        critical_option_of_signals,
    )
    .over(Transport::CONNECTIONS)
    .within(60)
    .steps(&[
        "Send a Ping, a Pong and a Release with option 65001, each by its own connection.",
        "Each time an Abort comes, and the connection ends.",
    ]),
    server(
        "RFC8323-5.4.1-custody",
        "RFC 8323 §5.4.1",
        "A Ping with Custody is answered when all requests before it are processed",
        custody,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/separate"])
    .steps(&[
        "GET /separate, then a Ping with Custody.",
        "The response comes before a Pong with Custody. One that comes earlier without Custody breaks a SHOULD only.",
    ]),
    server(
        "RFC8323-5.5-release",
        "RFC 8323 §5.5",
        "Who gets a Release closes the connection",
        release,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "GET, then a Release with a diagnostic payload, and an elective option that is not known.",
        "The connection ends within 10 s. It is normal and not required, so that one that goes on is inconclusive.",
    ]),
    server(
        "RFC8323-5.5-release-after-answers",
        "RFC 8323 §5.5",
        "Who gets a Release answers the requests before it first",
        release_after_answers,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/separate"])
    .steps(&[
        "GET /separate, then a Release.",
        "The response comes, then the end of the connection. It is a SHOULD, so that a response that is missing is inconclusive.",
    ]),
    server(
        "RFC8323-5.6-abort",
        "RFC 8323 §5.6",
        "Who gets an Abort ends the connection, and answers what was under way no more",
        abort,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/separate"])
    .steps(&[
        "GET /separate, then an Abort with a diagnostic payload.",
        "The connection ends. It is expected and not required, so that one that goes on is inconclusive.",
    ]),
];

/// The Pong to a Ping.
fn pong_to(probe: &mut Probe, ping: &Message) -> Judged {
    probe.send(ping);
    let within = probe.answer_time();
    let pong = probe.expect_message(within, "a Pong")?;
    pong.expect(pong.is_signal(Signal::PONG), "a Pong", None)?;
    pong.expect(pong.token == ping.token, "the token of the Ping", None)?;
    Ok(())
}

fn ping(probe: &mut Probe) -> Judged {
    for token in [b"".as_slice(), b"\x42", b"12345678"] {
        pong_to(probe, &Message::signal(Signal::PING).token(token))?;
    }
    expect_content(probe)
}

fn elective_option_of_ping(probe: &mut Probe) -> Judged {
    let with_options = |signal| {
        let message = Message::signal(signal).option(coracle_wire::OptionNumber(4), b"new");
        message.option(ELECTIVE, b"new").token(b"ab").payload(b"why")
    };
    probe.send(&with_options(Signal::PONG));
    probe.expect_silence(PATIENCE, None)?;
    pong_to(probe, &with_options(Signal::PING))?;
    expect_content(probe)
}

fn critical_option_of_signals(probe: &mut Probe) -> Judged {
    for signal in [Signal::PING, Signal::PONG, Signal::RELEASE] {
        let mut other = probe.another()?;
        expect_content(&mut other)?;
        other.send(&Message::signal(signal).option(CRITICAL, b"new"));
        let ended = other.until_ended()?;
        ended.is_aborted(&format!("for a critical option of a {signal}"))?;
    }
    probe.expect_alive()
}

fn custody(probe: &mut Probe) -> Judged {
    let request = probe.get("/separate");
    probe.send(&request);
    probe.send(&ping_with_custody(b"keep"));
    let within = probe.answer_time();
    let first = probe.expect_message(within, "the response")?;
    let second = probe.expect_message(within, "a Pong with Custody")?;
    if second.is_signal(Signal::PONG) {
        first.answers(&request)?;
        second.expect(second.token == b"keep", "the token of the Ping", None)?;
        return Ok(());
    }
    first.expect(first.is_signal(Signal::PONG), "the response, and a Pong", None)?;
    let claimed = first.options.contains(Custody::CUSTODY);
    first.expect(!claimed, "no Custody of a request that is not answered yet", None)?;
    let what = "the Pong does not wait for the requests before the Ping, as it should";
    Err(Stop::Inconclusive(what.to_owned()))
}

fn release(probe: &mut Probe) -> Judged {
    expect_content(probe)?;
    let release = Message::signal(Signal::RELEASE).option(ELECTIVE, b"new");
    probe.send(&release.payload(b"going away"));
    let ended = probe.until_ended()?;
    if ended.ending.is_none() {
        let what = format!("the connection goes on {} s after a Release", END.as_secs());
        return Err(Stop::Inconclusive(what));
    }
    let aborted = ended.abort();
    if let Some(abort) = aborted {
        abort.expect(false, "an end without an Abort", None)?;
    }
    probe.expect_alive()
}

fn release_after_answers(probe: &mut Probe) -> Judged {
    let request = probe.get("/separate");
    probe.send(&request);
    probe.send(&Message::signal(Signal::RELEASE));
    let ended = probe.until_ended()?;
    let answer = ended.messages.iter().find(|message| message.status().is_some());
    match answer {
        Some(answer) => answer.answers(&request)?.code(Status::CONTENT).map(drop)?,
        None => {
            let what = "the requests before a Release are not answered, as they should be";
            return Err(Stop::Inconclusive(what.to_owned()));
        }
    }
    if ended.ending.is_none() {
        return Err(Stop::Inconclusive(
            "the connection goes on after a Release".to_owned(),
        ));
    }
    Ok(())
}

fn abort(probe: &mut Probe) -> Judged {
    let request = probe.get("/separate");
    probe.send(&request);
    probe.send(&Message::signal(Signal::ABORT).payload(b"out of patience"));
    let ended = probe.until_ended_within(END + Duration::from_secs(2))?;
    if ended.ending.is_none() {
        let what = format!("the connection goes on {} s after an Abort", END.as_secs());
        return Err(Stop::Inconclusive(what));
    }
    probe.expect_alive()
}
