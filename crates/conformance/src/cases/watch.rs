//! An observation, as the judge keeps it.

use std::time::{Duration, Instant};

use coracle_wire::{ContentFormat, MessageType, OptionNumber, Status};

use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::verdict::{Judged, Stop};

/// How long a notification stays the newest, whatever its number (RFC 7641 §3.4).
const NUMBERS_HOLD: Duration = Duration::from_secs(128);

/// The longest that a change is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is known of an observation.
pub(super) struct Watch {
    /// The registration.
    pub(super) request: Message,
    /// The Content-Format that all notifications have.
    pub(super) format: Option<ContentFormat>,
    /// How long a notification is waited for.
    pub(super) patience: Duration,
    /// How long it was between the latest two.
    pub(super) interval: Duration,
    newest: u32,
    newest_at: Duration,
}

impl Watch {
    /// Registers with a confirmable GET; gives the response, too, which is in the acknowledgement. Where that may be
    /// lost, a notification that comes first is the response (RFC 7641 §3.2).
    pub(super) fn register(probe: &mut Probe, path: &str) -> Judged<(Watch, Received)> {
        let request = probe.get(path).observe(0);
        probe.send_confirmable(&request);
        let patience = probe.answer_time();
        let response = loop {
            let message = probe.expect_message(patience, "a response to the registration")?;
            let notifies = message.is_con() && message.token == request.token;
            if message.is_con() {
                probe.acknowledge(&message);
            }
            if notifies && probe.is_lossy() {
                probe.give_up(request.mid);
                break message;
            }
            if !notifies && message.mid == request.mid {
                message.is_piggybacked_on(&request)?;
                break message;
            }
        };
        Ok((Watch::registered(probe, request, &response)?, response))
    }

    /// A registration that was answered; skips the case if the server does not observe.
    pub(super) fn registered(probe: &Probe, request: Message, response: &Received) -> Judged<Watch> {
        response.code(Status::CONTENT)?.answers(&request)?;
        let Some(newest) = response.observe_value() else {
            let what = format!("the server does not let {} be observed", request.uri_path());
            return Err(Stop::Skip(what));
        };
        let options = response.options.as_options();
        let fresh = Duration::from_secs(u64::from(options.max_age()));
        Ok(Watch {
            format: options.content_format(),
            patience: (probe.answer_time() + fresh).min(LONGEST_WAIT),
            interval: fresh,
            newest,
            newest_at: response.at,
            request,
        })
    }

    /// An observation of `/obs` that works: two notifications were acknowledged, and nothing is under way. From then
    /// on nothing is lost, so that silence is silence.
    pub(super) fn established(probe: &mut Probe) -> Judged<Watch> {
        let (mut watch, _) = Watch::register(probe, "/obs")?;
        watch.next_acknowledged(probe)?;
        lose_no_more(probe);
        watch.next_acknowledged(probe)?;
        Ok(watch)
    }

    /// The next confirmable notification, which is acknowledged.
    pub(super) fn next_acknowledged(&mut self, probe: &mut Probe) -> Judged<Received> {
        let notification = self.next(probe)?;
        notification.is_of(MessageType::Confirmable)?;
        probe.acknowledge(&notification);
        Ok(notification)
    }

    /// The next notification of a state.
    pub(super) fn next(&mut self, probe: &mut Probe) -> Judged<Received> {
        let notification = self.next_message(probe, "a notification")?;
        self.check(&notification)?;
        Ok(notification)
    }

    /// The next message that belongs to the observation.
    pub(super) fn next_message(&self, probe: &mut Probe, what: &str) -> Judged<Received> {
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match probe.receive(left)? {
                Some(message) if self.is_notified_by(&message) => return Ok(message),
                Some(_) => {}
                None => return Err(probe.nothing_came(self.patience, what)),
            }
        }
    }

    /// It has the token, and is no copy of the response to the registration.
    fn is_notified_by(&self, message: &Received) -> bool {
        let acknowledges = message.message_type == MessageType::Acknowledgement;
        let is_copy = acknowledges && message.mid == self.request.mid;
        !is_copy && message.status().is_some() && message.token == self.request.token
    }

    /// It is a state, in the same format, and newer than those before.
    pub(super) fn check(&mut self, notification: &Received) -> Judged {
        notification.code(Status::CONTENT)?.answers(&self.request)?;
        let format = notification.options.as_options().content_format();
        let same = "the Content-Format of the first response";
        notification.expect(format == self.format, same, "RFC 7641 §4.2")?;
        notification.has(OptionNumber::OBSERVE)?;
        let number = notification.observe_value().unwrap_or_default();
        let since = notification.at.saturating_sub(self.newest_at);
        let newer = is_newer(number, self.newest) || since > NUMBERS_HOLD;
        let expected = format!("an Observe newer than {}", self.newest);
        notification.expect(newer, expected, "RFC 7641 §4.4")?;
        (self.newest, self.newest_at, self.interval) = (number, notification.at, since);
        Ok(())
    }

    /// Acknowledges what came while another client was busy.
    pub(super) fn catch_up(&self, probe: &mut Probe) -> Judged {
        while let Some(message) = probe.receive(Duration::from_millis(50))? {
            if message.is_con() {
                probe.acknowledge(&message);
            }
        }
        Ok(())
    }

    /// No notification comes any more: not in the time of another change.
    pub(super) fn expect_end(&self, probe: &mut Probe, section: &'static str) -> Judged {
        let until = Instant::now() + self.interval + 2 * PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match probe.receive(left)? {
                None => return Ok(()),
                Some(message) => {
                    let silent = !self.is_notified_by(&message);
                    message.expect(silent, "no further notification", section)?;
                }
            }
        }
    }

    /// A GET that ends the observation.
    pub(super) fn deregistration(&self, probe: &mut Probe) -> Message {
        let mut request = self.request.clone().mid(probe.fresh_mid());
        request.options.remove(OptionNumber::OBSERVE);
        request.observe(1)
    }

    /// Ends the observation, so that the server need not find out; nothing of it is judged.
    pub(super) fn leave(&self, probe: &mut Probe) {
        lose_no_more(probe);
        let request = self.deregistration(probe);
        let _ = answer(probe, &request);
    }
}

/// Makes a lossy path a good one for the rest of the case.
pub(super) fn lose_no_more(probe: &mut Probe) {
    if probe.is_lossy() {
        probe.lose(0, 0);
    }
}

/// The response in the acknowledgement of a request that may have the token of an observation: notifications that
/// come before it are acknowledged.
pub(super) fn answer(probe: &mut Probe, request: &Message) -> Judged<Received> {
    probe.send_confirmable(request);
    let until = Instant::now() + probe.answer_time();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let message = probe.expect_message(left, "a piggybacked response")?;
        if message.is_con() {
            probe.acknowledge(&message);
        } else if message.mid == request.mid {
            message.is_piggybacked_on(request)?;
            return Ok(message);
        }
    }
}

/// RFC 7641 §3.4: numbers of 24 bits, modulo their range.
fn is_newer(number: u32, than: u32) -> bool {
    let ahead = number.wrapping_sub(than) & 0xff_ffff;
    ahead != 0 && ahead < 1 << 23
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn numbers_wrap_around() {
        assert!(is_newer(1, 0) && is_newer(0, 0xff_ffff) && is_newer(5, 0xff_fff0));
        assert!(!is_newer(7, 7) && !is_newer(0, 1) && !is_newer(0xff_ffff, 0));
    }
}
