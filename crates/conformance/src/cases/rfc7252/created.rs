//! `/create1`, which is there after a PUT and is gone after a DELETE.

use coracle_wire::Status;

use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// Puts something at `/create1`.
pub(super) fn create(probe: &mut Probe) -> Judged {
    let put = probe.put("/create1", "made by the judge");
    let answer = probe.ask(&put)?;
    let refused = [
        Status::NOT_FOUND,
        Status::METHOD_NOT_ALLOWED,
        Status::FORBIDDEN,
        Status::UNAUTHORIZED,
    ];
    if answer.status().is_some_and(|status| refused.contains(&status)) {
        return Err(Stop::Skip("the server does not let /create1 be made".to_owned()));
    }
    answer.code_in(&[Status::CREATED, Status::CHANGED])?;
    Ok(())
}

/// Takes away what may be at `/create1`, which has to be possible to make.
pub(super) fn remove(probe: &mut Probe) -> Judged {
    create(probe)?;
    let delete = probe.delete("/create1");
    let answer = probe.ask(&delete)?;
    if answer.status() == Some(Status::METHOD_NOT_ALLOWED) {
        return Err(Stop::Skip(
            "the server does not let /create1 be deleted".to_owned(),
        ));
    }
    answer.code(Status::DELETED)?;
    Ok(())
}
