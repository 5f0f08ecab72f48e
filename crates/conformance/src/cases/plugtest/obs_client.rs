//! TD_COAP_OBS for clients.

use std::time::Duration;

use coracle_wire::{MessageType, OptionNumber, Status};

use super::client_blocks::{Large, body};
use super::client_steps::{answer, backed_off, exchange, stimulate};
use crate::case::{Case, Judge};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::plugtests::plugtest;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_OBS_01", Judge::Client(obs_01)),
    plugtest("TD_COAP_OBS_02", Judge::Client(obs_02)),
    plugtest("TD_COAP_OBS_04", Judge::Client(obs_04)).within(75),
    plugtest("TD_COAP_OBS_05", Judge::Client(obs_05)),
    plugtest("TD_COAP_OBS_06", Judge::Client(obs_06)),
    plugtest("TD_COAP_OBS_07", Judge::Client(obs_07)),
    plugtest("TD_COAP_OBS_08", Judge::Client(obs_08)),
    plugtest("TD_COAP_OBS_09", Judge::Client(obs_09)),
    plugtest("TD_COAP_OBS_10", Judge::Client(obs_10)),
    plugtest("TD_COAP_OBS_11", Judge::Client(obs_11)).within(60),
    plugtest("TD_COAP_OBS_12", Judge::Client(obs_12)),
    plugtest("TD_COAP_OBS_13", Judge::Client(obs_13)).within(60),
    plugtest("TD_COAP_OBS_14", Judge::Client(obs_14)).within(60),
];

/// How long a client may take to register again: Max-Age, the 15 s of RFC 7641 §3.3.1, and as much again.
const REGISTRATION: Duration = Duration::from_secs(35);

/// An observation of the client, as the server that the judge plays knows it.
struct Observer {
    registration: Received,
    sequence: u32,
}

impl Observer {
    /// Tells the client to observe, and takes its registration, which is not answered yet.
    fn begin(host: &mut Host, stimulus: &Stimulus) -> Judged<Observer> {
        let registration = stimulate(host, stimulus)?;
        registration.expect(
            registration.observe_value() == Some(0),
            "Observe 0",
            "RFC 7641 §3.1",
        )?;
        Ok(Observer {
            registration,
            sequence: 10,
        })
    }

    /// As [`begin`](Self::begin), and it is answered with a text.
    fn register(host: &mut Host, stimulus: &Stimulus, text: &str) -> Judged<Observer> {
        let observer = Observer::begin(host, stimulus)?;
        let response = host.response_to(&observer.registration, Status::CONTENT);
        let response = response.observe(observer.sequence).text(text);
        answer(host, &observer.registration, &response);
        Ok(observer)
    }

    /// A confirmable notification with the next sequence number.
    fn notification(&mut self, host: &mut Host) -> Message {
        self.sequence += 1;
        host.separate_to(&self.registration, Status::CONTENT)
            .observe(self.sequence)
    }

    /// Sends a confirmable notification with a text, which the client acknowledges.
    fn notify(&mut self, host: &mut Host, text: &str) -> Judged {
        let notification = self.notification(host).text(text);
        host.send_confirmable(&self.registration, &notification)?;
        Ok(())
    }
}

/// The client observes `/obs` and acknowledges some notifications.
fn observed(host: &mut Host) -> Judged<Observer> {
    let mut observer = Observer::register(host, &Stimulus::get("/obs").observe(), "state 1")?;
    if host.is_lossy() {
        // The answer may be lost, and is of no use to the client any more once a notification has come.
        host.expect_shown("state 1")?;
    }
    observer.notify(host, "state 2")?;
    Ok(observer)
}

fn obs_01(host: &mut Host) -> Judged {
    let mut observer = observed(host)?;
    observer.notify(host, "state 3")?;
    ["state 1", "state 2", "state 3"]
        .into_iter()
        .try_for_each(|state| host.expect_shown(state))
}

/// Each state goes out twice, so that one of them passes the lossy gateway.
fn obs_02(host: &mut Host) -> Judged {
    let get = Stimulus::get("/obs-non").non().observe();
    let mut observer = Observer::register(host, &get, "state 1")?;
    for state in ["state 2", "state 3"] {
        for _ in 0..2 {
            let notification = observer.notification(host).non().text(state);
            host.send(&observer.registration, &notification);
        }
        host.pause(Duration::from_millis(500))?;
    }
    while let Some(message) = host.receive(Duration::from_millis(500))? {
        let reply = [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type);
        message.expect(!reply, "no reply to the notifications", "RFC 7641 §3.5")?;
    }
    host.expect_shown("state 2")?;
    host.expect_shown("state 3")
}

