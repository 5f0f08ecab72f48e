//! Notifications of new states.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::probe::Probe;
use crate::verdict::Judged;

use super::super::super::watch::Watch;

/// How many notifications are repeatedly.
const REPEATEDLY: usize = 3;

pub(super) fn obs_01(probe: &mut Probe) -> Judged {
    let (mut watch, _) = Watch::register(probe, "/obs")?;
    for _ in 0..REPEATEDLY {
        watch.next_acknowledged(probe)?;
    }
    watch.leave(probe);
    Ok(())
}

/// A confirmable notification now and then is allowed: that is how a server finds out that a client is gone
/// (RFC 7641 §4.5).
pub(super) fn obs_02(probe: &mut Probe) -> Judged {
    let request = probe.get("/obs-non").observe(0).non();
    let response = probe.ask(&request)?;
    let mut watch = Watch::registered(probe, request, &response)?;
    let mut confirmable = 0;
    for _ in 0..REPEATEDLY {
        let notification = watch.next(probe)?;
        if notification.is_con() {
            probe.acknowledge(&notification);
            confirmable += 1;
        }
        let holds = confirmable <= 1 && notification.message_type != MessageType::Acknowledgement;
        notification.expect(holds, "non-confirmable notifications, but for now and then", None)?;
    }
    watch.leave(probe);
    Ok(())
}

pub(super) fn obs_10(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    let request = probe.get("/obs");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    let format = response.options.as_options().content_format();
    let same = "the Content-Format of the first response";
    response.expect(format == watch.format, same, None)?;
    response.lacks(OptionNumber::OBSERVE)?;
    for _ in 0..2 {
        watch.next_acknowledged(probe)?;
    }
    watch.leave(probe);
    Ok(())
}
