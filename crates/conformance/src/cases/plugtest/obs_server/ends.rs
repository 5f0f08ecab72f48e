//! Observations that client or server end.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::probe::Probe;
use crate::verdict::Judged;

use super::super::super::watch::{Watch, answer};
use super::super::server_steps::offered;

/// The server is made to forget who observes, as by a reboot; then the client registers again.
pub(super) fn obs_04(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    let mut other = probe.another()?;
    let reset = other.post("/obs-reset", "sesame");
    offered(other.ask(&reset)?, "POST to /obs-reset")?.code(Status::CHANGED)?;
    watch.catch_up(probe)?;
    watch.expect_end(probe, "RFC 7641 §3.3.1")?;
    let request = watch.request.clone().mid(probe.fresh_mid());
    let response = answer(probe, &request)?;
    response.has(OptionNumber::OBSERVE)?;
    watch = Watch::registered(probe, request, &response)?;
    for _ in 0..2 {
        watch.next_acknowledged(probe)?;
    }
    watch.leave(probe);
    Ok(())
}

pub(super) fn obs_06(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    let notification = watch.next(probe)?;
    notification.is_of(MessageType::Confirmable)?;
    probe.reset(&notification);
    watch.expect_end(probe, "RFC 7641 §4.5")
}

pub(super) fn obs_12(probe: &mut Probe) -> Judged {
    let watch = Watch::established(probe)?;
    let request = watch.deregistration(probe);
    let response = answer(probe, &request)?;
    response.code(Status::CONTENT)?.lacks(OptionNumber::OBSERVE)?;
    let format = response.options.as_options().content_format();
    let same = "the Content-Format of the first response";
    response.expect(format == watch.format, same, None)?;
    watch.expect_end(probe, "RFC 7641 §3.6")
}