/// That a stale state is not taken for the current one cannot be seen; a new registration can.
fn obs_04(host: &mut Host) -> Judged {
    let mut observer = observed(host)?;
    let last = observer.notification(host).text("state 3");
    let last = last.uint(OptionNumber::MAX_AGE, 1);
    host.send_confirmable(&observer.registration, &last)?;
    let is_request = |message: &Message| message.method().is_some();
    let registration = match host.await_message(REGISTRATION, "a new registration", is_request) {
        Err(Stop::Fail(finding)) if finding.at.is_none() && host.runs() => {
            let what = "the client does not register again after Max-Age (MAY, RFC 7641 §3.3.1)";
            return Err(Stop::Inconclusive(what.to_owned()));
        }
        registration => registration?,
    };
    is_renewed(&registration, &observer.registration, Some(0))?;
    // A server that has lost its observers may have lost its sequence, too.
    let mut observer = Observer {
        registration,
        sequence: 1,
    };
    let response = host.response_to(&observer.registration, Status::CONTENT);
    host.answer(
        &observer.registration,
        &response.observe(observer.sequence).text("state 4"),
    );
    observer.notify(host, "state 5")?;
    host.expect_shown("state 5")
}

/// A GET for the same observation: the same token, and the same options but for Observe and ETag.
fn is_renewed(request: &Received, registration: &Received, observe: Option<u32>) -> Judged {
    let expected = observe.map_or("no Observe".to_owned(), |value| format!("Observe {value}"));
    request.expect(
        request.observe_value() == observe,
        expected,
        "RFC 7641 §3.3.1, §3.6",
    )?;
    request.expect(
        request.token == registration.token,
        "the token of the registration",
        "RFC 7641 §3.3.1, §3.6",
    )?;
    let options = |message: &Message| {
        let mut options = message.options.clone();
        options.remove(OptionNumber::OBSERVE);
        options.remove(OptionNumber::ETAG);
        options
    };
    request.expect(
        options(request) == options(registration),
        "the options of the registration",
        "RFC 7641 §3.3.1, §3.6",
    )?;
    Ok(())
}

fn obs_05(_: &mut Host) -> Judged {
    let what = "is judged at the server: a client that was switched off does nothing";
    Err(Stop::Skip(what.to_owned()))
}

/// A client that was started anew has another port here. To one that runs, a notification with a token that it has
/// not used is the same: of an observation that it does not know.
fn obs_06(host: &mut Host) -> Judged {
    let mut observer = observed(host)?;
    let mut token = observer.registration.token.clone();
    token.reverse();
    token.push(0xa5);
    token.truncate(8);
    let unknown = observer.notification(host).token(&token).text("not for you");
    let reply = match host.send_and_hear(&observer.registration, &unknown) {
        Err(Stop::Fail(finding)) if finding.at.is_none() => {
            let what = "expected a Reset for a token that is not known, but nothing came";
            Err(Stop::fail(what, "RFC 7641 §3.5"))
        }
        reply => reply,
    }?;
    reply.expect(
        reply.is_empty_of(MessageType::Reset, unknown.mid).is_ok(),
        "a Reset for a token that is not known",
        "RFC 7641 §3.5",
    )?;
    observer.notify(host, "state 3")?;
    host.expect_shown("state 3")?;
    host.expect_not_shown("not for you", "RFC 7252 §5.3.2")
}

fn obs_07(host: &mut Host) -> Judged {
    ends(host, Status::NOT_FOUND)
}

fn obs_08(host: &mut Host) -> Judged {
    ends(host, Status::NOT_ACCEPTABLE)
}

