//! Notifications that are not acknowledged.

use std::time::Duration;

use coracle_wire::MessageType;

use crate::message::Received;
use crate::probe::{PATIENCE, Probe};
use crate::talk::ACK_TIMEOUT;
use crate::verdict::Judged;

use super::super::super::watch::Watch;

/// How often a notification is transmitted at most: once and MAX_RETRANSMIT times (RFC 7252 §4.8).
const MOST_TRANSMISSIONS: usize = 5;

/// How long the last transmission may wait for its acknowledgement: ACK_TIMEOUT * ACK_RANDOM_FACTOR, doubled for each
/// retransmission (RFC 7252 §4.2, §4.8).
const LAST_TIMEOUT: Duration = Duration::from_secs(48);

/// The client vanishes. Every retransmission is a copy or has the current state.
pub(super) fn obs_05(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    probe.set_raw(true);
    let first = watch.next(probe)?;
    first.is_of(MessageType::Confirmable)?;
    let silence = LAST_TIMEOUT + watch.interval + PATIENCE;
    let mut latest = first.clone();
    let mut transmissions = 1;
    while let Some(next) = probe.receive(silence)? {
        transmissions += 1;
        next.expect(
            transmissions <= MOST_TRANSMISSIONS,
            format!("no notification after {MOST_TRANSMISSIONS} that were not acknowledged"),
            "RFC 7641 §4.5",
        )?;
        repeats(&mut watch, &latest, &next)?;
        latest = next;
    }
    let updated = latest.observe_value() != first.observe_value();
    latest.expect(updated, "the current state in a retransmission", "RFC 7641 §4.4")?;
    Ok(())
}

/// Registration, notification and acknowledgements are lost; at no time is more than one notification under way.
pub(super) fn obs_11(probe: &mut Probe) -> Judged {
    let jitter = probe.jitter()?;
    probe.lose(1, 1);
    let (mut watch, _) = Watch::register(probe, "/obs")?;
    probe.lose(0, 1);
    watch.next_acknowledged(probe)?;
    // To see copies.
    probe.set_raw(true);
    for lost in 0..3 {
        let mut notification = watch.next(probe)?;
        notification.is_of(MessageType::Confirmable)?;
        let mut timeout = ACK_TIMEOUT;
        for _ in 0..lost {
            probe.lose(1, 0);
            probe.acknowledge(&notification);
            let next = watch.next_message(probe, "a retransmission, as the acknowledgement was lost")?;
            repeats(&mut watch, &notification, &next)?;
            let waited = next.at.saturating_sub(notification.at);
            // What is measured is measured here, not where it was sent.
            next.expect(
                waited + jitter >= timeout,
                format!("no notification within {timeout:?} of one that was not acknowledged"),
                "RFC 7641 §4.5.1, §4.5.2",
            )?;
            timeout *= 2;
            notification = next;
        }
        probe.acknowledge(&notification);
    }
    probe.set_raw(false);
    watch.leave(probe);
    Ok(())
}

/// It is a copy of the one before, or has a newer state in a message of its own.
fn repeats(watch: &mut Watch, before: &Received, next: &Received) -> Judged {
    next.is_of(MessageType::Confirmable)?;
    if next.mid == before.mid {
        next.expect(next.message == before.message, "a copy", "RFC 7252 §4.2")?;
        return Ok(());
    }
    watch.check(next)
}