/// The server ends the observation with an error.
fn ends(host: &mut Host, code: Status) -> Judged {
    let mut observer = observed(host)?;
    let end = host.separate_to(&observer.registration, code);
    host.deliver(&observer.registration, &end)?;
    host.pause(Duration::from_millis(500))?;
    let late = observer.notification(host).text("after the end");
    host.send(&observer.registration, &late);
    host.pause(Duration::from_secs(1))?;
    if host.output().contains("after the end") {
        let what = "the client still takes what a server must not send after the end of an observation";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    host.expect_shown("state 2")
}

fn obs_09(host: &mut Host) -> Judged {
    let mut observer = observed(host)?;
    observer.notify(host, "put by another")?;
    host.expect_shown("put by another")
}

fn obs_10(host: &mut Host) -> Judged {
    let mut observer = observed(host)?;
    host.beside(|host| {
        let request = exchange(host, &Stimulus::get("/obs"), Status::CONTENT, "state 2")?;
        request.lacks(OptionNumber::OBSERVE)?;
        Ok(())
    })?;
    observer.notify(host, "state 3")?;
    host.expect_shown("state 3")
}

/// Without a gateway the judge loses the first registration, and the first acknowledgement of a notification.
fn obs_11(host: &mut Host) -> Judged {
    let mut observer = Observer::begin(host, &Stimulus::get("/obs").observe())?;
    let registration = observer.registration.clone();
    if !host.is_lossy() {
        host.await_copies(&registration, 2)?;
    }
    let response = host.response_to(&registration, Status::CONTENT);
    host.answer(
        &registration,
        &response.observe(observer.sequence).text("state 1"),
    );
    for state in ["state 2", "state 3"] {
        let notification = observer.notification(host).text(state);
        host.send_confirmable(&registration, &notification)?;
        acknowledges_again(host, &registration, &notification)?;
    }
    backed_off(&registration, &host.copies_of(&registration))?;
    host.expect_shown("state 3")
}

/// A copy of a notification, whose acknowledgement may be lost, is acknowledged like the first.
fn acknowledges_again(host: &mut Host, registration: &Received, notification: &Message) -> Judged {
    match host.send_confirmable(registration, notification) {
        Err(Stop::Fail(finding)) if finding.at.is_none() => {
            let what = "expected another acknowledgement for a copy of a notification, but nothing came";
            Err(Stop::fail(what, "RFC 7252 §4.5"))
        }
        acknowledged => acknowledged.map(drop),
    }
}

/// A client may as well forget an observation without a word.
fn obs_12(host: &mut Host) -> Judged {
    let seconds = if host.is_lossy() { 20 } else { 4 };
    let get = Stimulus::get("/obs").observe_for(seconds);
    let mut observer = Observer::register(host, &get, "state 1")?;
    observer.notify(host, "state 2")?;
    let within = Duration::from_secs(u64::from(seconds) + 2);
    let mut leave = deregistration(host, within)?;
    if leave.is_none() && host.runs() {
        host.interrupt();
        leave = deregistration(host, Duration::from_secs(3))?;
    }
    let Some(leave) = leave else {
        let what = "the client forgets observations, as it may (RFC 7641 §3.6)";
        return Err(Stop::Skip(what.to_owned()));
    };
    leave.is_request(coracle_wire::Method::GET)?;
    is_renewed(&leave, &observer.registration, Some(1))?;
    host.answer_text(&leave, "state 2");
    host.finish()?;
    Ok(())
}

/// The request with Observe 1, if it comes. A client that ends right after it cannot send it again, so that it counts
/// even if the lossy gateway took it away.
fn deregistration(host: &mut Host, within: Duration) -> Judged<Option<Received>> {
    let leaves = |message: &Message| message.observe_value() == Some(1) && message.method().is_some();
    let message = host.await_message(within, "a deregistration", leaves);
    match message {
        Ok(message) => Ok(Some(message)),
        // It crashed, or sent something malformed.
        Err(Stop::Fail(finding)) if finding.at.is_some() || !host.runs() => Err(Stop::Fail(finding)),
        Err(Stop::Inconclusive(why)) if host.runs() => Err(Stop::Inconclusive(why)),
        Err(_) => Ok(host.lost(leaves)),
    }
}

fn obs_13(host: &mut Host) -> Judged {
    let texts = [1, 2, 3].map(|state| body(&format!("large state {state}"), 200));
    sized(host, "/obs-large", &texts)
}

fn obs_14(host: &mut Host) -> Judged {
    let text = |state: u32, length| body(&format!("pumping state {state}"), length);
    let texts = [text(1, 30), text(2, 200), text(3, 30), text(4, 200)];
    sized(host, "/obs-pumping", &texts)?;
    host.end();
    let texts = [text(5, 200), text(6, 30)];
    sized(host, "/obs-pumping", &texts)
}

/// 64 bytes.
const SZX: u8 = 2;

/// The client observes a resource with these states one after the other, which it fetches in blocks of 64 bytes if
/// they are larger.
fn sized(host: &mut Host, path: &str, texts: &[String]) -> Judged {
    let mut observer: Option<Observer> = None;
    for (etag, text) in (1_u8..).zip(texts) {
        let etag = [0x0b, etag];
        let state = Large {
            code: Status::CONTENT,
            text,
            etag: &etag,
            szx: SZX,
        };
        let large = text.len() > 64;
        let fill = |message: Message| match large {
            true => state.block(message, 0, SZX),
            false => message.etag(&etag).text(text),
        };
        let current = match &mut observer {
            None => {
                let begun = Observer::begin(host, &Stimulus::get(path).observe())?;
                let response = host.response_to(&begun.registration, Status::CONTENT);
                let response = fill(response.observe(begun.sequence));
                host.answer(&begun.registration, &response);
                observer.insert(begun)
            }
            Some(current) => {
                // Its rest is asked for at once, whatever becomes of the acknowledgement.
                let notification = fill(current.notification(host));
                host.deliver(&current.registration, &notification)?;
                current
            }
        };
        if large {
            state.hand_out_rest(host, &current.registration, SZX, false)?;
        }
        host.expect_shown(text)?;
    }
    Ok(())
}
